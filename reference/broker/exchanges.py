"""Exchanges and bindings: declare, bind, unbind, delete, and the exchanges that delete themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from celeriac.reference.broker.arguments import inequivalence, type_name, where
from celeriac.reference.broker.core import Core
from celeriac.reference.broker.errors import ChannelError, ConnectionError_
from celeriac.reference.broker.messages import Arguments
from celeriac.reference.broker.model import Binding, Channel, Exchange, Queue
from celeriac.reference.broker.routing import EXCHANGE_TYPES

__all__ = ["RESERVED", "Exchanges", "same_arguments", "same_flag"]

#: Names that begin so belong to the broker.
RESERVED = "amq."
_X_MATCH = ("all", "any", "all-with-x", "any-with-x")


class Exchanges(Core):
    """The layer that knows what is connected to what.

    An operation on the default exchange is refused before anything else is looked at.
    """

    def declare_exchange(
        self,
        channel: Channel,
        name: str,
        type: str = "direct",
        *,
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: Arguments | None = None,
    ) -> None:
        """Create an exchange, or check that it is there (passive) or equal.

        Raises:
            ChannelError: 403 default exchange or reserved name, 404 passive and missing, 406 inequivalent.
            ConnectionError_: 503 unknown type, in dialects that close the connection for it.
        """
        self._use(channel)
        self._not_default(name)
        if passive:
            self._exchange(name)
            return
        self._known_type(type)
        wanted = Exchange(name, type, durable, auto_delete, internal, dict(arguments or {}))
        if name in self.exchanges:
            self._same_exchange(wanted, self.exchanges[name])
            return
        self._not_reserved("exchange", name)
        self.exchanges[name] = wanted
        self._record(
            "exchange.declare",
            channel.session,
            channel=channel.number,
            exchange=name,
            type=type,
            durable=durable,
            auto_delete=auto_delete,
            internal=internal,
            arguments=wanted.arguments,
        )

    def delete_exchange(self, channel: Channel, name: str, *, if_unused: bool = False) -> None:
        """Delete an exchange and every binding from or to it; a missing one is fine.

        Raises:
            ChannelError: 403 default or predeclared exchange, 406 ``if_unused`` and bound.
        """
        self._use(channel)
        self._not_default(name)
        place = where("exchange", name, self.vhost)
        if name.startswith(RESERVED):
            raise ChannelError(403, f"deletion of system {place} not allowed")
        exchange = self.exchanges.get(name)
        if exchange is None:
            return
        if if_unused and exchange.bindings:
            raise ChannelError(406, f"{place} in use")
        self._remove_exchange(exchange, "deleted")

    def bind_exchange(
        self,
        channel: Channel,
        destination: str,
        source: str,
        routing_key: str = "",
        arguments: Arguments | None = None,
    ) -> None:
        """Bind an exchange to another.

        Raises:
            ChannelError: 403 default exchange, 404 one of them is missing, 406 bad ``x-match``.
        """
        self._use(channel)
        self._not_default(source, destination)
        found = self._exchange(source)
        self._bind(channel, found, self._exchange(destination), routing_key, arguments)

    def unbind_exchange(
        self,
        channel: Channel,
        destination: str,
        source: str,
        routing_key: str = "",
        arguments: Arguments | None = None,
    ) -> None:
        """Remove a binding between exchanges; a missing one is fine.

        Raises:
            ChannelError: 403 default exchange.
        """
        self._use(channel)
        self._not_default(source, destination)
        self._unbind(channel, source, self.exchanges.get(destination), routing_key, arguments)

    def _not_default(self, *names: str) -> None:
        if "" in names:
            raise ChannelError(403, "operation not permitted on the default exchange")

    def _not_reserved(self, kind: str, name: str) -> None:
        if name.startswith(RESERVED):
            raise ChannelError(403, f"{kind} name '{name}' contains reserved prefix 'amq.*'")

    def _known_type(self, type: str) -> None:
        if type in EXCHANGE_TYPES:
            return
        code = self.dialect.unknown_exchange_type
        kind = ConnectionError_ if code >= 500 else ChannelError
        raise kind(code, f"unknown exchange type '{type}'")

    def _same_exchange(self, wanted: Exchange, current: Exchange) -> None:
        place = where("exchange", wanted.name, self.vhost)
        for field in ("type", "durable", "auto_delete", "internal"):
            same_flag(field, getattr(wanted, field), getattr(current, field), place)
        same_arguments(("alternate-exchange",), wanted.arguments, current.arguments, place)

    def _bind(
        self,
        channel: Channel,
        source: Exchange,
        destination: Queue | Exchange,
        routing_key: str,
        arguments: Arguments | None,
    ) -> None:
        binding = Binding(source, destination, routing_key, dict(arguments or {}))
        if source.type == "headers":
            _check_match(binding.arguments.get("x-match", "all"))
        if not any(_equal(binding, other) for other in source.bindings):
            source.bindings.append(binding)
            self._record_binding("bind", channel, binding)

    def _unbind(
        self,
        channel: Channel,
        exchange: str,
        destination: Queue | Exchange | None,
        routing_key: str,
        arguments: Arguments | None,
    ) -> None:
        source = self.exchanges.get(exchange)
        if source is None or destination is None:
            return
        wanted = Binding(source, destination, routing_key, dict(arguments or {}))
        for binding in source.bindings:
            if _equal(binding, wanted):
                self._record_binding("unbind", channel, binding)
                self._drop_bindings(source, [binding])
                return

    def _record_binding(self, kind: str, channel: Channel, binding: Binding) -> None:
        self._record(
            kind,
            channel.session,
            channel=channel.number,
            exchange=binding.source.name,
            destination=binding.destination.name,
            destination_type="queue" if isinstance(binding.destination, Queue) else "exchange",
            routing_key=binding.routing_key,
            arguments=binding.arguments,
        )

    def _drop_bindings(self, source: Exchange, gone: list[Binding]) -> None:
        """Remove bindings from ``source``; an auto-delete exchange goes with the last of them."""
        source.bindings = [binding for binding in source.bindings if binding not in gone]
        if gone and not source.bindings and source.auto_delete and source.name in self.exchanges:
            self._remove_exchange(source, "auto-delete")

    def _forget_destination(self, destination: Queue | Exchange) -> None:
        for source in list(self.exchanges.values()):
            gone = [binding for binding in source.bindings if binding.destination is destination]
            self._drop_bindings(source, gone)

    def _remove_exchange(self, exchange: Exchange, reason: str) -> None:
        del self.exchanges[exchange.name]
        exchange.bindings = []
        self._record("exchange.delete", None, exchange=exchange.name, reason=reason)
        self._forget_destination(exchange)


def same_flag(name: str, received: Any, current: Any, place: str) -> None:
    """Raise the 406 for a flag that differs between two declarations."""
    if received == current:
        return
    shown = [str(value).lower() if isinstance(value, bool) else value for value in (received, current)]
    raise ChannelError(
        406, f"inequivalent arg '{name}' for {place}: received '{shown[0]}' but current is '{shown[1]}'"
    )


def same_arguments(names: Iterable[str], received: Arguments, current: Arguments, place: str) -> None:
    """Raise the 406 for the first of these arguments that differs between two declarations."""
    for name in names:
        error = inequivalence(name, received, current, place)
        if error is not None:
            raise error


def _check_match(mode: Any) -> None:
    if not isinstance(mode, str):
        detail = f"Invalid x-match field type {type_name(mode)} (value {mode}); expected longstr"
        raise ChannelError(406, detail)
    if mode not in _X_MATCH:
        detail = f'Invalid x-match field value <<"{mode}">>; expected all, any, all-with-x, or any-with-x'
        raise ChannelError(406, detail)


def _equal(one: Binding, other: Binding) -> bool:
    return (
        one.destination is other.destination
        and one.routing_key == other.routing_key
        and one.arguments == other.arguments
    )
