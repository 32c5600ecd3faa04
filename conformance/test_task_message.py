"""The task message: what is on the wire, and what a worker makes of what it finds there."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.adapter import Signature
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import body_of, decoded_body
from celeriac.conformance.samples import message_of, samples, until_done
from celeriac.spec import schema, validator

if TYPE_CHECKING:
    from celeriac.conformance.messages import WireMessage
    from celeriac.conformance.world import World

HEADERS = tuple(schema("task-message")["$defs"]["headers"]["required"])


def problems(name: str, value: Any) -> str:
    """Answer what breaks a schema, empty when nothing does."""
    errors = sorted(validator(name).iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
    return "; ".join(f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors[:3])


def plain(value: Any) -> Any:
    """Answer a decoded body with lists for tuples, as a schema knows them."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value


@check("MSG-001")
def test_headers_are_complete(world: World) -> None:
    """Every header of the protocol is there, whatever the options."""
    world.begin()

    @world.for_all(world.any_options())
    def _(options: dict[str, Any]) -> None:
        record = world.published_or_skipped(world.call(**options))
        missing = [name for name in HEADERS if name not in record.headers]
        world.require("MSG-001", not missing, "all nineteen headers", f"missing: {missing}", record)


@check("MSG-002")
def test_headers_have_their_types(world: World) -> None:
    """Every header is valid against the schema, whatever the options."""
    world.begin()

    @world.for_all(world.any_options())
    def _(options: dict[str, Any]) -> None:
        record = world.published_or_skipped(world.call(**options))
        instance = {"headers": plain(record.headers), "properties": {}, "body": []}
        wrong = [
            f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
            for error in validator("task-message").iter_errors(instance)
            if list(error.absolute_path)[:1] == ["headers"] and error.validator != "required"
        ]
        world.require("MSG-002", not wrong, "headers valid against the schema", "; ".join(wrong[:3]), record)


@check("MSG-003")
def test_correlation_id_is_the_id(world: World) -> None:
    """The property and the header agree."""
    world.begin()
    called = world.call()
    record = world.published(called)
    expected, seen = record.headers.get("id", called.id), record.properties.get("correlation_id")
    world.judge("MSG-003", oracles.equal(expected, seen, "the correlation_id", record))


@check("MSG-004")
def test_call_from_outside_is_a_root(world: World) -> None:
    """The root is the task itself and there is no parent."""
    world.begin()
    record = world.published(world.call())
    own = record.headers.get("id", record.task_id)
    world.judge("MSG-004", oracles.equal(own, record.headers.get("root_id"), "root_id", record))
    world.judge(
        "MSG-004", oracles.equal(None, record.headers.get("parent_id", "absent"), "parent_id", record)
    )


@check("MSG-005")
def test_call_from_inside_is_a_child(world: World) -> None:
    """The child knows its parent and the root of its parent."""
    world.begin()
    world.worker()
    message = world.message("celeriac.child", (2, 2)).with_headers(root_id="celeriac-root")
    world.inject(message)
    ended = world.expect("ended", task_id=message.task_id)
    world.expect("published", task_id=ended.value)
    children = [r for r in world.history.of("published") if r.headers.get("task") == "celeriac.add"]
    world.require("MSG-005", len(children) == 1, "one message for the child", f"{len(children)}", *children)
    headers = children[0].headers
    seen = (headers.get("parent_id"), headers.get("root_id"))
    expected = (message.task_id, "celeriac-root")
    world.judge("MSG-005", oracles.equal(expected, seen, "parent_id and root_id of the child", *children))


@check("MSG-006")
def test_first_call_has_no_retries(world: World) -> None:
    """The number of retries starts at 0."""
    world.begin()
    record = world.published(world.call())
    world.judge("MSG-006", oracles.equal(0, record.headers.get("retries"), "the retries header", record))


@check("MSG-007")
def test_no_time_limits_is_a_pair_of_nulls(world: World) -> None:
    """Without limits the header is still a pair."""
    world.begin()
    record = world.published(world.call())
    seen = plain(record.headers.get("timelimit"))
    world.judge("MSG-007", oracles.equal([None, None], seen, "the timelimit header", record))


@check("MSG-008")
def test_body_has_three_elements(world: World) -> None:
    """Whatever the options, the body is a list of arguments, keywords and a mapping."""
    world.begin()

    @world.for_all(world.any_options())
    def _(options: dict[str, Any]) -> None:
        record = world.published_or_skipped(world.call(**options))
        body = plain(decoded_body(record))
        holds = isinstance(body, list) and [type(part) for part in body] == [list, dict, dict]
        world.require("MSG-008", holds, "a list, a mapping and a mapping", f"{body!r}", record)


@check("MSG-009")
def test_embed_has_four_keys(world: World) -> None:
    """The mapping has its four keys and no other, null where unused."""
    world.begin()
    record = world.published(world.call())
    expected = dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))
    body = plain(decoded_body(record))
    embed = body[2] if isinstance(body, list) else body
    world.judge("MSG-009", oracles.equal(expected, embed, "the mapping", record))
    linked = world.published(world.call(link=Signature("celeriac.add", (1,))))
    keys = sorted(body_of(linked)[2])
    world.judge("MSG-009", oracles.equal(sorted(expected), keys, "the keys with a link", linked))


@check("MSG-010")
def test_signatures_in_the_body_are_valid(world: World) -> None:
    """Callbacks and errbacks, with options and without, are valid against the schema."""
    world.begin()
    link = [
        Signature("celeriac.add", (16,)),
        Signature("celeriac.echo", (), {"k": 1}, {"queue": "elsewhere", "countdown": 5}, immutable=True),
    ]
    record = world.published(world.call(link=link, link_error=[Signature("celeriac.handler")]))
    embed = plain(body_of(record))[2]
    for signature in [*(embed["callbacks"] or ()), *(embed["errbacks"] or ())]:
        wrong = problems("signature", signature)
        world.require("MSG-010", not wrong, "a signature valid against the schema", wrong, record)
    immutable = {signature["task"]: signature["immutable"] for signature in embed["callbacks"] or ()}
    expected = {"celeriac.add": False, "celeriac.echo": True}
    world.judge("MSG-010", oracles.equal(expected, immutable, "immutable, of each callback", record))


@check("MSG-011")
def test_encoding_is_labelled(world: World) -> None:
    """Content type and encoding are there."""
    world.begin()
    record = world.published(world.call())
    seen = [record.properties.get(name) for name in ("content_type", "content_encoding")]
    world.require("MSG-011", all(seen), "content_type and content_encoding", f"{seen}", record)


@check("MSG-012")
def test_messages_are_persistent(world: World) -> None:
    """The delivery mode is 2."""
    world.begin()
    record = world.published(world.call())
    world.judge(
        "MSG-012", oracles.equal(2, record.properties.get("delivery_mode"), "the delivery mode", record)
    )


@check("MSG-013")
def test_no_priority_is_absent_or_zero(world: World) -> None:
    """Without a priority anywhere the property is absent or 0."""
    world.begin()
    record = world.published(world.call())
    seen = record.properties.get("priority")
    world.require("MSG-013", seen in (None, 0), "no priority, or 0", f"{seen!r}", record)


@check("MSG-014", link="amqp")
def test_reply_to_names_the_queue_of_results(world: World) -> None:
    """Each form of a call names a queue that the caller has declared."""
    world.begin()
    for mode in ("apply_async", "send_task"):
        if not world.claim.claims(mode):
            continue
        record = world.published(world.call(mode=mode))
        reply_to = record.properties.get("reply_to")
        declared = world.history.of("declared", entity="queue", name=reply_to)
        expected = f"{mode}: reply_to names a queue that the caller has declared"
        holds = bool(reply_to) and bool(declared)
        world.require("MSG-014", holds, expected, f"reply_to is {reply_to!r}", record)


@check("MSG-015", link="redis")
def test_envelope_is_valid(world: World) -> None:
    """The list element is a JSON object valid against the schema, whatever the options."""
    world.begin()

    @world.for_all(world.any_options())
    def _(options: dict[str, Any]) -> None:
        record = world.published_or_skipped(world.call(**options))
        wrong = problems("redis-envelope", plain(record.envelope))
        world.require("MSG-015", not wrong, "an envelope valid against the schema", wrong, record)


@check("MSG-016", link="redis")
def test_envelope_body_is_base64(world: World) -> None:
    """The body is base64 of what would be the body over AMQP, and says so."""
    world.begin()
    record = world.published(world.call(args=(2, 3)))
    encoding = record.envelope["properties"].get("body_encoding")
    world.judge("MSG-016", oracles.equal("base64", encoding, "body_encoding", record))
    body = base64.b64decode(record.envelope["body"], validate=True)
    world.require(
        "MSG-016", b"[2, 3]" in body or b"[2,3]" in body, "base64 of the JSON body", f"{body!r}", record
    )


@check("MSG-017", link="redis")
def test_envelope_says_where_it_belongs(world: World) -> None:
    """With simple routing the exchange is empty and the routing key is the queue."""
    world.begin()
    record = world.published(world.call())
    info = record.envelope["properties"].get("delivery_info") or {}
    seen = (info.get("exchange"), info.get("routing_key"))
    world.judge("MSG-017", oracles.equal(("", world.queue), seen, "exchange and routing key", record))


@check("MSG-018", link="redis")
def test_delivery_tags_differ(world: World) -> None:
    """Ten messages have ten delivery tags."""
    world.begin()
    tags = [world.published(world.call()).envelope["properties"].get("delivery_tag") for _ in range(10)]
    world.judge("MSG-018", oracles.equal(10, len(set(tags)), "the number of different tags"))


@check("MSG-019")
def test_task_gets_its_arguments(world: World) -> None:
    """Positional and keyword arguments reach the function as they were sent."""
    world.begin()
    world.worker()
    sent = world.send("celeriac.echo", [1, "a", [2, None]], {"k": {"n": 3.5}, "flag": True})
    started = world.expect("started", task_id=sent.task_id)
    seen = [plain(started.args), plain(started.kwargs)]
    expected = [[1, "a", [2, None]], {"k": {"n": 3.5}, "flag": True}]
    world.judge("MSG-019", oracles.equal(expected, seen, "the arguments of the function", started))


def execute(world: World, requirement: str, message: WireMessage) -> None:
    """Require that a worker executes a message."""
    world.begin()
    world.worker()
    world.inject(message)
    world.wait("ended", task_id=message.task_id)
    world.judge(requirement, oracles.executed(world.history, message.task_id))


@check("MSG-020")
def test_task_and_id_are_enough(world: World) -> None:
    """A message with two headers is executed."""
    world.begin()
    message = world.message()
    others = [name for name in message.headers if name not in {"task", "id"}]
    execute(world, "MSG-020", message.without_headers(*others))


@check("MSG-021")
def test_unknown_headers_are_ignored(world: World) -> None:
    """Headers that nobody knows do no harm."""
    world.begin()
    extra = {"x-trace": "abc", "x-table": {"a": [1, None]}, "x-number": 7, "lang": "rust"}
    execute(world, "MSG-021", world.message().with_headers(**extra))


@check("MSG-022")
def test_finished_task_is_acknowledged_once(world: World) -> None:
    """The message of a task that ran is acknowledged once and does not come again."""
    world.begin()
    world.worker()
    sent = world.send()
    world.expect("ended", task_id=sent.task_id)
    world.expect("acked", task_id=sent.task_id)
    after = world.send()
    world.expect("acked", task_id=after.task_id)
    acks = world.history.of("acked", task_id=sent.task_id)
    world.judge("MSG-022", oracles.equal(1, len(acks), "the number of acknowledgements", *acks))
    deliveries = world.history.of("delivered", task_id=sent.task_id)
    world.judge("MSG-022", oracles.equal(1, len(deliveries), "the number of deliveries", *deliveries))


@check("MSG-023")
def test_unknown_task_is_rejected(world: World) -> None:
    """The message of an unknown task is rejected (on Redis: removed), not handed back."""
    world.begin()
    world.worker()
    sent = world.send("somebody.elses.task")
    world.wait("acked", "rejected", "requeued", task_id=sent.task_id)
    ways = ("rejected",) if world.link == "amqp" else ("acked", "rejected")
    world.judge("MSG-023", oracles.settled(world.history, sent.task_id, ways))


@check("MSG-024")
def test_unknown_task_fails_as_not_registered(world: World) -> None:
    """The result of an unknown task is a failure that says why."""
    world.begin()
    world.worker()
    sent = world.send("somebody.elses.task")
    world.wait("stored", task_id=sent.task_id)
    world.judge("MSG-024", oracles.stored(world.history, sent.task_id, "FAILURE"))
    result = world.history.of("stored", task_id=sent.task_id)[-1].result
    seen = result.get("exc_type") if isinstance(result, Mapping) else result
    world.judge("MSG-024", oracles.equal("NotRegistered", seen, "the exception type"))


def settle(world: World, requirement: str) -> None:
    """Require that a worker settles each sample message of a requirement, as the sample says."""
    for case in world.sample(samples(requirement)):
        world.begin()
        worker = world.worker()
        message = message_of(world, case)
        world.inject(message)
        until_done(world, worker, ("acked", "rejected", "requeued"), message.task_id)
        judgement = oracles.settled(world.history, message.task_id, tuple(ways(world, case)))
        world.judge(requirement, judgement.about(case["name"]))
        if case["executed"] is False:
            require_no_execution(world, requirement, worker, case["name"])


def require_no_execution(world: World, requirement: str, worker: str, name: str) -> None:
    """Require that a worker has executed nothing, under whatever id, by the time it has executed another task."""
    after = world.send("celeriac.add", (3, 3))
    until_done(world, worker, ("ended",), after.task_id)
    starts = [record for record in world.history.of("started") if record.task_id != after.task_id]
    judgement = oracles.equal(0, len(starts), "the number of executions", *starts)
    world.judge(requirement, judgement.about(name))


def ways(world: World, case: Mapping[str, Any]) -> list[str]:
    """Answer how a sample may be settled; on Redis a rejection is an acknowledgement on the wire."""
    return case["settled"] if world.link == "amqp" else sorted({*case["settled"], "acked"})


@check("MSG-025")
def test_unreadable_bodies_are_settled(world: World) -> None:
    """Bodies that cannot be decompressed or decoded are settled and not executed."""
    settle(world, "MSG-025")


@check("MSG-026")
def test_misshapen_bodies_are_settled(world: World) -> None:
    """Bodies that are not lists of three are settled and not executed."""
    settle(world, "MSG-026")


@check("MSG-027")
def test_messages_without_an_id_are_settled(world: World) -> None:
    """A message without an id is settled and not executed."""
    settle(world, "MSG-027")


@check("MSG-028")
def test_senseless_moments_are_settled(world: World) -> None:
    """Numbers and words for moments are settled and not executed."""
    settle(world, "MSG-028")


@check("MSG-029")
def test_empty_moments_are_settled(world: World) -> None:
    """Empty values other than null for moments are settled, executed or not."""
    settle(world, "MSG-029")


@check("MSG-030")
def test_misshapen_time_limits_are_settled(world: World) -> None:
    """Time limits that are no pair are settled, executed or not."""
    settle(world, "MSG-030")


@check("MSG-031")
def test_misshapen_arguments_are_settled(world: World) -> None:
    """Keyword arguments that are no mapping are settled and not executed."""
    settle(world, "MSG-031")


@check("MSG-032")
def test_worker_survives_every_sample(world: World) -> None:
    """After each sample message the same worker executes an ordinary one."""
    for case in world.sample(samples()):
        world.begin()
        worker = world.worker()
        world.inject(message_of(world, case))
        for _ in range(2):  # a worker that is dying may still execute what it has fetched
            after = world.send("celeriac.add", (3, 3))
            until_done(world, worker, ("ended",), after.task_id)
        stopped = world.history.of("stopped", worker=worker)
        observed = (
            f"the worker stopped: {dict(stopped[0].data)}" if stopped else "it executes nothing any more"
        )
        ended = world.history.of("ended", task_id=after.task_id)
        expected = f"after {case['name']!r}: the worker executes the next message"
        world.require("MSG-032", bool(ended) and not stopped, expected, observed, *stopped)
