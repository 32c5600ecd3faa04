"""The worker as a command."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import sys
from types import FrameType, ModuleType
from typing import NoReturn

from celeriac.reference.app import App
from celeriac.reference.errors import InvalidAppError
from celeriac.reference.suggest import unknown
from celeriac.reference.worker.worker import Worker

__all__ = ["add_arguments", "load_app", "run"]

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class _ColdStop(BaseException):
    """Ends the running task: a second signal, or SIGQUIT, wants no more patience."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the worker command."""
    parser.add_argument("app", metavar="APP", help="module:attribute, or a module with one application")
    parser.add_argument(
        "-Q", "--queues", default="", help="names, separated by commas; the default queue if none"
    )
    parser.add_argument("-n", "--hostname", help="name of the worker")
    parser.add_argument("--prefetch", type=_count, help="deliveries to have outstanding, 0 for no limit")
    parser.add_argument("-l", "--loglevel", type=str.upper, choices=_LEVELS, default="WARNING")


def run(arguments: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT; answer the exit status.

    The first signal lets the running task finish; the second, or SIGQUIT, ends it.  Messages that are not settled
    go back to the broker either way.
    """
    logging.basicConfig(level=arguments.loglevel, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        app = load_app(arguments.app)
    except InvalidAppError as error:
        print(f"worker: {error}", file=sys.stderr)  # noqa: T201 - a command speaks
        return 4
    queues = [name.strip() for name in arguments.queues.split(",") if name.strip()]
    worker = Worker(app, queues, hostname=arguments.hostname, prefetch=arguments.prefetch)
    app.observers.append(lambda kind, _: _announce(worker) if kind == "ready" else None)
    _obey_signals(worker)
    try:
        worker.run()
    except _ColdStop:
        pass
    finally:
        app.close()
    return 0


def load_app(path: str) -> App:
    """Answer the application that ``module:attribute`` or ``module`` names.

    Raises:
        InvalidAppError: there is none; the text says what to do.
    """
    name, _, attribute = path.partition(":")
    if os.getcwd() not in sys.path:  # noqa: PTH109 - sys.path holds texts
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        module = importlib.import_module(name)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InvalidAppError(f"cannot import {name!r} ({reason}); give APP as module:attribute") from error
    return _named(module, attribute) if attribute else _only(module)


def _named(module: ModuleType, attribute: str) -> App:
    found = getattr(module, attribute, None)
    if isinstance(found, App):
        return found
    apps = [name for name, value in vars(module).items() if isinstance(value, App)]
    raise InvalidAppError(f"{unknown('application', attribute, apps)} in module {module.__name__}")


def _only(module: ModuleType) -> App:
    apps = {id(value): value for value in vars(module).values() if isinstance(value, App)}
    if len(apps) != 1:
        raise InvalidAppError(
            f"module {module.__name__} has {len(apps)} applications; say {module.__name__}:NAME"
        )
    return next(iter(apps.values()))


def _announce(worker: Worker) -> None:
    queues = ", ".join(worker.queues)
    url = worker.app.connection().as_uri()
    print(f"ready: {worker.hostname} consumes {queues} on {url}", flush=True)  # noqa: T201


def _obey_signals(worker: Worker) -> None:
    asked = False

    def warm(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            cold(number, frame)
        asked = True
        worker.request_stop()

    def cold(number: int, frame: FrameType | None) -> NoReturn:
        raise _ColdStop

    signal.signal(signal.SIGTERM, warm)
    signal.signal(signal.SIGINT, warm)
    signal.signal(signal.SIGQUIT, cold)


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is less than 0")
    return number
