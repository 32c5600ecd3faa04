"""What the worker of one implementation says, the caller of the other hears: values, failures, states."""

from __future__ import annotations

from typing import Any

import pytest

from celeriac.conformance.adapter import Ok, Raised, Signature

VALUES: list[Any] = [None, False, 0, "", "grüße ☃", 2**60, -0.5, [], [1, {"a": None}], {"key": ["x"]}]


@pytest.mark.feature("result")
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_value_comes_back(crossing: Any, value: Any) -> None:
    """Whatever JSON can say is answered as it was returned, and the state is SUCCESS."""
    task_id = crossing.send("celeriac.echo", value)

    assert crossing.value(task_id) == [[value], {}]
    assert crossing.state(task_id) == "SUCCESS"


@pytest.mark.feature("result")
def test_results_are_not_mixed_up(crossing: Any) -> None:
    """Of several tasks under way each handle answers its own, in whatever order they are asked."""
    numbers = [crossing.mark() for _ in range(2)]
    task_ids = [crossing.send("celeriac.add", number, 1) for number in numbers]

    answers = [crossing.value(task_id) for task_id in reversed(task_ids)]

    assert answers == [number + 1 for number in reversed(numbers)]


@pytest.mark.feature("result")
def test_failure_is_raised_at_the_caller(crossing: Any) -> None:
    """A task's exception is raised where its result is awaited, with its class and its text."""
    task_id = crossing.send("celeriac.fail", "böse: 100%")

    assert crossing.get(task_id) == Raised("other", "ValueError", "böse: 100%", "maybe", None)
    assert crossing.state(task_id) == "FAILURE"


@pytest.mark.feature("result")
def test_failure_can_be_looked_at(crossing: Any) -> None:
    """A caller that does not propagate is given the exception instead."""
    task_id = crossing.send("celeriac.fail", "no")

    described = {"exc_type": "ValueError", "exc_message": "no"}
    assert crossing.get(task_id, propagate=False) == Ok({"value": described, "messages": []})


@pytest.mark.feature("result")
def test_wrong_arguments_fail_in_the_worker(crossing: Any) -> None:
    """Arguments that nobody checked before they were sent make the task fail with a TypeError."""
    task_id = crossing.send("celeriac.add", 1, mode="send_task")

    answer = crossing.get(task_id)
    assert isinstance(answer, Raised)
    assert answer.type == "TypeError"
    assert "y" in answer.text


@pytest.mark.feature("result")
def test_unknown_task_fails_as_unregistered(crossing: Any) -> None:
    """The caller of a task that the worker does not have is told so, in its own class."""
    task_id = crossing.send("celeriac.unheard_of", mode="send_task")

    answer = crossing.get(task_id)
    assert isinstance(answer, Raised)
    assert (answer.category, answer.type.rpartition(".")[2]) == ("unknown-task", "NotRegistered")
    assert "celeriac.unheard_of" in answer.text


@pytest.mark.feature("ignore_result")
def test_ignored_result_is_not_sent(crossing: Any) -> None:
    """A call that ignores its result is executed, is answered None at once, and leaves no state."""
    task_id = crossing.send("celeriac.add", 1, 2, ignore_result=True)

    assert crossing.get(task_id) == Ok({"value": None, "messages": []})
    assert crossing.wait("ended", task_id=task_id).data["value"] == 3
    crossing.settle()
    assert crossing.state(task_id) == "PENDING"


@pytest.mark.feature("ignore_result")
def test_failure_of_an_ignored_task(crossing: Any) -> None:
    """A call that ignores its result ignores its failure as well."""
    crossing.settle()

    task_id = crossing.send("celeriac.fail", "no", ignore_result=True)

    assert crossing.wait("ended", task_id=task_id).data["state"] == "FAILURE"
    crossing.settle()
    seen = crossing.deviates("ignored-failure") and not crossing.deviates("unheard-state")
    assert crossing.state(task_id) == ("FAILURE" if seen else "PENDING")


@pytest.mark.feature("on_message")
def test_retried_task_answers_once(crossing: Any) -> None:
    """A task that asks to be retried runs again under its id, and its caller gets the last run's value."""
    _occupy(crossing)
    task_id = crossing.send("celeriac.retry", 2)

    answer = crossing.get(task_id, on_message=True)

    assert isinstance(answer, Ok)
    assert answer.value["value"] == 2
    _require_heard(crossing, _statuses(answer, task_id), ["RETRY", "RETRY", "SUCCESS"])
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


@pytest.mark.feature("on_message")
def test_progress_is_seen_in_order(crossing: Any) -> None:
    """``on_message`` is called with each state that the task reports, in order, and with the last."""
    _occupy(crossing)
    task_id = crossing.send("celeriac.progress", 3)

    answer = crossing.get(task_id, on_message=True)

    assert isinstance(answer, Ok)
    assert answer.value["value"] == "done"
    heard = [(body["status"], body["result"]) for body in _bodies(answer, task_id)]
    progress = [("PROGRESS", {"progress": step}) for step in range(3)]
    _require_heard(crossing, heard, [*progress, ("SUCCESS", "done")])


@pytest.mark.feature("group")
def test_group_answers_in_the_order_of_its_tasks(crossing: Any) -> None:
    """A group's value is the list of its tasks' values, in their order, and each task has a result of its own."""
    numbers = (2, 4, 8, 16)

    group, task_ids = crossing.compose("group", *(Signature("celeriac.add", (n, n)) for n in numbers))

    assert crossing.value(group) == [4, 8, 16, 32]
    assert [crossing.wait("ended", task_id=task_id).data["value"] for task_id in task_ids] == [4, 8, 16, 32]


@pytest.mark.feature("group")
def test_failure_in_a_group_is_raised(crossing: Any) -> None:
    """Whoever waits for a group hears of the member that failed."""
    members = [Signature("celeriac.add", (1, 1)), Signature("celeriac.fail", ("böse",))]

    group, _ = crossing.compose("group", *members)

    assert crossing.get(group) == Raised("other", "ValueError", "böse", "maybe", None)


@pytest.mark.feature("chain")
def test_chain_passes_results_on(crossing: Any) -> None:
    """Each task of a chain gets the result of the one before, and the caller the last one's."""
    mark = crossing.mark()
    tasks = [
        Signature("celeriac.add", (2, 2)),
        Signature("celeriac.add", (16,)),
        Signature("celeriac.add", (mark,)),
    ]

    chain, task_ids = crossing.compose("chain", *tasks)

    assert crossing.value(chain) == 20 + mark
    values = [crossing.wait("ended", task_id=task_id).data["value"] for task_id in task_ids]
    assert values == [4, 20, 20 + mark]


@pytest.mark.feature("chain")
def test_chain_ends_with_a_failure(crossing: Any) -> None:
    """After a task that fails nothing of its chain is executed."""
    mark = crossing.mark()

    _, task_ids = crossing.compose(
        "chain", Signature("celeriac.fail", ("no",)), Signature("celeriac.echo", (mark,))
    )

    assert crossing.wait("ended", task_id=task_ids[0]).data["state"] == "FAILURE"
    crossing.settle()
    assert crossing.about(task_ids[1]) == []


def _occupy(crossing: Any) -> None:
    """Give the worker something else to do first, so that a caller who waits does so from the beginning."""
    crossing.send("celeriac.sleep", 0.2, ignore_result=True)


def _require_heard(crossing: Any, heard: list[Any], expected: list[Any]) -> None:
    if crossing.deviates("late-listener"):
        assert heard == expected[len(expected) - len(heard) :]
    else:
        assert heard == expected


def _bodies(answer: Ok, task_id: str) -> list[dict[str, Any]]:
    return [body for body in answer.value["messages"] if body["task_id"] == task_id]


def _statuses(answer: Ok, task_id: str) -> list[str]:
    return [body["status"] for body in _bodies(answer, task_id)]
