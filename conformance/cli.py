"""The ``celeriac`` command.

``celeriac run`` is pytest with the plugin and the checks, shut off from the configuration, the conftest files and
the plugins of the folder in which it is started.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from celeriac.conformance.claim import ClaimError, bundled, find_adapter
from celeriac.conformance.environments import BuildError, make
from celeriac.conformance.leftovers import scratch_folder
from celeriac.conformance.nearest import did_you_mean
from celeriac.spec import Requirement, load

__all__ = ["main"]

USAGE_ERROR = 4

#: Variables with which an environment would change what pytest does.
PYTEST_VARIABLES = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")

DESCRIPTION = "Judge implementations of Celery's Calling API."
RUN_HELP = (
    "run the checks: --adapter=NAME, --broker=..., -v and all that pytest takes; see `celeriac run --help`"
)
RUN_EPILOG = (
    "Everything else goes to pytest: -v for a line per requirement, -x, -k and what `pytest --help` lists."
)
COMMANDS = ("run", "build", "adapters", "spec")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and answer its exit status.

    Args:
        argv: the words after ``celeriac``; those of the process by default.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["run"]:
        return _run_help() if {"-h", "--help"} & set(words) else _run(words[1:])
    if words and words[0] not in COMMANDS and not words[0].startswith("-"):
        print(f"celeriac: {did_you_mean('command', words[0], COMMANDS)}", file=sys.stderr)
        return USAGE_ERROR
    parser = _parser()
    try:
        arguments = parser.parse_args(words)
    except SystemExit as error:
        return USAGE_ERROR if error.code else 0
    if arguments.command == "build":
        return _build(bundled() if arguments.all else arguments.names, arguments.again)
    if arguments.command == "adapters":
        return _adapters()
    if arguments.command == "spec":
        return _spec(arguments.ids)
    parser.print_help()
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(USAGE_ERROR)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("celeriac", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"celeriac {version('celeriac')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("run", help=RUN_HELP, add_help=False)
    build = commands.add_parser("build", help="make the environments of adapters that have their own")
    build.add_argument("names", metavar="NAME", nargs="*", help="as in --adapter")
    build.add_argument("--all", action="store_true", help="of all adapters that come with Celeriac")
    build.add_argument("--again", action="store_true", help="make them anew")
    commands.add_parser("adapters", help="list the adapters that come with Celeriac")
    spec = commands.add_parser("spec", help="print requirements, or a list of all")
    spec.add_argument(
        "ids", metavar="ID", nargs="*", help="a requirement such as ETA-004, or an area such as ETA"
    )
    return parser


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

    from celeriac.conformance.narrator import COMMAND_PLUGIN

    for name in PYTEST_VARIABLES:
        os.environ.pop(name, None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    checks = Path(__file__).resolve().parent
    with scratch_folder() as folder:
        empty = folder / "pytest.ini"
        empty.write_text("[pytest]\n", encoding="utf-8")
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


def _build(names: Iterable[str], again: bool) -> int:
    if not names:
        print(f"celeriac build: name adapters, or say --all: {', '.join(bundled())}", file=sys.stderr)
        return USAGE_ERROR
    try:
        for name in names:
            build = find_adapter(name).claim.build
            if build is not None:
                made = make(build, _tell, again=again)
                print(f"{name}: {made.folder or made.python}")
            else:
                print(f"{name} runs in this environment: there is nothing to make")
    except (ClaimError, BuildError) as error:
        print(f"celeriac build: {' '.join(str(error).split())}", file=sys.stderr)
        return USAGE_ERROR
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _adapters() -> int:
    for name in bundled():
        try:
            claim = find_adapter(name).claim
        except ClaimError as error:
            print(f"{name:<12} unusable: {error}")
            continue
        print(
            f"{name:<12} {claim.title}: {', '.join(claim.roles)}; {', '.join(claim.links)}; {', '.join(claim.clocks)}"
        )
    return 0


def _spec(words: Sequence[str]) -> int:
    spec = load()
    if not words:
        for requirement in spec.requirements.values():
            print(f"{requirement.id}  {requirement.level:<6}  {requirement.sentence}")
        return 0
    for word in words:
        found = [r for name, r in spec.requirements.items() if word.upper() in {name, name.split("-")[0]}]
        if not found:
            areas = {name.split("-")[0] for name in spec.requirements}
            print(
                did_you_mean("requirement", word, spec.requirements if "-" in word else areas),
                file=sys.stderr,
            )
            return USAGE_ERROR
        print("\n\n".join(map(_text, found)))
    return 0


def _text(requirement: Requirement) -> str:
    fields = ("observed", "guide", "feature", "why", "known", "excluded")
    return "\n".join(
        [
            f"{requirement.id}  {requirement.level}  {requirement.role}  ({requirement.chapter})",
            f"  {requirement.sentence}",
            *(f"  {name}: {value}" for name in fields if (value := getattr(requirement, name))),
        ]
    )
