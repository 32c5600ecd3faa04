"""Providers: brokers that answer, described truly, and gone afterwards."""

from __future__ import annotations

import gc
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import amqp
import pytest
import redis

from celeriac.conformance.providers import (
    FLAVOURS,
    SOURCES,
    BrokerInfo,
    Lease,
    LeaseTimes,
    Node,
    Provider,
    Setup,
    Unavailable,
    default_source,
    engine,
    find,
)
from celeriac.conformance.providers import url as url_module
from celeriac.conformance.providers.child import Child, free_port, private_folder
from celeriac.conformance.providers.container import RabbitContainer, RedisContainer
from celeriac.conformance.providers.rabbitmq import RabbitProcess, advanced_config, config
from celeriac.conformance.providers.readiness import announced_version, await_ready
from celeriac.conformance.providers.redis import RedisProcess
from celeriac.conformance.providers.url import UrlProvider
from celeriac.conformance.verdicts import NotApplicable

#: 127.0.0.1 and ::1 in the kernel's notation.
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}
LISTENING = "0A"

Until = Callable[[Callable[[], bool]], None]


def listeners(port: int) -> set[str]:
    """Answer the addresses, in the kernel's notation, on which somebody listens at this port."""
    found: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, _, number = local.partition(":")
            if state == LISTENING and int(number, 16) == port:
                found.add(address)
    return found


def ports_of(group: int) -> set[int]:
    """Answer every port at which a process of this group listens."""
    inodes = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) == group:
                inodes |= {str(link.readlink())[8:-1] for link in (process / "fd").iterdir()}
        except OSError:
            continue
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    rows += [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTENING and row[9] in inodes}


def ended(group: int) -> bool:
    """Say whether no process of this group runs any more; a zombie does not."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, _, number = (process / "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(number) == group and state != "Z":
            return False
    return True


def gone(node: Node) -> bool:
    """Say whether nobody answers any more."""
    try:
        announced_version(node)
    except (OSError, amqp.AMQPError, redis.RedisError):
        return True
    return False


# -- finding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flavour", "source", "kind"),
    [
        ("rabbitmq", "process", RabbitProcess),
        ("redis", "process", RedisProcess),
        ("valkey", "process", RedisProcess),
        ("rabbitmq", "container", RabbitContainer),
        ("valkey", "container", RedisContainer),
        ("rabbitmq", "amqp://u:p@127.0.0.1:1//", UrlProvider),
        ("redis", "redis://127.0.0.1:1/3", UrlProvider),
        ("valkey", "redis://127.0.0.1:1/3", UrlProvider),
    ],
)
def test_a_provider_is_found(flavour: str, source: str, kind: type[Provider]) -> None:
    """Every flavour has its sources, and finding one starts nothing."""
    with find(flavour, source) as provider:
        assert type(provider) is kind
        assert provider.flavour == flavour
        assert provider.link == ("amqp" if flavour == "rabbitmq" else "redis")


@pytest.mark.parametrize(
    ("flavour", "source", "text"),
    [
        ("kafka", None, "unknown broker 'kafka'; known: embedded, rabbitmq, redis, valkey"),
        ("redis", "cloud", "unknown source 'cloud' of a broker; known: container, process or a URL"),
        ("redis", "amqp://127.0.0.1", "--broker=redis needs a URL that begins with redis://, not amqp://"),
        ("rabbitmq", "redis://127.0.0.1", "needs a URL that begins with amqp:// or pyamqp://, not redis://"),
        ("embedded", "amqp://127.0.0.1", "the embedded broker has no URL; say --broker=rabbitmq"),
    ],
)
def test_a_wrong_name_is_told(flavour: str, source: str | None, text: str) -> None:
    """A flavour, source or URL that cannot be used is an error that names what can."""
    with pytest.raises(ValueError, match=text.replace("(", r"\(")):
        find(flavour, source)


def test_containers_are_preferred_where_they_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default source is a container where an engine has an image, else a process."""

    def no_engine(flavour: str) -> str:
        raise Unavailable("no engine")

    answers: dict[str, Callable[[str], str | None]] = {
        "container": lambda flavour: "redis:7",
        "process": lambda flavour: None,
    }
    for expected, answer in [*answers.items(), ("process", no_engine)]:
        monkeypatch.setattr(engine, "image", answer)
        assert default_source("redis") == expected


@pytest.mark.parametrize("flavour", ["rabbitmq", "redis", "valkey"])
def test_a_missing_server_says_what_to_do(flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server is not installed, the reason names the package, the engine and the URL option."""
    monkeypatch.setattr(RabbitProcess, "server", staticmethod(lambda: None))
    monkeypatch.setattr(RedisProcess, "server", staticmethod(lambda flavour: None))
    with find(flavour, "process") as provider, pytest.raises(Unavailable) as caught:
        provider.node()
    assert f"no {flavour}-server on this machine" in caught.value.reason
    for advice in ("install", "container engine", "--broker-from="):
        assert advice in caught.value.reason


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:{port}", "unix://{folder}/docker.sock"])
def test_a_missing_engine_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str) -> None:
    """Where no container engine answers, the reason says how to get one or do without; no socket stays open."""
    pytest.importorskip("docker")
    monkeypatch.setenv("DOCKER_HOST", host.format(port=free_port(), folder=tmp_path))
    assert not engine.answers()
    with find("redis", "container") as provider, pytest.raises(Unavailable, match="--broker-from=process"):
        provider.node()
    gc.collect()


# -- leases -----------------------------------------------------------------------------------------------------


def test_a_lease_that_cannot_be_set_is_refused() -> None:
    """Asking for a lease that the broker does not have says which it has, and starts nothing."""
    with find("redis", "process") as provider, pytest.raises(Unavailable, match="it has redeliver"):
        provider.node("channel-close")
    with find("rabbitmq", "process") as provider, pytest.raises(Unavailable, match="it has channel-close"):
        provider.node("redeliver")


def test_the_short_lease_is_configured() -> None:
    """RabbitMQ's configuration holds the lease in milliseconds, and nothing of it by default."""
    setup = Setup(timeout=2.0, interval=0.5)
    assert "consumer_timeout = 2000\n" in config(setup, "127.0.0.1:5672")
    assert advanced_config(setup) == "[{rabbit, [{channel_tick_interval, 500}]}].\n"
    assert "consumer_timeout" not in config(Setup(), "5672")
    assert advanced_config(Setup()) == "[{rabbit, []}].\n"


# -- processes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flavour", ["redis", "valkey"])
def test_a_redis_process_serves_and_ends(flavour: str, obtain: Callable[..., Provider]) -> None:
    """A private server listens on loopback only, serves every lease, tells its version, and is gone when closed."""
    provider = obtain(flavour, "process")
    assert isinstance(provider, RedisProcess)
    with provider:
        node = provider.node()
        info = provider.info()
        assert info == BrokerInfo(flavour, "process", info.version, "redis")
        assert info.version[0].isdecimal()
        assert {"0100007F"} == listeners(node.port)
        leased = provider.node("redeliver")
        assert leased.port == node.port
        assert leased.lease is not None
        assert (leased.lease.kind, leased.lease.timeout) == ("redeliver", 1.0)
        folder = provider._children[0].folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert gone(node)
    assert not folder.exists()


def test_a_rabbitmq_process_is_private(rabbit: Provider) -> None:
    """Every node and its name server listen on loopback only, under a private folder."""
    node = rabbit.node("channel-close")
    assert rabbit is rabbit.__enter__()
    assert node.url == f"amqp://guest:guest@127.0.0.1:{node.port}//"
    assert isinstance(rabbit, RabbitProcess)
    groups = [child.pid for child in rabbit._children]
    ports = set().union(*map(ports_of, groups))
    assert node.port in ports
    assert len(ports) == 3 * len(rabbit._nodes)  # one tells the version, the other has the lease
    assert {address for port in ports for address in listeners(port)} <= LOOPBACK
    for child in rabbit._children:
        assert stat.S_IMODE(child.folder.stat().st_mode) == 0o700


def test_nodes_are_started_once(rabbit: Provider) -> None:
    """Asking again for the same lease answers the same node, which is not the one that is left as it comes."""
    assert rabbit.node("channel-close") == rabbit.node("channel-close")
    assert rabbit.node().port == rabbit.node().port != rabbit.node("channel-close").port


def test_a_rabbitmq_process_ends_completely(obtain: Callable[..., Provider], until: Until) -> None:
    """After close neither node nor name server runs, and their folders are gone."""
    provider = obtain("rabbitmq", "process")
    assert isinstance(provider, RabbitProcess)
    info = provider.info()
    assert (info.flavour, info.source, info.link) == ("rabbitmq", "process", "amqp")
    children, node = list(provider._children), provider.node()
    provider.close()
    provider.close()
    assert gone(node)
    for child in children:
        assert not child.folder.exists()
        until(partial(ended, child.pid))


def test_a_server_that_dies_shows_its_last_words() -> None:
    """A server that ends while starting is reported with its exit status and the end of its log."""
    folder = private_folder()
    child = Child(["/bin/sh", "-c", "echo first; echo cannot open the database; exit 3"], folder)
    try:
        with pytest.raises(Unavailable, match=r"(?s)exit status 3.*cannot open the database"):
            await_ready(Node.local("redis", free_port()), child.pause, child.log)
    finally:
        child.stop()
    assert not folder.exists()


def test_a_stubborn_server_is_killed(monkeypatch: pytest.MonkeyPatch, until: Until) -> None:
    """A server that ignores the polite signal, and whatever it has started, is killed."""
    monkeypatch.setattr("celeriac.conformance.providers.child.GRACE", 0.2)
    folder = private_folder()
    script = "trap '' TERM; sh -c 'trap \"\" TERM; while :; do sleep 1; done' & echo ready; wait"
    child = Child(["/bin/sh", "-c", script], folder)
    until(lambda: "ready" in child.log())
    assert not ended(child.pid)
    child.stop()
    until(partial(ended, child.pid))


def test_what_was_not_closed_ends_with_the_interpreter(obtain: Callable[..., Provider]) -> None:
    """A provider that nobody closes ends its server when the interpreter ends."""
    obtain("valkey", "process").close()
    code = "from celeriac.conformance.providers import find; print(find('valkey', 'process').node().port)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert gone(Node.local("redis", int(done.stdout)))


# -- the embedded broker ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
def test_embedded_broker_is_there_whatever_the_others_come_from(source: str) -> None:
    """Where all brokers are asked for from processes or containers, the embedded one is what it always is."""
    with find("embedded", source) as provider:
        assert provider.node().url.startswith("amqp://")


def test_the_embedded_broker_serves_every_lease() -> None:
    """The embedded broker has a node for each kind of lease, all of which are gone when it is closed."""
    with find("embedded") as provider:
        nodes = [provider.node(lease) for lease in (None, "channel-close", "redeliver")]
        assert provider.info() == BrokerInfo("embedded", "thread", "rabbit-3.10", "amqp")
        assert [node.lease.kind if node.lease else None for node in nodes] == [
            None,
            "channel-close",
            "redeliver",
        ]
        assert len({node.port for node in nodes}) == 3
        for node in nodes:
            assert {"0100007F"} == listeners(node.port)
    assert all(gone(node) for node in nodes)


# -- URLs -------------------------------------------------------------------------------------------------------


def test_a_url_is_used_as_it_is(valkey: Node) -> None:
    """A broker at a URL is asked for its version, keeps its database, and is left running."""
    with find("redis", f"redis://127.0.0.1:{valkey.port}/5") as provider:
        node = provider.node("redeliver")
        assert (node.host, node.port, node.link) == ("127.0.0.1", valkey.port, "redis")
        assert node.url_at(99) == "redis://127.0.0.1:99/5"
        assert provider.info().source == "url"
    assert not gone(valkey)


def test_a_url_tells_its_lease(rabbit: Provider) -> None:
    """The lease of somebody's RabbitMQ is what the URL's query says; the query is not passed on to clients."""
    node = rabbit.node("channel-close")
    with find("rabbitmq", f"{node.url}?consumer_timeout=2000&channel_tick_interval=500") as provider:
        found = provider.node("channel-close")
        assert found.lease == LeaseTimes(2.0, 0.5, "channel-close")
        assert found.url == node.url
        assert provider.node().lease is None


@pytest.mark.parametrize(
    ("version", "lease", "other"),
    [("3.10.8", "channel-close", "consumer-cancel"), ("4.3.6", "consumer-cancel", "channel-close")],
)
def test_how_a_lease_at_a_url_ends_the_version_says(
    version: str, lease: Lease, other: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of somebody's RabbitMQ the URL tells how long a lease is, and its version how it ends."""
    monkeypatch.setattr(url_module, "announced_version", lambda node: version)
    told = "amqp://127.0.0.1:5672//?consumer_timeout=2000&channel_tick_interval=500"
    with find("rabbitmq", told) as provider:
        assert provider.node(lease).lease == LeaseTimes(2.0, 0.5, lease)  # type: ignore[arg-type]
        with pytest.raises(NotApplicable, match=f"RabbitMQ {version} ends overdue deliveries by {lease}"):
            provider.node(other)


@pytest.mark.parametrize("lease", ["patient", "endless", "queue-argument", "policy"])
def test_somebody_elses_broker_is_not_set(lease: Lease) -> None:
    """What a broker at a URL would have to be set for is not applicable, which is no error of the run."""
    told = f"amqp://127.0.0.1:{free_port()}//?consumer_timeout=2000"
    with find("rabbitmq", told) as provider, pytest.raises(NotApplicable, match="is set by others"):
        provider.node(lease)


def test_an_untold_lease_is_unavailable(rabbit: Provider) -> None:
    """Without a lease in the URL, asking for one says how to tell it."""
    provider = find("rabbitmq", rabbit.node("channel-close").url)
    with provider, pytest.raises(Unavailable, match=r"\?consumer_timeout=2000"):
        provider.node("channel-close")


def test_nobody_at_the_url_is_told() -> None:
    """A URL where nobody answers is unavailable, and the reason holds no password."""
    provider = find("rabbitmq", f"amqp://user:secret@127.0.0.1:{free_port()}//")
    with provider, pytest.raises(Unavailable, match="does not answer") as caught:
        provider.node()
    assert "secret" not in caught.value.reason


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://u:p%40ss@10.0.0.1:5672/vhost", "amqp://u:p%40ss@127.0.0.1:99/vhost"),
        ("pyamqp://10.0.0.1//", "amqp://guest:guest@127.0.0.1:99//"),
        ("redis://10.0.0.1/2", "redis://127.0.0.1:99/2"),
        ("redis://:pw@10.0.0.1/2?ssl=no", "redis://:pw@127.0.0.1:99/2?ssl=no"),
    ],
)
def test_clients_are_sent_through_a_tap(url: str, expected: str) -> None:
    """The URL for a tap's port keeps login, path and query of the broker's."""
    with UrlProvider("rabbitmq" if "amqp" in url else "redis", url) as provider:
        node = url_module._node(provider.link, provider._parts)
    assert node.url_at(99) == expected


# -- containers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flavour", "lease"), [("rabbitmq", "channel-close"), ("redis", "redeliver"), ("valkey", "redeliver")]
)
def test_a_container_serves_and_ends(flavour: str, lease: Any, obtain: Callable[..., Provider]) -> None:
    """A broker in a container is published on loopback only, has the lease, and is removed when closed."""
    with obtain(flavour, "container", lease) as provider:
        node = provider.node(lease)
        assert node.lease is not None
        assert node.lease.kind == lease
        assert announced_version(node)[0].isdecimal()
        assert isinstance(provider, RabbitContainer | RedisContainer)
        wrapped = provider._started[-1].get_wrapped_container()
        bindings = [binding for found in wrapped.ports.values() if found for binding in found]
        assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}
        client = wrapped.client
        identity = wrapped.id
    assert gone(node)
    assert identity not in {item.id for item in client.containers.list(all=True)}
    client.close()


def test_the_image_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names the image, and an image that is not there is not silently replaced."""
    pytest.importorskip("docker")
    if not engine.answers():
        pytest.skip("NOT TESTED: no container engine answers")
    monkeypatch.setenv("CELERIAC_IMAGE_REDIS", "celeriac/no-such-image:1")
    assert engine.image("redis") is None


def test_every_flavour_is_documented() -> None:
    """The table at the top of the package names every flavour."""
    assert FLAVOURS == ("embedded", "rabbitmq", "redis", "valkey")
