"""What a check holds in its hands: a call and its answer, a message and its moments."""

from __future__ import annotations

from dataclasses import dataclass

from celeriac.conformance.adapter import Ok, Raised
from celeriac.conformance.messages import WireMessage
from celeriac.conformance.providers import Lease
from celeriac.conformance.verdicts import Judgement, Violation

__all__ = ["Called", "Composed", "LeaseNeed", "Sent", "Together"]

#: The kind of broker time-out that a scenario is about.
LeaseNeed = Lease | None


@dataclass(frozen=True, slots=True)
class Called:
    """One call of the API and its answer.

    Attributes:
        task_id: the id of the task, None when the call was refused or ran locally.
        answer: ``Ok`` or ``Raised``.
        before: epoch seconds just before the call.
        after: epoch seconds just after the answer.
    """

    task_id: str | None
    answer: Ok | Raised
    before: float
    after: float

    @property
    def id(self) -> str:
        """Answer the task id of a call that must have been accepted.

        Raises:
            Violation: the call was refused, so whatever the check wants to see cannot happen.
        """
        if self.task_id is None:
            refused = f"{self.answer}"
            raise Violation("", Judgement("fail", "the call is accepted and answers a task id", refused))
        return self.task_id


@dataclass(frozen=True, slots=True)
class Together:
    """Several calls made by one request, and its answer.

    Attributes:
        task_ids: the ids of their tasks, in order; empty when the request was refused.
        answer: ``Ok`` or ``Raised``.
        before: epoch seconds just before the request.
        after: epoch seconds just after the answer.
    """

    task_ids: tuple[str, ...]
    answer: Ok | Raised
    before: float
    after: float

    @property
    def calls(self) -> tuple[Called, ...]:
        """Answer each call that must have been accepted, in order.

        Raises:
            Violation: the request was refused.
        """
        if isinstance(self.answer, Raised):
            expected = "the calls are accepted and answer their task ids"
            raise Violation("", Judgement("fail", expected, f"{self.answer}"))
        return tuple(Called(task_id, self.answer, self.before, self.after) for task_id in self.task_ids)


@dataclass(frozen=True, slots=True)
class Composed(Together):
    """Several tasks called as one; ``whole`` is the id of the whole, None when the call was refused."""

    whole: str | None = None

    @property
    def id(self) -> str:
        """Answer the id by which one waits for the whole.

        Raises:
            Violation: the call was refused.
        """
        return Called(self.whole, self.answer, self.before, self.after).id


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that the harness sent; ``eta`` and ``expires`` in epoch seconds."""

    task_id: str
    message: WireMessage
    at: float
    eta: float | None = None
    expires: float | None = None
