"""Messages of version 1 of the protocol become messages of version 2."""

from __future__ import annotations

from typing import Any

import pytest

from celeriac.reference.worker.protocol1 import upgraded

OLD = {"task": "add", "id": "1", "args": [2, 2], "kwargs": {}}
NOTHING = {"callbacks": None, "errbacks": None, "chord": None}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"task": "add", "id": "1"}, [[2, 2], {}, {}]),
        ({"task": "add", "id": "1"}, {"arguments": [2, 2]}),
        ({}, {"args": [2, 2]}),
        ({}, "add"),
    ],
    ids=["version 2", "a mapping of something else", "no task anywhere", "a text"],
)
def test_what_is_not_of_version_1_stays_as_it_is(headers: dict[str, Any], body: Any) -> None:
    """A message of version 2, and one that makes no sense, are not touched."""
    assert upgraded(headers, body) == (headers, body)


def test_the_body_gives_headers_and_arguments() -> None:
    """Task, id and moments go to the headers, arguments and followers to the body."""
    headers, body = upgraded({}, {**OLD, "eta": "2001-01-01T00:00:00Z", "utc": True, "callbacks": []})
    assert headers == {"task": "add", "id": "1", "eta": "2001-01-01T00:00:00Z"}
    assert body == [[2, 2], {}, {**NOTHING, "callbacks": []}]


def test_what_is_left_out_is_empty() -> None:
    """Clients that leave out empty members mean empty ones."""
    assert upgraded({}, {"task": "add", "id": "1"})[1] == [[], {}, NOTHING]


def test_headers_count_where_there_are_any() -> None:
    """Under headers of version 2 the body adds what they do not say."""
    headers, _ = upgraded({"task": "add", "id": "2"}, {**OLD, "retries": 1})
    assert headers == {"task": "add", "id": "2", "retries": 1}


def test_a_task_set_is_a_group() -> None:
    """The oldest clients call a group a task set."""
    assert upgraded({}, {**OLD, "taskset": "7"})[0]["group"] == "7"
