"""The drivers of node-celery and celery-java: what they pass on, and what they say that these clients do not have.

They are programs in other languages, so they are tested where somebody has built them: ``celeriac build NAME``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from celeriac.conformance.adapter import Adapter, Answer, Call, Ok, Raised, Scenario, Signature, Unsupported
from celeriac.conformance.claim import Claim, find_adapter
from celeriac.conformance.environments import is_made

DEAD = "amqp://guest:guest@127.0.0.1:1//"

NAMES = ("node-celery", "celery-java")

#: A moment with an offset.
MOMENT = datetime(2030, 1, 1, tzinfo=UTC)

#: Calls that one of them cannot make -> the feature that it lacks.
LACKING = [
    ("node-celery", Call("celeriac.add", (2, 2), options={"countdown": 1}), "countdown"),
    ("node-celery", Call("celeriac.add", (2, 2), options={"priority": 3}), "priority"),
    ("node-celery", Call("celeriac.add", (2, 2), options={"expires": 60}), "relative_expires"),
    ("node-celery", Call("celeriac.add", (Decimal("1.5"), 2)), "typed_json"),
    ("celery-java", Call("celeriac.add", (2, 2), options={"eta": MOMENT}), "eta"),
    ("celery-java", Call("celeriac.add", (2, 2), options={"task_id": "t"}), "task_id"),
    ("celery-java", Call("celeriac.add", (2,), {"y": 2}), "kwargs"),
    ("celery-java", Call("celeriac.add", "ab"), "args"),
    ("celery-java", Call("celeriac.add", ([{"x": b"x"}],)), "typed_json"),
    ("celery-java", Call("celeriac.add", (2, 2), signature=Signature("celeriac.add")), "signature"),
]

#: Settings that one of them does not have.
SETTINGS = [
    ("node-celery", {"timezone": "Europe/Athens"}),
    ("node-celery", {"task_serializer": "yaml"}),
    ("celery-java", {"broker_pool_limit": None}),
    ("celery-java", {"accept_content": ["yaml"]}),
]


@pytest.fixture(scope="module")
def drivers() -> Iterator[dict[str, Adapter]]:
    """Answer the drivers that run, by name."""
    running: dict[str, Adapter] = {}
    yield running
    for driver in running.values():
        driver.close()


@pytest.fixture
def driver(name: str, drivers: dict[str, Adapter]) -> Iterator[Adapter]:
    """Answer the driver of this name, in no scenario; a loud skip where it has not been built."""
    found = find_adapter(name)
    assert found.claim.build is not None
    if not is_made(found.claim.build):
        pytest.skip(f"NOT BUILT: `celeriac build {name}` builds it")
    if name not in drivers:
        drivers[name] = found.factory()
    yield drivers[name]
    drivers[name].end()


def begin(driver: Adapter, **fields: Any) -> Answer:
    """Begin a scenario whose broker refuses connections."""
    return driver.begin(Scenario("s", DEAD, None, "q", **fields))


def pinned(claim: Claim) -> str:
    """Answer the files of a claim that name versions."""
    assert claim.folder is not None
    places = (claim.folder / name for name in ("package.json", "pom.xml"))
    return "".join(place.read_text() for place in places if place.exists())


@pytest.mark.parametrize("name", NAMES)
def test_version_is_the_one_that_is_built(name: str, driver: Adapter) -> None:
    """A driver says the name and the version of what its build pins."""
    said = driver.hello()

    assert (said["implementation"], said["missing"]) == (name, {})
    assert said["version"] in pinned(find_adapter(name).claim)


@pytest.mark.parametrize(("name", "call", "feature"), LACKING)
def test_what_a_call_cannot_have_is_named(name: str, driver: Adapter, call: Call, feature: str) -> None:
    """What a client would drop or could not even write is answered by its name, which the claim denies."""
    begin(driver)

    answer = driver.call(call)

    assert isinstance(answer, Unsupported)
    assert answer.feature == feature
    assert find_adapter(name).claim.denies(feature)


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_setting_that_there_is_not_is_named(name: str, driver: Adapter, settings: dict[str, Any]) -> None:
    """A setting of another value than what a client does anyway is answered by its name, which the claim denies."""
    answer = begin(driver, settings=settings)

    assert isinstance(answer, Unsupported)
    assert [answer.feature] == list(settings)
    assert find_adapter(name).claim.denies(answer.feature)


@pytest.mark.parametrize("name", ["celery-java"])
def test_setting_that_says_what_is_done_anyway_is_accepted(driver: Adapter) -> None:
    """Who sends JSON and reads nothing else can be told so."""
    assert begin(driver, settings={"accept_content": ["json"], "task_serializer": "json"}) == Ok()


@pytest.mark.parametrize("name", NAMES)
def test_refused_connection_is_an_answer(name: str, driver: Adapter) -> None:
    """A broker that refuses connections is told in the harness's terms; a tuple of arguments is a list there."""
    begin(driver)

    answer = driver.call(Call("celeriac.add", (2, (2,))))

    assert isinstance(answer, Raised)
    assert (answer.category, answer.effect) == ("connection", "maybe")
    assert driver.end() == Ok()


@pytest.mark.parametrize("name", NAMES)
def test_result_of_somebody_elses_call_is_not_offered(name: str, driver: Adapter) -> None:
    """Both clients hand out results to whoever made the call, and their claims say so."""
    begin(driver)

    answer = driver.get_result("t", timeout=1)

    assert isinstance(answer, Unsupported)
    assert find_adapter(name).claim.denies(answer.feature)
