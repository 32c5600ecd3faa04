"""A claim is found, read strictly, and asked what it promises."""

from __future__ import annotations

from datetime import date
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance import claim as claims
from celeriac.conformance import cli
from celeriac.conformance.claim import ClaimError, bundled, find_adapter, load_claim
from celeriac.conformance.expectations import read_expectations


def test_bundled_adapters_are_usable() -> None:
    """Every adapter that comes with Celeriac has a valid claim, a class and readable expectations."""
    assert "celery" in bundled()
    for name in bundled():
        candidate = find_adapter(name)
        assert candidate.claim.name == name
        assert callable(candidate.factory)
        assert not read_expectations(candidate.expectations, date.min).problems


def test_path_and_folder(suite: Any) -> None:
    """An adapter is found by the path of its claim or of the folder, and needs no expectations."""
    for spelling in (str(suite.adapter), str(suite.folder)):
        candidate = find_adapter(spelling)
        assert candidate.claim.folder == suite.folder.resolve()
        assert candidate.expectations is None
        assert candidate.factory().hello()["version"] == "1.2.3"


@pytest.mark.parametrize("by_file", [True, False])
def test_class_inherits_the_claim_of_its_base(suite: Any, tmp_path_factory: Any, by_file: bool) -> None:
    """A class elsewhere is judged by the claim beside the module of its base class."""
    folder = tmp_path_factory.mktemp("variant")
    name = f"variant_of_{suite.module}"
    (folder / f"{name}.py").write_text(f"from {suite.module} import Scripted\nclass Wrong(Scripted): pass\n")
    if not by_file:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            candidate = find_adapter(f"{name}:Wrong")
    else:
        candidate = find_adapter(f"{folder / name}.py:Wrong")
    assert candidate.claim.name == "scripted"
    assert type(candidate.factory()).__name__ == "Wrong"


def test_command(suite: Any) -> None:
    """A claim may name a command that speaks the process protocol; nothing starts before it is asked."""
    suite.claim(f'class = "{suite.module}:Scripted"', 'command = ["driver", "--fast"]')
    assert find_adapter(str(suite.adapter)).claim.driver == {"command": ["driver", "--fast"]}


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            'roles = ["producer", "worker", "local-caller"]',
            'roles = ["boss"]',
            "roles.0: 'boss' is not one of",
        ),
        ('name = "scripted"', "", "'name' is a required property"),
        ("link = true", 'link = "yes"', "features.link: 'yes' is not of type 'boolean'"),
        ("[driver]", "[drivers]", "'driver' is a required property"),
        ("[features]", "[features", "adapter claim"),
    ],
)
def test_malformed_claims(suite: Any, old: str, new: str, line: str) -> None:
    """What is wrong with a claim is said in one line with its place."""
    suite.claim(old, new)
    with pytest.raises(ClaimError) as caught:
        load_claim(suite.adapter)
    assert line in str(caught.value)
    assert str(suite.adapter) in str(caught.value)


def test_class_without_a_claim(tmp_path: Path) -> None:
    """A class with no adapter.toml anywhere says where one is expected."""
    path = tmp_path / "lonely.py"
    path.write_text("from celeriac.conformance.adapter import Adapter\nclass Lonely(Adapter): pass\n")
    with pytest.raises(ClaimError, match=r"there is no adapter\.toml beside its module"):
        find_adapter(f"{path}:Lonely")


@pytest.mark.parametrize(
    ("feature", "promised"),
    [
        ("serializer:yaml", True),
        ("serializer:msgpack", False),
        ("serializers", True),
        ("compression:gzip", False),
        ("results", False),
        ("results:rpc", False),
        ("producer", True),
        ("result-consumer", False),
        ("delay", True),
        ("direct", False),
        ("link", True),
        ("retry_errors", False),
        ("chords", False),
    ],
)
def test_promises(suite: Any, feature: str, promised: bool) -> None:
    """A feature is promised by a list, a boolean, a role or a mode of the claim."""
    assert load_claim(suite.adapter).claims(feature) is promised


@pytest.mark.parametrize("value", ["{module}:Scripted", "{module}"])
def test_installed_adapter_is_found_by_its_name(
    suite: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], value: str
) -> None:
    """A distribution makes its adapter known by an entry point, a class or a module beside a claim; it is listed."""
    value = value.format(module=suite.module)
    point = EntryPoint("shop-client", value, claims.ENTRY_POINTS)
    monkeypatch.setattr(claims, "entry_points", lambda group: [point] if group == claims.ENTRY_POINTS else [])
    monkeypatch.syspath_prepend(str(suite.folder))

    candidate = find_adapter("shop-client")

    assert (candidate.spelling, candidate.claim.folder) == ("shop-client", suite.folder.resolve())
    assert candidate.factory().hello()["version"] == "1.2.3"
    assert cli.main(["adapters"]) == 0
    listed = [line.split(maxsplit=1) for line in capfd.readouterr().out.splitlines()]
    assert next(what for name, what in listed if name == "shop-client").startswith(
        "A scripted implementation: producer"
    )


def test_installed_adapter_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point that leads nowhere is refused in one line that names it, and so is a name near to it."""
    point = EntryPoint("shop-client", "celeriac_no_such_module", claims.ENTRY_POINTS)
    monkeypatch.setattr(claims, "entry_points", lambda group: [point])

    with pytest.raises(
        ClaimError, match="entry point shop-client: celeriac_no_such_module cannot be imported"
    ):
        find_adapter("shop-client")
    with pytest.raises(ClaimError, match="did you mean shop-client"):
        find_adapter("shopclient")
