"""Signatures: a call that waits, to be made later or by somebody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celeriac.reference.app import App
    from celeriac.reference.canvas import Chain, Member
    from celeriac.reference.result import AsyncResult

__all__ = ["Signature", "as_list", "from_wire", "is_wire_signature", "wire_list", "wire_options"]

#: Options that hold signatures themselves.
_LINKS = ("link", "link_error", "chain")


@dataclass(slots=True)
class Signature:
    """The name, the arguments and the options of a call (BAS-007).

    Attributes:
        immutable: arguments that come later (a parent's result) are left out.
        app: the application through which the call will be made.
    """

    task: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    immutable: bool = False
    app: App | None = field(default=None, repr=False, compare=False)

    def apply_async(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult:
        """Make the call with ``args`` before the stored ones (BAS-007, BAS-014 to BAS-016).

        Options of the call win; None is not given.
        """
        merged = self.with_call(args, kwargs, options)
        return self._app().call(self.task, merged.args, merged.kwargs, merged.options)

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult:
        """Do ``apply_async(args, kwargs)`` (BAS-018)."""
        return self.apply_async(args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task here and answer what it returns; nothing is sent."""
        merged = self.with_call(args, kwargs, {})
        return self._app().task_named(self.task)(*merged.args, **merged.kwargs)

    def set(self, **options: Any) -> Signature:
        """Answer a copy with more options."""
        return replace(self, options={**self.options, **options})

    def __or__(self, other: Member) -> Chain:
        """Answer the chain of this signature and ``other`` (LNK-035)."""
        from celeriac.reference.canvas import Chain

        return Chain((self,)) | other

    def link(self, *callbacks: Signature) -> Signature:
        """Answer a copy that is followed by ``callbacks`` when it succeeds (LNK-001, LNK-002)."""
        return self.set(link=[*as_list(self.options.get("link")), *callbacks])

    def link_error(self, *errbacks: Signature) -> Signature:
        """Answer a copy whose failure is told to ``errbacks`` (LNK-003, LNK-004)."""
        return self.set(link_error=[*as_list(self.options.get("link_error")), *errbacks])

    def with_call(
        self, args: Sequence[Any], kwargs: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> Signature:
        """Answer what would be called: the signature with what a call adds (BAS-014 to BAS-017)."""
        given = {name: value for name, value in options.items() if value is not None}
        merged = replace(self, options={**self.options, **given})
        if self.immutable:
            return merged
        return replace(merged, args=(*args, *self.args), kwargs={**self.kwargs, **(kwargs or {})})

    def to_wire(self) -> dict[str, Any]:
        """Answer the plain mapping that travels (MSG-010)."""
        return {
            "task": self.task,
            "args": list(self.args),
            "kwargs": dict(self.kwargs),
            "options": wire_options(self.options),
            "subtask_type": None,
            "immutable": self.immutable,
        }

    def _app(self) -> App:
        if self.app is None:
            raise RuntimeError(
                f"the signature of {self.task!r} has no app; make it with task.s() or app.signature()"
            )
        return self.app


def from_wire(data: Mapping[str, Any] | Signature, app: App) -> Signature:
    """Answer the signature that a message carries, to be called through ``app``."""
    if isinstance(data, Signature):
        return replace(data, app=app)
    return Signature(
        task=data["task"],
        args=tuple(data.get("args") or ()),
        kwargs=dict(data.get("kwargs") or {}),
        options=dict(data.get("options") or {}),
        immutable=bool(data.get("immutable")),
        app=app,
    )


def is_wire_signature(value: object) -> bool:
    """Answer whether ``value`` is the plain mapping of a signature."""
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("task"), str)
        and isinstance(value.get("args") or (), list | tuple)
        and isinstance(value.get("kwargs") or {}, Mapping)
        and isinstance(value.get("options") or {}, Mapping)
        and (value.get("subtask_type") not in {"group", "chain"} or _has_members(value))
    )


def _has_members(value: Mapping[str, Any]) -> bool:
    tasks = (value.get("kwargs") or {}).get("tasks")
    return isinstance(tasks, list | tuple) and bool(tasks) and all(map(is_wire_signature, tasks))


def wire_list(value: Any) -> list[dict[str, Any]] | None:
    """Answer one or several signatures as the list that travels; None stays None (LNK-001, LNK-003)."""
    if value is None:
        return None
    return [dict(item) if isinstance(item, Mapping) else item.to_wire() for item in as_list(value)]


def wire_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Answer stored options as they travel, the signatures among them as plain mappings."""
    return {name: wire_list(value) if name in _LINKS else value for name, value in options.items()}


def as_list(value: Any) -> list[Any]:
    """Answer one or several links as a list; None is none."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
