"""What a message carries arrives: arguments, encodings, headers, priorities."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

#: Values of every kind that JSON has.
PLAIN: list[Any] = [None, True, 0, -(2**40), 1.5, "", "grüße ☃", [1, [2]], {"key": {"deep": []}}]

#: Serializer -> a value that it carries and JSON does not.
RICH: dict[str, Any] = {
    "yaml": {1: datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)},
    "msgpack": b"\x00\xff",
    "pickle": ({1, 2}, b"\xff", {None: (1,)}),
}

SERIALIZERS = ("json", "yaml", "msgpack", "pickle")
COMPRESSIONS = ("zlib", "gzip", "bzip2", "lzma", "brotli", "zstd")


@pytest.mark.feature("args")
@pytest.mark.parametrize("mode", ["apply_async", "delay", "send_task", "signature"])
def test_arguments_cross(crossing: Any, mode: str) -> None:
    """Each form of the API delivers positional and named arguments, and the task's answer comes back."""
    task_id = crossing.send("celeriac.echo", 1, "two", kwargs={"three": [3], "vier": "für"}, mode=mode)

    assert crossing.value(task_id) == [[1, "two"], {"three": [3], "vier": "für"}]
    started = crossing.wait("started", task_id=task_id)
    assert (list(started.data["args"]), started.data["kwargs"]) == ([1, "two"], {"three": [3], "vier": "für"})
    assert started.data["attempt"] == 0


@pytest.mark.feature("serializer {serializer}")
@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_plain_values_cross_in_every_serializer(crossing: Any, serializer: str) -> None:
    """What JSON can say means the same in every serializer, there and back."""
    task_id = crossing.send("celeriac.echo", *PLAIN, kwargs={"name": PLAIN}, serializer=serializer)

    assert crossing.value(task_id) == [PLAIN, {"name": PLAIN}]


@pytest.mark.feature("serializer {serializer}")
@pytest.mark.parametrize("serializer", sorted(RICH))
def test_rich_values_cross_in_the_serializers_that_have_them(crossing: Any, serializer: str) -> None:
    """What JSON cannot say reaches the task as it was given, types included."""
    value = RICH[serializer]

    task_id = crossing.send("celeriac.echo", value, serializer=serializer, ignore_result=True)

    assert list(crossing.wait("started", task_id=task_id).data["args"]) == [value]
    assert crossing.wait("ended", task_id=task_id).data["state"] == "SUCCESS"


@pytest.mark.feature("compression {compression}")
@pytest.mark.parametrize("serializer", ["json", "msgpack"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_compressed_bodies_cross(crossing: Any, compression: str, serializer: str) -> None:
    """A compressed body is executed like a plain one, whether the serializer makes text or bytes."""
    text = "celeriac ☃ " * 1000

    task_id = crossing.send("celeriac.echo", text, compression=compression, serializer=serializer)

    assert crossing.value(task_id) == [[text], {}]


@pytest.mark.feature("priority")
@pytest.mark.parametrize("priority", [0, 4, 6, 9])
def test_priority_is_carried(crossing: Any, priority: int) -> None:
    """The task sees the priority that its caller gave it, whichever of Redis' lists the message went through."""
    context = crossing.value(crossing.send("celeriac.context", priority=priority))

    assert context["delivery_info"]["priority"] == priority


@pytest.mark.feature("args")
def test_metadata_crosses(crossing: Any) -> None:
    """The task sees its id, that it is nobody's child, its caller's headers, and where the answer goes."""
    task_id = crossing.send("celeriac.context", headers={"tenant": "a", "depth": 2})

    context = crossing.value(task_id)
    assert (context["id"], context["root_id"], context["correlation_id"]) == (task_id, task_id, task_id)
    assert (context["parent_id"], context["retries"]) == (None, 0)
    assert context["headers"] == {"tenant": "a", "depth": 2}
    assert context["delivery_info"]["routing_key"] == crossing.scenario.queue
    assert context["reply_to"]


@pytest.mark.feature("args")
def test_child_is_called(crossing: Any) -> None:
    """A task that a task calls is executed like any other, under the id that its parent was told."""
    parent = crossing.send("celeriac.child", 20, crossing.mark())

    child = crossing.value(parent)
    started = crossing.wait("started", task_id=child)
    assert started.data["worker"] == "w1"
    assert crossing.wait("ended", task_id=child).data["value"] == sum(started.data["args"])
