"""What the worker of one implementation says, the caller of the other hears: values, failures, states."""

from __future__ import annotations

from typing import Any

import pytest

from celeriac.conformance.adapter import Ok, Raised

VALUES: list[Any] = [None, False, 0, "", "grüße ☃", 2**60, -0.5, [], [1, {"a": None}], {"key": ["x"]}]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_value_comes_back(crossing: Any, value: Any) -> None:
    """Whatever JSON can say is answered as it was returned, and the state is SUCCESS."""
    task_id = crossing.send("celeriac.echo", value)

    assert crossing.value(task_id) == [[value], {}]
    assert crossing.state(task_id) == "SUCCESS"


def test_results_are_not_mixed_up(crossing: Any) -> None:
    """Of several tasks under way each handle answers its own, in whatever order they are asked."""
    numbers = [crossing.mark() for _ in range(3)]
    task_ids = [crossing.send("celeriac.add", number, 1) for number in numbers]

    answers = [crossing.value(task_id) for task_id in reversed(task_ids)]

    assert answers == [number + 1 for number in reversed(numbers)]


def test_failure_is_raised_at_the_caller(crossing: Any) -> None:
    """A task's exception is raised where its result is awaited, with its class and its text."""
    task_id = crossing.send("celeriac.fail", "böse: 100%")

    assert crossing.get(task_id) == Raised("other", "ValueError", "böse: 100%", "maybe", None)
    assert crossing.state(task_id) == "FAILURE"


def test_failure_can_be_looked_at(crossing: Any) -> None:
    """A caller that does not propagate is given the exception instead."""
    task_id = crossing.send("celeriac.fail", "no")

    described = {"exc_type": "ValueError", "exc_message": "no"}
    assert crossing.get(task_id, propagate=False) == Ok({"value": described, "messages": []})


def test_wrong_arguments_fail_in_the_worker(crossing: Any) -> None:
    """Arguments that nobody checked before they were sent make the task fail with a TypeError."""
    task_id = crossing.send("celeriac.add", 1, mode="send_task")

    answer = crossing.get(task_id)
    assert isinstance(answer, Raised)
    assert answer.type == "TypeError"
    assert "y" in answer.text


def test_unknown_task_fails_as_unregistered(crossing: Any) -> None:
    """The caller of a task that the worker does not have is told so, in its own class."""
    task_id = crossing.send("celeriac.unheard_of", mode="send_task")

    answer = crossing.get(task_id)
    assert isinstance(answer, Raised)
    assert (answer.category, answer.type.rpartition(".")[2]) == ("unknown-task", "NotRegistered")
    assert "celeriac.unheard_of" in answer.text


def test_ignored_result_is_not_sent(crossing: Any) -> None:
    """A call that ignores its result is executed, is answered None at once, and leaves no state."""
    task_id = crossing.send("celeriac.add", 1, 2, ignore_result=True)

    assert crossing.get(task_id) == Ok({"value": None, "messages": []})
    assert crossing.wait("ended", task_id=task_id).data["value"] == 3
    crossing.settle()
    assert crossing.state(task_id) == "PENDING"


def test_failure_of_an_ignored_task(crossing: Any) -> None:
    """A call that ignores its result ignores its failure as well, except that Celery's worker stores it."""
    crossing.settle()

    task_id = crossing.send("celeriac.fail", "no", ignore_result=True)

    assert crossing.wait("ended", task_id=task_id).data["state"] == "FAILURE"
    crossing.settle()
    # Celery asks the task and the setting whether errors are ignored, not the message
    assert crossing.state(task_id) == ("FAILURE" if crossing.worker == "celery" else "PENDING")


def test_retried_task_answers_once(crossing: Any) -> None:
    """A task that asks to be retried runs again under its id, and its caller gets the last run's value."""
    task_id = crossing.send("celeriac.retry", 2)

    answer = crossing.get(task_id, on_message=True)

    assert isinstance(answer, Ok)
    assert answer.value["value"] == 2
    assert _statuses(answer, task_id) == ["RETRY", "RETRY", "SUCCESS"]
    crossing.wait("ended", task_id=task_id)
    attempts = [(event.kind, event.data["attempt"]) for event in crossing.about(task_id)]
    assert attempts == [
        ("started", 0),
        ("retried", 0),
        ("started", 1),
        ("retried", 1),
        ("started", 2),
        ("ended", 2),
    ]


def test_progress_is_seen_in_order(crossing: Any) -> None:
    """``on_message`` is called with each state that the task reports, in order, and with the last."""
    task_id = crossing.send("celeriac.progress", 3)

    answer = crossing.get(task_id, on_message=True)

    assert isinstance(answer, Ok)
    assert answer.value["value"] == "done"
    assert _statuses(answer, task_id) == ["PROGRESS", "PROGRESS", "PROGRESS", "SUCCESS"]
    assert [body["result"] for body in _bodies(answer, task_id)] == [
        {"progress": 0},
        {"progress": 1},
        {"progress": 2},
        "done",
    ]


def _bodies(answer: Ok, task_id: str) -> list[dict[str, Any]]:
    return [body for body in answer.value["messages"] if body["task_id"] == task_id]


def _statuses(answer: Ok, task_id: str) -> list[str]:
    return [body["status"] for body in _bodies(answer, task_id)]
