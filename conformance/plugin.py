"""The pytest plugin: options, the ``world`` fixture, verdicts and exit status.

It is inert in an ordinary pytest run.  ``--adapter=NAME`` makes the run a conformance run; checks that are
collected without it are a usage error.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

from celeriac.conformance import hooks, strategies
from celeriac.conformance.adapter import Adapter
from celeriac.conformance.checks import MARKER, subject_of
from celeriac.conformance.claim import Candidate, ClaimError, bundled, find_adapter
from celeriac.conformance.environments import BuildError
from celeriac.conformance.expectations import read_expectations
from celeriac.conformance.guard import GuardedAdapter
from celeriac.conformance.leftovers import reap
from celeriac.conformance.narrator import Narrator
from celeriac.conformance.nearest import did_you_mean
from celeriac.conformance.options import add_options, clock_for, in_ci, read_options
from celeriac.conformance.outcome import GRAVITY, Outcome, conclude, worst
from celeriac.conformance.progress import Ticker, waiting
from celeriac.conformance.providers import LINKS
from celeriac.conformance.reading import ReadingError
from celeriac.conformance.reproduce import COMMAND_PLUGIN, started_as
from celeriac.conformance.run import PlannedCheck, Run, exit_status
from celeriac.conformance.verdicts import HarnessError
from celeriac.conformance.watchdog import deadline
from celeriac.spec import load

if TYPE_CHECKING:
    from celeriac.conformance.stage import Stage
    from celeriac.conformance.world import World

__all__ = ["CHECK_DEADLINE_S", "Conformance"]

#: Seconds that one check may take, whatever it waits for.
CHECK_DEADLINE_S = 300.0

#: How ``--broker=all`` marks the flavour in a test's name.
FLAVOUR_MARK = re.compile("(?<=\\[)@({0})(-|(?=]$))|-@({0})(?=]$)".format("|".join(LINKS)))

#: What somebody who wants the run to end sends it, beside Ctrl-C: a service manager, and a terminal that is closed.
TERMINATIONS = [number for number in signal.Signals if number.name in {"SIGTERM", "SIGHUP"}]

PLUGIN = "celeriac-conformance"


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add ``pytest_celeriac_stage``."""
    pluginmanager.add_hookspecs(hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a conformance run."""
    add_options(parser)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Make the run a conformance run if an adapter is given.

    Raises:
        pytest.UsageError: adapter or options are wrong; the text is one line.
    """
    config.addinivalue_line(
        "markers", f"{MARKER}(id, ..., needs=None): the requirements that a check decides"
    )
    spelling = config.getoption("celeriac_adapter")
    if spelling is None:
        if config.pluginmanager.has_plugin(COMMAND_PLUGIN) and not config.option.collectonly:
            raise _lacks_adapter()
        return
    spec = load()
    try:
        candidate = find_adapter(spelling)
    except ClaimError as error:
        raise pytest.UsageError(" ".join(str(error).split())) from None
    options = read_options(config, spec, candidate.claim)
    _prepare(config, candidate)
    expectations = read_expectations(candidate.expectations, datetime.now(UTC).date(), drafts=not in_ci())
    # A warning of the implementation's is no verdict, whatever the folder's settings make of warnings.
    config.addinivalue_line("filterwarnings", "default")
    strategies.configure(explore=options.explore)
    config.pluginmanager.register(Conformance(config, Run(spec, candidate, options, expectations)), PLUGIN)


def _prepare(config: pytest.Config, candidate: Candidate) -> None:
    """Make the environment of the adapter's processes, and say so, because it takes a while."""
    if config.option.collectonly:
        return
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    tell = reporter.write_line if reporter else lambda line: None
    try:
        candidate.prepare(lambda line: tell(f"{candidate.spelling}: {line}"))
    except BuildError as error:
        raise pytest.UsageError(f"adapter {candidate.spelling!r}: {' '.join(str(error).split())}") from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse to run checks that nothing is to be judged by."""
    if config.pluginmanager.has_plugin(PLUGIN) or config.option.collectonly:
        return
    if any(subject_of(item) for item in items):
        raise _lacks_adapter()


def _lacks_adapter() -> pytest.UsageError:
    return pytest.UsageError(f"checks need --adapter=NAME; adapters: {', '.join(bundled()) or 'none'}")


def pytest_celeriac_stage(
    config: pytest.Config, factory: Callable[[], Adapter], flavour: str, source: str | None, clock: str
) -> Stage:
    """Open the stage that comes with Celeriac."""
    from celeriac.conformance.stages import open_stage

    return open_stage(factory, flavour, source, clock)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let every check play on every flavour of ``--broker=all``."""
    conformance = metafunc.config.pluginmanager.get_plugin(PLUGIN)
    if conformance is None or not conformance.run.options.all_brokers:
        return
    if metafunc.definition.get_closest_marker(MARKER) and "celeriac_flavour" in metafunc.fixturenames:
        flavours = conformance.run.options.flavours
        ids = [f"@{flavour}" for flavour in flavours]
        metafunc.parametrize("celeriac_flavour", flavours, ids=ids, indirect=True)


@pytest.fixture
def celeriac_flavour(request: pytest.FixtureRequest) -> str:
    """Answer the flavour of broker that a check plays on."""
    return str(getattr(request, "param", ""))


@pytest.fixture
def world(request: pytest.FixtureRequest, celeriac_flavour: str) -> Iterator[World]:
    """Give a check its world; a scenario that is still running is ended after it."""
    from celeriac.conformance.world import World

    conformance = request.config.pluginmanager.get_plugin(PLUGIN)
    if conformance is None:
        raise pytest.UsageError("the fixture world needs --adapter=NAME")
    there = World(conformance.stages.current(), conformance.run.claim)
    yield there
    there.end()


class Conformance:
    """The hooks of a conformance run; registered only in one."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        from celeriac.conformance.stages import Stages

        self.config = config
        self.run = run
        run.command = started_as(config)
        self.narrator = Narrator(config, run)
        self.stages = Stages(self._open)
        self._checks: dict[str, PlannedCheck] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._accepted = False
        self._began = 0.0
        self._ticker: Ticker | None = None
        self._previous_handlers: dict[signal.Signals, Any] = {}

    def pytest_sessionstart(self) -> None:
        """Treat a request to terminate like an interrupt, so that it leaves a report; end what dead runs left."""

        def interrupt(signum: int, frame: FrameType | None) -> None:
            raise KeyboardInterrupt

        if threading.current_thread() is threading.main_thread():
            for number in TERMINATIONS:
                if signal.getsignal(number) == signal.SIG_DFL:  # nohup has good reasons
                    self._previous_handlers[number] = signal.signal(number, interrupt)
        if not self.config.option.collectonly:
            self.narrator.swept(reap())
            self._ticker = self.narrator.ticker()
        if self._ticker is not None:
            self._ticker.start()

    def pytest_enter_pdb(self) -> None:
        """Say no more of what is waited for: it is the user."""
        if self._ticker is not None:
            self._ticker.stop()

    def pytest_unconfigure(self) -> None:
        """Put the signal handlers back."""
        self.pytest_enter_pdb()
        while self._previous_handlers:
            signal.signal(*self._previous_handlers.popitem())

    # -- collection -----------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, None, None]:
        """Note every check, put them in the order of the specification, keep the wanted ones."""
        self._checks = {item.nodeid: check for item in items if (check := self._plan(item))}
        self.run.collected = list(self._checks.values())
        self._keep_wanted(items)
        self._accepted = True
        yield
        if not self.run.options.explore:
            items.sort(key=self._place)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module of checks that cannot be imported."""
        if report.failed:
            self.run.complaints.append(f"{report.nodeid} cannot be collected")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Open the report and tell what will be done."""
        self.run.planned = [
            self._checks[item.nodeid] for item in session.items if item.nodeid in self._checks
        ]
        if self.config.option.collectonly or not self._accepted:
            return
        narrowed = any("::" in arg or arg.endswith(".py") for arg in self.config.args)
        self.run.survey(whole=not narrowed and not self.run.complaints)
        self._start(session)
        self.narrator.opening()

    def _start(self, session: pytest.Session) -> None:
        self._accepted = False
        if not session.items and not self.run.complaints:
            raise pytest.UsageError(f"no check is selected: other options leave none of {len(self._checks)}")
        try:
            self.run.start()
        except ReadingError as error:
            raise pytest.UsageError(f"--compare: {error}") from None
        except OSError as error:
            place = self.run.options.report_dir
            reason = error.strerror or error
            raise pytest.UsageError(f"--report-dir: {place} is no folder to write to: {reason}") from None
        self._accepted = True

    def _plan(self, item: pytest.Item) -> PlannedCheck | None:
        subject = subject_of(item)
        if subject is None:
            return None
        for name in subject.requirements:
            if name not in self.run.spec.requirements:
                line = did_you_mean("requirement", name, self.run.spec.requirements)
                raise pytest.UsageError(f"{item.nodeid}: {line}")
        callspec = getattr(item, "callspec", None)
        params = callspec.params if callspec else {}
        flavour = params.get("celeriac_flavour", self.run.options.flavours[0])
        name = item.nodeid.partition("::")[2]
        if "celeriac_flavour" in params:
            name = FLAVOUR_MARK.sub("", name, count=1).removesuffix("[]")
        return PlannedCheck(f"{item.path.name}::{name}", flavour, subject.requirements, subject.needs)

    def _keep_wanted(self, items: list[pytest.Item]) -> None:
        wanted = self.run.options.requirements
        if wanted is None:
            return
        out = [item for item in items if not self._decides(item, wanted)]
        items[:] = [item for item in items if self._decides(item, wanted)]
        if not items:
            requirement = self.run.spec.requirements[min(wanted)]
            reason = f"excluded: {requirement.excluded}" if requirement.excluded else "no check decides it"
            raise pytest.UsageError(f"--requirement={requirement.id}: {reason}")
        self.config.hook.pytest_deselected(items=out)

    def _decides(self, item: pytest.Item, wanted: Iterable[str]) -> bool:
        check = self._checks.get(item.nodeid)
        return check is not None and not set(wanted).isdisjoint(check.requirements)

    def _place(self, item: pytest.Item) -> tuple[Any, ...]:
        check = self._checks.get(item.nodeid)
        if check is None:
            return (-1,)
        areas = [chapter.prefix for chapter in self.run.spec.chapters]
        flavour = self.run.options.flavours.index(check.flavour)
        first = min(areas.index(identity.split("-")[0]) for identity in check.requirements)
        return (flavour, first, *item.reportinfo()[:2], item.name)

    # -- one check ------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Open the stage of the check's flavour, where its messages can be seen."""
        check = self._checks.get(item.nodeid)
        if check is not None and self.stages.enter(check.flavour):
            needs = [planned.needs for planned in self.run.planned if planned.flavour == check.flavour]
            self.stages.prepare(need.lease for need in needs if need.lease is not None)
            self.narrator.stage(check.flavour, self.stages)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Let only applicable checks begin."""
        self._began = time.monotonic()
        if check := self._checks.get(item.nodeid):
            self.stages.current()
            self.run.admit(check)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Run a check under a deadline."""
        if pyfuncitem.nodeid not in self._checks:
            return (yield)
        with waiting(pyfuncitem.name), deadline(CHECK_DEADLINE_S, "the check"):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn what escaped a check into verdicts, and these into what pytest counts."""
        report = yield
        check = self._checks.get(item.nodeid)
        if check is None:
            return report
        if call.when == "call" or call.excinfo is not None:
            outcome = conclude(call.excinfo.value if call.excinfo else None)
            outcomes = self.run.judge(check, outcome)
            self._outcomes = _graver(self._outcomes, outcomes)
            _dress(report, item, outcomes)
        if call.when == "teardown":
            self.run.finish(check, time.monotonic() - self._began, self._outcomes)
            self._outcomes = {}
        return report

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Count errors as errors, not as failures."""
        verdict = getattr(report, "celeriac_verdict", None)
        return ("error", "E", "ERROR") if verdict in {"error", "inconclusive"} else None

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Tell of every chapter that is complete."""
        if check := self._checks.get(nodeid):
            self.narrator.chapters(check)

    # -- the end --------------------------------------------------------------------------------------

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the report, tell the verdicts, set the exit status."""
        if self.config.option.collectonly or not self._accepted:
            return
        self.stages.close()
        self.run.complaints += self.stages.complaints
        if exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED} or self.run.complaints:
            exitstatus = exit_status(self.run.conclude(), self.run.problems, self.run.complaints)
        session.exitstatus = exitstatus
        self.narrator.closing(self.run.write(int(exitstatus)))

    def _open(self, flavour: str) -> Stage:
        run = self.run

        def make() -> Adapter:
            return GuardedAdapter(run.candidate.factory(), run.claim.patience(run.options.deadline_s))

        clock = clock_for(flavour, run.options.time, run.claim)
        stage: Stage = self.config.hook.pytest_celeriac_stage(
            config=self.config,
            factory=make,
            flavour=flavour,
            source=run.options.source_for(flavour),
            clock=clock,
        )
        if contradiction := run.claim.contradiction(stage.identity):
            stage.close()
            raise HarnessError(contradiction)
        run.meet(flavour, stage)
        return stage


def _graver(first: dict[str, Outcome], second: dict[str, Outcome]) -> dict[str, Outcome]:
    """Answer, requirement by requirement, the graver of two outcomes of one check."""
    if not first:
        return second
    return {name: min(first[name], second[name], key=lambda o: GRAVITY.index(o.verdict)) for name in first}


def _dress(report: pytest.TestReport, item: pytest.Item, outcomes: dict[str, Outcome]) -> None:
    """Let a report count in pytest as its verdict asks for: passed, failed, error, skipped or xfailed."""
    verdict = worst(outcome.verdict for outcome in outcomes.values())
    reason = next(outcome.reason for outcome in outcomes.values() if outcome.verdict == verdict)
    report.celeriac_verdict = verdict  # type: ignore[attr-defined] # read by pytest_report_teststatus
    if verdict == "known-failure":
        report.outcome = "skipped"
        report.wasxfail = reason
    elif verdict in {"not-applicable", "not-run"}:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), (item.location[1] or 0) + 1, f"Skipped: {reason}")
