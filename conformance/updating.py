"""``celeriac expectations``: brings a file of known failures up to what finished runs have found."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from celeriac.conformance.claim import EXPECTATIONS, Claim, ClaimError, find_adapter
from celeriac.conformance.drafting import Report, draft
from celeriac.conformance.expectations import DRAFT, Conditions, Expectation, Expectations, read_expectations
from celeriac.conformance.expectations_text import Changes, LayoutError, apply
from celeriac.conformance.providers import LINKS
from celeriac.spec import load, validator

__all__ = ["UpdateError", "read_reports", "update"]


class UpdateError(ValueError):
    """Nothing can be concluded from these reports, or the file cannot be changed; the text is one line."""


def update(folders: Iterable[str], adapter: str | None, *, write: bool) -> tuple[list[str], bool]:
    """Answer what there is to say, as lines, and whether the file is up to date and nothing is left to do.

    Args:
        folders: of the reports.
        adapter: the value of ``--adapter``; None for the adapter that the reports name.
        write: whether to change the file; otherwise the lines are a diff.

    Raises:
        UpdateError: there is no report, or the file cannot be changed.
        ClaimError: there is no such adapter.
    """
    reports = read_reports(map(Path, folders))
    path = _file(reports, adapter)
    before, known = _present(path)
    changes, notes = draft(known, reports, _stale(known, reports))
    try:
        after = apply(changes, before) if changes else before
    except LayoutError as error:
        raise UpdateError(f"{path}: {error}") from None
    if write and changes:
        path.write_text(after, encoding="utf-8")
    lines = [_summary(path, changes)] if write or not changes else _diff(path, before, after)
    return [*lines, *dict.fromkeys(notes)], not notes and (write or not changes)


def read_reports(folders: Iterable[Path]) -> list[Report]:
    """Read the ``results.json`` of finished runs; one on all brokers is a report for each.

    Raises:
        UpdateError: there is none, or it is of another make.
    """
    return [report for folder in folders for report in _reports(folder)]


def _reports(folder: Path) -> Iterator[Report]:
    document = _document(folder / "results.json")
    if document["broker"]["flavour"] != "all":
        yield _report(document)
        return
    for flavour in LINKS:
        if (folder / flavour / "results.json").is_file():
            yield _report(_document(folder / flavour / "results.json"))


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise UpdateError(
            f"{path.parent} holds no report of a finished run: `celeriac run` first, or name it by --report"
        ) from None
    except ValueError as error:
        raise UpdateError(f"{path} is no report: {error}") from None
    problem = next(iter(validator("report").iter_errors(document)), None)
    if problem is not None:
        raise UpdateError(f"{path} is no report of this version: {problem.message[:200]}")
    return dict(document)


def _report(document: Mapping[str, Any]) -> Report:
    flavour = document["broker"]["flavour"]
    version, adapter = document["implementation"]["version"], document["adapter"]["name"]
    checks = [
        (name, check["id"], check["verdict"], check["reason"])
        for name, requirement in document["requirements"].items()
        for check in requirement["checks"]
    ]
    return Report(Conditions(flavour, LINKS[flavour], document["clock"], version, adapter), checks)


def _present(path: Path) -> tuple[str, Expectations]:
    if not path.is_file():
        return "", Expectations()
    known = read_expectations(path, date.min)  # what has expired is known, and its author's business
    if known.problems:
        raise UpdateError(f"{known.problems[0]}; mend the file first")
    return path.read_text(encoding="utf-8"), known


def _file(reports: Sequence[Report], adapter: str | None) -> Path:
    """Answer the one file that these reports belong to."""
    own = None if adapter is None else find_adapter(adapter).claim
    names = {report.conditions.adapter for report in reports}
    claims = {name: own if own and own.name == name else _claim(name) for name in names}
    folders = {claim.folder for claim in claims.values() if claim.folder}
    if own is not None and own.folder not in folders:
        raise UpdateError(f"the reports are of {', '.join(sorted(names))}, not of {own.name}")
    if len(folders) != 1:
        raise UpdateError(f"the reports are of adapters in several folders: {', '.join(sorted(names))}")
    return folders.pop() / EXPECTATIONS


def _claim(name: str) -> Claim:
    try:
        return find_adapter(name).claim
    except ClaimError:
        raise UpdateError(f"the reports are of {name!r}: say where it is by --adapter=PATH") from None


def _stale(known: Expectations, reports: Iterable[Report]) -> set[str]:
    """Answer the targets that name nothing: neither in these reports nor among the checks that there are."""
    checks = {check for report in reports for _, check, _, _ in report.checks}
    source = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    found = {check.rsplit("/", 1)[-1] for check in checks}

    def is_there(entry: Expectation) -> bool:
        if not entry.by_check:
            return entry.target in load().requirements
        function = entry.target.rpartition("::")[2].partition("[")[0]
        return entry.target.rsplit("/", 1)[-1] in found or f"def {function}(" in source

    return {entry.target for entry in known.entries if not is_there(entry)}


def _summary(path: Path, changes: Changes) -> str:
    numbers = {
        "added": len(changes.added),
        "removed": len(changes.removed),
        "narrowed": len(changes.narrowed),
    }
    told = ", ".join(f"{number} {what}" for what, number in numbers.items() if number)
    drafts = f"; replace each {DRAFT.strip()} by the reason in words of your own" if changes.added else ""
    return f"{path}: {told or 'nothing to change'}{drafts}"


def _diff(path: Path, before: str, after: str) -> list[str]:
    name = str(path)
    return list(
        difflib.unified_diff(before.splitlines(), after.splitlines(), name, f"{name} (new)", lineterm="")
    )
