"""An implementation that keeps its results in Redis, whoever the broker is, finds a Redis beside an AMQP broker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from celeriac.conformance import wall_stage
from celeriac.conformance.adapter import Adapter, Answer, Ok, Scenario
from celeriac.conformance.messages import result_record
from celeriac.conformance.providers import Unavailable, find
from celeriac.conformance.stage import Backend
from celeriac.conformance.wall_stage import WallStage


class Listener(Adapter):
    """Hears what a scenario is about."""

    scenario: Scenario

    def hello(self) -> Mapping[str, Any]:
        """Introduce itself."""
        return {"implementation": "a listener", "version": "1"}

    def begin(self, scenario: Scenario) -> Answer:
        """Keep it."""
        self.scenario = scenario
        return Ok()

    def end(self) -> Answer:
        """Do nothing."""
        return Ok()

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def stage() -> Iterator[WallStage]:
    """Answer a stage on the embedded broker, which speaks AMQP."""
    stage = WallStage(Listener, find("embedded"))
    yield stage
    stage.close()


def begin(stage: WallStage, results: Backend | None) -> str | None:
    """Begin a scenario and answer the URL of its result back end."""
    assert stage.begin(settings={}, task_attributes={}, results=results, fresh=False, lease=None) == Ok()
    assert isinstance(stage.adapter, Listener)
    return stage.adapter.scenario.backend_url


def test_results_are_kept_where_the_implementation_can_keep_them(stage: WallStage) -> None:
    """Results go over the broker, to no back end, or to a Redis of their own, as the scenario says."""
    assert begin(stage, "own") == "rpc://"
    stage.end()
    assert begin(stage, None) is None
    stage.end()
    url = begin(stage, "redis")
    assert url is not None
    assert url.startswith("redis://127.0.0.1:")
    stage.end()


def test_what_is_stored_beside_the_broker_is_seen(stage: WallStage) -> None:
    """A result that somebody stores in the Redis beside is a record of the history, and the harness can store one."""
    import redis

    url = begin(stage, "redis")
    client: Any = redis.Redis.from_url(str(url))

    stage.store(result_record("t-1", "SUCCESS", 4), "")
    assert b'"SUCCESS"' in client.get("celery-task-meta-t-1")
    client.set("celery-task-meta-t-2", client.get("celery-task-meta-t-1").replace(b"t-1", b"t-2"))

    stage.clock.wait_for(lambda: bool(stage.history.of("stored", task_id="t-2")), 10)
    assert [record.state for record in stage.history.of("stored", task_id="t-2")] == ["SUCCESS"]
    client.close()
    stage.end()


def test_machine_without_redis_says_what_is_missing(
    stage: WallStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no server can be had for the results, the scenario ends with every reason, in one sentence."""

    class Nothing:
        def node(self, lease: object) -> None:
            raise Unavailable("it is not installed")

        def close(self) -> None:
            """Do nothing."""

    monkeypatch.setattr(wall_stage, "find", lambda flavour: Nothing())

    with pytest.raises(
        Unavailable, match="results go to Redis, but no server can be had: it is not installed; it"
    ):
        begin(stage, "redis")
