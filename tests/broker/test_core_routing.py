"""Routing: exchange types, alternate exchanges, exchanges bound to exchanges, copies, and what deletes itself."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.reference.broker.broker import Broker
from celeriac.reference.broker.errors import ChannelError
from celeriac.reference.broker.model import Channel, Properties
from celeriac.reference.broker.routing import headers_match, topic_matches
from celeriac.reference.clock import VirtualClock

words = st.sampled_from(["a", "b", ""])
keys = st.lists(words, max_size=5).map(".".join)
patterns = st.lists(st.one_of(words, st.sampled_from(["*", "#", "#"])), max_size=5).map(".".join)


def naive(pattern: str) -> str:
    """Answer a regular expression over words that each end with a dot."""
    parts = {"*": r"[^.]*\.", "#": r"(?:[^.]*\.)*"}
    return "".join(
        parts.get(word, re.escape(word) + r"\.") for word in (pattern.split(".") if pattern else [])
    )


@given(pattern=patterns, key=keys)
@settings(derandomize=True, database=None, deadline=None, max_examples=500)
def test_topics_match_as_a_regular_expression_does(pattern: str, key: str) -> None:
    """A star is one word and a hash any number of words, whatever surrounds them."""
    dotted = "".join(word + "." for word in (key.split(".") if key else []))
    assert topic_matches(pattern, key) == bool(re.fullmatch(naive(pattern), dotted))


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("stock.*.nyse", "stock.ibm.nyse", True),
        ("stock.#", "stock", True),
        ("#.nyse", "stock.ibm.nyse", True),
        ("stock.*", "stock", False),
        ("#", "", True),
        ("*", "", False),
        ("", "", True),
        ("a.#.b.#.c", "a.x.b.y.z.c", True),
    ],
)
def test_topic_patterns(pattern: str, key: str, matches: bool) -> None:
    """The examples that everybody knows come out as everybody expects."""
    assert topic_matches(pattern, key) is matches


@pytest.mark.parametrize(
    ("arguments", "headers", "matches"),
    [
        ({"a": 1, "b": "x"}, {"a": 1, "b": "x", "c": 0}, True),
        ({"a": 1, "b": "x"}, {"a": 1}, False),
        ({"x-match": "any", "a": 1, "b": "x"}, {"a": 1}, True),
        ({"x-match": "any"}, {"a": 1}, False),
        ({"x-match": "all"}, {}, True),
        ({"a": None}, {"a": "anything"}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": "1"}, False),
        ({"x-own": 1}, {}, True),
        ({"x-match": "all-with-x", "x-own": 1}, {}, False),
        ({"x-match": "any-with-x", "x-own": 1}, {"x-own": 1}, True),
    ],
)
def test_header_bindings(arguments: dict[str, Any], headers: dict[str, Any], matches: bool) -> None:
    """All or any of the values must be there with their types; names with x- count only when asked for."""
    assert headers_match(arguments, headers) is matches


class World:
    """A broker with three queues and a client."""

    def __init__(self) -> None:
        self.broker = Broker(VirtualClock())
        self.session = self.broker.open_session()
        self.channel: Channel = self.broker.open_channel(self.session, 1)
        for name in ("q", "r", "s"):
            self.broker.declare_queue(self.channel, name)

    def exchange(self, name: str, type: str, **arguments: Any) -> None:
        self.broker.declare_exchange(self.channel, name, type, arguments=arguments)

    def bind(self, queue: str, exchange: str, key: str = "") -> None:
        self.broker.bind_queue(self.channel, queue, exchange, key)

    def reached(self, exchange: str, key: str = "", **headers: Any) -> list[str]:
        """Publish, answer where the message went, and empty the queues."""
        self.broker.publish(self.channel, exchange, key, Properties(headers=headers or None), b"")
        return [name for name in ("q", "r", "s") if self.broker.purge_queue(self.channel, name)]


def test_every_exchange_type_routes_by_its_rule() -> None:
    """Default and direct by name, fanout everywhere, topic by pattern, headers by headers."""
    world = World()
    for name, kind in (("d", "direct"), ("f", "fanout"), ("t", "topic")):
        world.exchange(name, kind)
        world.bind("q", name, "a.*")
        world.bind("r", name, "a.b")
    world.broker.bind_queue(world.channel, "s", "amq.headers", "", {"kind": "x"})
    assert world.reached("", "r") == ["r"]
    assert world.reached("", "nowhere") == []
    assert world.reached("d", "a.b") == ["r"]
    assert world.reached("f", "whatever") == ["q", "r"]
    assert world.reached("t", "a.b") == ["q", "r"]
    assert world.reached("amq.headers", kind="x") == ["s"]


def test_a_queue_gets_a_message_once() -> None:
    """However many bindings match, a queue takes one copy."""
    world = World()
    for key in ("a", "b", "a"):
        world.bind("q", "amq.topic", key)
    world.bind("q", "amq.topic", "#")
    world.broker.publish(world.channel, "amq.topic", "a", Properties(), b"")
    assert world.broker.purge_queue(world.channel, "q") == 1


def test_exchanges_bound_in_a_circle_are_walked_once() -> None:
    """A message passes through exchanges bound to exchanges, and a circle does not trap it."""
    world = World()
    for name in ("one", "two"):
        world.exchange(name, "fanout")
    world.broker.bind_exchange(world.channel, "two", "one")
    world.broker.bind_exchange(world.channel, "one", "two")
    world.bind("q", "two")
    assert world.reached("one") == ["q"]
    world.broker.unbind_exchange(world.channel, "two", "one")
    assert world.reached("one") == []


def test_what_an_exchange_cannot_route_goes_to_its_alternate() -> None:
    """An alternate exchange takes what no binding matched, and the message still says where it was published."""
    world = World()
    world.exchange("main", "direct", **{"alternate-exchange": "amq.fanout"})
    world.bind("q", "main", "k")
    world.bind("r", "amq.fanout")
    assert world.reached("main", "k") == ["q"]
    assert world.reached("main", "other") == ["r"]
    world.broker.publish(world.channel, "main", "other", Properties(), b"")
    found = world.broker.get(world.channel, "r")
    assert found is not None
    assert (found.exchange, found.routing_key) == ("main", "other")


def test_copies_go_to_further_keys_and_blind_ones_are_not_shown() -> None:
    """CC and BCC add routing keys; consumers see the first and never the second."""
    world = World()
    headers = {"CC": ["r"], "BCC": ["s"], "own": 1}
    world.broker.publish(world.channel, "", "q", Properties(headers=headers), b"")
    for name in ("q", "r", "s"):
        found = world.broker.get(world.channel, name)
        assert found is not None
        assert found.message.headers == {"CC": ["r"], "own": 1}


def test_an_auto_delete_exchange_goes_with_its_last_binding() -> None:
    """An auto-delete exchange is deleted once its last binding is gone, however it went."""
    world = World()
    for name in ("a", "b"):
        world.broker.declare_exchange(world.channel, name, "fanout", auto_delete=True)
    world.bind("q", "a")
    world.broker.bind_exchange(world.channel, "a", "b")
    world.broker.delete_queue(world.channel, "q")
    assert not {"a", "b"} & set(world.broker.exchanges)


def test_a_deleted_queue_is_bound_no_more() -> None:
    """Bindings go with their queue, and a new queue of the name starts without."""
    world = World()
    world.bind("q", "amq.direct", "k")
    world.broker.delete_queue(world.channel, "q")
    world.broker.declare_queue(world.channel, "q")
    assert world.reached("amq.direct", "k") == []


def test_redeclaring_is_a_no_op_or_an_error() -> None:
    """An equal declaration changes nothing; an unequal one is refused and changes nothing either."""
    world = World()
    world.exchange("x", "topic")
    start = len(world.broker.events)
    world.exchange("x", "topic")
    with pytest.raises(ChannelError):
        world.exchange("x", "fanout")
    assert len(world.broker.events) == start
    assert world.broker.exchanges["x"].type == "topic"
