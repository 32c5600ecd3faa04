"""The command that checks one requirement again, as a reader copies it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from celeriac.conformance.options import RunOptions

__all__ = ["COMMAND_PLUGIN", "again", "started_as"]

#: Name under which ``celeriac run`` registers itself, so that reproduce commands use it.
COMMAND_PLUGIN = "celeriac-command"


def started_as(config: pytest.Config) -> str:
    """Answer how this run was started: ``celeriac run``, or pytest with the places of its checks."""
    if config.pluginmanager.has_plugin(COMMAND_PLUGIN):
        return "celeriac run"
    places = [arg for arg in config.args if "::" not in arg] or ["conformance"]
    return shlex.join(
        ["pytest", *(os.path.relpath(arg) if Path(arg).is_absolute() else arg for arg in places)]
    )


def again(start: str, adapter: str, options: RunOptions, requirement: str, flavour: str) -> str:
    """Answer the command.

    Args:
        start: as ``started_as`` answers it.
        adapter: how the adapter was spelled.
        options: those of the run.
        requirement: what to check.
        flavour: the broker on which it failed.
    """
    words = [f"--adapter={adapter}"]
    if flavour != "embedded":
        words.append(f"--broker={flavour}")
    if source := options.shown(options.source_for(flavour)):
        words.append(f"--broker-from={source}")
    if options.time != "auto":
        words.append(f"--time={options.time}")
    if options.explore:
        words.append("--explore")
    return f"{start} {shlex.join([*words, f'--requirement={requirement}'])}"
