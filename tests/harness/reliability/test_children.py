"""Servers as child processes: they end with their harness, at ports that nobody else is given."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from celeriac.conformance.environments import VARIABLE
from celeriac.conformance.providers.child import KEPT, Child, _keepers, free_port, private_folder

PATIENCE = 20.0

#: A harness with a server that minds nothing, and a child of that in the same group.
HARNESS = """
import sys
from celeriac.conformance.providers.child import Child, private_folder
script = "trap '' TERM INT HUP; (while :; do sleep 3600; done) & echo $! > pids; echo $$ >> pids; echo up; wait"
child = Child(["/bin/sh", "-c", script], private_folder())
while "up" not in child.log():
    child.pause(0.01)
print(*(child.folder / "pids").read_text().split(), flush=True)
sys.stdin.read()
"""


def test_a_server_ends_with_its_harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A harness that is killed takes its servers along at once, stubborn ones and what they have started."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))  # where no other run reaps
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HARNESS], stdin=pipe, stdout=pipe, text=True) as harness:
        assert harness.stdout is not None
        pids = [int(pid) for pid in harness.stdout.readline().split()]
        watches = [os.pidfd_open(pid) for pid in pids]
        harness.kill()
    gone = [bool(select.select([watch], [], [], PATIENCE)[0]) for watch in watches]
    for watch in watches:
        os.close(watch)
    assert gone == [True, True]


def test_a_server_has_the_number_of_its_child() -> None:
    """The process that is known is the server itself, with its exit status, and it reads nothing."""
    child = Child(["/bin/sh", "-c", "echo $$; cat; exit 3"], private_folder())
    try:
        assert child._process.wait(PATIENCE) == 3
        assert child.log() == str(child.pid)
    finally:
        child.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not let a server in beside a keeper")
def test_a_port_is_given_to_nobody_else() -> None:
    """A port that was handed out can be bound by a server only, and is not handed out again."""
    ports = [free_port() for _ in range(KEPT)]
    assert len(set(ports)) == KEPT
    with socket.socket() as thief, pytest.raises(OSError, match="in use"):
        thief.bind(("127.0.0.1", ports[0]))
    with socket.create_server(("127.0.0.1", ports[0])) as server:
        assert server.getsockname()[1] == ports[0]
    free_port()
    assert len(_keepers) == KEPT
