"""The first steps of an adapter, those that need no broker: claim, build, hello, canary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from celeriac.conformance import envelopes
from celeriac.conformance.adapter import Adapter, Answer, Ok, Unsupported
from celeriac.conformance.claim import Candidate, ClaimError, find_adapter
from celeriac.conformance.doctor_steps import WANTED
from celeriac.conformance.doctor_talk import AsClass, AsLines, Exchange, Exhibit, Missing, Skipped
from celeriac.conformance.doctor_wire import Wire, WireError
from celeriac.conformance.envelopes import ProtocolError
from celeriac.conformance.environments import BuildError, Tell
from celeriac.conformance.guard import GuardedAdapter
from celeriac.conformance.process import ProcessAdapter
from celeriac.conformance.verdicts import HarnessError

T = TypeVar("T")

__all__ = ["build", "canary", "claim", "hello", "made"]

#: An operation that no protocol has.
CANARY = "celeriac.canary"

SMALLEST = """\
name = "mine"
title = "My client"
roles = ["producer"]
links = ["amqp"]
clocks = ["wall"]
modes = ["apply_async"]

[driver]
command = ["node", "{build}/driver.mjs"]    # or class = "my_module:MyAdapter\""""


def claim(spelling: str) -> Candidate:
    """Find the adapter and read its claim.

    Raises:
        Missing: there is no claim yet, or it is wrong.
        ClaimError: this is the name of no adapter.
    """
    try:
        return find_adapter(spelling)
    except ClaimError as error:
        if not {"/", ".", ":"} & set(spelling):
            raise  # a name that was mistyped: nobody is about to write this one
        begin = "" if Path(spelling).exists() else " Begin with `celeriac new-adapter NAME --language=...`."
        raise Missing(f"{error}.{begin}", exhibit=Exhibit([], "", SMALLEST.splitlines())) from None


def build(candidate: Candidate, tell: Tell) -> str:
    """Make what the claim asks for."""
    if candidate.claim.build is None:
        raise Skipped("the claim has no [build]")
    try:
        candidate.prepare(tell)
    except BuildError as error:
        raise Missing(f"{error}\nThe table [build] of adapter.toml says what is made, and how.") from None
    return "made"


def made(candidate: Candidate) -> Adapter:
    """Make the driver; a process is not started by that."""
    return _guarded(candidate.factory)


def hello(candidate: Candidate, adapter: Adapter) -> tuple[str, Wire | None]:
    """Ask who is there; answer what it says of itself, and the process that said it."""
    wire: Wire | None = None
    if isinstance(adapter, ProcessAdapter):
        wire, identity = _hello_of_process(adapter)
    else:
        identity = _guarded(GuardedAdapter(adapter, candidate.claim.patience(20.0)).hello)
    if contradiction := candidate.claim.contradiction(identity):
        raise Missing(f"{contradiction[0].upper()}{contradiction[1:]}.")
    return f"{identity['implementation']} {identity.get('version', '')}".strip(), wire


def _guarded(ask: Callable[[], T]) -> T:
    """Ask a class something; whatever it raises is what is missing."""
    wanted = AsClass().answer(Exchange(1, "hello", {}), WANTED["hello"])
    exhibit = Exhibit(["adapter.hello()"], "", [wanted])
    try:
        return ask()
    except (BuildError, HarnessError) as error:
        raise Missing(str(error), exhibit=exhibit) from None
    except Exception as error:  # noqa: BLE001 - the class is somebody else's code
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = "" if trace is None else f" ({trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno})"
        text = f"The class cannot be made or asked: {type(error).__name__}: {error}{place}"
        raise Missing(text, exhibit=exhibit) from None


def _hello_of_process(adapter: ProcessAdapter) -> tuple[Wire, Mapping[str, Any]]:
    exchange = Exchange(1, "hello", {})
    request = envelopes.request_to_json(1, "hello", {"protocol": envelopes.PROTOCOL})
    try:
        wire = Wire(adapter.command, adapter.env)
        message = _asked(wire, request, WANTED["hello"], adapter.start_deadline)
    except WireError as error:
        wanted = [AsLines().answer(exchange, WANTED["hello"])]
        raise Missing(str(error), exhibit=Exhibit([AsLines().request(exchange)], "", wanted)) from None
    return wire, dict(message["ok"])


def _asked(wire: Wire, request: Mapping[str, Any], wanted: Answer, seconds: float) -> dict[str, Any]:
    """Ask the process, which has to answer with an answer of the protocol."""
    sent = envelopes.line(request).decode().rstrip()
    answer = envelopes.line(envelopes.answer_to_json(request["id"], wanted)).decode().rstrip()
    got = ""
    try:
        message = wire.ask(request, seconds)
        got = envelopes.line(message).decode().rstrip()
        envelopes.answer_from_json(message)
        envelopes.validate(message, "answer")
        if isinstance(wanted, Ok):
            envelopes.validate_value(request["op"], message)
    except WireError as error:
        wire.end()
        raise Missing(str(error), exhibit=Exhibit([sent], error.got, [answer])) from None
    except ProtocolError as error:
        wire.end()
        raise Missing(f"This is no such answer: {error}", exhibit=Exhibit([sent], got, [answer])) from None
    if isinstance(wanted, Ok) != ("ok" in message):
        wire.end()
        kind = "ok" if isinstance(wanted, Ok) else "unsupported"
        raise Missing(f"This has to be answered {kind}.", exhibit=Exhibit([sent], got, [answer]))
    return message


def canary(wire: Wire | None, adapter: Adapter) -> str:
    """Ask for something that does not exist, see that the process lives on, and let it end."""
    if wire is None:
        raise Skipped("a class has no lines to mix up")
    assert isinstance(adapter, ProcessAdapter)
    unheard = Unsupported(CANARY, "no such operation")
    _asked(wire, {"id": 2, "op": CANARY, "body": {}}, unheard, adapter.deadline)
    again = envelopes.request_to_json(3, "hello", {"protocol": envelopes.PROTOCOL})
    _asked(wire, again, WANTED["hello"], adapter.deadline)
    late = "" if wire.end() else "\nit does not end when its input ends, and was killed"
    return f"what it does not know is answered, and standard output is clean{late}"
