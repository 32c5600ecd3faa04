"""What the wire tap costs: the same clients, past it and through it, in the same run.

    python benchmarks/tap_cost.py [--rounds 7] [--trips 1000] [--size 200]

needs ``rabbitmq-server`` and ``redis-server`` (or ``valkey-server``) on PATH; what is missing is left out.  Everything
is on loopback.  Other work on the machine moves the absolute numbers, therefore the rounds of both ways alternate and
what counts is the ratio of their medians: how many times as long a round trip takes through the tap.

A round trip is what a caller waits for: over AMQP a publish and its confirm, then a get and its ack; over Redis an
LPUSH and a BRPOP.  The tap decodes all of it into the history, with and without a fault that looks at every frame.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import amqp
import redis

from celeriac.conformance.history import History
from celeriac.conformance.providers import Node, Unavailable, find
from celeriac.conformance.tap import Census, Tap

QUEUE = "celeriac-tap-cost"

Trips = Callable[[int], None]


@contextmanager
def over_amqp(node: Node, port: int, size: int) -> Iterator[Trips]:
    """Connect py-amqp to a port; give what makes so many round trips."""
    host = f"127.0.0.1:{port}"
    with amqp.Connection(host, userid=node.username, password=node.password) as connection:
        channel = connection.channel()
        channel.queue_declare(QUEUE, auto_delete=False)
        headers = {"id": "t", "task": "t.add"}

        def trips(count: int) -> None:
            for _ in range(count):
                message = amqp.Message(b"x" * size, application_headers=headers)
                channel.basic_publish_confirm(message, routing_key=QUEUE)
                channel.basic_ack(channel.basic_get(QUEUE).delivery_tag)

        yield trips
        channel.queue_delete(QUEUE)


@contextmanager
def over_redis(node: Node, port: int, size: int) -> Iterator[Trips]:
    """Connect redis-py to a port; give what makes so many round trips."""
    properties = {"delivery_tag": "1", "delivery_info": {"exchange": "", "routing_key": QUEUE}}
    envelope = json.dumps({"body": "x" * size, "headers": {"id": "t"}, "properties": properties})
    with redis.Redis(port=port) as client:

        def trips(count: int) -> None:
            for _ in range(count):
                client.lpush(QUEUE, envelope)
                client.brpop([QUEUE], timeout=1)

        yield trips


WAYS = {"rabbitmq": over_amqp, "redis": over_redis}


def measure(flavour: str, rounds: int, count: int, size: int) -> dict[str, float]:
    """Answer the median seconds of a round trip for each way to the broker, the direct one first."""
    with ExitStack() as stack:
        node = stack.enter_context(find(flavour, "process")).node()
        plain, counting = (
            stack.enter_context(Tap(node.host, node.port, node.link, History())) for _ in range(2)
        )
        counting.arm(Census())
        ports = {"direct": node.port, "tap": plain.port, "tap, a fault": counting.port}
        ways = {name: stack.enter_context(WAYS[flavour](node, port, size)) for name, port in ports.items()}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name, trips in ways.items():
                started = time.perf_counter()
                trips(count)
                if number:  # the first one does not count
                    seconds[name].append((time.perf_counter() - started) / count)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--trips", type=int, default=1000, help="round trips in a round")
    parser.add_argument("--size", type=int, default=200, help="octets of a body")
    args = parser.parse_args()
    print(
        f"{'microseconds of a round trip':<30} {'direct':>8} {'tap':>8} {'ratio':>6} {'a fault':>8} {'ratio':>6}"
    )
    missing = 0
    for flavour in WAYS:
        try:
            direct, tap, fault = measure(flavour, args.rounds, args.trips, args.size).values()
        except Unavailable as reason:
            print(f"{flavour:<30} {reason}", file=sys.stderr)
            missing += 1
            continue
        print(
            f"{flavour:<30} {direct * 1e6:>8.0f} {tap * 1e6:>8.0f} {tap / direct:>6.2f}"
            f" {fault * 1e6:>8.0f} {fault / direct:>6.2f}"
        )
    return int(missing == len(WAYS))


if __name__ == "__main__":
    sys.exit(main())
