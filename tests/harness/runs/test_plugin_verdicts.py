"""What escapes a check becomes the right verdict of the right requirement."""

from __future__ import annotations

from typing import Any

import pytest

CHECKS = """
from celeriac.conformance import oracles
from hypothesis import strategies as st

@check("BAS-001")
def test_pass(world): world.call("accept")

@check("BAS-002")
def test_violation(world):
    world.begin()
    world.stage.log("published", task_id="t-1", queue="q", body=b"x" * 500)
    world.judge("BAS-002", oracles.equal(1, 2, "the number", *world.history))

@check("BAS-003")
def test_assert(world): assert 1 + 1 == 3, "sums"

@check("BAS-004")
def test_harness_error(world): raise HarnessError("the tap lost its socket\\nat line 3")

@check("BAS-005")
def test_bug(world): {}["missing"]

@check("BAS-006")
def test_broken(world): world.call("broken")

@check("BAS-007")
def test_nonsense(world): world.call("nonsense")

@check("BAS-008")
def test_explode(world): world.call("explode")

@check("BAS-009")
def test_hang(world): world.call("hang")

@check("BAS-010")
def test_inconclusive(world): raise Inconclusive("too noisy")

@check("BAS-011")
def test_not_applicable(world): raise NotApplicable("no such thing here")

@check("BAS-012")
def test_overclaimed(world): world.call("without_link")

@check("ROU-001")
def test_unclaimed(world): world.call("without_chords")

@check("ADV-004")
def test_unheard_unclaimed(world): world.call("without_widgets")

@check("ROU-002")
def test_missing(world): world.call("without_yaml")

@check("ROU-003", "ADV-001")
def test_two(world): raise Violation("ADV-001", Judgement("fail", "a", "b"))

@check("ADV-002")
def test_of_another(world): raise Violation("ADV-003", Judgement("fail", "a", "b"))

@check("ADV-005")
def test_worst_1(world): pass

@check("ADV-005")
def test_worst_2(world): raise HarnessError("late")

@pytest.fixture
def leaky():
    yield
    raise OSError("cannot remove the queue")

@check("RES-001")
def test_teardown(world, leaky): pass

@check("RES-002")
def test_hang_in_property(world):
    @world.for_all(st.integers())
    def _(number): world.call("hang")

@check("LNK-001", roles=("result-consumer",))
def test_needs_role(world): raise AssertionError

@check("LNK-002", features=("serializer:msgpack",))
def test_needs_feature(world): raise AssertionError

@check("LNK-003", modes=("signature",))
def test_needs_mode(world): raise AssertionError

@check("LNK-004", clock="wall")
def test_needs_wall(world): raise AssertionError

@check("ETA-001", link="redis")
def test_needs_redis(world): raise AssertionError

@check("ETA-002", features=("serializer:yaml",))
def test_needs_what_is_missing(world): raise AssertionError

@check("ETA-003")
@pytest.mark.parametrize("number", [1, 2])
def test_cases(world, number): assert number == 1
"""

#: requirement, verdict, part of the reason
EXPECTED = [
    ("BAS-001", "pass", ""),
    ("BAS-002", "fail", "the number is 2"),
    ("BAS-003", "fail", "sums"),
    ("BAS-004", "error", "the tap lost its socket"),
    ("BAS-005", "error", "KeyError: 'missing'"),
    ("BAS-006", "error", "line 7 of the driver is wrong"),
    ("BAS-007", "error", "'yes, done'"),
    ("BAS-008", "error", "the adapter raised in call"),
    ("BAS-009", "error", "the adapter's call: no answer within 0.2 s"),
    ("BAS-010", "inconclusive", "too noisy"),
    ("BAS-011", "not-applicable", "no such thing here"),
    ("BAS-012", "fail", "unsupported: link: never heard of it"),
    ("ROU-001", "not-applicable", "the claim has no feature chords"),
    ("ROU-002", "not-applicable", "no yaml here"),
    ("ADV-004", "fail", "unsupported: widgets: never heard of widgets"),
    ("ROU-003", "not-run", "the check ended at ADV-001"),
    ("ADV-001", "fail", "b"),
    ("ADV-002", "error", "judged ADV-003"),
    ("ADV-003", "not-run", ""),
    ("ADV-005", "error", "late"),
    ("RES-001", "error", "cannot remove the queue"),
    ("RES-002", "error", "no answer within 0.2 s"),
    ("LNK-001", "not-applicable", "no role result-consumer"),
    ("LNK-002", "not-applicable", "no feature serializer:msgpack"),
    ("LNK-003", "not-applicable", "no mode signature"),
    ("LNK-004", "not-applicable", "needs the wall clock"),
    ("ETA-001", "not-applicable", "needs the redis link"),
    ("ETA-002", "not-applicable", "no yaml here"),
    ("ETA-003", "fail", "assert 2 == 1"),
]


@pytest.fixture
def finished(suite: Any) -> Any:
    """Run every kind of check once."""
    suite.checks(CHECKS)
    return suite.run("--deadline=0.2")


def test_every_verdict(finished: Any) -> None:
    """Each way to end a check gives its verdict and a reason, and no check ends the run."""
    found = {name: (finished.verdict(name), finished.reason(name)) for name, _, _ in EXPECTED}
    wrong = {
        n: found[n] for n, verdict, part in EXPECTED if found[n][0] != verdict or part not in found[n][1]
    }
    assert not wrong
    assert finished.status == 1


def test_property_ends_at_its_first_error(suite: Any) -> None:
    """A request that hangs inside a property is not tried again to find a smaller example."""
    suite.checks("""
        from hypothesis import strategies as st

        @check("BAS-001")
        def test_hang(world):
            @world.for_all(st.integers())
            def _(number):
                print("asking")
                world.call("hang")
    """)
    finished = suite.run("--deadline=0.1", "-s")
    assert finished.out.count("asking") == 1
    assert finished.verdict("BAS-001") == "error"


def test_what_the_reader_sees(finished: Any) -> None:
    """A failure shows id, level, sentence, expected, observed, the record and the command, within 100 columns."""
    lines = finished.out.splitlines()
    start = lines.index("FAIL  BAS-002  MUST  producer")
    block = "\n".join(lines[start : lines.index("", start)])
    for part in (
        "expected   the number is 1",
        "observed   the number is 2",
        "evidence   #0 +0.000000 s harness published",
    ):
        assert part in block
    assert "--requirement=BAS-002" in block.split("reproduce")[1]
    assert "...(503 characters)" in block
    sentences = [
        line for line in lines if not line.startswith(("  reproduce", "next:", "  detail", " " * 12))
    ]
    assert [line for line in sentences if len(line) > 100] == []


def test_chapters_and_totals(finished: Any) -> None:
    """There is a line per chapter with its counts, a total by verdict, and the place of the report."""
    assert "BAS  Basics" in finished.out
    assert "ETA  ETA and countdown" in finished.out
    counts = finished.results["counts"]
    assert f"{counts['fail']} fail, {counts['error']} error" in finished.out
    assert "report: out" in finished.out


def test_errors_alike_are_told_once(suite: Any) -> None:
    """Requirements in error for the same reason share one block that names them."""
    suite.checks("""
        @check("BAS-001")
        def test_1(world): world.call("broken")
        @check("BAS-002")
        def test_2(world): world.call("broken")
    """)
    finished = suite.run()
    assert finished.out.count("line 7 of the driver is wrong") == finished.out.count(
        "reason"
    ) + finished.out.count("detail")
    assert "likewise   BAS-002" in finished.out


def test_verbose_has_a_line_per_requirement(suite: Any) -> None:
    """With -v each requirement of a chapter has its line."""
    suite.checks("""
        @check("EXP-001")
        def test_1(world): pass
    """)
    finished = suite.run("-v")
    assert "     EXP-001  MUST    pass" in finished.out
    assert "     EXP-002  MUST    not-run         no check" in finished.out


def test_explore_tries_more_and_says_so(suite: Any) -> None:
    """--explore tries ten times the examples, and its reproduce command explores, too."""
    suite.checks("""
        from hypothesis import strategies as st

        @check("BAS-001")
        def test_many(world):
            seen = []
            @world.for_all(st.integers())
            def _(number): seen.append(number)
            print("examples:", len(seen))
            raise Violation("BAS-001", Judgement("fail", "a", "b"))
    """)
    plain, exploring = suite.run("-s"), suite.run("-s", "--explore")
    assert "examples: 3\n" in plain.out
    assert "examples: 30\n" in exploring.out
    assert "--explore --requirement=BAS-001" in exploring.out
    assert "--explore" not in plain.out


def test_two_failing_checks_share_one_command(suite: Any) -> None:
    """Two checks of one requirement are shown one after the other, with one command for both."""
    suite.checks("""
        @check("BAS-001")
        def test_1(world): raise Violation("BAS-001", Judgement("fail", "a", "b"))
        @check("BAS-001")
        def test_2(world): raise Violation("BAS-001", Judgement("fail", "c", "d"))
    """)
    out = suite.run().out
    assert out.count("FAIL  BAS-001") == out.count("  reproduce  ") == 1
    assert (
        out.index("::test_1 on embedded")
        < out.index("observed   b")
        < out.index("::test_2 on")
        < out.index("observed   d")
    )


def test_collect_only_needs_no_adapter(suite: Any) -> None:
    """--collect-only lists the checks, with or without an adapter, and writes no report."""
    suite.checks('@check("BAS-001")\ndef test_1(world): pass\n')
    for adapter in (None, ""):
        finished = suite.run("--collect-only", "-q", adapter=adapter)
        assert finished.status == 0
        assert "::test_1" in finished.out
        assert not finished.folder.exists()
