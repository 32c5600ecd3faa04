"""Throughput of the embedded broker against RabbitMQ: the same client, the same machine, the same run.

    python benchmarks/broker_throughput.py [--rounds 5] [--messages 20000] [--size 100]

needs ``rabbitmq-server`` on PATH (Debian: ``apt-get install rabbitmq-server``); it starts a private node and the
``broker`` command, each in a process of its own, on loopback, and stops both.  Other work on the machine moves the
absolute numbers, therefore the rounds of both brokers alternate and what counts is the ratio of their medians: above 1
the embedded broker is faster.

One connection publishes and consumes at once, with a bounded number of messages in flight.  Its frames are encoded
beforehand and what comes back is only counted, so that the client costs next to nothing.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from celeriac.conformance.providers import Unavailable
from celeriac.conformance.providers.rabbitmq import RabbitProcess
from celeriac.reference.broker.codec import (
    METHOD,
    PROTOCOL_HEADER,
    FrameReader,
    decode_method,
    encode_content,
    encode_method,
)

WINDOW = 2000
DELIVER = struct.pack(">HH", 60, 60)
ACK = struct.pack(">HH", 60, 80)


@dataclass(frozen=True)
class Mode:
    """What client and broker tell each other about every message."""

    title: str
    acks: bool
    confirms: bool


MODES = (
    Mode("publish + deliver, no ack", acks=False, confirms=False),
    Mode("ack each", acks=True, confirms=False),
    Mode("confirm + ack each", acks=True, confirms=True),
)


class Client:
    """A bare AMQP client on a blocking socket."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = FrameReader()
        self._buffer = b""
        self._socket.sendall(PROTOCOL_HEADER)
        self._await("connection.start")
        self._send(0, "connection.start-ok", {}, "PLAIN", b"\0guest\0guest", "en_US")
        self._await("connection.tune")
        self._send(0, "connection.tune-ok", 2047, 131_072, 0)
        self._call(0, "connection.open", "/", "", False)
        self._call(1, "channel.open", "")

    def run(self, mode: Mode, messages: int, size: int) -> float:
        """Move messages through a queue and answer the seconds that took."""
        self._call(1, "queue.declare", 0, "throughput", False, False, True, False, False, {})
        self._call(1, "basic.consume", 0, "throughput", "c", False, not mode.acks, False, False, {})
        if mode.confirms:
            self._call(1, "confirm.select", False)
        publish = encode_method(1, "basic.publish", 0, "", "throughput", False, False)
        publish += encode_content(1, b"\0\0", b"x" * size, 131_072)
        acks = b"".join(encode_method(1, "basic.ack", tag, False) for tag in range(1, messages + 1))
        started = time.perf_counter()
        self._pump(publish, acks if mode.acks else b"", messages, mode.confirms)
        took = time.perf_counter() - started
        self._call(1, "basic.cancel", "c", False)
        self._call(0, "connection.close", 200, "", 0, 0)
        self._socket.close()
        return took

    def _pump(self, publish: bytes, acks: bytes, messages: int, confirms: bool) -> None:
        sent = delivered = 0
        self._confirmed = 0 if confirms else messages
        step = len(acks) // messages
        while delivered < messages or self._confirmed < messages:
            if sent - delivered <= WINDOW // 2 and sent < messages:
                batch = min(WINDOW // 2, messages - sent)
                self._socket.sendall(publish * batch)
                sent += batch
            seen = self._count()
            if acks and seen:
                self._socket.sendall(acks[delivered * step : (delivered + seen) * step])
            delivered += seen

    def _count(self) -> int:
        """Receive something; answer how many deliveries began in it."""
        buffer = self._buffer + self._socket.recv(262_144)
        at, end, seen = 0, len(buffer) - 8, 0
        while at <= end:
            kind, size = buffer[at], int.from_bytes(buffer[at + 3 : at + 7], "big")
            if at + size > end:
                break
            if kind == METHOD:
                ids = buffer[at + 7 : at + 11]
                if ids == DELIVER:
                    seen += 1
                elif ids == ACK:
                    self._confirm(*struct.unpack_from(">QB", buffer, at + 11))
            at += size + 8
        self._buffer = buffer[at:]
        return seen

    def _confirm(self, tag: int, multiple: int) -> None:
        self._confirmed = tag if multiple else self._confirmed + 1

    def _call(self, channel: int, name: str, *values: object) -> None:
        self._send(channel, name, *values)
        self._await(f"{name}-ok")

    def _send(self, channel: int, name: str, *values: object) -> None:
        self._socket.sendall(encode_method(channel, name, *values))

    def _await(self, name: str) -> None:
        while True:
            for frame in self._reader:
                if frame.type == METHOD and decode_method(frame.payload).name == name:
                    return
            self._reader.feed(self._socket.recv(65_536))


@contextmanager
def embedded() -> Iterator[int]:
    """Serve the embedded broker in a process of its own; give its port."""
    command = [sys.executable, "-m", "celeriac.reference", "broker", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().rpartition("//")[0].rpartition(":")[2])
        finally:
            process.terminate()


@contextmanager
def rabbitmq() -> Iterator[int]:
    """Start a private RabbitMQ node; give its port."""
    with RabbitProcess() as provider:
        yield provider.node().port


def measure(ports: dict[str, int], rounds: int, work: Callable[[int], float]) -> dict[str, float]:
    """Answer the median seconds per broker; rounds alternate, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ports}
    for number in range(rounds + 1):
        for name, port in ports.items():
            took = work(port)
            if number:
                seconds[name].append(took)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=100, help="octets of a body")
    args = parser.parse_args()
    try:
        with rabbitmq() as theirs, embedded() as ours:
            print(f"{'messages per second, medians':<30} {'embedded':>10} {'rabbitmq':>10} {'ratio':>7}")
            for mode in MODES:

                def work(port: int, mode: Mode = mode) -> float:
                    return Client(port).run(mode, args.messages, args.size)

                took = measure({"embedded": ours, "rabbitmq": theirs}, args.rounds, work)
                rate = {name: args.messages / seconds for name, seconds in took.items()}
                ratio = rate["embedded"] / rate["rabbitmq"]
                print(f"{mode.title:<30} {rate['embedded']:>10,.0f} {rate['rabbitmq']:>10,.0f} {ratio:>7.2f}")
    except Unavailable as missing:
        print(f"no RabbitMQ to compare with: {missing}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
