"""Exit statuses, usage errors, and runs that end before their time."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from typing import Any

import pytest

PASS = """
@check("BAS-001")
def test_pass(world): world.call("accept")
"""
FAIL = """
@check("BAS-002")
def test_fail(world): raise Violation("BAS-002", Judgement("fail", "one", "two"))
"""
ERROR = """
@check("BAS-003")
def test_error(world): world.call("broken")
"""
INCONCLUSIVE = """
@check("BAS-006")
def test_inconclusive(world): raise Inconclusive("too noisy")
"""
NOT_APPLICABLE = """
@check("BAS-007", roles=("result-consumer",))
def test_not_applicable(world): raise AssertionError
"""


@pytest.mark.parametrize(
    ("checks", "status", "closing"),
    [
        (PASS, 0, "1 passed"),
        (PASS + NOT_APPLICABLE, 0, "1 passed, 1 skipped"),
        (PASS + FAIL, 1, "1 failed, 1 passed"),
        (PASS + ERROR, 3, "1 passed, 1 error"),
        (PASS + INCONCLUSIVE, 3, "1 passed, 1 error"),
        (FAIL + ERROR, 1, "1 failed, 1 error"),
    ],
)
def test_exit_status(suite: Any, checks: str, status: int, closing: str) -> None:
    """0 is as expected, 1 a failure, 3 no verdict; pytest's closing line counts the checks."""
    suite.checks(checks)
    finished = suite.run()
    assert finished.status == status
    assert closing in finished.out.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--broker=rabitmq",), "unknown --broker 'rabitmq'; did you mean rabbitmq?"),
        (("--broker=kafka",), "unknown --broker 'kafka'; valid: all, embedded, rabbitmq, redis, valkey"),
        (("--broker=redis", "--broker-from=proces"), "unknown --broker-from 'proces'; did you mean process?"),
        (("--broker-from=rabbit-3.1",), "unknown --broker-from 'rabbit-3.1'; did you mean rabbit-3.10"),
        (("--broker-from=kafka",), "rabbit-4.3, redis-kombu (dialects of the embedded broker)"),
        (("--broker-from=ftp://x",), "unknown --broker-from scheme 'ftp'; valid: amqp"),
        (
            ("--broker=redis", "--broker-from=amqp://h"),
            "--broker=redis cannot be reached by a URL of the scheme amqp",
        ),
        (("--time=wal",), "unknown --time 'wal'; did you mean wall?"),
        (("--time=travel",), "does not claim the travel clock; it claims: virtual, wall"),
        (("--time=travel", "--broker=redis"), "does not claim the travel clock; it claims: virtual, wall"),
        (("--time=virtual", "--broker=redis"), "redis is a process of its own"),
        (("--requirement=ETA-400",), "unknown requirement 'ETA-400'; did you mean ETA-"),
        (("--requirement=ETB",), "unknown requirement 'ETB'; did you mean"),
        (("--requirement=CON-009",), "--requirement=CON-009: excluded: "),
        (("--requirement=EXP",), "--requirement=EXP-001: no check decides it"),
        (("--deadline=soon",), "--deadline=soon: expected a number of seconds above 0"),
        (("--broker-from=process",), "--broker-from=process: the embedded broker is our own; name another"),
        (("--broker=embedded", "--broker-from=container"), "name another, --broker=rabbitmq"),
        (("--report-dir=",), "--report-dir=: expected a folder"),
        (("--report-dir=adapter.toml",), "adapter.toml is no folder to write to: "),
        (("-k", "nothing_like_it"), "no check is selected: other options leave none of 1"),
    ],
)
def test_usage_errors(suite: Any, words: tuple[str, ...], line: str) -> None:
    """A wrong option value costs one line that names it and the nearest valid ones, and exit 4."""
    suite.checks(PASS)
    finished = suite.run(*words)
    assert finished.status == 4
    errors = [text for text in (finished.out + finished.err).splitlines() if text.startswith("ERROR: ")]
    assert len(errors) == 1
    assert line in errors[0]


@pytest.mark.parametrize(
    ("adapter", "line"),
    [
        ("celerey", "unknown adapter 'celerey'; did you mean celery"),
        ("/nowhere/adapter.toml", "No such file"),
        ("no.such.module:Thing", "cannot be imported: ModuleNotFoundError"),
        ("json:JSONDecoder", "is no subclass of celeriac.conformance.adapter.Adapter"),
        ("", "checks need --adapter=NAME; adapters: "),
        ("/", "adapter claim /adapter.toml: No such file or directory"),
    ],
)
def test_unusable_adapters(suite: Any, adapter: str, line: str) -> None:
    """An adapter that cannot be used, or none, costs one line and exit 4."""
    suite.checks(PASS)
    finished = suite.run(adapter=adapter)
    assert finished.status == 4
    assert line in finished.out + finished.err


def test_claim_limits_the_options(suite: Any) -> None:
    """A clock or a link that the claim does not name cannot be asked for."""
    suite.checks(PASS)
    suite.claim('links = ["in-process", "amqp", "redis"]', 'links = ["in-process", "amqp"]')
    suite.claim('clocks = ["virtual", "wall"]', 'clocks = ["wall"]')
    virtual, redis = suite.run("--time=virtual"), suite.run("--broker=valkey")
    assert (virtual.status, redis.status) == (4, 4)
    assert "scripted does not claim the virtual clock; it claims: wall" in virtual.err
    assert "scripted does not claim the redis link; it claims: in-process, amqp" in redis.err


def test_inert_without_checks(suite: Any) -> None:
    """An ordinary test run is pytest's own: its header, its exit status, no report."""
    suite.file.write_text("def test_ordinary(): pass\n")
    finished = suite.run(adapter="")
    assert finished.status == 0
    assert "test session starts" in finished.out
    assert not finished.folder.exists()


def test_requirement_selects(suite: Any) -> None:
    """--requirement takes ids and areas; what is not selected is not run, and says so."""
    suite.checks(PASS + FAIL + '@check("ETA-001")\ndef test_eta(world): pass\n')
    finished = suite.run("--requirement=bas-001", "--requirement=ETA")
    assert finished.status == 0
    assert (finished.verdict("BAS-001"), finished.verdict("ETA-001")) == ("pass", "pass")
    assert finished.verdict("BAS-002") == "not-run"
    assert finished.journal[0]["checks"] == 2


def test_order_is_that_of_the_specification(suite: Any) -> None:
    """Checks run chapter by chapter, whatever the order of the file."""
    suite.checks('@check("ETA-001")\ndef test_eta(world): pass\n' + PASS)
    assert [line["id"].split("::")[1] for line in suite.run().journal[1:-1]] == ["test_pass", "test_eta"]


def test_all_brokers(suite: Any) -> None:
    """--broker=all plays every check on every flavour; a missing one is not run, loudly, and the rest counts."""
    suite.checks(
        PASS
        + '@check("ADV-004", link="redis")\ndef test_redis(world): assert world.broker.flavour != "valkey"\n'
    )
    finished = suite.run("--broker=all", absent=("rabbitmq",))
    assert finished.status == 1
    assert "  rabbitmq: install a rabbitmq server" in finished.out.splitlines()
    checks = finished.results["requirements"]["BAS-001"]["checks"]
    assert [check["verdict"] for check in checks] == ["pass", "not-run", "pass", "pass"]
    each = {
        f: (finished.folder / f / "results.json").read_text()
        for f in ("embedded", "rabbitmq", "redis", "valkey")
    }
    assert '"fail": 1' in each["valkey"]
    assert '"fail": 0' in each["redis"]
    assert "--broker=valkey --requirement=ADV-004" in finished.out
    assert finished.results["broker"]["flavour"] == "all"
    assert finished.results["clock"] == "wall"


@pytest.mark.parametrize("how", ["CI", "--require-brokers"])
def test_required_broker(suite: Any, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where brokers are required, one that cannot be had is an error."""
    suite.checks(PASS)
    relaxed = suite.run("--broker=redis", absent=("redis",))
    assert (relaxed.status, relaxed.verdict("BAS-001")) == (0, "not-run")
    assert "redis: install a redis server" in relaxed.out
    if how == "CI":
        monkeypatch.setenv("CI", "true")
    strict = suite.run("--broker=redis", *([how] if how != "CI" else []), absent=("redis",))
    assert (strict.status, strict.verdict("BAS-001")) == (3, "error")
    assert "brokers are required" in strict.reason("BAS-001")


def test_broker_that_a_url_names(suite: Any) -> None:
    """A broker that a URL names was asked for by somebody who has it: without it there is an error, not a skip."""
    suite.checks(PASS)
    finished = suite.run("--broker-from=redis://me:s3cret@127.0.0.1:1/0", absent=("redis",))
    assert (finished.status, finished.verdict("BAS-001")) == (3, "error")
    assert "--broker-from=redis://me:***@127.0.0.1:1/0" in finished.out
    written = "".join(path.read_text() for path in finished.folder.iterdir())
    assert "s3cret" not in finished.out + finished.err + written


@pytest.mark.parametrize(
    ("url", "verdict"),
    [
        ("amqp://h", "not-applicable"),
        ("amqp://h//?consumer_timeout=2000&channel_tick_interval=500", "pass"),
        ("redis://h", "not-applicable"),
    ],
)
def test_time_outs_that_a_url_tells(suite: Any, url: str, verdict: str) -> None:
    """A check of RabbitMQ's time-out applies to somebody's broker once the URL tells how it is set."""
    suite.checks('@check("BAS-001", lease="channel-close")\ndef test_it(world): pass\n')
    assert suite.run(f"--broker-from={url}").verdict("BAS-001") == verdict


def test_older_reports_are_removed(suite: Any) -> None:
    """A run leaves no report of an earlier one in its folder, not even those of other brokers."""
    suite.checks(PASS)
    folder = suite.run("--broker=all").folder
    assert (folder / "redis" / "results.json").exists()
    suite.run()
    assert [path.name for path in folder.rglob("results.json")] == ["results.json"]


def test_adapter_that_cannot_start(suite: Any) -> None:
    """An adapter whose hello fails costs every check an error, told once."""
    suite.checks(PASS + FAIL)
    driver = suite.folder / f"{suite.module}.py"
    driver.write_text(
        driver.read_text().replace(
            'return {"implementation"', 'raise OSError("pip install it")\n        return {"implementation"'
        )
    )
    finished = suite.run()
    assert finished.status == 3
    assert (finished.verdict("BAS-001"), finished.verdict("BAS-002")) == ("error", "error")
    assert "likewise   BAS-002" in finished.out
    assert "pip install it" in finished.reason("BAS-001")


def test_stopped_at_first_failure(suite: Any) -> None:
    """A run that -x stops reports what it has; the rest says that the run ended."""
    suite.checks(FAIL + ERROR)
    finished = suite.run("-x")
    assert finished.status == 1
    assert (finished.verdict("BAS-002"), finished.verdict("BAS-003")) == ("fail", "not-run")
    assert finished.journal[-1]["complete"] is False


def test_module_that_cannot_be_imported(suite: Any) -> None:
    """A module of checks that cannot be imported is an error of the harness, with its traceback."""
    suite.checks(PASS)
    (suite.folder / f"test_broken_{suite.module}.py").write_text("import no_such_module\n")
    finished = suite.run()
    assert finished.status == 3
    assert "no_such_module" in finished.out
    assert "cannot be collected" in finished.out
    assert finished.verdict("BAS-001") == "not-run"


def test_warnings_are_no_verdict(suite: Any) -> None:
    """A warning of the implementation decides nothing, even where the folder's settings make warnings errors."""
    (suite.folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    suite.checks('@check("BAS-001")\ndef test_it(world):\n    import warnings\n    warnings.warn("old")\n')
    finished = suite.run()
    assert (finished.status, finished.verdict("BAS-001")) == (0, "pass")
    assert "1 passed, 1 warning" in finished.out


def test_unknown_requirement_in_a_check(suite: Any) -> None:
    """A check that names no requirement of the specification stops the run with one line."""
    suite.checks('@check("BAS-999")\ndef test_it(world): pass\n')
    finished = suite.run()
    assert finished.status == 4
    assert "unknown requirement 'BAS-999'" in finished.err


def test_termination_leaves_a_report(suite: Any) -> None:
    """SIGTERM in the middle of a check ends the run with a report of the checks before it."""
    heard, tell = os.pipe()
    suite.checks(
        f"""
        @check("BAS-001")
        def test_pass(world): pass

        @check("BAS-002")
        def test_wait(world):
            import os, signal
            os.write({tell}, b"here")
            signal.pause()
        """
    )
    (suite.folder / "conftest.py").write_text(WITHOUT_STAGE)
    command = [sys.executable, "-m", "pytest", "-p", "celeriac.conformance.plugin", "-p", "no:cacheprovider"]
    isolated = [
        "-c",
        "pytest.ini",
        "--import-mode=importlib",
        "--report-dir=out",
        "--adapter=adapter.toml",
        ".",
    ]
    environment = {**os.environ, "PYTHONPATH": str(suite.folder)}
    with subprocess.Popen(
        [*command, *isolated],
        cwd=suite.folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[tell],
    ) as child:
        assert select.select([heard], [], [], 30)[0], "the check never started"
        child.terminate()
        out, _ = child.communicate(timeout=20)
    os.close(heard)
    os.close(tell)
    assert child.returncode == pytest.ExitCode.INTERRUPTED
    assert "report: out" in out
    results = json.loads((suite.folder / "out" / "results.json").read_text())["requirements"]
    assert (results["BAS-001"]["verdict"], results["BAS-002"]["verdict"]) == ("pass", "not-run")
    footer = json.loads((suite.folder / "out" / "results.jsonl").read_text().splitlines()[-1])
    assert (footer["complete"], footer["exit_status"]) == (False, pytest.ExitCode.INTERRUPTED)


WITHOUT_STAGE = """
import pytest

@pytest.fixture
def world():
    return None

class Stage:
    identity = {"implementation": "Scripted", "version": "1"}
    missing = {}
    broker = None
    kind = "virtual"
    withdrawn = None
    def prepare(self, leases): pass
    def close(self): pass

def pytest_celeriac_stage():
    return Stage()
"""
