"""report.html is made from results.jsonl alone, is sound HTML, and trusts nothing that it shows."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import html5lib
import pytest

from celeriac.conformance.cli import main
from celeriac.conformance.journal import redacted
from celeriac.conformance.page import HERE, MAX_BYTES, PARTIAL, page, write_page
from celeriac.conformance.reading import Old, ReadingError, outcomes, read
from celeriac.spec import load, validator

EVIL = "</script></style><img src=x onerror=alert(1)>\x00\ud800 amqp://guest:s3cret@host//"
HEADER = {
    "record": "header",
    "suite": {"version": "0"},
    "spec": {"version": "1"},
    "adapter": {"name": EVIL, "title": EVIL},
    "brokers": ["embedded"],
    "started": "2030-01-01T00:00:00+00:00",
    "checks": 2,
}
RECORD = {
    "seq": 1,
    "at": 1.0,
    "kind": "published",
    "observer": "tap",
    "data": {"task_id": EVIL, "headers": {EVIL: EVIL}, "body": {"$": "bytes", "v": "PGI+"}},
    "decoded": EVIL,
}


PASSED = {"verdict": "pass", "reason": ""}

#: Colours in which the page writes.
TEXTS = ("fg", "dim", "link", "bad", "warn", "good")


def check_line(requirement: str = "ETA-004", verdict: str = "fail", records: int = 1) -> dict[str, Any]:
    """Answer the line of a check that did not pass."""
    rows = [{**RECORD, "seq": number, "at": 2.0**number} for number in range(records)]
    outcome = {"verdict": verdict, "reason": EVIL, "expected": EVIL, "observed": f"{EVIL}!", "detail": EVIL}
    return {
        "record": "check",
        "id": f"test_{requirement}.py::test_it[{EVIL}]",
        "broker": "embedded",
        "duration_s": 0.1,
        "verdict": verdict,
        "notes": [{"name": EVIL, "value": EVIL}],
        "requirements": {requirement: {**outcome, "evidence": rows}},
        "history": rows,
        "omitted": 0,
        "slack_s": 0.5,
        "reproduce": {requirement: EVIL},
    }


def journal(folder: Path, *lines: Any, rest: str = "", header: Mapping[str, Any] | None = None) -> Path:
    """Write a journal and answer its folder."""
    text = "".join(json.dumps(line) + "\n" for line in ({**HEADER, **(header or {})}, *lines))
    (folder / "results.jsonl").write_text(text + rest)
    return folder


def parsed(text: str) -> Any:
    """Answer the tree of a page that a strict parser has nothing to say of."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    return parser.parse(text)


def assert_sound(text: str) -> Any:
    """Check that ids are unique and every link leads somewhere, and answer the tree."""
    tree = parsed(text)
    ids = [each.get("id") for each in tree.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    targets = [str(each.get("href")) for each in tree.iter("a")]
    assert {target[1:] for target in targets if target.startswith("#")} <= set(ids)
    assert all(target.startswith(("#", "https://github.com/")) for target in targets)
    assert {str(each.get("href"))[1:] for each in tree.iter("use")} <= set(ids)
    assert set(load().requirements) <= set(ids)
    return tree


def test_a_real_run(failing: Path) -> None:
    """A run's page is sound, small, and loads nothing; every line of its journal obeys the schema."""
    for line in (failing / "results.jsonl").read_text().splitlines():
        validator("journal").validate(json.loads(line))
    text = (failing / "report.html").read_text()
    tree = assert_sound(text)
    assert len(text.encode()) < MAX_BYTES
    assert not [each for each in tree.iter() if each.get("src") or each.tag == "link"]
    headings = [int(each.tag[1]) for each in tree.iter() if re.fullmatch("h[1-6]", str(each.tag))]
    assert headings[0] == 1
    assert headings.count(1) == 1


def test_a_failure_has_its_evidence(failing: Path) -> None:
    """The line of a failed check has its evidence as records, the history around it and the command."""
    lines = [json.loads(line) for line in (failing / "results.jsonl").read_text().splitlines()]
    failed = next(line for line in lines if line.get("verdict") == "fail")
    (outcome,) = failed["requirements"].values()
    assert [row["kind"] for row in outcome["evidence"]] == ["started", "started"]
    assert {row["seq"] for row in outcome["evidence"]} <= {row["seq"] for row in failed["history"]}
    assert failed["reproduce"]["TIM-007"].endswith("--requirement=TIM-007")
    assert failed["slack_s"] == 0
    results = [row for row in failed["history"] if row["kind"] == "published"]
    assert results[0]["decoded"]["status"] == "SUCCESS"


def test_nothing_an_implementation_says_becomes_markup(tmp_path: Path) -> None:
    """Names, errors, bodies and headers with markup are shown as text, without a password in any address."""
    folder = journal(tmp_path, check_line(), check_line("BAS-001", "error"))
    write_page(folder, read(folder))
    text = (tmp_path / "report.html").read_text()
    tree = assert_sound(text)
    assert not list(tree.iter("img"))
    assert [each.tag for each in tree.iter() if str(each.tag).lower() in {"script", "style"}] == [
        "style",
        "script",
    ]
    assert "s3cret" not in text
    assert "amqp://guest:***@host" in text
    policy = next(each for each in tree.iter("meta") if each.get("http-equiv") == "Content-Security-Policy")
    assert policy.get("content").startswith("default-src 'none'; style-src 'sha256-")


def test_passwords_are_redacted() -> None:
    """The password of a URL is gone from a line, whatever stands around it."""
    assert redacted('"redis://:pw@h:1/0 and amqp://a:b@c"') == '"redis://:***@h:1/0 and amqp://a:***@c"'
    assert redacted("at 12:30, me@here.example, http://h:80/x") == "at 12:30, me@here.example, http://h:80/x"


def test_the_size_is_bounded(tmp_path: Path) -> None:
    """However much fails, the page stays below its limit: timelines go before verdicts do."""
    lines = [
        {**check_line(name, records=20), "id": f"test_chapter.py::{name}"} for name in load().requirements
    ]
    text = page(read(journal(tmp_path, *lines)), load())
    assert len(text.encode()) < MAX_BYTES
    assert "results.jsonl has more" in text
    assert_sound(text)


def test_the_room_is_shared_out(tmp_path: Path) -> None:
    """Each of forty failures with long histories has its timeline before any has raw bodies."""
    names = list(load().requirements)[:40]
    body = {"$": "bytes", "v": base64.b64encode(b"x" * 900).decode()}
    lines = [{**check_line(name, records=8), "id": f"test_chapter.py::{name}"} for name in names]
    for line in lines:
        line["history"] = [{**row, "data": {"task": "add", "body": body}} for row in line["history"]]
        outcome = line["requirements"][next(iter(line["requirements"]))]
        outcome["evidence"] = line["history"]
    text = page(read(journal(tmp_path, *lines)), load())
    assert text.count('class="tl"') == 40
    assert 0 < text.count("<summary>evidence") <= 40
    assert text.count("<summary>raw body") < 40 * 8
    assert len(text.encode()) < MAX_BYTES
    assert_sound(text)


def test_what_is_cut_says_so(tmp_path: Path) -> None:
    """A text that is too long is cut with words that say how much is shown; a short one has none of them."""
    line = check_line()
    assert "characters; results.jsonl has all]" not in page(read(journal(tmp_path, line)), load())
    outcome = line["requirements"]["ETA-004"]
    outcome |= {"expected": "e" * 1001, "detail": "d" * 3000, "observed": "o" * 1000}
    text = page(read(journal(tmp_path, line)), load())
    assert "[first 1000 of 1001 characters; results.jsonl has all]" in text
    assert "[last 1000 of 3000 characters; results.jsonl has all]" in text
    assert text.count("characters; results.jsonl has all]") == 2


def test_a_run_of_passes(tmp_path: Path) -> None:
    """Where everything holds the page has a line for each requirement, and no heading of anything wrong."""
    lines = [
        {**check_line(name, "pass"), "id": f"test_chapter.py::{name}", "requirements": {name: PASSED}}
        for name in load().requirements
    ]
    text = page(read(journal(tmp_path, *lines)), load())
    tree = assert_sound(text)
    assert [each.get("id") for each in tree.iter("h2")] == ["profiles", "all"]
    assert {each.get("data-t").split()[0] for each in tree.iter() if each.get("data-t")} == {"pass"}
    assert "success, all" in text
    assert not [each for each in tree.iter() if each.get("class") == "f"]


def test_the_claim(tmp_path: Path) -> None:
    """What the claim offers and what it denies can be read in the page of its run."""
    claim = {
        "roles": ["worker"],
        "links": ["redis"],
        "clocks": ["wall"],
        "modes": [],
        "features": {"serializers": ["json", "yaml"], "link": True, "chord": False},
    }
    told = "".join(parsed(page(read(journal(tmp_path, header={"claim": claim})), load())).itertext())
    for words in ("rolesworker", "modesnone", "serializersjson, yaml", "featureslink", "deniedchord"):
        assert words in told


def test_colours_can_be_read() -> None:
    """Every colour of text has a contrast of 4.5 to 1 with every ground it stands on, in light and in dark."""
    style = (HERE / "page.css").read_text()
    roots = re.findall(r":root\{(.*?)\}", style)
    assert len(roots) == 2
    assert not re.findall(r"#[0-9a-f]{3,8}\b|\brgba?\(", re.sub(r":root\{.*?\}", "", style))
    for root in roots:
        of = dict(re.findall(r"--(\w+):(#\w+)", root))
        pairs = [(text, ground) for text in TEXTS for ground in ("bg", "soft")]
        pairs += [("fg", "mark"), ("fg", "ev"), ("dim", "ev")]
        poor = [pair for pair in pairs if contrast(of[pair[0]], of[pair[1]]) < 4.5]
        assert poor == []


def contrast(one: str, other: str) -> float:
    """Answer the contrast of two colours as the accessibility guidelines of the web count it, 1 to 21."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Answer the relative luminance of a colour, #rgb or #rrggbb."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_a_run_that_was_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a footer and with a torn last line there is still a page, which says what is missing."""
    folder = journal(tmp_path, check_line(), rest='{"record": "che')
    assert main(["report", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(folder / "report.html")
    assert err.strip() == "This run did not come to its end: 1 of 2 checks have ended. Its last line is torn."
    assert err.strip() in (folder / "report.html").read_text()


def test_a_run_of_nothing(tmp_path: Path) -> None:
    """A run that ended before its first check has a page, too."""
    text = page(read(journal(tmp_path)), load())
    assert "0 of 2 checks have ended" in text
    assert_sound(text)
    assert PARTIAL in text


@pytest.mark.parametrize("text", ["", "[]", '{"record": "footer"}\n', '{"record": "x"}\n{}\n'])
def test_what_is_no_journal(tmp_path: Path, text: str) -> None:
    """A file that is no journal is refused in words."""
    (tmp_path / "results.jsonl").write_text(text)
    with pytest.raises(ReadingError, match=r"results\.jsonl"):
        read(tmp_path)


def test_a_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    """A journal whose lines are not those of today is refused in words, and not half understood."""
    path = journal(tmp_path) / "results.jsonl"
    path.write_text(f'{path.read_text()}{{"record": "footer", "complete": true}}\n')
    with pytest.raises(ReadingError, match="another version of the suite"):
        read(path)


def test_two_runs_are_compared(tmp_path: Path) -> None:
    """A page says which failures are new, which are fixed and which stay, beside an older report."""
    lines = (check_line(), check_line("BAS-001"), check_line("BAS-002", "pass"), check_line("BAS-005"))
    reading = read(journal(tmp_path, *lines))
    old = Old(
        {"BAS-001": "fail", "BAS-002": "error", "ETA-004": "pass", "BAS-003": "fail", "BAS-004": "pass"},
        {"gone": frozenset(["BAS-001"]), "not chosen": frozenset(["BAS-003"])},
        "2029-01-01T00:00",
    )
    told = " ".join("".join(parsed(page(reading, load(), old)).find(".//main").itertext()).split())
    assert "Since the report of 2029-01-01 00:00" in told
    assert "new failures: 1 ETA-004" in told
    assert "fixed: 1 BAS-002" in told
    assert "still failing: 1 BAS-001" in told
    assert "failing, not judged then: 1 BAS-005" in told
    assert "new checks: 4" in told
    assert "2 that were judged then, not run this time" in told
    assert "checks that are gone: 1gone" in told
    assert "not chosen" not in told
    assert "no longer judged" not in told


def test_old_reports_of_every_form(failing: Path) -> None:
    """A folder, its journal and its results.json tell the same of an older run."""
    forms = (failing, failing / "results.jsonl", failing / "results.json")
    first, *others = [outcomes(form) for form in forms]
    assert first.verdicts["TIM-007"] == "fail"
    assert all(other.verdicts == first.verdicts and other.checks == first.checks for other in others)


def test_an_issue_is_a_link(tmp_path: Path) -> None:
    """The thread of a known failure is a link; an address of any other kind is text."""
    told = {"verdict": "known-failure", "reason": "a bug"}
    footer = {
        "record": "footer",
        "complete": True,
        "exit_status": 0,
        "problems": ["an entry names nothing"],
        "duration_s": 1.0,
        "counts": {},
        "requirements": {
            "ETA-004": {**told, "issue": "celery/celery#7"},
            "BAS-001": {**told, "issue": "javascript:alert(1)"},
        },
    }
    validator("journal").validate(footer)
    lines = (check_line(verdict="known-failure"), check_line("BAS-001", "known-failure"), footer)
    text = page(read(journal(tmp_path, *lines)), load())
    assert 'href="https://github.com/celery/celery/issues/7"' in text
    assert "an entry names nothing" in text
    assert_sound(text)
