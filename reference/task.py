"""A task: a function with a name that can be called here or be sent away."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from celeriac.reference.context import Context, current, running
from celeriac.reference.errors import MaxRetriesExceededError, OperationalError, Retry
from celeriac.reference.signature import Signature
from celeriac.reference.suggest import unknown
from celeriac.reference.times import given_moment

if TYPE_CHECKING:
    from celeriac.reference.app import App
    from celeriac.reference.result import AsyncResult

__all__ = ["Task", "TaskAttributes"]


@dataclass(slots=True)
class TaskAttributes:
    """What ``@app.task(...)`` takes; None leaves the decision to the settings.

    Attributes:
        bind: the function takes the task as its first argument.
        typing: arguments are checked against the function before they are sent.
        default_retry_delay: seconds.
        max_retries: of the task itself, None for no end; has nothing to do with publishing.
    """

    bind: bool = False
    typing: bool = True
    serializer: str | None = None
    compression: str | None = None
    ignore_result: bool | None = None
    store_errors_even_if_ignored: bool | None = None
    acks_late: bool | None = None
    acks_on_failure_or_timeout: bool | None = None
    track_started: bool | None = None
    priority: int | None = None
    queue: Any = None
    exchange: Any = None
    routing_key: str | None = None
    delivery_mode: Any = None
    expires: Any = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    default_retry_delay: float = 180.0
    max_retries: int | None = 3


_NAMES = tuple(field.name for field in fields(TaskAttributes))


class Task:
    """A registered task.

    Args:
        app: where it is registered.
        function: what it does.
        name: under which messages ask for it.
        attributes: see ``TaskAttributes``.

    Raises:
        TypeError: an attribute is unknown; the text names the nearest ones.
    """

    #: The error of a call that did not reach the broker, for ``except add.OperationalError``.
    OperationalError: ClassVar[type[Exception]] = OperationalError

    def __init__(
        self, app: App, function: Callable[..., Any], name: str, attributes: Mapping[str, Any]
    ) -> None:
        for attribute in attributes:
            if attribute not in _NAMES:
                raise TypeError(unknown("task attribute", attribute, _NAMES))
        self.app = app
        self.run = function
        self.name = name
        self.attributes = TaskAttributes(**attributes)
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", name)

    def __repr__(self) -> str:
        return f"<task {self.name} of {self.app.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function here and now; nothing is sent (BAS-004, BAS-005)."""
        with running(Context(self.name, args=args, kwargs=kwargs)):
            return self.invoke(args, kwargs)

    def invoke(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call the function, with the task itself in front if it is bound (MSG-019)."""
        return self.run(self, *args, **kwargs) if self.attributes.bind else self.run(*args, **kwargs)

    @property
    def request(self) -> Context:
        """Answer the metadata of the execution that is going on."""
        return current(self.name) or Context(self.name)

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult:
        """Do ``apply_async(args, kwargs)`` (BAS-002, BAS-003)."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult:
        """Publish one message that asks for this task (BAS-001).

        Args:
            args: list or tuple of positional arguments.
            kwargs: mapping of keyword arguments.
            options: execution options; see ``options.OPTIONS``.

        Raises:
            TypeError: arguments do not fit the function, or an option is unknown or of a wrong type.
            ValueError: the value of an option is out of range.
            kombu.exceptions.EncodeError: the arguments cannot be encoded.
            kombu.exceptions.SerializerNotInstalled: the serializer is unknown.
            kombu.exceptions.OperationalError: the broker could not be reached.
        """
        return self.app.call(self.name, args, kwargs, options, check=self.attributes.typing)

    def check_arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Refuse arguments that the function cannot take (BAS-024).

        Raises:
            TypeError: as Python would say it.
        """
        bound = (self, *args) if self.attributes.bind else args
        try:
            inspect.signature(self.run).bind(*bound, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}() {error}") from None

    def s(self, *args: Any, **kwargs: Any) -> Signature:
        """Answer a signature of this task (BAS-007)."""
        return Signature(self.name, args, kwargs, app=self.app)

    def si(self, *args: Any, **kwargs: Any) -> Signature:
        """Answer an immutable signature: a parent's result is left out (BAS-017, LNK-008)."""
        return Signature(self.name, args, kwargs, immutable=True, app=self.app)

    def signature(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Signature:
        """Answer a signature with execution options (BAS-007)."""
        return Signature(self.name, tuple(args), dict(kwargs or {}), options, app=self.app)

    def get_publisher(self, connection: Any) -> Any:
        """Answer a ``kombu.Producer`` to be given as ``publisher=`` to several calls (CON-003)."""
        from kombu import Producer

        return Producer(connection)

    def update_state(self, state: str, meta: Any = None) -> None:
        """Tell whoever waits how far the running execution is (RES-014)."""
        self.app.store(self.request, state, meta)

    def retry(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        exc: BaseException | None = None,
        *,
        countdown: float | None = None,
        eta: Any = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> NoReturn:
        """Send the running task again, with the same id, and end this execution (MSG-037, EXP-019, RES-015).

        Args:
            args: in place of the present ones.
            kwargs: in place of the present ones.
            exc: why; raised when there are no retries left.
            countdown: seconds from now, ``default_retry_delay`` when neither this nor ``eta`` is given.
            eta: a moment.
            max_retries: in place of the attribute.
            options: further execution options.

        Raises:
            Retry: the message has been sent.
            MaxRetriesExceededError: there are no retries left, and no ``exc`` was given.
        """
        request = self.request
        limit = self.attributes.max_retries if max_retries is None else max_retries
        if request.called_directly or (limit is not None and request.retries >= limit):
            raise exc or MaxRetriesExceededError(
                f"{self.name}[{request.id}] cannot be retried again (retries={request.retries})"
            )
        if countdown is None and eta is None:
            countdown = self.attributes.default_retry_delay
        when = given_moment(eta, "eta") if eta is not None else countdown
        again = {**_options_of(request), "countdown": countdown, "eta": eta, **options}
        self.app.call(
            self.name,
            request.args if args is None else args,
            request.kwargs if kwargs is None else kwargs,
            again,
        )
        raise Retry(f"{self.name}[{request.id}] will be tried again: {exc!r}", exc, when)


def _options_of(request: Context) -> dict[str, Any]:
    """Answer the options with which a message like the one of ``request`` is sent again."""
    hard, soft = request.timelimit
    where = request.delivery_info
    return {
        "task_id": request.id,
        "root_id": request.root_id,
        "parent_id": request.id,
        "group_id": request.group,
        "group_index": request.group_index,
        "retries": request.retries + 1,
        "expires": request.expires,
        "headers": dict(request.headers),
        "ignore_result": request.ignore_result,
        "link": list(request.callbacks) or None,
        "link_error": list(request.errbacks) or None,
        "chain": list(request.chain) or None,
        "reply_to": request.reply_to or None,  # some clients send an empty one
        "shadow": request.shadow,
        "time_limit": hard,
        "soft_time_limit": soft,
        "priority": where.get("priority"),
        **_where(where),
    }


def _where(delivery_info: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the routing of a retry: the queue, or the exchange and key, that the message came by."""
    exchange, key = delivery_info.get("exchange"), delivery_info.get("routing_key")
    if exchange:
        return {"exchange": exchange, "routing_key": key}
    return {"queue": key}
