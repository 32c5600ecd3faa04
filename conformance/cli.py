"""The ``celeriac`` command.

``celeriac run`` is pytest with the plugin and the checks, shut off from the configuration, the conftest files and
the plugins of the folder in which it is started.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Collection, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from celeriac.conformance.claim import ClaimError, bundled, find_adapter, installed
from celeriac.conformance.environments import BuildError, make
from celeriac.conformance.leftovers import scratch_folder
from celeriac.conformance.nearest import did_you_mean
from celeriac.conformance.providers import LINKS, Unavailable, find
from celeriac.conformance.reading import ReadingError
from celeriac.conformance.scaffold import LANGUAGES, ScaffoldError, new_adapter
from celeriac.conformance.spec_command import NotThere, add_arguments, perform
from celeriac.conformance.updating import UpdateError, update
from celeriac.conformance.verdicts import HarnessError

__all__ = ["main"]

EXIT_ERROR, USAGE_ERROR = 3, 4

#: Variables with which an environment would change what pytest does.
PYTEST_VARIABLES = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")

DESCRIPTION = "Judge implementations of Celery's Calling API."
EPILOG = (
    "`celeriac COMMAND --help` tells more. Exit status of all commands: 4 when the command line is wrong."
)
LONGEST_COMMAND = len("expectations")
RUN_EPILOG = (
    "Everything else goes to pytest: -v for a line per requirement, -x, -k and what `pytest --help` lists."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and answer its exit status.

    Args:
        argv: the words after ``celeriac``; those of the process by default.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["run"]:
        return _run_help() if {"-h", "--help"} & set(words) else _run(words[1:])
    parser, commands = _parser()
    if words and words[0] not in commands and not words[0].startswith("-"):
        return _refuse("", did_you_mean("command", words[0], commands))
    try:
        arguments = parser.parse_args(words)
    except SystemExit as error:
        return USAGE_ERROR if error.code else 0
    if arguments.command is None:
        parser.print_help()
        return 0
    try:
        return int(arguments.do(arguments))
    except (ClaimError, BuildError, UpdateError, ScaffoldError, Unavailable, NotThere, ReadingError) as error:
        return _refuse(arguments.command, str(error))


def _refuse(command: str, text: str) -> int:
    """Say in one line why a command cannot be performed."""
    print(f"{f'celeriac {command}'.strip()}: {' '.join(text.split())}", file=sys.stderr)
    return USAGE_ERROR


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(USAGE_ERROR)


class _Formatter(argparse.HelpFormatter):
    """Keeps every command on one line with its help: argparse forgets that they are indented."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        self._action_max_length = max(self._action_max_length, LONGEST_COMMAND + 4)


def _parser() -> tuple[argparse.ArgumentParser, Collection[str]]:
    """Answer the parser and the names of all commands."""
    parser = _Parser("celeriac", description=DESCRIPTION, epilog=EPILOG, formatter_class=_Formatter)
    parser.add_argument("--version", action="version", version=f"celeriac {version('celeriac')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def command(name: str, what: str, do: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        added.set_defaults(do=do)
        return added

    commands.add_parser("run", help="judge an adapter: run the checks, write a report", add_help=False)
    doctor = command("doctor", "walk through an adapter and say what is missing next", _doctor)
    doctor.add_argument("--adapter", metavar="NAME", required=True, help="as in run")
    doctor.add_argument(
        "--broker", metavar="FLAVOUR", choices=LINKS, help="embedded (default), rabbitmq, redis or valkey"
    )
    doctor.add_argument("--broker-from", metavar="SOURCE", help="as in run")
    new = command("new-adapter", "write the starting point of an adapter", _new_adapter)
    new.add_argument("name", metavar="NAME", help="of the adapter, such as my-client")
    new.add_argument(
        "--language",
        required=True,
        choices=LANGUAGES,
        help="of the driver; other is any that can print JSON",
    )
    new.add_argument("--folder", metavar="DIR", help="where to; default: ./NAME")
    expectations = command("expectations", "bring known failures up to what runs have found", _expectations)
    expectations.add_argument("--write", action="store_true", help="change the file, instead of showing how")
    expectations.add_argument(
        "--report",
        metavar="DIR",
        action="append",
        help="folder of a finished run's report; repeatable; default: .celeriac",
    )
    expectations.add_argument("--adapter", metavar="NAME", help="as in run; default: the report's")
    report = command("report", "make report.html of what a run has written, however it ended", _report)
    report.add_argument("folder", metavar="FOLDER", help="of the report; or its results.jsonl")
    report.add_argument("--compare", metavar="OLD", help="as in run")
    crossing = command("interop", "cross every producer with every worker, in one table", _interop)
    crossing.add_argument(
        "--adapter",
        metavar="NAME",
        action="append",
        help="crossed with the reference and the others; repeatable; default: all bundled ones that are built",
    )
    crossing.add_argument("--broker", metavar="FLAVOUR", help="as in run")
    crossing.add_argument("--broker-from", metavar="SOURCE", help="as in run")
    crossing.add_argument("--report-dir", metavar="DIR", default=".celeriac", help="default: %(default)s")
    build = command("build", "make the environments and programs that adapters need", _build)
    build.add_argument("names", metavar="NAME", nargs="*", help="of an adapter, as in run --adapter")
    build.add_argument("--all", action="store_true", help="those of all adapters that come with Celeriac")
    build.add_argument("--again", action="store_true", help="make them anew, also where nothing has changed")
    command("adapters", "list the adapters that are here, with their roles, links and clocks", _adapters)
    add_arguments(command("spec", "print requirements, find them, or print schemas", perform))
    return parser, commands.choices


def _run_help() -> int:
    from celeriac.conformance.options import OPTIONS

    parser = argparse.ArgumentParser(
        "celeriac run",
        usage="celeriac run --adapter=NAME [options]",
        description=DESCRIPTION,
        epilog=RUN_EPILOG,
    )
    for name, settings in OPTIONS:
        parser.add_argument(name, **settings)
    parser.print_help()
    return 0


def _run(words: list[str]) -> int:
    import pytest

    from celeriac.conformance.reproduce import COMMAND_PLUGIN

    for name in PYTEST_VARIABLES:
        os.environ.pop(name, None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    checks = Path(__file__).resolve().parent
    with scratch_folder() as folder:
        empty = folder / "pytest.ini"
        empty.write_text("[pytest]\n", encoding="utf-8")
        os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(folder / "hypothesis"))
        isolated = [
            *("-c", str(empty), f"--rootdir={checks}", f"--confcutdir={checks}"),
            *(
                "-p",
                "celeriac.conformance.plugin",
                "-p",
                "_hypothesis_pytestplugin",
                "-p",
                "no:cacheprovider",
            ),
            *("--import-mode=importlib", "--strict-markers"),
        ]
        return int(pytest.main([*isolated, *words, str(checks)], plugins=[_Command(COMMAND_PLUGIN)]))


class _Command:
    """A plugin without hooks: its name tells that the run was started by this command."""

    def __init__(self, name: str) -> None:
        self.__name__ = name


def _doctor(arguments: argparse.Namespace) -> int:
    from celeriac.conformance.doctor import Doctor

    try:
        find(arguments.broker or "embedded", arguments.broker_from)
    except ValueError as error:  # what is wrong with the two options
        return _refuse("doctor", str(error))
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    doctor = Doctor(arguments.adapter, _say, arguments.broker, arguments.broker_from, colour)
    return 0 if doctor.walk() else 1


def _say(line: str) -> None:
    print(line, flush=True)


def _new_adapter(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.folder or arguments.name)
    for path in new_adapter(arguments.name, arguments.language, folder):
        print(path)
    print(f"Next: celeriac doctor --adapter={folder / 'adapter.toml'}")
    return 0


def _expectations(arguments: argparse.Namespace) -> int:
    lines, done = update(arguments.report or [".celeriac"], arguments.adapter, write=arguments.write)
    print("\n".join(lines))
    return 0 if done else 1


def _report(arguments: argparse.Namespace) -> int:
    from celeriac.conformance.page import write_page
    from celeriac.conformance.reading import outcomes, read

    place = Path(arguments.folder)
    old = outcomes(Path(arguments.compare)) if arguments.compare else None
    reading = read(place)
    print(write_page(place, reading, old))
    if reading.lacking:
        print(reading.lacking, file=sys.stderr)
    return 0


def _interop(arguments: argparse.Namespace) -> int:
    import pytest

    from celeriac.conformance.interop import Interop
    from celeriac.conformance.interop_table import lines, write_interop
    from celeriac.conformance.options import read_brokers

    try:
        brokers, source = read_brokers(arguments.broker, arguments.broker_from)
    except pytest.UsageError as error:
        return _refuse("interop", str(error))
    logging.getLogger("amqp").addHandler(logging.NullHandler())  # it warns of every connection that is closed
    crossing = Interop(_tell)
    try:
        crossing.gather(arguments.adapter or ())
    except HarnessError as error:
        if isinstance(error, BuildError):
            raise
        _refuse("interop", str(error))
        return EXIT_ERROR
    crossing.cross(brokers, source)
    folder = Path(arguments.report_dir)
    write_interop(folder, crossing.cells, crossing.versions, crossing.missing)
    print("\n".join((*lines(crossing.cells), "", f"report: {folder / 'interop.md'}")))
    return 0 if crossing.is_sound else EXIT_ERROR


def _build(arguments: argparse.Namespace) -> int:
    names = list(bundled()) if arguments.all else arguments.names
    if not names:
        return _refuse("build", f"name adapters, or say --all: {', '.join(bundled())}")
    for name in names:
        build = find_adapter(name).claim.build
        if build is not None:
            made = make(build, _tell, again=arguments.again)
            print(f"{name}: {made.folder or made.python}")
        else:
            print(f"{name} runs in this environment: there is nothing to make")
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _adapters(_: argparse.Namespace) -> int:
    names = (*bundled(), *installed())
    width = max(map(len, names))
    print("\n".join(f"{name:<{width}}  {_offer(name)}" for name in names))
    return 0


def _offer(name: str) -> str:
    """Answer what an adapter offers, or why it cannot be used."""
    try:
        claim = find_adapter(name).claim
    except ClaimError as error:
        return f"unusable: {error}"
    offered = (claim.roles, claim.links, claim.clocks)
    return f"{claim.title}: {'; '.join(', '.join(words) for words in offered)}"
