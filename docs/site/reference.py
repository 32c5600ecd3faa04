"""The reference of the command line and of the Python interface, from parsers and docstrings."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence

from celeriac.conformance import cli
from celeriac.conformance.options import OPTIONS
from docs.site.markdown import table

__all__ = ["INTERFACES", "command_line", "interfaces"]

#: Page -> title, what it is for, and the modules whose docstrings it shows.
INTERFACES: Mapping[str, tuple[str, str, Sequence[str]]] = {
    "spec": (
        "The specification as data",
        "Requirements, schemas and vectors, for tools of your own.",
        ("celeriac.spec",),
    ),
    "adapter": (
        "The adapter contract",
        "What an adapter in Python has. One in another language speaks [the protocol](/reference/protocol.md).",
        ("celeriac.conformance.adapter",),
    ),
    "reference": (
        "The reference implementation",
        "What a caller holds: an application, its tasks, calls and their results.",
        (
            "celeriac.reference.app",
            "celeriac.reference.task",
            "celeriac.reference.signature",
            "celeriac.reference.canvas",
            "celeriac.reference.result",
            "celeriac.reference.worker",
        ),
    ),
    "broker": (
        "The embedded broker",
        "A broker in the hands of a test: [how to use it](/guides/embedded-broker.md).",
        ("celeriac.reference.broker.control",),
    ),
    "profiles": (
        "Verdicts by profile",
        "How verdicts on requirements become a verdict on a profile.",
        ("celeriac.conformance.profiles",),
    ),
}

EXIT_STATUSES = """Exit status: 0 when everything is as expected, 1 when a requirement failed, 2 when the run was
interrupted, 3 when the adapter or the harness failed, 4 when the command line is wrong.

"""

PYTHON = """# The Python interface

From the docstrings. What is not here may change from one version to the next.

"""


def command_line() -> tuple[str, str]:
    """Answer the page of the command line."""
    parser, _ = cli._parser()  # noqa: SLF001 - the parser is the one source of what the command takes
    parts = [
        "# The command line\n\n",
        f"{parser.description} Each command tells about itself with `--help`.\n\n",
        "## celeriac run\n\nJudge an adapter: run the checks, write a report.\n\n",
        "```console\nceleriac run --adapter=NAME [options] [options of pytest]\n```\n\n",
        table(("option", "what"), _of_run()),
        f"{cli.RUN_EPILOG} In a checkout, `pytest conformance --adapter=NAME` takes the same.\n\n",
        EXIT_STATUSES,
    ]
    for name, command in _commands(parser):
        if name != "run":
            parts += _command(name, command)
    return "reference/command-line", "".join(parts)


def _of_run() -> Iterator[Sequence[str]]:
    for name, settings in OPTIONS:
        metavar = f" {settings['metavar']}" if "metavar" in settings else ""
        yield f"`{name}{metavar}`", str(settings["help"])


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in _actions(parser):
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse has no other way to ask
            yield from action.choices.items()


def _actions(parser: argparse.ArgumentParser) -> Iterable[argparse.Action]:
    return parser._actions  # noqa: SLF001 - as above


def _command(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"## celeriac {name}\n\n{parser.description}\n\n"
    usage = " ".join(parser.format_usage().removeprefix("usage:").split())
    yield f"```console\n{usage}\n```\n\n"
    rows = [_option(action) for action in _actions(parser) if action.dest != "help"]
    if rows:
        yield table(("option", "what"), rows)
    if parser.epilog:
        yield f"{parser.epilog}\n\n"


def _option(action: argparse.Action) -> Sequence[str]:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest
    if action.choices and action.metavar is None:
        metavar = "|".join(map(str, action.choices))
    takes = "" if action.nargs == 0 else f" {metavar}"
    name = f"{', '.join(action.option_strings)}{takes}" if action.option_strings else metavar
    params = {**vars(action), "choices": ", ".join(map(str, action.choices or ()))}
    return f"`{name}`", (action.help or "") % params


def interfaces() -> Iterator[tuple[str, str]]:
    """Answer the pages of the Python interface."""
    listed = "\n".join(f"{title} <{name}>" for name, (title, _, _) in INTERFACES.items())
    rows = (
        [f"[{title}](/reference/python/{name}.md)", about] for name, (title, about, _) in INTERFACES.items()
    )
    toc = f"```{{toctree}}\n:hidden:\n\n{listed}\n```\n"
    yield "reference/python/index", f"{PYTHON}{table(('page', 'what'), rows)}{toc}"
    for name, (title, about, modules) in INTERFACES.items():
        yield f"reference/python/{name}", f"# {title}\n\n{about}\n\n{''.join(map(_module, modules))}"


def _module(name: str) -> str:
    return f"## `{name}`\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n\n"
