"""Generated options are valid, reach every option, and are the same in every verdict run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kombu.serialization import dumps, loads

from celeriac.conformance import strategies
from celeriac.conformance.from_schema import from_schema
from celeriac.conformance.verdicts import HarnessError, Inconclusive, NotApplicable
from celeriac.conformance.wire_values import to_json
from celeriac.spec import schema, schema_names, validator

NOW = datetime(2031, 5, 17, 12, tzinfo=UTC)
QUIET = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)


def everything(feature: str) -> bool:
    """Claim every feature."""
    return True


def nothing(feature: str) -> bool:
    """Claim no feature."""
    return False


def options(has: Callable[[str], bool] = everything, only: set[str] | None = None) -> Any:
    """Answer the strategy of options at ``NOW``."""
    return strategies.execution_options(now=NOW, has=has, queues=("celeriac.q",), only=only)


@pytest.fixture(autouse=True)
def verdict_run() -> Iterator[None]:
    """Leave the mode as it was found."""
    yield
    strategies.configure(explore=False)


@QUIET
@given(options())
def test_every_options_are_valid(value: dict[str, Any]) -> None:
    """Whatever is generated is valid against the schema, in its form on the wire."""
    assert [error.message for error in validator("execution-options").iter_errors(to_json(value))] == []


@QUIET
@given(strategies.retry_policies(has=everything))
def test_every_policy_is_valid(value: dict[str, Any]) -> None:
    """Whatever policy is generated is valid against its schema."""
    assert [error.message for error in validator("retry-policy").iter_errors(to_json(value))] == []


@QUIET
@given(options(), st.data())
def test_moments_lie_around_now(value: dict[str, Any], data: st.DataObject) -> None:
    """Generated moments are aware and lie within the range that the schema names."""
    for moment in (value.get("eta"), value.get("expires")):
        if isinstance(moment, datetime):
            assert timedelta(days=-1) <= moment - NOW <= timedelta(days=30)


def test_every_option_is_reached() -> None:
    """Each option but a live publisher and the addresses appears, given and as None; policies have every key."""
    seen: set[tuple[str, bool]] = set()

    @QUIET
    @given(options())
    def collect(value: dict[str, Any]) -> None:
        seen.update((name, given is None) for name, given in value.items())

    collect()
    expected = set(schema("execution-options")["properties"]) - {"publisher", *strategies.ADDRESSES}
    assert {name for name, is_none in seen if not is_none} == expected
    assert {name for name, is_none in seen if is_none} == expected


@QUIET
@given(options(nothing), options(everything, only={"countdown", "exchange"}))
def test_claim_and_choice_limit_the_options(unclaimed: dict[str, Any], chosen: dict[str, Any]) -> None:
    """What the claim does not promise is not used, and ``only`` is obeyed."""
    assert not {"link", "link_error"} & set(unclaimed)
    assert unclaimed.get("serializer") is None
    assert "retry_errors" not in (unclaimed.get("retry_policy") or {})
    assert set(chosen) <= {"countdown", "exchange"}


@pytest.mark.parametrize("serializer", strategies.SERIALIZERS)
def test_arguments_survive_their_serializer(serializer: str) -> None:
    """Generated arguments come back equal from kombu's codec of the same name."""
    pytest.importorskip({"yaml": "yaml", "msgpack": "msgpack"}.get(serializer, "json"))

    @QUIET
    @given(strategies.arguments(serializer), strategies.keyword_arguments(serializer))
    def round_trip(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        content_type, encoding, body = dumps([list(args), kwargs], serializer=serializer)
        assert loads(body, content_type, encoding, accept={content_type}) == [list(args), kwargs]

    round_trip()


def drawn(number: int) -> list[int]:
    """Answer the examples that a property of this many gets."""
    seen: list[int] = []

    @given(st.integers())
    @strategies.examples(number)
    def collect(value: int) -> None:
        seen.append(value)

    collect()
    return seen


def test_verdict_runs_are_alike() -> None:
    """Two verdict runs try the same examples, as many as asked for; exploring tries ten times as many."""
    assert drawn(10) == drawn(10)
    assert len(drawn(10)) == 10
    strategies.configure(explore=True)
    assert len(drawn(10)) == 100


@pytest.mark.parametrize("kind", [HarnessError, Inconclusive, NotApplicable])
def test_verdicts_leave_a_property_at_once(kind: type[Exception]) -> None:
    """A verdict other than fail ends a property at the example that brought it."""
    calls: list[int] = []

    @given(st.integers())
    @strategies.examples(50)
    def body(value: int) -> None:
        calls.append(value)
        raise kind("so it is")

    with pytest.raises(strategies.Decided) as caught:
        body()
    assert isinstance(caught.value.__cause__, kind)
    assert len(calls) == 1


@pytest.mark.parametrize("shrink", [True, False])
def test_failing_example_is_made_small(shrink: bool) -> None:
    """A failure is shrunk where time costs nothing, and left as found where it does."""
    seen: list[int] = []

    @given(st.integers(0, 10**6))
    @strategies.examples(100, shrink=shrink)
    def body(value: int) -> None:
        seen.append(value)
        assert value < 1000

    with pytest.raises(AssertionError):
        body()
    assert (min(value for value in seen if value >= 1000) == 1000) is shrink


def test_unknown_keywords_are_refused() -> None:
    """A schema with a keyword that no strategy obeys is refused, never half obeyed."""
    with pytest.raises(NotImplementedError, match="minContains"):
        from_schema("x", document={"type": "array", "items": {"type": "null"}, "minContains": 2})


@pytest.mark.parametrize("name", ["retry-policy", "execution-options", "signature"])
def test_schemas_as_they_stand(name: str) -> None:
    """Without a claim or a clock, a schema alone gives valid values."""
    assert name in schema_names()

    @QUIET
    @given(from_schema(name))
    def valid(value: Any) -> None:
        assert [error.message for error in validator(name).iter_errors(value)] == []

    valid()
