"""What a check asks an implementation to call, and what becomes of the answer.

An answer is judged here once for all checks: what the implementation signals to its caller is handed on, what the
adapter breaks is an error of the harness, and what is missing applies to nobody or fails, as the claim says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
from celeriac.conformance.applicability import UNCLAIMED
from celeriac.conformance.calls import Called, Composed, Together
from celeriac.conformance.verdicts import HarnessError, Judgement, NotApplicable, Violation

if TYPE_CHECKING:
    from celeriac.conformance.claim import Claim
    from celeriac.conformance.stage import Stage

__all__ = ["Calling"]

#: What a worker must have, beyond running a function, for a probe task to do what it is for -> a feature of the claim.
TASK_FEATURES: Mapping[str, str] = {
    "celeriac.child": "child_calls",
    "celeriac.context": "context",
    "celeriac.handler": "errback",
    "celeriac.hello": "update_state",
    "celeriac.ignore": "ignore",
    "celeriac.progress": "update_state",
    "celeriac.reject": "reject",
    "celeriac.retry": "task_retry",
}


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
        if "worker" in self.claim.roles:
            self._require_task(name)
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
        made = self._request_calls("compose", kind, len(tasks), kind, tasks, options)
        whole = made.answer.value.get("id") if isinstance(made.answer, Ok) else None
        if isinstance(made.answer, Ok) and not isinstance(whole, str):
            raise HarnessError(
                f"the adapter answered 'compose' with {made.answer.value!r}, expected an 'id', a text"
            )
        return Composed(made.task_ids, made.answer, made.before, made.after, whole)

    def call_together(self, calls: Sequence[Call], over: Shared) -> Together:
        """Let the implementation make several calls over something of the caller's; see ``Adapter.call_together``.

        Raises:
            NotApplicable, Violation, HarnessError: see ``call``.
        """
        return self._request_calls("call_together", over, len(calls), calls, over)

    def _request_calls(self, operation: str, name: str, count: int, *arguments: Any) -> Together:
        self._require_scenario()
        self.stage.log("called", op=operation, task=name, task_id=None, call=arguments)
        before = self.now()
        answer = self._accept(self.stage.request(operation, *arguments))
        after = self.now()
        ids = _ids_in(answer.value, operation, count) if isinstance(answer, Ok) else ()
        self.stage.log("answered", op=operation, task_id=None, answer=answer)
        return Together(ids, answer, before, after)

    def _accept(self, answer: Answer) -> Ok | Raised:
        if isinstance(answer, Broken):
            raise HarnessError(answer.detail)
        if isinstance(answer, Unsupported):
            missing = self.stage.missing.get(answer.feature)
            if missing is not None:
                message = f"{answer.feature}: {missing}"
                raise NotApplicable(message)
            if self.claim.denies(answer.feature):
                raise NotApplicable(f"{UNCLAIMED}feature {answer.feature}: {answer.reason}")
            expected = f"{answer.feature!r} works, or adapter.toml says that there is no such thing"
            observed = f"unsupported: {answer.feature}: {answer.reason}"
            raise Violation("", Judgement("fail", expected, observed))
        if not isinstance(answer, Ok | Raised):
            message = f"the adapter answered {answer!r}, expected Ok, Raised, Unsupported or Broken"
            raise HarnessError(message)
        return answer

    def _require_task(self, task: str) -> None:
        feature = TASK_FEATURES.get(task)
        if feature is not None and self.claim.denies(feature):
            raise NotApplicable(f"{UNCLAIMED}feature {feature}, which {task} needs")

    def _require_results(self, kinds: Collection[str]) -> None:
        if "stored" in kinds and self.claim.denies("results"):
            raise NotApplicable(f"{UNCLAIMED}result back end, so nothing is ever stored")

    def _require_scenario(self) -> None:
        raise NotImplementedError


def _ids_in(value: Any, operation: str, count: int) -> tuple[str, ...]:
    ids = value.get("task_ids") if isinstance(value, Mapping) else None
    found = tuple(each for each in ids if isinstance(each, str)) if isinstance(ids, list | tuple) else ()
    if len(found) != count or len(ids or ()) != count:
        expected = f"{{'task_ids': list of {count} texts}}"
        raise HarnessError(f"the adapter answered {operation!r} with {value!r}, expected {expected}")
    return found
