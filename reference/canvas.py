"""The canvas: several signatures called as one.

A *group* calls each of its members by a message of its own; the messages share the id of the group (LNK-036 to
LNK-038).  A *chain* calls its first member only: that message carries the signatures that are still to come
(LNK-030 to LNK-033), and each worker passes the rest on.

Before anything is called a composition is *frozen*: every member is given its id and the place where its result is
awaited, so that the caller holds handles on tasks that nobody has called yet.

A task that follows a group would be a chord.  It needs somebody who counts results, and is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from celeriac.reference import signature as plain
from celeriac.reference.options import OPTIONS
from celeriac.reference.result import AsyncResult, GroupResult
from celeriac.reference.signature import Signature

if TYPE_CHECKING:
    from celeriac.reference.app import App

__all__ = ["Chain", "Group", "Member", "chain", "flattened", "from_wire", "group"]

logger = logging.getLogger(__name__)

#: Options of a chain that are meant for its last task; ``link_error`` is for all, every other for the first.
_OF_THE_LAST = ("link", "task_id", "group_id", "group_index")

_CHORD = (
    "a task after a group is a chord, which is not supported; "
    "give the members of the group a link of their own, or wait for the group and call the task then"
)


@dataclass(slots=True)
class Group:
    """Tasks that are called together.

    Attributes:
        tasks: the members, in order.
        options: execution options for each of them; ``task_id`` is the id of the group.
    """

    tasks: tuple[Member, ...]
    options: dict[str, Any] = field(default_factory=dict)

    task = "celery.group"

    def apply_async(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> GroupResult:
        """Call every member, in order, with ``args`` before its own (LNK-036); options are for each of them.

        Raises:
            TypeError: something is to follow the group, or an option or an argument does not fit.
        """
        given = _merged(self.options, options)
        if given.keys() & {"link", "link_error", "chain"}:
            raise TypeError(
                _CHORD if "link_error" not in given else "give link_error to the members of a group"
            )
        group_id = given.pop("task_id", None) or given.pop("group_id", None)
        frozen = _freeze_group(replace(self, options={}), given.pop("reply_to", None), group_id)
        for member in frozen.tasks:
            member.apply_async(args, kwargs, **given)
        return _group_handle(frozen)

    def delay(self, *args: Any, **kwargs: Any) -> GroupResult:
        """Do ``apply_async(args, kwargs)``."""
        return self.apply_async(args, kwargs)

    def set(self, **options: Any) -> Group:
        """Answer a copy with more options."""
        return replace(self, options={**self.options, **options})

    def __or__(self, other: object) -> Any:
        """Refuse: nothing can follow a group.

        Raises:
            TypeError: always.
        """
        raise TypeError(_CHORD)

    def to_wire(self) -> dict[str, Any]:
        """Answer the plain mapping that travels (LNK-045)."""
        return _wire("group", self.tasks, self.options)


@dataclass(slots=True)
class Chain:
    """Tasks that follow one another, each with the result of the one before.

    Attributes:
        tasks: the members, in order; only the last may be a group.
        options: execution options; see ``_OF_THE_LAST``.
    """

    tasks: tuple[Member, ...]
    options: dict[str, Any] = field(default_factory=dict)

    task = "celery.chain"

    def apply_async(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult | GroupResult:
        """Call the first member with ``args`` before its own (LNK-030), and answer the handle on the last.

        Raises:
            TypeError: something is to follow a group, or an option or an argument does not fit.
        """
        given = _merged(self.options, options)
        of_the_last = {name: given.pop(name) for name in _OF_THE_LAST if name in given}
        after = list(given.pop("chain", ()))
        steps = _linked(self.tasks, of_the_last, given.pop("link_error", None))
        first, *rest = _freeze_steps(steps, given.pop("reply_to", None), of_the_last)
        first.apply_async(args, kwargs, **given, chain=[*after, *reversed(rest)] or None)
        return _chain_handle((first, *rest))

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult | GroupResult:
        """Do ``apply_async(args, kwargs)``."""
        return self.apply_async(args, kwargs)

    def set(self, **options: Any) -> Chain:
        """Answer a copy with more options."""
        return replace(self, options={**self.options, **options})

    def __or__(self, other: Member) -> Chain:
        """Answer the chain that goes on with ``other``."""
        return _joined((self, other))

    def to_wire(self) -> dict[str, Any]:
        """Answer the plain mapping that travels (MSG-010)."""
        return _wire("chain", self.tasks, self.options)


Member = Signature | Group | Chain

#: The ``subtask_type`` of a signature on the wire -> what it is.
_COMPOSITIONS: Mapping[str, type[Group | Chain]] = {"group": Group, "chain": Chain}


def group(*members: Member | Iterable[Member]) -> Group:
    """Answer the group of some signatures, given one by one or as one iterable (LNK-036)."""
    return Group(_members(members))


def chain(*members: Member | Iterable[Member]) -> Chain | Group:
    """Answer the chain of some signatures, given one by one or as one iterable (LNK-030).

    That of a group alone is the group.

    Raises:
        TypeError: a task follows a group.
        ValueError: there is no signature.
    """
    tasks = _members(members)
    if len(tasks) == 1 and isinstance(tasks[0], Group):
        return tasks[0]
    return _joined(tasks)


def from_wire(data: Mapping[str, Any] | Member, app: App) -> Member:
    """Answer the signature, group or chain that a message carries, to be called through ``app``.

    Options that another implementation has added and that are not known here are left out.
    """
    if isinstance(data, Group | Chain):
        return data
    if isinstance(data, Signature) or data.get("subtask_type") not in _COMPOSITIONS:
        signature = plain.from_wire(data, app)
        return replace(signature, options=_known(signature.task, signature.options))
    tasks = tuple(from_wire(member, app) for member in data["kwargs"]["tasks"])
    kind = _COMPOSITIONS[data["subtask_type"]]
    return kind(tasks, _known(kind.task, data.get("options") or {}))


def flattened(signatures: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Answer signatures on the wire, each group and chain followed by its members."""
    for signature in signatures:
        yield signature
        if signature.get("subtask_type") in _COMPOSITIONS:
            yield from flattened(signature["kwargs"]["tasks"])


def _members(members: tuple[Member | Iterable[Member], ...]) -> tuple[Member, ...]:
    if len(members) == 1 and not isinstance(members[0], Signature | Group | Chain):
        return tuple(members[0])
    return members  # type: ignore[return-value]


def _joined(members: tuple[Member, ...]) -> Chain:
    """Answer the chain of all, those of chains among them taken one by one."""
    tasks: list[Member] = []
    for member in members:
        if tasks and isinstance(tasks[-1], Group):
            raise TypeError(_CHORD)
        tasks += member.tasks if isinstance(member, Chain) and not member.options else (member,)
    if not tasks:
        raise ValueError("a chain has at least one signature")
    if len(tasks) > 1 and isinstance(tasks[0], Group):
        raise TypeError(_CHORD)
    return Chain(tuple(tasks))


def _linked(tasks: tuple[Member, ...], of_the_last: dict[str, Any], link_error: Any) -> tuple[Member, ...]:
    """Answer the steps with the errbacks of the chain added to each, and its callbacks to the last."""
    errbacks = plain.as_list(link_error)
    *before, last = (_extended(task, "link_error", errbacks) for task in tasks)
    callbacks = plain.as_list(of_the_last.pop("link", None))
    if callbacks and isinstance(last, Group):
        raise TypeError(_CHORD)
    return (*before, _extended(last, "link", callbacks))


def _extended(member: Member, name: str, links: list[Any]) -> Member:
    """Answer a member that has some links more."""
    return member.set(**{name: [*plain.as_list(member.options.get(name)), *links]}) if links else member


def _frozen(member: Member, reply_to: str | None, **options: Any) -> Member:
    """Answer a member that knows its ids, and where its result is awaited (LNK-032, LNK-033)."""
    if isinstance(member, Group):
        return _freeze_group(member, reply_to, options.get("task_id"))
    if isinstance(member, Chain):
        return replace(member, tasks=_freeze_steps(member.tasks, reply_to, options))
    awaited = reply_to or (member.app.reply_to if member.app else None)
    ids = {"task_id": str(uuid4()), "reply_to": awaited}
    return member.set(**{**ids, **member.options, **options})


def _freeze_steps(
    tasks: tuple[Member, ...], reply_to: str | None, of_the_last: Mapping[str, Any]
) -> tuple[Member, ...]:
    *before, last = tasks
    return (*(_frozen(task, reply_to) for task in before), _frozen(last, reply_to, **of_the_last))


def _freeze_group(whole: Group, reply_to: str | None, group_id: str | None) -> Group:
    identity = group_id or whole.options.get("task_id") or str(uuid4())
    members = (
        _frozen(task, reply_to, group_id=identity, group_index=index)
        for index, task in enumerate(whole.tasks)
    )
    return replace(whole, tasks=tuple(members), options={**whole.options, "task_id": identity})


def _handle(member: Member, parent: AsyncResult | GroupResult | None) -> AsyncResult | GroupResult:
    if isinstance(member, Group):
        return _group_handle(member, parent)
    if isinstance(member, Chain):
        return _chain_handle(member.tasks, parent)
    assert member.app is not None
    ignored = bool(member.options.get("ignore_result"))
    return AsyncResult(member.options["task_id"], member.app, ignored, parent)


def _group_handle(whole: Group, parent: AsyncResult | GroupResult | None = None) -> GroupResult:
    return GroupResult(whole.options["task_id"], [_handle(task, None) for task in whole.tasks], parent)


def _chain_handle(
    steps: tuple[Member, ...], parent: AsyncResult | GroupResult | None = None
) -> AsyncResult | GroupResult:
    for step in steps:
        parent = _handle(step, parent)
    assert parent is not None
    return parent


def _merged(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the options that are given; those of the call win, and None is not given."""
    return {name: value for name, value in {**stored, **given}.items() if value is not None}


def _known(task: str, options: Mapping[str, Any]) -> dict[str, Any]:
    strange = options.keys() - OPTIONS.keys()
    if strange:
        logger.info("options of %s that are not known here: %s", task, ", ".join(sorted(strange)))
    return {name: value for name, value in options.items() if name not in strange}


def _wire(kind: str, tasks: tuple[Member, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "task": f"celery.{kind}",
        "args": [],
        "kwargs": {"tasks": [task.to_wire() for task in tasks]},
        "options": plain.wire_options(options),
        "subtask_type": kind,
        "immutable": False,
    }
