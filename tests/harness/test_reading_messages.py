"""What the harness reads out of messages, whichever version of the protocol they are of."""

from __future__ import annotations

from typing import Any

import pytest

from celeriac.conformance.decoding import body_of, decoded_body, task_of
from celeriac.conformance.history import Record
from celeriac.conformance.tap.messages import task_id_of

ONE = b'{"task": "t.add", "id": "t1", "args": [1], "kwargs": {"k": 2}, "callbacks": []}'


def published(body: bytes) -> Record:
    """Answer the record of a message without headers."""
    properties = {"content_type": "application/json", "content_encoding": "utf-8"}
    return Record(1, 0.0, "published", "tap", {"headers": {}, "properties": properties, "body": body})


@pytest.mark.parametrize(
    ("headers", "properties", "body", "expected"),
    [
        ({"id": "t2", "task": "t.add"}, {"correlation_id": "t3"}, ONE, "t2"),
        ({}, {"correlation_id": "t3"}, ONE, "t3"),
        ({}, {}, ONE, "t1"),
        ({"task": "t.add"}, {}, ONE, None),
        ({}, {}, b'{"id": "t1"}', None),
        ({}, {}, b'["task", "id"]', None),
        ({}, {}, b"", None),
        ({}, {}, b"\xff", None),
        ({}, {}, b"[" * 100_000, None),
    ],
)
def test_task_is_named_by_header_correlation_id_or_body(
    headers: dict[str, Any], properties: dict[str, Any], body: bytes, expected: str | None
) -> None:
    """The nearest of the three names the task; the body does in version 1 alone, and no body is too odd to look at."""
    assert task_id_of(headers, properties, body) == expected


def test_body_of_version_1_is_read_as_one_of_version_2() -> None:
    """A mapping is read into arguments, keywords and links; as it was on the wire it can be had, too."""
    links: dict[str, Any] = {"callbacks": [], "errbacks": None, "chain": None, "chord": None}

    assert body_of(published(ONE)) == [[1], {"k": 2}, links]
    assert decoded_body(published(ONE))["id"] == "t1"


def test_body_of_another_shape_stays_as_it_is() -> None:
    """What is no mapping is answered as it is, right or wrong."""
    assert body_of(published(b'[[1], {}, {"chain": null}]')) == [[1], {}, {"chain": None}]
    assert body_of(published(b"[1]")) == [1]


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [({"task": "t.sub"}, ONE, "t.sub"), ({}, ONE, "t.add"), ({}, b"[[], {}, {}]", None)],
)
def test_name_of_the_task_is_in_the_header_or_in_a_body_of_version_1(
    headers: dict[str, Any], body: bytes, expected: str | None
) -> None:
    """The header names the task; without it the body does, if it is of version 1."""
    record = published(body)

    assert task_of(Record(1, 0.0, "published", "tap", {**record.data, "headers": headers})) == expected
