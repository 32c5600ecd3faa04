"""The guide's blocks as Python code: written for Celery, they run on the reference when its import is exchanged.

What the conformance suite asks for through an adapter is here said in the words of the guide: the same statements, the
same values, on virtual time, with a worker and the result back end rpc.  The tests are named after the sections.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from kombu.exceptions import TimeoutError as KombuTimeoutError

from celeriac.reference import App, Task, chain, group
from celeriac.reference.broker import inproc
from celeriac.reference.errors import ResultTimeout

Lab = Any


@pytest.fixture
def app(lab: Lab) -> App:
    """The guide's application, and a worker for it."""
    app: App = lab.app("rpc://")
    lab.worker(app)
    return app


@pytest.fixture
def add(app: App) -> Task:
    """The task that all examples of the guide use."""

    @app.task
    def add(x, y):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - as the guide has it
        return x + y

    return add


@pytest.fixture
def task(app: App) -> Task:
    """A task that takes anything, and answers what it got."""

    @app.task
    def task(*args: Any, **kwargs: Any) -> Any:
        return [list(args), kwargs]

    return task


# -- Basics


def test_cheat_sheet(lab: Lab, task: Task) -> None:
    """Each line of the quick cheat sheet does what stands beside it."""
    now = lab.clock.now()
    arg, value = "a", "b"
    assert task.delay(arg, kwarg=value).get() == [["a"], {"kwarg": "b"}]
    assert task.apply_async((arg,), {"kwarg": value}).get() == [["a"], {"kwarg": "b"}]
    in_ten = [task.apply_async(countdown=10), task.apply_async(eta=now + timedelta(seconds=10))]
    in_a_minute = task.apply_async(countdown=60, expires=120)
    in_two_days = task.apply_async(expires=now + timedelta(days=2))
    assert in_two_days.get() == [[], {}]
    lab.clock.advance(200)
    assert [lab.ran(each.id) for each in (*in_ten, in_a_minute)] == [[10], [10], [60]]


def test_a_minute_is_too_late_for_a_worker_that_comes_after_two(lab: Lab) -> None:
    """The cheat sheet's countdown of 60 with expires of 120 is not executed when nobody came for two minutes."""
    app = lab.app("rpc://")
    result = app.tasks["add"].apply_async((2, 2), countdown=60, expires=120)
    lab.clock.advance(121)
    lab.worker(app)
    lab.clock.advance(60)
    assert lab.ran(result.id) == []


# -- Example


def test_example(add: Task, task: Task) -> None:
    """delay, apply_async and a signature call the same; the task itself is a function."""
    arg1, arg2 = 1, 2
    wanted = [[1, 2], {"kwarg1": "x", "kwarg2": "y"}]
    assert task.delay(arg1, arg2, kwarg1="x", kwarg2="y").get() == wanted
    assert task.apply_async(args=[arg1, arg2], kwargs={"kwarg1": "x", "kwarg2": "y"}).get() == wanted
    assert task.s(arg1, arg2, kwarg1="x", kwarg2="y").apply_async().get() == wanted
    assert add(2, 2) == 4


# -- Linking


def test_linking(lab: Lab, app: App, add: Task, task: Task) -> None:
    """(2 + 2) + 16 is 20, and every callback of a list gets the 4."""
    result = add.apply_async((2, 2), link=add.s(16))
    assert result.get() == 4
    lab.clock.settle()
    assert [child.get() for child in result.children] == [20]
    result = add.apply_async((2, 2), link=[add.s(16), task.s()])
    lab.clock.settle()
    assert [child.get() for child in result.children] == [20, [[4], {}]]


def test_linking_of_errors(lab: Lab, app: App, add: Task, capsys: pytest.CaptureFixture[str]) -> None:
    """The errback prints the request's id, the exception and the traceback, and is silent about a success."""

    @app.task
    def error_handler(request: Any, exc: Any, traceback: Any) -> None:
        print(f"Task {request.id} raised exception: {exc!r}\n{traceback!r}")  # noqa: T201 - as the guide has it

    assert add.apply_async((2, 2), link_error=error_handler.s()).get() == 4
    lab.clock.settle()
    assert capsys.readouterr().out == ""
    failed = add.apply_async((2, "2"), link_error=error_handler.s())
    lab.clock.settle()
    said, trace = capsys.readouterr().out.split("\n", 1)
    assert said.startswith(f"Task {failed.id} raised exception: TypeError(")
    assert "Traceback" in trace


def test_chain_is_the_simpler_way(add: Task) -> None:
    """What the sidebar recommends in place of link: the chain of the two is 20."""
    assert chain(add.s(2, 2), add.s(16)).apply_async().get() == 20


# -- On message


def test_on_message(lab: Lab, app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """The long-running task sends its progress, and the wait prints it, then the greeting."""

    @app.task(bind=True)
    def hello(self, a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - as the guide has it
        lab.clock.sleep(1)
        self.update_state(state="PROGRESS", meta={"progress": 50})
        lab.clock.sleep(1)
        self.update_state(state="PROGRESS", meta={"progress": 90})
        lab.clock.sleep(1)
        return "hello world: %i" % (a + b)  # noqa: UP031 - as the guide has it

    heard: list[dict[str, Any]] = []

    def on_raw_message(body: Any) -> None:
        heard.append({name: body[name] for name in ("task_id", "result", "children", "status", "traceback")})

    a, b = 1, 1
    r = hello.apply_async(args=(a, b))
    print(r.get(on_message=on_raw_message, propagate=False))  # noqa: T201 - as the guide has it
    assert capsys.readouterr().out == "hello world: 2\n"
    said: dict[str, Any] = {"task_id": r.id, "children": [], "traceback": None}
    assert heard == [
        {**said, "status": "PROGRESS", "result": {"progress": 50}},
        {**said, "status": "PROGRESS", "result": {"progress": 90}},
        {**said, "status": "SUCCESS", "result": "hello world: 2"},
    ]
    assert lab.clock.monotonic() == 3


# -- ETA and countdown


def test_countdown(lab: Lab, add: Task) -> None:
    """The result of a countdown of 3 takes at least three seconds, here exactly that."""
    result = add.apply_async((2, 2), countdown=3)
    assert result.get() == 4
    assert lab.clock.monotonic() == pytest.approx(3, abs=1e-5)


def test_eta(lab: Lab, add: Task) -> None:
    """The task of tomorrow is executed tomorrow and once, although the broker's patience is half an hour."""
    tomorrow = lab.clock.now().astimezone(timezone.utc) + timedelta(days=1)  # noqa: UP017 - as the guide has it
    result = add.apply_async((2, 2), eta=tomorrow)
    lab.clock.advance(2 * 86_400)
    assert lab.ran(result.id) == [86_400]
    assert len([event for event in lab.events("channel.close") if event.data["code"] == 406]) > 0


# -- Expiration


def test_expiration(lab: Lab, add: Task) -> None:
    """Ten and ten are added within a minute, or within a day."""
    kwargs: dict[str, Any] = {}
    assert add.apply_async((10, 10), expires=60).get() == 20
    moment: datetime = lab.clock.now() + timedelta(days=1)
    assert add.apply_async((10, 10), kwargs, expires=moment).get() == 20


# -- Message sending retry, connection errors


def test_retry_disabled(lab: Lab, add: Task) -> None:
    """Without retry the call is made, or fails at the first attempt and without a wait."""
    assert add.apply_async((2, 2), retry=False).get() == 4
    before, start = break_down(lab, add.app), lab.clock.monotonic()
    with pytest.raises(add.OperationalError):
        add.apply_async((2, 2), retry=False)
    assert (lab.attempts_made() - before, lab.clock.monotonic() - start) == (1, 0)


def test_retry_policy(lab: Lab, add: Task) -> None:
    """The default policy, spelled out, takes 0.4 seconds; with retry_errors of TimeoutError a refusal is raised."""
    before, start = break_down(lab, add.app), lab.clock.monotonic()
    with pytest.raises(add.OperationalError):
        add.apply_async(
            (2, 2),
            retry=True,
            retry_policy={
                "max_retries": 3,
                "interval_start": 0,
                "interval_step": 0.2,
                "interval_max": 0.2,
                "retry_errors": None,
            },
        )
    assert lab.attempts_made() - before == 4
    assert lab.clock.monotonic() - start == pytest.approx(0.4)
    with pytest.raises(add.OperationalError):
        add.apply_async(
            (2, 2),
            retry=True,
            retry_policy={"max_retries": 3, "retry_errors": (KombuTimeoutError,)},
        )
    assert lab.attempts_made() - before == 5


def test_connection_error(lab: Lab, add: Task, caplog: pytest.LogCaptureFixture) -> None:
    """The error says what was refused, and can be caught by the name that the task has for it."""
    break_down(lab, add.app)
    logger = logging.getLogger(__name__)
    with pytest.raises(add.OperationalError, match="refuses connections"):
        add.delay(2, 2)
    try:
        add.delay(2, 2)
    except add.OperationalError as exc:
        logger.exception("Sending task raised: %r", exc)  # noqa: TRY401 - as the guide has it
    assert "Sending task raised: OperationalError(" in caplog.text


def break_down(lab: Lab, app: App) -> int:
    """Stop the workers and let the broker refuse the caller; answer how many attempts to connect it has seen."""
    for worker in lab.workers:
        worker.stop()
    app.close()
    inproc.refuse(lab.name, True)
    return int(lab.attempts_made())


# -- Serializers, compression


def test_serializer(lab: Lab, add: Task) -> None:
    """The serializer of one call is that of its message."""
    assert add.apply_async((10, 10), serializer="json").get() == 20
    assert lab.published()[-1].properties["content_type"] == "application/json"


def test_compression(lab: Lab, add: Task) -> None:
    """The compression of one call is that of its message."""
    assert add.apply_async((2, 2), compression="zlib").get() == 4
    assert lab.published()[-1].headers["compression"] == "application/x-gzip"


# -- Connections


def test_publisher(lab: Lab, add: Task, capsys: pytest.CaptureFixture[str]) -> None:
    """The block of the guide runs, apart from a ``try`` that has no ``except``: four calls over one publisher."""
    numbers = [(2, 2), (4, 4), (8, 8), (16, 16)]
    results = []
    with add.app.pool.acquire(block=True) as connection, add.get_publisher(connection) as publisher:
        for i, j in numbers:
            res = add.apply_async((i, j), publisher=publisher)
            results.append(res)
    print([res.get() for res in results])  # noqa: T201 - as the guide has it
    assert capsys.readouterr().out == "[4, 8, 16, 32]\n"
    sessions = {event.session for event in lab.events("publish") if event.data["routing_key"] == "celery"}
    assert len(sessions) == 1


def test_group(add: Task) -> None:
    """The four sums are better expressed as a group."""
    numbers = [(2, 2), (4, 4), (8, 8), (16, 16)]
    res = group(add.s(i, j) for i, j in numbers).apply_async()
    assert res.get() == [4, 8, 16, 32]


# -- Routing options


def test_routing(lab: Lab, app: App, task: Task) -> None:
    """A call to priority.high waits until a worker of that queue comes, as -Q celery,priority.high makes one."""
    result = task.apply_async(queue="priority.high")
    with pytest.raises(ResultTimeout):
        result.get(timeout=60)
    lab.worker(app, queues=("celery", "priority.high"))
    assert result.get() == [[], {}]


# -- Results options


def test_results(add: Task) -> None:
    """An ignored result is None at once; one that is not ignored is there."""
    result = add.apply_async((1, 2), ignore_result=True)
    assert result.get() is None
    result = add.apply_async((1, 2), ignore_result=False)
    assert result.get() == 3
