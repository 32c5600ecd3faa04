"""Compression: which scheme is used, what it looks like on the wire, and that workers undo it."""

from __future__ import annotations

import base64
import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from celeriac.conformance import oracles
from celeriac.conformance.checks import check
from celeriac.conformance.decoding import body_of
from celeriac.conformance.precedence import judge_rows, label_of
from celeriac.conformance.probe_codecs import COMPRESSION, turn
from celeriac.spec import vectors

if TYPE_CHECKING:
    from celeriac.conformance.history import Record
    from celeriac.conformance.world import World


def _brotli(data: bytes) -> bytes:
    import brotli

    return bytes(brotli.decompress(data))


def _zstd(data: bytes) -> bytes:
    import zstandard

    return bytes(zstandard.ZstdDecompressor().decompressobj().decompress(data))


#: An independent decompressor for each scheme; none of them goes through the registry of the clients.
DECOMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.decompress,
    "gzip": zlib.decompress,
    "bzip2": bz2.decompress,
    "lzma": lambda data: lzma.decompress(data, format=lzma.FORMAT_XZ),
    "brotli": _brotli,
    "zstd": _zstd,
}
#: Arguments that are worth compressing.
ARGS = ("a text that repeats itself, " * 40, 7)


def label(record: Record) -> Any:
    """Answer the compression header, None when there is none."""
    return record.headers.get("compression")


@check("CMP-001")
def test_no_compression_by_default(world: World) -> None:
    """A message without compression has no header for it, not even null."""
    judge_rows(world, "CMP-001", "compression", "default", label)
    record = world.published(world.call())
    absent = "compression" not in record.headers
    world.require("CMP-001", absent, "no compression header", f"{label(record)!r}", record)


@check("CMP-002")
def test_option_wins(world: World) -> None:
    """Rows of the table with the option are compressed with the option's scheme."""
    judge_rows(world, "CMP-002", "compression", "option", label)


@check("CMP-003")
def test_attribute_wins_over_the_setting(world: World) -> None:
    """Rows of the table without the option are compressed with the attribute's scheme."""
    judge_rows(world, "CMP-003", "compression", "attribute", label)


@check("CMP-004")
def test_setting_decides_last(world: World) -> None:
    """Rows of the table with neither option nor attribute are compressed with the setting's scheme."""
    judge_rows(world, "CMP-004", "compression", "setting", label)


@check("CMP-005")
def test_null_option_is_not_given(world: World) -> None:
    """Rows of the table with a null option are compressed with the attribute's scheme."""
    judge_rows(world, "CMP-005", "compression", "null", label)


@check("CMP-006")
def test_unknown_compression_is_refused(world: World) -> None:
    """Names that no registry knows raise, near misses of known names among them."""
    world.begin()
    for name in ("unheard-of", "deflate", "GZIP"):
        world.require_refusal("CMP-006", compression=name)


def require_format(world: World, requirement: str, name: str) -> None:
    """Require the header and the format of a scheme, proved by a decompressor of our own."""
    world.begin()
    record = world.published(world.call("celeriac.echo", ARGS, compression=name))
    world.judge(
        requirement, oracles.equal(label_of("compression", name), label(record), "the header", record)
    )
    case = next(case for case in vectors("codec-labels")["cases"] if case["name"] == name)
    try:
        text = DECOMPRESSORS[name](record.body)
    except Exception as error:  # noqa: BLE001 - every library fails in its own way
        text = repr(error).encode()
    holds = record.body.hex().startswith(case.get("magic") or "") and ARGS[0].encode() in text
    observed = f"a body that begins {record.body[:8].hex()} and reads as {text[:60]!r}"
    world.require(requirement, holds, f"a body in the format {case['format']}", observed, record)


@check("CMP-007")
def test_zlib(world: World) -> None:
    """The scheme zlib is zlib's format under the label of gzip."""
    require_format(world, "CMP-007", "zlib")


@check("CMP-008")
def test_gzip(world: World) -> None:
    """The scheme gzip is zlib's format, not a gzip file."""
    require_format(world, "CMP-008", "gzip")


@check("CMP-009")
def test_bzip2(world: World) -> None:
    """The scheme bzip2 is bzip2's format."""
    require_format(world, "CMP-009", "bzip2")


@check("CMP-010")
def test_lzma(world: World) -> None:
    """The scheme lzma is the xz container, not the bare format."""
    require_format(world, "CMP-010", "lzma")


@check("CMP-011")
def test_brotli(world: World) -> None:
    """The scheme brotli is brotli's format."""
    require_format(world, "CMP-011", "brotli")


@check("CMP-012")
def test_zstd(world: World) -> None:
    """The scheme zstd is made of Zstandard frames."""
    require_format(world, "CMP-012", "zstd")


def schemes(world: World) -> list[str]:
    """Answer the schemes that the implementation has."""
    return [name for name in DECOMPRESSORS if world.has(f"compression:{name}")]


@check("CMP-013")
def test_compression_is_the_outermost_layer(world: World) -> None:
    """Every serializer under every scheme keeps its labels, and its body comes out whole."""
    serializers = [name for name in ("json", "yaml", "msgpack", "pickle") if world.has(f"serializer:{name}")]
    world.begin()
    for name in serializers:
        plain = world.published(world.call("celeriac.echo", ARGS, serializer=name))
        for scheme in schemes(world):
            about = f"serializer {name}, compression {scheme}"
            record = world.published(world.call("celeriac.echo", ARGS, serializer=name, compression=scheme))
            for kind in ("content_type", "content_encoding"):
                expected, seen = plain.properties.get(kind), record.properties.get(kind)
                judgement = oracles.equal(expected, seen, f"{about}: the {kind}", plain, record)
                world.judge("CMP-013", judgement)
            args = list(body_of(record)[0])
            world.judge("CMP-013", oracles.equal(list(ARGS), args, f"{about}: the arguments", record))


@check("CMP-014")
def test_worker_decompresses_by_the_header(world: World) -> None:
    """A worker reads every scheme without being told of it, whatever its own setting says."""
    names = schemes(world)
    world.begin(settings={"task_compression": names[0]} if names else {})
    world.worker()
    for case in vectors("codec-labels")["cases"]:
        if case["kind"] != "compression" or case["name"] not in names:
            continue
        message = (
            world.message()
            .with_body(base64.b64decode(case["sample"]))
            .with_headers(compression=case["header"])
        )
        world.inject(message)
        started = world.expect("started", task_id=message.task_id)
        read = f"the arguments read from {case['name']}"
        world.judge("CMP-014", oracles.equal([2, 2], list(started.args), read, started))


def _compress_brotli(data: bytes) -> bytes:
    import brotli

    return bytes(brotli.compress(data))


def _compress_zstd(data: bytes) -> bytes:
    import zstandard

    return bytes(zstandard.ZstdCompressor().compress(data))


#: The counterpart of ``DECOMPRESSORS``.
COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "gzip": zlib.compress,
    "bzip2": bz2.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_XZ),
    "brotli": _compress_brotli,
    "zstd": _compress_zstd,
}


@check("CMP-015")
def test_worker_reads_every_encoding_under_every_compression(world: World) -> None:
    """Every serializer under every scheme reaches the task with its arguments."""
    cases = [
        case
        for case in vectors("codec-labels")["cases"]
        if case["kind"] == "serializer"
        and (case["name"] == "json" or world.has(f"serializer:{case['name']}"))
    ]
    world.begin(settings={"accept_content": [case["name"] for case in cases]})
    world.worker()
    for case in cases:
        for scheme in schemes(world):
            body = COMPRESSORS[scheme](base64.b64decode(case["sample"]))
            labels = {name: case[name] for name in ("content_type", "content_encoding")}
            message = world.message().with_body(body, **labels)
            message = message.with_headers(compression=label_of("compression", scheme))
            world.inject(message)
            started = world.expect("started", task_id=message.task_id)
            read = f"the arguments read from {case['name']} under {scheme}"
            world.judge("CMP-015", oracles.equal([2, 2], list(started.args), read, started))


@check("CMP-016")
def test_registered_scheme_is_used(world: World) -> None:
    """The name of the probe compression leads to its body and its label."""
    world.begin()
    record = world.published(world.call("celeriac.echo", ARGS, compression=COMPRESSION.name))
    world.judge("CMP-016", oracles.equal(COMPRESSION.label, label(record), "the header", record))
    body = turn(record.body)
    holds = ARGS[0].encode() in body
    world.require("CMP-016", holds, "a body that reads backwards as the arguments", f"{body[:60]!r}", record)


@check("CMP-017")
def test_registered_scheme_is_read(world: World) -> None:
    """A message compressed by the probe compression reaches the task."""
    world.begin()
    world.worker()
    message = world.message()
    message = message.with_body(turn(message.body)).with_headers(compression=COMPRESSION.label)
    world.inject(message)
    started = world.expect("started", task_id=message.task_id)
    world.judge("CMP-017", oracles.equal([2, 2], list(started.args), "the arguments", started))
