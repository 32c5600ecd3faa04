"""``results.jsonl``: the source of every report of a run, line by line on disk while it goes on.

A header, a line for every stage that starts and for every check that ends, and a footer.  Where a check did not pass,
its line has everything that a reader needs: the records that the verdict rests on, what happened around them, the
command that repeats it.  The schema ``journal`` describes a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from celeriac.conformance.decoding import decoded_body
from celeriac.conformance.headline import Hints
from celeriac.conformance.history import Record
from celeriac.conformance.outcome import CheckResult, Outcome, RequirementResult, counts
from celeriac.conformance.wire_values import to_json

__all__ = ["MAX_HISTORY", "Journal", "conclusions", "entry", "record_of", "redacted"]

#: Most records of one scenario that a line keeps.
MAX_HISTORY = 80

#: A password in a URL; whatever comes before it stays readable.
PASSWORD = re.compile(r"(\b[a-zA-Z][\w+.-]*://[^\s:/@\"'\\]*:)[^\s/@\"'\\]+@")

#: Verdicts that need no explanation.
QUIET = frozenset({"pass", "not-applicable", "not-run"})


class Journal:
    """An open ``results.jsonl``: every line is on disk before the next check starts.

    Args:
        folder: the report folder, which exists.
        header: what was asked for.

    Raises:
        OSError: the file cannot be written to.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any]) -> None:
        self._file: IO[str] = (folder / "results.jsonl").open("w", encoding="utf-8")
        self._write("header", header)

    def stage(self, fields: Mapping[str, Any]) -> None:
        """Append what a stage that has started says of implementation, broker and clock."""
        self._write("stage", fields)

    def add(
        self,
        result: CheckResult,
        history: Iterable[Record] = (),
        slack: float | None = None,
        reproduce: Callable[[str, str], str] | None = None,
    ) -> None:
        """Append a check that has ended.

        Args:
            result: the check.
            history: its last scenario.
            slack: seconds by which stamps of different observers may disagree.
            reproduce: requirement and flavour of broker -> the command that checks it again.
        """
        self._write("check", entry(result, history, slack, reproduce))

    def close(self, footer: Mapping[str, Any]) -> None:
        """Append the footer and close the file; without it the run did not reach its end."""
        self._write("footer", footer)
        self._file.close()

    def _write(self, record: str, fields: Mapping[str, Any]) -> None:
        self._file.write(redacted(json.dumps({"record": record, **fields}, default=str)) + "\n")
        self._file.flush()


def entry(
    result: CheckResult,
    history: Iterable[Record] = (),
    slack: float | None = None,
    reproduce: Callable[[str, str], str] | None = None,
) -> dict[str, Any]:
    """Answer the line of a check that has ended; see ``Journal.add``."""
    fields: dict[str, Any] = {
        "id": result.id,
        "broker": result.flavour,
        "duration_s": round(result.duration_s, 6),
        "verdict": result.verdict,
        "notes": [{"name": name, "value": value} for name, value in result.notes],
        "requirements": {name: _outcome(outcome) for name, outcome in result.outcomes.items()},
    }
    loud = [name for name, outcome in result.outcomes.items() if outcome.verdict not in QUIET]
    if not loud:
        return fields
    judgements = [outcome.judgement for outcome in result.outcomes.values() if outcome.judgement]
    evidence = {record.seq for judgement in judgements for record in judgement.evidence}
    everything = list(history)
    fields["history"] = [record_of(record) for record in _around(everything, evidence)]
    fields["omitted"] = len(everything) - len(fields["history"])
    fields["slack_s"] = slack
    if reproduce is not None:
        fields["reproduce"] = {name: reproduce(name, result.flavour) for name in loud}
    return fields


def conclusions(results: Mapping[str, RequirementResult], hints: Hints) -> dict[str, Any]:
    """Answer what a footer says of every requirement, and of the run."""
    told = {
        name: {"verdict": result.verdict, "reason": result.reason, "issue": hints.issues.get(result.reason)}
        for name, result in results.items()
    }
    return {"problems": list(hints.problems), "counts": counts(results.values()), "requirements": told}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    fields: dict[str, Any] = {"verdict": outcome.verdict, "reason": outcome.reason}
    if outcome.detail:
        fields["detail"] = outcome.detail
    if outcome.judgement is not None:
        judgement = outcome.judgement
        fields |= {"expected": judgement.expected, "observed": judgement.observed}
        fields["evidence"] = [record_of(record) for record in judgement.evidence[:MAX_HISTORY]]
    return fields


def _around(history: list[Record], evidence: set[int]) -> list[Record]:
    """Answer the records nearest to the evidence, or else the last ones, in order."""
    if len(history) <= MAX_HISTORY:
        return history
    anchors = sorted(evidence) or [history[-1].seq]
    nearest = sorted(history, key=lambda record: min(abs(record.seq - seq) for seq in anchors))
    return sorted(nearest[:MAX_HISTORY], key=lambda record: record.seq)


def record_of(record: Record) -> dict[str, Any]:
    """Answer a record as JSON: typed values are tagged, and the body of a message is there decoded, too."""
    fields = {
        "seq": record.seq,
        "at": record.at,
        "kind": record.kind,
        "observer": record.observer,
        "data": to_json(dict(record.data), opaque=True),
    }
    if record.kind == "published":
        try:
            fields["decoded"] = to_json(decoded_body(record), opaque=True)
        except Exception as error:  # noqa: BLE001 - whatever a codec says of bytes that somebody else made
            fields["undecoded"] = f"{type(error).__name__}: {error}"
    return fields


def redacted(text: str) -> str:
    """Answer a text without the passwords of the URLs in it."""
    return PASSWORD.sub(r"\1***@", text)
