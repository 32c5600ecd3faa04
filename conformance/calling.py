"""What a check asks an implementation to call, and what becomes of the answer.

An answer is judged here once for all checks: what the implementation signals to its caller is handed on, what the
adapter breaks is an error of the harness, and what is missing applies to nobody or fails, as the claim says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from celeriac.conformance.adapter import (
    Answer,
    Broken,
    Call,
    Composition,
    Ok,
    Raised,
    Shared,
    Signature,
    Unsupported,
)
from celeriac.conformance.calls import Called, Composed, Together
from celeriac.conformance.verdicts import HarnessError, Judgement, NotApplicable, Violation

if TYPE_CHECKING:
    from celeriac.conformance.claim import Claim
    from celeriac.conformance.stage import Stage

__all__ = ["Calling"]


class Calling:
    """The calls of a world.

    Args:
        stage: where the scenario plays.
        claim: what the adapter says the implementation can do.
    """

    def __init__(self, stage: Stage, claim: Claim) -> None:
        self.stage = stage
        self.claim = claim

    def now(self) -> float:
        """Answer the current moment in epoch seconds."""
        return self.stage.now()

    def call(
        self,
        task: str = "celeriac.add",
        args: Sequence[Any] = (2, 2),
        kwargs: Mapping[str, Any] | None = None,
        *,
        mode: Literal["apply_async", "delay", "send_task", "signature", "direct"] = "apply_async",
        signature: Signature | None = None,
        **options: Any,
    ) -> Called:
        """Let the implementation call a task, or a signature in its place, and answer what it said.

        Raises:
            NotApplicable: the implementation lacks a feature that the claim does not promise.
            Violation: it lacks a feature that the claim promises.
            HarnessError: the adapter broke.
        """
        self._require_scenario()
        name = task if signature is None else signature.task
        call = Call(name, args, {} if kwargs is None else kwargs, mode, options, signature)
        self.stage.log("called", op="call", task=name, task_id=None, call=call)
        before = self.now()
        answer = self._accept(self.stage.request("call", call))
        after = self.now()
        value = answer.value if isinstance(answer, Ok) else None
        task_id = value.get("task_id") if isinstance(value, dict) else None
        if isinstance(answer, Ok) and mode != "direct" and not isinstance(task_id, str):
            message = f"the adapter answered a call with {value!r}, expected {{'task_id': text}}"
            raise HarnessError(message)
        self.stage.log("answered", op="call", task_id=task_id, answer=answer)
        return Called(task_id, answer, before, after)

    def compose(self, kind: Composition, *tasks: Signature, **options: Any) -> Composed:
        """Let the implementation call several tasks as one; see ``Adapter.compose``.

        Raises:
            NotApplicable, Violation, HarnessError: see ``call``.
        """
        before, answer, value = self._request_calls("compose", kind, kind, tasks, options)
        ids, whole = _ids_in(value, "compose"), value.get("id")
        if isinstance(answer, Ok) and not isinstance(whole, str):
            raise HarnessError(
                f"the adapter answered 'compose' with {value!r}, expected an 'id' that is text"
            )
        return Composed(ids, answer, before, self.now(), whole)

    def call_together(self, calls: Sequence[Call], over: Shared) -> Together:
        """Let the implementation make several calls over something of the caller's; see ``Adapter.call_together``.

        Raises:
            NotApplicable, Violation, HarnessError: see ``call``.
        """
        before, answer, value = self._request_calls("call_together", over, calls, over)
        return Together(_ids_in(value, "call_together"), answer, before, self.now())

    def _request_calls(
        self, operation: str, name: str, *arguments: Any
    ) -> tuple[float, Ok | Raised, Mapping[str, Any]]:
        self._require_scenario()
        self.stage.log("called", op=operation, task=name, task_id=None, call=arguments)
        before = self.now()
        answer = self._accept(self.stage.request(operation, *arguments))
        value = answer.value if isinstance(answer, Ok) else {"task_ids": ()}
        if not isinstance(value, Mapping):
            raise HarnessError(f"the adapter answered {operation!r} with {value!r}, expected a mapping")
        self.stage.log("answered", op=operation, task_id=value.get("id"), answer=answer)
        return before, answer, value

    def _accept(self, answer: Answer) -> Ok | Raised:
        if isinstance(answer, Broken):
            raise HarnessError(answer.detail)
        if isinstance(answer, Unsupported):
            missing = self.stage.missing.get(answer.feature)
            if missing is not None:
                message = f"{answer.feature}: {missing}"
                raise NotApplicable(message)
            if self.claim.denies(answer.feature):
                message = f"{answer.feature} is not claimed: {answer.reason}"
                raise NotApplicable(message)
            expected = f"{answer.feature!r} works, or adapter.toml says that there is no such thing"
            raise Violation("", Judgement("fail", expected, f"unsupported: {answer.reason}"))
        if not isinstance(answer, Ok | Raised):
            message = f"the adapter answered {answer!r}, expected Ok, Raised, Unsupported or Broken"
            raise HarnessError(message)
        return answer

    def _require_scenario(self) -> None:
        raise NotImplementedError


def _ids_in(value: Mapping[str, Any], operation: str) -> tuple[str, ...]:
    ids = value.get("task_ids")
    if not isinstance(ids, list | tuple) or not all(isinstance(each, str) for each in ids):
        raise HarnessError(
            f"the adapter answered {operation!r} with {value!r}, expected 'task_ids', a list of texts"
        )
    return tuple(ids)
