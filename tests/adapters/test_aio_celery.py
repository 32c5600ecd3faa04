"""The driver of aio-celery: what it passes on, and what it says that aio-celery does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celeriac.conformance.adapter import Adapter, Answer, Call, Ok, Raised, Scenario, Signature, Unsupported
from celeriac.conformance.claim import find_adapter

DEAD = "amqp://guest:guest@127.0.0.1:1//"


@pytest.fixture(scope="module")
def driver(make_adapter: Callable[[str], Adapter]) -> Iterator[Adapter]:
    """Answer the adapter in its environment."""
    adapter = make_adapter("aio-celery")
    yield adapter
    adapter.close()


def begin(driver: Adapter, **fields: Any) -> Answer:
    """Begin a scenario whose broker refuses connections."""
    return driver.begin(Scenario("s", DEAD, None, "q", **fields))


def test_version_is_the_one_of_the_claim(driver: Adapter) -> None:
    """The driver runs the version that the claim pins."""
    build = find_adapter("aio-celery").claim.build
    assert build is not None

    said = driver.hello()

    assert f"aio-celery=={said['version']}" in build.requirements
    assert (said["implementation"], said["missing"]) == ("aio-celery", {})


@pytest.mark.parametrize(
    ("fields", "feature"),
    [
        ({"settings": {"accept_content": ["json"]}}, "accept_content"),
        ({"task_attributes": {"celeriac.add": {"serializer": "yaml"}}}, "serializer"),
    ],
)
def test_what_it_does_not_have_is_named(driver: Adapter, fields: Any, feature: str) -> None:
    """A setting or an attribute that aio-celery lacks is answered by its name, which the claim denies."""
    answer = begin(driver, **fields)

    assert isinstance(answer, Unsupported)
    assert answer.feature == feature
    assert find_adapter("aio-celery").claim.denies(feature)


@pytest.mark.parametrize(
    ("call", "feature"),
    [
        (Call("celeriac.add", (2, 2), options={"eta": 1}), "eta"),
        (Call("celeriac.add", (2,), signature=Signature("celeriac.add", immutable=True)), "immutable"),
    ],
)
def test_option_that_it_does_not_have_is_named(driver: Adapter, call: Call, feature: str) -> None:
    """An option that aio-celery would drop in silence is answered by its name, which the claim denies."""
    begin(driver)

    answer = driver.call(call)

    assert isinstance(answer, Unsupported)
    assert answer.feature == feature
    assert find_adapter("aio-celery").claim.denies(feature)


def test_refused_connection_is_an_answer(driver: Adapter) -> None:
    """A broker that refuses connections is told in the harness's terms, also for an option that nobody knows."""
    begin(driver)

    answer = driver.call(Call("celeriac.add", (2, 2), options={"countdown": 1, "countdwon": 1}))

    assert isinstance(answer, Raised)
    assert answer.category == "connection"
    assert driver.end() == Ok()


def test_direct_call_needs_no_broker(driver: Adapter) -> None:
    """A task that is called directly is awaited in the driver."""
    begin(driver)

    assert driver.call(Call("celeriac.add", (2, 2), mode="direct")) == Ok({"value": 4})
