"""Every method of AMQP 0-9-1 and of RabbitMQ's extensions, as one literal table.

A line is one method: its two numbers, its name, who may send it (``c`` client, ``s`` server, ``cs`` both), what
answers it, and its arguments in wire order as ``name:type``.  Types are those of the protocol's grammar; consecutive
``bit`` arguments share octets.  A method whose sender column carries ``+`` is followed by content.

The codec, the connection and the conformance harness' wire tap all read this table; nothing else lists methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["BASIC", "BY_ID", "BY_NAME", "METHODS", "PROPERTIES", "TABLE", "Argument", "MethodSpec"]

#: The class id of ``basic``, the only class with content.
BASIC = 60

TABLE = """
10 10  connection.start            s   start-ok         version_major:octet version_minor:octet
                                                        server_properties:table mechanisms:longstr locales:longstr
10 11  connection.start-ok         c   -                client_properties:table mechanism:shortstr response:longstr
                                                        locale:shortstr
10 20  connection.secure           s   secure-ok        challenge:longstr
10 21  connection.secure-ok        c   -                response:longstr
10 30  connection.tune             s   tune-ok          channel_max:short frame_max:long heartbeat:short
10 31  connection.tune-ok          c   -                channel_max:short frame_max:long heartbeat:short
10 40  connection.open             c   open-ok          virtual_host:shortstr reserved_1:shortstr reserved_2:bit
10 41  connection.open-ok          s   -                reserved_1:shortstr
10 50  connection.close            cs  close-ok         reply_code:short reply_text:shortstr class_id:short
                                                        method_id:short
10 51  connection.close-ok         cs  -
10 60  connection.blocked          s   -                reason:shortstr
10 61  connection.unblocked        s   -
10 70  connection.update-secret    c   update-secret-ok new_secret:longstr reason:shortstr
10 71  connection.update-secret-ok s   -
20 10  channel.open                c   open-ok          reserved_1:shortstr
20 11  channel.open-ok             s   -                reserved_1:longstr
20 20  channel.flow                cs  flow-ok          active:bit
20 21  channel.flow-ok             cs  -                active:bit
20 40  channel.close               cs  close-ok         reply_code:short reply_text:shortstr class_id:short
                                                        method_id:short
20 41  channel.close-ok            cs  -
30 10  access.request              c   request-ok       realm:shortstr exclusive:bit passive:bit active:bit
                                                        write:bit read:bit
30 11  access.request-ok           s   -                ticket:short
40 10  exchange.declare            c   declare-ok       ticket:short exchange:shortstr type:shortstr passive:bit
                                                        durable:bit auto_delete:bit internal:bit nowait:bit
                                                        arguments:table
40 11  exchange.declare-ok         s   -
40 20  exchange.delete             c   delete-ok        ticket:short exchange:shortstr if_unused:bit nowait:bit
40 21  exchange.delete-ok          s   -
40 30  exchange.bind               c   bind-ok          ticket:short destination:shortstr source:shortstr
                                                        routing_key:shortstr nowait:bit arguments:table
40 31  exchange.bind-ok            s   -
40 40  exchange.unbind             c   unbind-ok        ticket:short destination:shortstr source:shortstr
                                                        routing_key:shortstr nowait:bit arguments:table
40 51  exchange.unbind-ok          s   -
50 10  queue.declare               c   declare-ok       ticket:short queue:shortstr passive:bit durable:bit
                                                        exclusive:bit auto_delete:bit nowait:bit arguments:table
50 11  queue.declare-ok            s   -                queue:shortstr message_count:long consumer_count:long
50 20  queue.bind                  c   bind-ok          ticket:short queue:shortstr exchange:shortstr
                                                        routing_key:shortstr nowait:bit arguments:table
50 21  queue.bind-ok               s   -
50 30  queue.purge                 c   purge-ok         ticket:short queue:shortstr nowait:bit
50 31  queue.purge-ok              s   -                message_count:long
50 40  queue.delete                c   delete-ok        ticket:short queue:shortstr if_unused:bit if_empty:bit
                                                        nowait:bit
50 41  queue.delete-ok             s   -                message_count:long
50 50  queue.unbind                c   unbind-ok        ticket:short queue:shortstr exchange:shortstr
                                                        routing_key:shortstr arguments:table
50 51  queue.unbind-ok             s   -
60 10  basic.qos                   c   qos-ok           prefetch_size:long prefetch_count:short global:bit
60 11  basic.qos-ok                s   -
60 20  basic.consume               c   consume-ok       ticket:short queue:shortstr consumer_tag:shortstr no_local:bit
                                                        no_ack:bit exclusive:bit nowait:bit arguments:table
60 21  basic.consume-ok            s   -                consumer_tag:shortstr
60 30  basic.cancel                cs  cancel-ok        consumer_tag:shortstr nowait:bit
60 31  basic.cancel-ok             cs  -                consumer_tag:shortstr
60 40  basic.publish               c+  -                ticket:short exchange:shortstr routing_key:shortstr
                                                        mandatory:bit immediate:bit
60 50  basic.return                s+  -                reply_code:short reply_text:shortstr exchange:shortstr
                                                        routing_key:shortstr
60 60  basic.deliver               s+  -                consumer_tag:shortstr delivery_tag:longlong redelivered:bit
                                                        exchange:shortstr routing_key:shortstr
60 70  basic.get                   c   get-ok,get-empty ticket:short queue:shortstr no_ack:bit
60 71  basic.get-ok                s+  -                delivery_tag:longlong redelivered:bit exchange:shortstr
                                                        routing_key:shortstr message_count:long
60 72  basic.get-empty             s   -                cluster_id:shortstr
60 80  basic.ack                   cs  -                delivery_tag:longlong multiple:bit
60 90  basic.reject                c   -                delivery_tag:longlong requeue:bit
60 100 basic.recover-async         c   -                requeue:bit
60 110 basic.recover               c   recover-ok       requeue:bit
60 111 basic.recover-ok            s   -
60 120 basic.nack                  cs  -                delivery_tag:longlong multiple:bit requeue:bit
85 10  confirm.select              c   select-ok        nowait:bit
85 11  confirm.select-ok           s   -
90 10  tx.select                   c   select-ok
90 11  tx.select-ok                s   -
90 20  tx.commit                   c   commit-ok
90 21  tx.commit-ok                s   -
90 30  tx.rollback                 c   rollback-ok
90 31  tx.rollback-ok              s   -
"""

#: The properties of ``basic`` content in flag order, highest bit first: name and type.
PROPERTIES = (
    ("content_type", "shortstr"),
    ("content_encoding", "shortstr"),
    ("headers", "table"),
    ("delivery_mode", "octet"),
    ("priority", "octet"),
    ("correlation_id", "shortstr"),
    ("reply_to", "shortstr"),
    ("expiration", "shortstr"),
    ("message_id", "shortstr"),
    ("timestamp", "longlong"),
    ("type", "shortstr"),
    ("user_id", "shortstr"),
    ("app_id", "shortstr"),
    ("cluster_id", "shortstr"),
)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a method: its name and its protocol type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """One line of the table.

    Attributes:
        id: class and method number.
        name: ``class.method``, as in the protocol's documents.
        senders: who may send it: ``c``, ``s`` or ``cs``.
        content: whether a content header and body follow.
        replies: names of the methods that answer it; empty when nothing does.
        arguments: in wire order.
    """

    id: tuple[int, int]
    name: str
    senders: str
    content: bool
    replies: tuple[str, ...]
    arguments: tuple[Argument, ...]


def _parse(table: str) -> tuple[MethodSpec, ...]:
    lines: list[list[str]] = []
    for line in table.strip().splitlines():
        words = line.split()
        if words[0].isdigit():
            lines.append(words)
        else:
            lines[-1].extend(words)
    return tuple(_method(words) for words in lines)


def _method(words: list[str]) -> MethodSpec:
    class_id, method_id, name, senders, replies, *arguments = words
    family = name.split(".")[0]
    return MethodSpec(
        id=(int(class_id), int(method_id)),
        name=name,
        senders=senders.rstrip("+"),
        content=senders.endswith("+"),
        replies=tuple(f"{family}.{reply}" for reply in replies.split(",") if reply != "-"),
        arguments=tuple(Argument(*argument.split(":")) for argument in arguments),
    )


METHODS: tuple[MethodSpec, ...] = _parse(TABLE)
BY_NAME: Mapping[str, MethodSpec] = {spec.name: spec for spec in METHODS}
BY_ID: Mapping[tuple[int, int], MethodSpec] = {spec.id: spec for spec in METHODS}
