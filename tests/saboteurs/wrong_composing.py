"""Saboteurs among chains and groups: how they are called, waited for, and passed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from unittest import mock

from celeriac.reference import canvas, message
from celeriac.reference.app import App
from celeriac.reference.canvas import Chain, Group, Member
from celeriac.reference.context import Context, current_worker_context
from celeriac.reference.errors import ResultTimeout
from celeriac.reference.result import AsyncResult, GroupResult
from celeriac.reference.signature import Signature
from celeriac.reference.worker import links
from tests.saboteurs.exchanges import recalled, without
from tests.saboteurs.variants import Change, Saboteur

__all__ = ["SABOTEURS"]

_body = message._body
_send = links._send
_call_chain = Chain.apply_async
_call_group = Group.apply_async
_get = AsyncResult.get
_get_group = GroupResult.get


# -- the message of a chain -------------------------------------------------------------------------------


def _all_at_once(self: Chain, args: Any = (), kwargs: Any = None, **options: Any) -> Any:
    handle = _call_chain(self, args, kwargs, **options)
    for step in self.tasks[1:]:
        step.apply_async((0,))
    return handle


def carrying(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Change:
    """Answer the exchange that changes what a caller's message carries of a chain; workers are left alone."""

    def body(args: Any, kwargs: Any, options: Mapping[str, Any]) -> list[Any]:
        positional, named, embed = _body(args, kwargs, options)
        if embed["chain"] and current_worker_context() is None:
            embed = {**embed, "chain": change(embed["chain"])}
        return [positional, named, embed]

    return mock.patch.object(message, "_body", body)


def _forwards(rest: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return rest[::-1]


def _lacking(name: str) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda rest: [{**each, "options": without(each["options"], name)} for each in rest]


def _value_of_the_first(self: AsyncResult, *args: Any, **kwargs: Any) -> Any:
    return _get(self, *args, **kwargs) if self.parent is None else self.parent.get(*args, **kwargs)


def _joined_backwards(self: Signature, other: Member) -> Chain:
    return Chain((other, self))


# -- the messages of a group, and their results -----------------------------------------------------------


def _last_first(self: Group, args: Any = (), kwargs: Any = None, **options: Any) -> GroupResult:
    if current_worker_context() is not None:
        return _call_group(self, args, kwargs, **options)
    frozen = canvas._freeze_group(self, None, None)
    for member in reversed(frozen.tasks):
        member.apply_async(args, kwargs, **options)
    return canvas._group_handle(frozen)


def _one_too_many(self: Group, args: Any = (), kwargs: Any = None, **options: Any) -> GroupResult:
    handle = _call_group(self, args, kwargs, **options)
    if self.tasks and current_worker_context() is None:
        self.tasks[-1].apply_async(args, kwargs)
    return handle


def grouped(change: Callable[[Mapping[str, Any]], Mapping[str, Any]], *, in_worker: bool) -> Change:
    """Answer the exchange that changes the options of each call of a group's member, in a worker or elsewhere."""

    def changed(app: App, options: dict[str, Any]) -> Mapping[str, Any]:
        parent = current_worker_context()
        here = parent is None or parent.group is None
        concerned = "group_index" in options and here and (parent is not None) == in_worker
        return change(options) if concerned else options

    return recalled(changed)


def _ungrouped(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return without(options, "group_id")


def _always_the_same(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**options, "group_id": "group"}


def _counted_from_one(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**options, "group_index": options["group_index"] + 1}


def _as_they_came(self: GroupResult, *args: Any, **kwargs: Any) -> list[Any]:
    values = _get_group(self, *args, **kwargs)
    if not self.results:
        return values
    arrived = list(self.results[0].app.backend._records)  # type: ignore[union-attr]
    ids = [each.id for each in self.results]
    return [value for _, value in sorted(zip(map(arrived.index, ids), values, strict=True))]


def _missing_is_null(self: GroupResult, timeout: Any = None, *args: Any, **kwargs: Any) -> list[Any]:
    values = []
    for each in self.results:
        try:
            values.append(each.get(timeout, *args, **kwargs))
        except ResultTimeout:
            values.append(None)
    return values


def _errors_among_values(
    self: GroupResult, timeout: Any = None, propagate: bool = True, on_message: Any = None
) -> list[Any]:
    return _get_group(self, timeout, False, on_message)


# -- what a worker passes on ------------------------------------------------------------------------------


def continued(change: Callable[[Signature, Context], Signature]) -> Change:
    """Answer the exchange that changes the next task of a chain before a worker sends it."""

    def send(signature: Any, context: Context, value: Any, **options: Any) -> None:
        _send(change(signature, context) if "chain" in options else signature, context, value, **options)

    return mock.patch.object(links, "_send", send)


def _without_options(signature: Signature, context: Context) -> Signature:
    return replace(signature, options={})


def _child_of_the_root(signature: Signature, context: Context) -> Signature:
    return signature.set(parent_id=context.root_id)


def _root_of_its_own(signature: Signature, context: Context) -> Signature:
    return signature.set(root_id=context.id)


def _without_result(self: Group, args: Any = (), kwargs: Any = None, **options: Any) -> GroupResult:
    return _call_group(self, () if current_worker_context() else args, kwargs, **options)


SABOTEURS = (
    Saboteur(
        "chain_at_once",
        "a chain publishes all of its tasks, with 0 for the results that are not there yet",
        (mock.patch.object(Chain, "apply_async", _all_at_once),),
        "LNK-030",
    ),
    Saboteur(
        "chain_forwards",
        "the message of a chain carries the others in the order in which they come",
        (carrying(_forwards),),
        "LNK-031",
    ),
    Saboteur(
        "chain_without_ids",
        "the tasks of a chain get their ids when a worker sends them",
        (carrying(_lacking("task_id")),),
        "LNK-032",
    ),
    Saboteur(
        "chain_without_address",
        "a chain does not say where the results of its later tasks are awaited",
        (carrying(_lacking("reply_to")),),
        "LNK-033",
    ),
    Saboteur(
        "chain_is_its_first_value",
        "the wait for a chain ends with the value of its first task",
        (mock.patch.object(AsyncResult, "get", _value_of_the_first),),
        "LNK-034",
    ),
    Saboteur(
        "joined_backwards",
        "the operator puts what is on its right first",
        (mock.patch.object(Signature, "__or__", _joined_backwards),),
        "LNK-035",
    ),
    Saboteur(
        "group_last_first",
        "a group publishes its tasks from the last to the first",
        (mock.patch.object(Group, "apply_async", _last_first),),
        "LNK-036",
    ),
    Saboteur(
        "group_and_one",
        "a group publishes its last task twice",
        (mock.patch.object(Group, "apply_async", _one_too_many),),
        "LNK-036",
    ),
    Saboteur(
        "group_without_id",
        "the messages of a group do not name it",
        (grouped(_ungrouped, in_worker=False),),
        "LNK-037",
    ),
    Saboteur(
        "one_group_for_all",
        "all groups have the same id",
        (grouped(_always_the_same, in_worker=False),),
        "LNK-037",
    ),
    Saboteur(
        "group_counts_from_one",
        "the first task of a group has the index 1",
        (grouped(_counted_from_one, in_worker=False),),
        "LNK-038",
    ),
    Saboteur(
        "group_as_they_came",
        "the values of a group are listed in the order in which they arrived",
        (mock.patch.object(GroupResult, "get", _as_they_came),),
        "LNK-039",
    ),
    Saboteur(
        "group_with_gaps",
        "a result that does not come in time is null in the list",
        (mock.patch.object(GroupResult, "get", _missing_is_null),),
        "LNK-040",
    ),
    Saboteur(
        "group_lists_errors",
        "the error of a task stands among the values of its group",
        (mock.patch.object(GroupResult, "get", _errors_among_values),),
        "LNK-041",
    ),
    Saboteur(
        "next_without_options",
        "a worker forgets the options of a chain's next task",
        (continued(_without_options),),
        "LNK-043",
    ),
    Saboteur(
        "next_is_a_child_of_the_root",
        "every later task of a chain is a child of the root",
        (continued(_child_of_the_root),),
        "LNK-044",
    ),
    Saboteur(
        "next_is_a_root",
        "the root of a chain's next task is the task before",
        (continued(_root_of_its_own),),
        "LNK-044",
    ),
    Saboteur(
        "group_gets_no_result",
        "the members of a group that follows a task do not get its result",
        (mock.patch.object(Group, "apply_async", _without_result),),
        "LNK-045",
    ),
    Saboteur(
        "group_that_follows_without_id",
        "a worker sends the members of a group without the group's id",
        (grouped(_ungrouped, in_worker=True),),
        "LNK-046",
    ),
)
