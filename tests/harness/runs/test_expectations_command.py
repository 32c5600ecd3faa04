"""``celeriac expectations`` brings a file of known failures up to date, and leaves the rest of it alone."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance.cli import main
from celeriac.conformance.expectations_text import Changes, LayoutError, apply

CHECKS = """
@check("RTY-003")
def test_waits(world): raise Violation("RTY-003", Judgement("fail", "0.4 s", 'a "wait" of \\\\ 0.6 s\\x00'))

@check("RTY-004")
def test_waits_again(world): raise Violation("RTY-004", Judgement("fail", "0.4 s", "0.8 s"))

@check("RTY-005")
def test_mended(world): pass
"""
ON_REDIS = """
@check("RTY-003")
def test_on_redis(world):
    if world.link == "redis": raise Violation("RTY-003", Judgement("fail", "one", "two"))
"""
PRESENT = """\
# What is known of the scripted implementation.

# -- retries ----------

[[known_failure]]
requirement = "RTY-004"     # both of them
reason = "an old one"

# This comment is of the entry below it.
[[known_failure]]
requirement = "RTY-005"
reason = "mended"

# -- the end ----------
"""


def expectations(suite: Any, *words: str) -> tuple[int, str, str]:
    """Run the command on the report of the last run; answer its status, what it said, and the file."""
    suite.capture.readouterr()
    status = main(["expectations", f"--adapter={suite.adapter}", f"--report={suite.folder / 'out'}", *words])
    said = suite.capture.readouterr()
    return status, said.out + said.err, written(suite)


def written(suite: Any) -> str:
    """Answer the file of known failures."""
    path = suite.folder / "expectations.toml"
    return str(path.read_text()) if path.is_file() else ""


def test_failures_become_drafts_and_mended_ones_go(suite: Any) -> None:
    """What failed is added with what was observed, what passed unexpectedly goes, and every other line stays."""
    suite.checks(CHECKS)
    suite.expect(PRESENT)
    assert suite.run().status == 1

    status, said, text = expectations(suite, "--write")

    assert status == 0
    assert "1 added, 1 removed; replace each DRAFT: by the reason in words of your own" in said
    assert text == (
        PRESENT[: PRESENT.index("# This comment")]
        + "# -- the end ----------\n\n"
        + '[[known_failure]]\nrequirement = "RTY-003"\n'
        + 'reason = "DRAFT: a \\"wait\\" of \\\\ 0.6 s\\\\x00"\nkind = "bug"\n'
    )


def test_run_after_it_is_as_expected(suite: Any) -> None:
    """A run after the command exits with 0, and the command then has nothing more to do."""
    suite.checks(CHECKS)
    suite.expect(PRESENT)
    suite.run()
    _, _, first = expectations(suite, "--write")

    assert expectations(suite, "--write")[::2] == (0, first)
    assert suite.run().status == 0
    status, said, text = expectations(suite)
    assert (status, text) == (0, first)
    assert said.endswith("expectations.toml: nothing to change\n")


def test_without_write_it_shows_a_diff(suite: Any) -> None:
    """Without ``--write`` nothing is written: the change is shown as a diff, and the status is 1."""
    suite.checks(CHECKS)
    suite.expect(PRESENT)
    suite.run()

    status, said, text = expectations(suite)

    assert (status, text) == (1, PRESENT)
    assert '+requirement = "RTY-003"' in said.splitlines()
    assert '-requirement = "RTY-005"' in said.splitlines()


def test_file_is_made_where_there_is_none(suite: Any) -> None:
    """The first known failures make the file, one entry for those with equal observations."""
    suite.checks(CHECKS.replace("0.8 s", "the same").replace('a "wait" of \\\\ 0.6 s\\x00', "the same"))
    suite.run()

    status, _, text = expectations(suite, "--write")

    assert status == 0
    assert tomllib.loads(text)["known_failure"] == [
        {"requirement": ["RTY-003", "RTY-004"], "reason": "DRAFT: the same", "kind": "bug"}
    ]
    assert suite.run().status == 0


def test_conditions_tell_the_runs_apart(suite: Any) -> None:
    """What failed on some of the brokers of a run gets the condition that tells them from the others."""
    suite.checks(ON_REDIS)
    suite.run("--broker=all")

    status, _, text = expectations(suite, "--write")

    assert status == 0
    assert 'when = { link = "redis" }' in text.splitlines()
    assert suite.run("--broker=all").status == 0


def test_several_reports_are_one_evidence(suite: Any) -> None:
    """Reports of several runs are compared like the brokers of one."""
    suite.checks(ON_REDIS)
    for flavour in ("rabbitmq", "valkey"):
        suite.run(f"--broker={flavour}", f"--report-dir={suite.folder / flavour}")

    words = [f"--report={suite.folder / name}" for name in ("rabbitmq", "valkey")]
    assert main(["expectations", "--write", f"--adapter={suite.adapter}", *words]) == 0

    assert 'when = { link = "redis" }' in written(suite).splitlines()


def test_entry_that_passed_somewhere_is_narrowed(suite: Any) -> None:
    """An entry that is still needed on some brokers stays for those alone."""
    suite.checks(ON_REDIS)
    suite.expect('[[known_failure]]\nrequirement = "RTY-003"\nreason = "keys"  # why\n')
    assert suite.run("--broker=all").status == 1

    status, said, text = expectations(suite, "--write")

    assert status == 0
    assert "1 narrowed" in said
    assert text == (
        '[[known_failure]]\nrequirement = "RTY-003"\nwhen = { link = "redis" }\nreason = "keys"  # why\n'
    )
    assert suite.run("--broker=all").status == 0


def test_mended_requirement_leaves_its_list(suite: Any) -> None:
    """Of an entry for several requirements the mended one goes, and the entry stays for the others."""
    suite.checks(CHECKS)
    suite.expect("""\
        [[known_failure]]
        requirement = [
          "RTY-003",
          "RTY-005",
          "RTY-004",
        ]
        reason = "one reason"
    """)
    suite.run()

    assert expectations(suite, "--write")[0] == 0
    assert written(suite).splitlines()[1:] == [
        'requirement = ["RTY-003", "RTY-004"]',
        'reason = "one reason"',
    ]
    assert suite.run().status == 0


@pytest.mark.parametrize("target", ['requirement = "RTY-999"', 'check = "test_x.py::test_nowhere"'])
def test_entry_that_names_nothing_goes(suite: Any, target: str) -> None:
    """An entry for a requirement or a check that does not exist is removed."""
    suite.checks('@check("RTY-005")\ndef test_fine(world): pass\n')
    suite.expect(f'[[known_failure]]\n{target}\nreason = "gone"\n')
    assert suite.run().status == 1

    assert expectations(suite, "--write")[::2] == (0, "\n")
    assert suite.run().status == 0


def test_entry_for_another_check_stays(suite: Any) -> None:
    """An entry for something that a narrowed run did not reach is left alone."""
    suite.checks(CHECKS)
    suite.expect(PRESENT)
    suite.run("-k", "waits_again")

    assert expectations(suite, "--write")[::2] == (0, PRESENT)


def test_errors_and_unclaimed_features_are_never_written(suite: Any) -> None:
    """An error and a feature that is not there are told, with what to do, and never become known failures."""
    suite.checks("""
        @check("RTY-003")
        def test_broken(world): world.call("broken")

        @check("BAS-012", "BAS-013")
        def test_link(world): world.call("without_link")
    """)
    suite.run()

    status, said, text = expectations(suite, "--write")

    assert (status, text) == (1, "")
    assert "nothing to change" in said
    assert "RTY-003 is an error, which is never known: line 7 of the driver is wrong" in said
    assert "no link (never heard of it), as BAS-012, BAS-013 found; that is for the claim to say" in said
    assert "say link = false in adapter.toml" in said


def test_reports_that_do_not_fit(suite: Any, tmp_path: Path) -> None:
    """No report, a report of somebody else, or a file that cannot be read costs one line and status 4."""
    suite.checks(CHECKS)
    status, said, _ = expectations(suite)
    assert status == 4
    assert "holds no report of a finished run: `celeriac run` first" in said
    suite.run()
    assert main(["expectations", f"--report={suite.folder / 'out'}"]) == 4
    assert (
        "the reports are of 'scripted': say where it is by --adapter=PATH" in suite.capture.readouterr().err
    )
    assert main(["expectations", f"--report={suite.folder / 'out'}", "--adapter=reference"]) == 4
    assert len(suite.capture.readouterr().err.splitlines()) == 1
    suite.expect("[[known_failure]\n")
    status, said, _ = expectations(suite, "--write")
    assert (status, len(said.splitlines())) == (4, 1)
    assert "mend the file first" in said


def test_layout_beyond_lines_is_left_alone() -> None:
    """A file in which an entry cannot be found by its lines is refused, not guessed at."""
    inline = 'known_failure = [{ requirement = "RTY-003", reason = "a" }]\n'
    with pytest.raises(LayoutError, match="change it by hand"):
        apply(Changes(removed=frozenset({1})), inline)


def test_table_of_conditions_belongs_to_its_entry() -> None:
    """An entry is removed with the tables that belong to it."""
    text = (
        '[[known_failure]]\nrequirement = "RTY-003"\nreason = "a"\n\n[known_failure.when]\nlink = "redis"\n'
    )
    other = '[[known_failure]]\nrequirement = "RTY-004"\nreason = "b"\n'
    assert apply(Changes(removed=frozenset({1})), f"{text}\n{other}") == other
