"""What follows a task: callbacks and errbacks that one implementation wrote and the other follows."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from celeriac.conformance.adapter import Ok, Raised, Signature


@pytest.mark.feature("link")
def test_callback_gets_the_result(crossing: Any) -> None:
    """The parent's result comes before the callback's own arguments; the parent's caller is not concerned."""
    mark = crossing.mark()

    parent = crossing.send("celeriac.add", mark, 2, link=Signature("celeriac.echo", ("own",), {"key": mark}))

    assert crossing.value(parent) == mark + 2
    ended = crossing.wait("ended", task="celeriac.echo", value=[[mark + 2, "own"], {"key": mark}])
    assert (ended.data["worker"], ended.data["task_id"] != parent) == ("w1", True)


@pytest.mark.feature("link")
def test_callbacks_are_all_called(crossing: Any) -> None:
    """Each of several callbacks gets the result."""
    mark = crossing.mark()

    crossing.send("celeriac.add", mark, 0, link=[Signature("celeriac.add", (n,)) for n in (1, 2, 3)])

    for n in (1, 2, 3):
        crossing.wait("ended", task="celeriac.add", value=mark + n)


@pytest.mark.feature("link")
def test_nested_callback_is_called(crossing: Any) -> None:
    """A callback can have a callback of its own."""
    mark = crossing.mark()
    inner = Signature("celeriac.add", (2,))

    crossing.send("celeriac.add", mark, 0, link=Signature("celeriac.add", (1,), options={"link": inner}))

    crossing.wait("ended", task="celeriac.add", value=mark + 3)


@pytest.mark.feature("link")
def test_immutable_callback_is_called_as_it_is(crossing: Any) -> None:
    """An immutable callback gets no result, but has its own id and knows which task it follows."""
    own = str(uuid.uuid4())
    callback = Signature("celeriac.context", options={"task_id": own}, immutable=True)

    parent = crossing.send("celeriac.add", 1, 2, link=callback)

    context = crossing.wait("ended", task_id=own).data["value"]
    assert (context["parent_id"], context["root_id"]) == (parent, parent)


@pytest.mark.feature("link")
def test_callback_keeps_its_countdown(crossing: Any) -> None:
    """The callback's own options hold for the callback alone."""
    mark = crossing.mark()
    callback = Signature("celeriac.add", (1,), options={"countdown": 0.3})

    parent = crossing.send("celeriac.add", mark, 0, link=callback)

    ended = crossing.wait("ended", task="celeriac.add", value=mark + 1)
    assert ended.at >= crossing.wait("ended", task_id=parent).at + 0.3


@pytest.mark.feature("link")
def test_failure_has_no_callback(crossing: Any) -> None:
    """A callback of a task that fails is not called."""
    mark = crossing.mark()

    failed = crossing.send("celeriac.fail", "no", link=Signature("celeriac.echo", (mark,), immutable=True))

    assert isinstance(crossing.get(failed), Raised)
    crossing.settle()
    assert not [
        event for event in crossing.heard("started", task="celeriac.echo") if mark in event.data["args"]
    ]


@pytest.mark.feature("link_error")
def test_errback_with_three_parameters_is_called(crossing: Any) -> None:
    """An errback that takes request, exception and traceback is called by the worker itself, with all three."""
    failed = crossing.send("celeriac.fail", "no", link_error=Signature("celeriac.handler"))

    told = crossing.wait("errback", task_id=failed).data
    assert (told["exc_type"], told["exc_message"], told["has_traceback"]) == ("ValueError", "no", True)
    assert told["worker"] == "w1"


@pytest.mark.feature("link_error")
def test_other_errback_is_sent(crossing: Any) -> None:
    """A bound errback is sent as a task of its own, with the id of the failed task before its own arguments."""
    mark = crossing.mark()

    failed = crossing.send("celeriac.fail", "no", link_error=[Signature("celeriac.echo", (mark,))])

    crossing.wait("ended", task="celeriac.echo", value=[[failed, mark], {}])


@pytest.mark.feature("link_error")
def test_sent_errback_knows_what_failed(crossing: Any) -> None:
    """An errback that is sent is a child of the failed task."""
    own = str(uuid.uuid4())
    errback = Signature("celeriac.context", options={"task_id": own}, immutable=True)

    failed = crossing.send("celeriac.fail", "no", link_error=errback)

    context = crossing.wait("ended", task_id=own).data["value"]
    assert (context["parent_id"], context["root_id"]) == (failed, failed)


@pytest.mark.feature("link_error")
def test_success_has_no_errback(crossing: Any) -> None:
    """An errback of a task that succeeds is not called."""
    fine = crossing.send("celeriac.add", 1, 2, link_error=Signature("celeriac.handler"))

    assert crossing.value(fine) == 3
    crossing.settle()
    assert crossing.heard("errback", task_id=fine) == []


@pytest.mark.feature("{option}")
@pytest.mark.parametrize("option", ["link", "link_error"])
@pytest.mark.parametrize("serializer", ["json", "msgpack", "pickle", "yaml"])
def test_links_cross_in_every_serializer(crossing: Any, serializer: str, option: str) -> None:
    """Links travel in the body, so that every serializer carries them."""
    mark = crossing.mark()
    link = Signature("celeriac.echo", (mark,), immutable=True)
    task, argument = {"link": ("celeriac.sleep", 0), "link_error": ("celeriac.fail", "no")}[option]

    answer = crossing.call(task, argument, serializer=serializer, **{option: link})

    if serializer == "yaml" and crossing.deviates("link-in-yaml"):
        assert isinstance(answer, Raised)
        assert (answer.category, answer.type) == ("encode", "kombu.exceptions.EncodeError")
        assert "cannot represent" in answer.text
    else:
        assert isinstance(answer, Ok)
        crossing.wait("ended", task="celeriac.echo", value=[[mark], {}])


@pytest.mark.feature("link")
def test_result_of_a_callback_can_be_read(crossing: Any) -> None:
    """The caller of the parent can read what a callback returned."""
    mark = crossing.mark()
    crossing.send("celeriac.add", mark, 0, link=Signature("celeriac.add", (1,)))
    callback = crossing.wait("ended", task="celeriac.add", value=mark + 1).data["task_id"]

    if crossing.deviates("reply-to-worker"):
        crossing.settle()
        assert crossing.state(callback) == "PENDING"
    else:
        assert crossing.value(callback) == mark + 1
