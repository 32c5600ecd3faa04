"""The command: ``python -m celeriac.reference worker APP`` and ``... broker``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

__all__ = ["main"]

#: Exit status of a command line that makes no sense.
_USAGE = 4


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(_USAGE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and answer its exit status: 0 as asked, 1 failed, 4 usage."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _Parser(prog="python -m celeriac.reference", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="worker | broker")
    worker = commands.add_parser("worker", help="execute the tasks of an application")
    broker = commands.add_parser("broker", help="serve the embedded AMQP broker for tests")
    # only what is asked for is imported: the broker has to be up in a quarter of a second
    if given[:1] == ["broker"]:
        from celeriac.reference.broker import serve

        serve.add_arguments(broker)
        return int(serve.run(parser.parse_args(given)) or 0)
    if given[:1] == ["worker"]:
        from celeriac.reference.worker import command

        command.add_arguments(worker)
        return command.run(parser.parse_args(given))
    parser.parse_args(given)
    return _USAGE


if __name__ == "__main__":
    sys.exit(main())
