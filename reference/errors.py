"""Every error of the reference, and the names under which task errors travel."""

from __future__ import annotations

from typing import Any, Final

from kombu.exceptions import OperationalError

__all__ = [
    "WIRE_MODULE",
    "Ignore",
    "InvalidAppError",
    "MaxRetriesExceededError",
    "NotRegistered",
    "OperationalError",
    "QueueNotFound",
    "Reject",
    "RemoteError",
    "ResultTimeout",
    "Retry",
    "SoftTimeLimitExceeded",
    "TaskKilled",
    "TaskRevokedError",
    "TimeLimitExceeded",
]


class QueueNotFound(LookupError):  # noqa: N818 - the name that Celery's users know
    """A call names a queue that is not configured, and missing queues are not created."""


class NotRegistered(LookupError):  # noqa: N818 - the name on the wire
    """A message asks for a task that this worker does not have."""


class TaskRevokedError(Exception):
    """The task was not executed because it had expired (EXP-009)."""


class MaxRetriesExceededError(Exception):
    """A task asked to be retried more often than it may be."""


class SoftTimeLimitExceeded(Exception):  # noqa: N818 - the name that Celery's users know
    """The task has run for as long as it should, and may tidy up (MSG-041)."""


class TimeLimitExceeded(Exception):  # noqa: N818 - the name on the wire
    """The task ran for longer than it may, and was ended (MSG-042)."""


class TaskKilled(BaseException):
    """Ends a task at its hard time limit; ``except Exception`` does not stop it."""


class ResultTimeout(TimeoutError):  # noqa: N818 - names the event, as its base class does
    """No result arrived within the time that the caller was willing to wait."""


class RemoteError(Exception):
    """A task failed with an exception class that does not exist here; its name and arguments are kept."""


class InvalidAppError(Exception):
    """The command line names an application that cannot be loaded; the text says what to do."""


class Ignore(Exception):  # noqa: N818 - an instruction of a task to its worker
    """Raised by a task: store nothing and call nobody."""


class Reject(Exception):  # noqa: N818 - an instruction of a task to its worker
    """Raised by a late-acknowledging task: give the message back instead of acknowledging it."""

    def __init__(self, reason: Any = None, requeue: bool = False) -> None:
        super().__init__(reason, requeue)
        self.reason = reason
        self.requeue = requeue


class Retry(Exception):  # noqa: N818 - an instruction of a task to its worker
    """Raised by ``task.retry``: the next attempt has been published."""

    def __init__(self, message: str, exc: BaseException | None = None, when: Any = None) -> None:
        super().__init__(message)
        self.exc = exc
        self.when = when


#: The module name under which a result record carries these classes, so that every client knows them.
WIRE_MODULE: Final = {
    TaskRevokedError: "celery.exceptions",
    NotRegistered: "celery.exceptions",
    MaxRetriesExceededError: "celery.exceptions",
    Retry: "celery.exceptions",
    SoftTimeLimitExceeded: "celery.exceptions",
    TimeLimitExceeded: "celery.exceptions",
    Reject: "celery.exceptions",
}
