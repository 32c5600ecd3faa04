"""The probe tasks, for implementations whose tasks look like Celery's.

A probe is a plain function that gets the task instance first.  ``probes`` wraps each so that it reports when it
starts and how it ends, and leaves its signature as it is, because implementations check arguments against it.
Run by hand (mode ``direct``) a probe reports nothing: there is no worker.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from celeriac.conformance.adapter import Event

__all__ = ["CONTEXT", "Native", "Probe", "Reporter", "probes"]

#: What ``celeriac.context`` returns of the request.
CONTEXT = (
    "id",
    "root_id",
    "parent_id",
    "retries",
    "eta",
    "expires",
    "headers",
    "delivery_info",
    "reply_to",
    "correlation_id",
)


@dataclass(frozen=True, slots=True)
class Native:
    """What a probe needs of its implementation.

    Attributes:
        ignore: makes the exception that says "store nothing".
        reject: makes the exception that says "reject the message", given whether to requeue it.
        retry: the class that ``task.retry`` raises.
        sleep: occupies the worker for some seconds.
        now: answers epoch seconds.
    """

    ignore: Callable[[], Exception]
    reject: Callable[[bool], Exception]
    retry: type[BaseException]
    sleep: Callable[[float], None]
    now: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Reporter:
    """Reports what one worker does; see ``Event`` for the fields."""

    worker: str
    now: Callable[[], float]
    emit: Callable[[Event], None]

    def __call__(
        self, kind: Literal["ready", "started", "ended", "retried", "errback", "stopped"], **data: Any
    ) -> None:
        """Report an event of this moment."""
        self.emit(Event(kind, self.now(), {"worker": self.worker, **data}))


@dataclass(frozen=True, slots=True)
class Probe:
    """A function to be registered as a task; ``bind`` says whether it wants the task as its first argument."""

    function: Callable[..., Any]
    bind: bool = True


def _add(self: Any, x: Any, y: Any) -> Any:
    return x + y


def _echo(self: Any, *args: Any, **kwargs: Any) -> Any:
    return [list(args), kwargs]


def _fail(self: Any, message: str) -> None:
    raise ValueError(message)


def _progress(self: Any, steps: int) -> str:
    for step in range(steps):
        self.update_state(state="PROGRESS", meta={"progress": step})
    return "done"


def _retry(
    self: Any, times: int, countdown: float = 0, fail: str | None = None, limit: int | None = None
) -> int:
    if self.request.retries < times:
        raise self.retry(countdown=countdown, max_retries=times if limit is None else limit)
    if fail is not None:
        raise ValueError(fail)
    return int(self.request.retries)


def _child(self: Any, x: Any, y: Any) -> str:
    return str(self.app.tasks["celeriac.add"].apply_async((x, y)).id)


def _context(self: Any) -> dict[str, Any]:
    return {name: getattr(self.request, name, None) for name in CONTEXT}


#: Of the probes that need nothing of their implementation: every scenario registers them again.
SIGNATURES = {
    run: inspect.signature(run) for run in (_add, _echo, _fail, _progress, _retry, _child, _context)
}


def _handler(reporter: Reporter) -> Callable[..., None]:
    def handler(request: Any, exc: Any, traceback: Any, *args: Any) -> None:
        reporter(
            "errback",
            task_id=request.id,
            exc_type=type(exc).__name__,
            exc_message=str(exc),
            has_traceback=bool(traceback),
            args=args,
        )

    return handler


def probes(native: Native, reporter: Reporter) -> dict[str, Probe]:
    """Answer every probe task by name, reporting through ``reporter``."""

    def sleep(self: Any, seconds: float) -> float:
        native.sleep(seconds)
        return seconds

    def hello(self: Any, a: Any, b: Any) -> str:
        for done in (50, 90):
            native.sleep(1)
            self.update_state(state="PROGRESS", meta={"progress": done})
        native.sleep(1)
        return f"hello world: {a + b}"

    def ignore(self: Any) -> None:
        raise native.ignore()

    def reject(self: Any, requeue: bool) -> None:
        raise native.reject(requeue)

    functions: Mapping[str, Callable[..., Any]] = {
        "celeriac.add": _add,
        "celeriac.echo": _echo,
        "celeriac.fail": _fail,
        "celeriac.sleep": sleep,
        "celeriac.progress": _progress,
        "celeriac.hello": hello,
        "celeriac.retry": _retry,
        "celeriac.ignore": ignore,
        "celeriac.reject": reject,
        "celeriac.child": _child,
        "celeriac.context": _context,
    }
    reported = {name: Probe(_reported(name, run, native, reporter)) for name, run in functions.items()}
    return {**reported, "celeriac.handler": Probe(_handler(reporter), bind=False)}


def _reported(
    name: str, function: Callable[..., Any], native: Native, reporter: Reporter
) -> Callable[..., Any]:
    signature = SIGNATURES.get(function) or inspect.signature(function)

    @functools.wraps(function)
    def probe(self: Any, *args: Any, **kwargs: Any) -> Any:
        signature.bind(self, *args, **kwargs)
        request = self.request
        if getattr(request, "called_directly", False):
            return function(self, *args, **kwargs)
        about = {"task_id": request.id, "task": name, "attempt": request.retries or 0}
        reporter("started", args=args, kwargs=kwargs, **about)
        try:
            value = function(self, *args, **kwargs)
        except Exception as error:
            _report_error(error, native, functools.partial(reporter, **about))
            raise
        reporter("ended", state="SUCCESS", value=value, **about)
        return value

    probe.__name__ = probe.__qualname__ = name.rpartition(".")[2]
    probe.__signature__ = signature  # type: ignore[attr-defined]
    return probe


def _report_error(error: Exception, native: Native, report: Callable[..., None]) -> None:
    if isinstance(error, native.retry):
        report("retried")
    elif isinstance(error, type(native.ignore())):
        report("ended", state="IGNORED", value=None)
    elif isinstance(error, type(native.reject(False))):
        report("ended", state="REJECTED", value=None)
    else:
        report("ended", state="FAILURE", value={"exc_type": type(error).__name__, "exc_message": str(error)})
