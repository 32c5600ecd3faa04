"""The guide's own examples, from Message Sending Retry on: how a call gets to the broker, and where to.

See ``test_guide_examples.py``, which has those before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Call, ErrorClass, Ok, Raised, Signature
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import body_of
from celeriac.conformance.examples import (
    LIFE,
    Run,
    example,
    executed,
    play,
    require_done,
    require_end,
    require_handles,
    require_message,
    require_readable,
    value_of,
    with_worker,
)
from celeriac.conformance.precedence import label_of
from celeriac.conformance.verdicts import NotApplicable
from celeriac.spec import vectors

if TYPE_CHECKING:
    from celeriac.conformance.calls import Called
    from celeriac.conformance.world import World

# -- Message sending retry


def call_in_vain(world: World, *, refused: int | None = None, **call: Any) -> tuple[Called, list[float]]:
    """Call add(2, 2) while no connection can be made; answer the call, and the moments of the attempts.

    With ``refused`` only so many attempts are turned away.
    """
    world.begin(fresh=True, results=False)
    world.broker_down(refused)
    called = world.call("celeriac.add", (2, 2), **call)
    return called, [record.at for record in world.history.of("refused")]


def require_connection_error(world: World, called: Called) -> Raised:
    """Require that a call has raised a connection error, and answer it."""
    answer = called.answer
    holds = isinstance(answer, Raised) and answer.category == "connection"
    world.require("ERR-001", holds, "an error of the category connection", f"{answer}")
    assert isinstance(answer, Raised)
    return answer


@check("RTY-005", "ERR-001", *LIFE)
@example("message-sending-retry", 1)
def test_retry_is_disabled(world: World) -> None:
    """Calling Tasks, Message Sending Retry, block 1: without retry 2 + 2 is sent, or fails at the first attempt."""
    with_worker(world)
    require_end(world, play(world, retry=False), 4)
    called, attempts = call_in_vain(world, refused=1, retry=False)
    made = len(attempts) + isinstance(called.answer, Ok)
    world.judge("RTY-005", oracles.equal(1, made, "the number of attempts"))
    require_connection_error(world, called)


@check("RTY-017", "ERR-001")
@example("retry-policy", 1)
def test_only_time_outs_are_retried(world: World) -> None:
    """Calling Tasks, Retry Policy, block 1: with retry_errors of TimeoutError a refused connection is no retry."""
    policy = {"max_retries": 3, "retry_errors": (ErrorClass("timeout"),)}
    called, attempts = call_in_vain(world, retry=True, retry_policy=policy)
    require_connection_error(world, called)
    world.judge("RTY-017", oracles.equal(1, len(attempts), "the number of attempts"))


#: The default policy as the guide spells it out.
DEFAULT = {
    "max_retries": 3,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.2,
    "retry_errors": None,
}


@check("RTY-001", "RTY-002", "RTY-016", "ERR-001")
@example("retry-policy", 2)
def test_default_policy_takes_four_tenths_of_a_second(world: World) -> None:
    """Calling Tasks, Retry Policy, block 2: three retries wait 0, 0.2 and 0.2 seconds, 0.4 in all."""
    runs = []
    for _ in range(world.stage.repeats):
        called, attempts = call_in_vain(world, retry=True, retry_policy=DEFAULT)
        require_connection_error(world, called)
        world.require("RTY-016", len(attempts) > 1, "a retry of what was refused", "one attempt")
        world.judge("RTY-001", oracles.equal(4, len(attempts), "the number of attempts"))
        runs.append(attempts)
    waits = oracles.attempts(runs, (0, 0.2, 0.2), early=0.005, lateness=world.stage.jitter)
    world.judge("RTY-002", waits)


# -- Connection errors


@check("ERR-001", "ERR-002", modes=("delay",))
@example("connection-error-handling", 1)
def test_refused_connection_is_an_operational_error(world: World) -> None:
    """Calling Tasks, Connection Error Handling, block 1: delay raises the error, which names what was refused."""
    called, _ = call_in_vain(world, mode="delay")
    error = require_connection_error(world, called)
    named = bool(error.cause) and error.cause != error.type
    world.require("ERR-002", named, "an error that names the transport's error as its cause", f"{error}")


@check("ERR-001", "ERR-005", modes=("delay",))
@example("connection-error-handling", 2)
def test_connection_error_is_handled(world: World) -> None:
    """Calling Tasks, Connection Error Handling, block 2: who has caught the error can go on, and send again."""
    called, _ = call_in_vain(world, mode="delay")
    require_connection_error(world, called)
    world.broker_up()
    again = world.call("celeriac.add", (2, 2), mode="delay")
    world.require("ERR-005", isinstance(again.answer, Ok), "the next call succeeds", f"{again.answer}")
    world.published(again)


# -- Serializers and compression


@check("SER-008", *LIFE)
@example("serializers", 3)
def test_serializer_json(world: World) -> None:
    """Calling Tasks, Serializers, block 3: 10 + 10 is sent as JSON and makes 20."""
    require_serializer(world, "SER-008", "json")


@check("SER-009", *LIFE)
@example("serializers", 1)
def test_serializer_yaml(world: World) -> None:
    """Calling Tasks, Serializers, block 1: what the extra yaml brings, carries a call to its end."""
    require_serializer(world, "SER-009", "yaml")


@check("SER-011", *LIFE)
@example("serializers", 2)
def test_serializer_msgpack(world: World) -> None:
    """Calling Tasks, Serializers, block 2: what the extra msgpack brings, carries a call to its end."""
    require_serializer(world, "SER-011", "msgpack")


def require_serializer(world: World, requirement: str, name: str) -> None:
    """Require that a call with this serializer is labelled so and makes 20, with a worker that accepts it."""
    world.begin(settings={"accept_content": ["json", name]})
    world.worker()
    run = play(world, args=(10, 10), serializer=name)
    label = world.published(run.called).properties.get("content_type")
    expected = label_of("serializer", name)
    world.judge(requirement, oracles.equal(expected, label, "the content type"))
    require_end(world, run, 20)


@check("CMP-011", *LIFE)
@example("compression", 1)
def test_compression_brotli(world: World) -> None:
    """Calling Tasks, Compression, block 1: what the extra brotli brings, carries a call to its end."""
    require_compression(world, "CMP-011", "brotli")


@check("CMP-009", *LIFE)
@example("compression", 2)
def test_compression_bzip2(world: World) -> None:
    """Calling Tasks, Compression, block 2: with a Python that has bz2, bzip2 carries a call to its end."""
    require_compression(world, "CMP-009", "bzip2")


@check("CMP-008", *LIFE)
@example("compression", 3)
def test_compression_gzip(world: World) -> None:
    """Calling Tasks, Compression, block 3: with a Python that has gzip, gzip carries a call to its end."""
    require_compression(world, "CMP-008", "gzip")


@check("CMP-010", *LIFE)
@example("compression", 4, 5)
def test_compression_lzma(world: World) -> None:
    """Calling Tasks, Compression, blocks 4 and 5: with a Python that has lzma, lzma carries a call to its end."""
    require_compression(world, "CMP-010", "lzma")


@check("CMP-012", *LIFE)
@example("compression", 7)
def test_compression_zstd(world: World) -> None:
    """Calling Tasks, Compression, block 7: what the extra zstd brings, carries a call to its end."""
    require_compression(world, "CMP-012", "zstd")


@check("CMP-007", *LIFE)
@example("compression", 6, 8)
def test_compression_zlib(world: World) -> None:
    """Calling Tasks, Compression, blocks 6 and 8: with a Python that has zlib, 2 + 2 is sent compressed by it."""
    require_compression(world, "CMP-007", "zlib")


def require_compression(world: World, requirement: str, name: str) -> None:
    """Require that a call with this scheme is labelled so, is in its format, and makes 4."""
    with_worker(world)
    run = play(world, compression=name)
    record = world.published(run.called)
    label, expected = record.headers.get("compression"), label_of("compression", name)
    world.judge(requirement, oracles.equal(expected, label, "the compression header", record))
    cases = vectors("codec-labels")["cases"]
    magic = next(case["magic"] for case in cases if case["name"] == name)
    holds = record.body.hex().startswith(magic)
    world.require(requirement, holds, f"a body that begins {magic}", record.body[:8].hex(), record)
    require_end(world, run, 4)


#: What the guide's serializers and schemes need beyond a bare Python, or a Python that lacks something.
SERIALIZERS, SCHEMES = ("yaml", "msgpack"), ("brotli", "bzip2", "gzip", "lzma", "zlib", "zstd")


@check("SER-006")
@example("serializers", 1, 2)
def test_serializer_without_its_extra_is_refused(world: World) -> None:
    """Calling Tasks, Serializers, blocks 1 and 2: without the extra that the block installs, the call is refused."""
    require_refusals(world, "SER-006", "serializer", SERIALIZERS)


@check("CMP-006")
@example("compression", 1, 2, 3, 4, 5, 6, 7)
def test_compression_without_its_module_is_refused(world: World) -> None:
    """Calling Tasks, Compression, blocks 1 to 7: without its extra or its module of Python, a scheme is refused."""
    require_refusals(world, "CMP-006", "compression", SCHEMES)


def require_refusals(world: World, requirement: str, option: str, names: Sequence[str]) -> None:
    """Require that each of these names is refused, as far as the implementation lacks what it needs."""
    lacking = [name for name in names if not world.has(f"{option}:{name}")]
    if not lacking:
        message = f"every {option} of the guide is installed here"
        raise NotApplicable(message)
    for name in lacking:
        world.begin()
        world.require_refusal(requirement, **{option: name})


# -- Connections

#: The numbers of the guide, and their sums.
NUMBERS, SUMS = [(2, 2), (4, 4), (8, 8), (16, 16)], [4, 8, 16, 32]


@check("CON-003", "CON-001", "CON-002", *LIFE)
@example("connections", 1)
def test_four_sums_over_one_publisher(world: World) -> None:
    """Calling Tasks, Connections, block 1: four sums are sent over one publisher on a connection of the pool."""
    with_worker(world)
    together = world.call_together([Call("celeriac.add", pair) for pair in NUMBERS], "publisher")
    accepted = isinstance(together.answer, Ok)
    expected = "four calls with a publisher that the task made of a connection"
    world.require("CON-003", accepted, expected, f"{together.answer}")
    answers = [world.get(called) for called in together.calls]
    ids = [called.id for called in together.calls]
    messages = [record for record in world.history.of("published") if record.task_id in ids]
    connections = {record.connection for record in messages if "task" in record.headers}
    world.judge("CON-001", oracles.equal(1, len(connections), "the number of connections", *messages))
    sent = [record.task_id for record in messages if "task" in record.headers]
    world.judge("CON-002", oracles.equal(ids, sent, "the order of the messages", *messages))
    for called, answer, pair, total in zip(together.calls, answers, NUMBERS, SUMS, strict=True):
        require_end(world, Run("celeriac.add", pair, {}, {}, called, answer), total)


@check("LNK-036", "LNK-039", "LNK-040", *LIFE)
@example("connections", 2)
def test_group_of_four_sums(world: World) -> None:
    """Calling Tasks, Connections, block 2: four sums called as a group are answered with 4, 8, 16 and 32."""
    with_worker(world)
    group = world.compose("group", *(Signature("celeriac.add", pair) for pair in NUMBERS))
    answer = world.get(group)
    messages = [record for record in world.history.of("published") if "task" in record.headers]
    seen = [tuple(body_of(record)[0]) for record in messages]
    world.judge("LNK-036", oracles.equal(NUMBERS, seen, "the arguments of the messages", *messages))
    require_handles([called.id for called in group.calls], messages)
    for called, pair, total in zip(group.calls, NUMBERS, SUMS, strict=True):
        require_done(world, Run("celeriac.add", pair, {}, {}, called, answer), total)
    require_readable(world, list(zip(group.calls, SUMS, strict=True)))
    values = value_of(answer)
    gaps = isinstance(values, list) and (len(values) < len(SUMS) or None in values)
    world.require("LNK-040", not gaps, "a value for each task of the group", f"{values!r}")
    world.judge("LNK-039", oracles.equal(SUMS, values, "the value of the group"))


# -- Routing


def high(world: World) -> str:
    """Answer the guide's queue ``priority.high``, of this scenario."""
    return f"{world.queue}.priority.high"


@check("ROU-001", *LIFE)
@example("routing-options", 1)
def test_queue_is_named_in_the_call(world: World) -> None:
    """Calling Tasks, Routing options, block 1: a call names a queue, and whoever serves that queue executes it."""
    world.begin()
    world.worker(queues=(high(world),))
    run = play(world, "celeriac.echo", (), queue=high(world))
    require_queue(world, "ROU-001", run.called, high(world))
    require_end(world, run, [[], {}])


@check("ROU-004", "ROU-001", "ROU-002", *LIFE)
@example("routing-options", 2)
def test_worker_serves_two_queues(world: World) -> None:
    """Calling Tasks, Routing options, block 2: a worker of the default queue and of priority.high serves both."""
    world.begin()
    world.worker(queues=(world.queue, high(world)))
    usual, urgent = play(world), play(world, queue=high(world))
    require_queue(world, "ROU-002", usual.called, world.queue)
    require_queue(world, "ROU-001", urgent.called, high(world))
    for run in (usual, urgent):
        require_message(world, run)
        started = world.history.first("started", task_id=run.called.id)
        world.require("ROU-004", started is not None, "an execution of the messages of both queues", "none")
        require_end(world, run, 4)


def require_queue(world: World, requirement: str, called: Called, queue: str) -> None:
    """Require that a call's message reaches this queue, in which a worker finds it."""
    record = world.published(called)
    delivery = world.wait("delivered", task_id=called.id)
    seen = record.queue or record.routing_key if delivery is None else delivery.queue
    world.judge(requirement, oracles.equal(queue, seen, "the queue of the message", record))


# -- Results


@check("RES-003", *LIFE)
@example("results-options", 1)
def test_result_is_ignored_or_not(world: World) -> None:
    """Calling Tasks, Results options, block 1: 1 + 2 is nothing when the result is ignored, and 3 when it is not."""
    with_worker(world)
    ignored = play(world, args=(1, 2), ignore_result=True)
    seen = value_of(ignored.answer)
    world.judge("RES-003", oracles.equal(None, seen, "the answered result of the ignored call"))
    require_message(world, ignored)
    executed(world, ignored.called.id, (1, 2), {})
    require_end(world, play(world, args=(1, 2), ignore_result=False), 3)
