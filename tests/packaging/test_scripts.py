"""The scripts do nothing where nothing is lacking, and say in one line what is wrong where they cannot work."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [ROOT / ".ci" / "run", *sorted((ROOT / "scripts").iterdir())]
ENGINE_WITH_IMAGE = "exit 0"
ENGINE_WITHOUT_IMAGE = '[ "$1" = version ]'
NO_ENGINE = "exit 1"

#: What apt prints of two sources; the first is a mirror of something else.
APT = """\
echo "'http://127.0.0.1:1/other/dists/bookworm/InRelease' other_InRelease 0"
echo "'http://127.0.0.1:1/debian/dists/bookworm/InRelease' debian_InRelease 0"
echo "'http://127.0.0.1:1/debian/dists/bookworm/main/Packages.xz' Packages 0"
"""
APT_HELPER = """\
case $2 in
  */debian/dists/trixie/InRelease) echo "Origin: Debian" >"$3" ;;
  */other/dists/*) echo "Origin: Other" >"$3" ;;
  *) exit 100 ;;
esac
"""

#: A daemon that is up while a file exists and goes when it is told to.
DOCKERD = """\
sleep 60 &
trap "kill $!; rm -f $HOME/up $2; exit" TERM
echo $$ >"$2"
touch "$HOME/up"
wait
"""


class Machine:
    """A machine on which some programs are replaced by a few lines of shell."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.cache = folder / "cache"
        self.bin.mkdir()

    def program(self, name: str, body: str) -> Path:
        """Replace a program."""
        path = self.bin / name
        path.write_text(f"#!/usr/bin/env bash\n{body}\n")
        path.chmod(0o755)
        return path

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one of the scripts of this checkout on the machine."""
        environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(self.cache),
            "XDG_CACHE_HOME": str(self.cache),
            **variables,
        }
        return subprocess.run(
            [str(ROOT / command[0]), *command[1:]],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Answer a machine that has everything but the programs a test replaces."""
    return Machine(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_script_is_executable_and_parses(script: Path) -> None:
    """Every script can be executed, is valid bash and stops at the first error."""
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()
    parsed = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (parsed.returncode, parsed.stderr) == (0, "")


def test_images_does_nothing_when_the_image_is_there(machine: Machine) -> None:
    """An image that the engine has is not built again."""
    machine.program("docker", ENGINE_WITH_IMAGE)
    machine.program("debootstrap", "exit 77")
    done = machine.run("scripts/images")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "celeriac-bookworm is there")


def test_images_imports_a_kept_file_system(machine: Machine) -> None:
    """A root file system that was kept is imported without being built again."""
    machine.program("docker", '[ "$1" = version ] || { [ "$1" = import ] && cat >"$HOME/imported"; }')
    machine.program("debootstrap", "exit 77")
    kept = machine.cache / "celeriac" / "bookworm.tar"
    kept.parent.mkdir(parents=True)
    kept.write_text("a root file system")
    done = machine.run("scripts/images", "bookworm")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "celeriac-bookworm is made")
    assert (machine.cache / "imported").read_text() == "a root file system"


def test_images_takes_the_mirror_that_apt_uses(machine: Machine) -> None:
    """Of apt's own sources the one that carries the wanted suite of Debian is used, whatever suite apt has."""
    machine.program("docker", ENGINE_WITHOUT_IMAGE)
    machine.program("apt-get", APT)
    machine.program("id", "echo 0")
    machine.program("debootstrap", 'echo "$@" >"$HOME/asked"; exit 77')
    helper = machine.program("apt-helper", APT_HELPER)
    done = machine.run("scripts/images", "trixie", CELERIAC_APT_HELPER=str(helper))
    assert done.returncode == 1
    suite, _root, mirror = (machine.cache / "asked").read_text().split()[-3:]
    assert (suite, mirror) == ("trixie", "http://127.0.0.1:1/debian")


def test_images_says_when_no_mirror_carries_the_suite(machine: Machine) -> None:
    """A suite that none of apt's mirrors carries is refused in one line that says what to do."""
    machine.program("docker", ENGINE_WITHOUT_IMAGE)
    machine.program("apt-get", APT)
    machine.program("id", "echo 0")
    helper = machine.program("apt-helper", APT_HELPER)
    done = machine.run("scripts/images", "bookworm", CELERIAC_APT_HELPER=str(helper))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "scripts/images: no mirror in apt's configuration carries Debian's bookworm; name one in CELERIAC_MIRROR"
    ]


def test_images_refuses_an_unknown_suite(machine: Machine) -> None:
    """An unknown suite is a usage error that lists the known ones."""
    machine.program("docker", ENGINE_WITHOUT_IMAGE)
    done = machine.run("scripts/images", "sarge")
    assert done.returncode == 4
    assert "unknown suite sarge; known: " in done.stderr
    assert "bookworm" in done.stderr


def test_engine_leaves_a_running_one_alone(machine: Machine) -> None:
    """Where an engine answers, none is started, and stop does not touch it."""
    machine.program("docker", ENGINE_WITH_IMAGE)
    machine.program("dockerd", "exit 77")
    assert machine.run("scripts/engine", "start").stdout == "a container engine answers\n"
    assert machine.run("scripts/engine", "stop").stdout == "scripts/engine started nothing\n"
    assert machine.run("scripts/engine", "status").returncode == 0


def test_engine_says_why_it_did_not_come_up(machine: Machine) -> None:
    """A dockerd that dies at once fails the start, with the end of its log and without waiting for the deadline."""
    machine.program("docker", NO_ENGINE)
    machine.program("id", "echo 0")
    machine.program("dockerd", "echo cannot create the bridge >&2; exit 1")
    done = machine.run("scripts/engine", "start")
    assert done.returncode == 1
    assert "cannot create the bridge" in done.stderr
    assert "dockerd did not come up" in done.stderr


def test_engine_is_started_and_stopped(machine: Machine) -> None:
    """The dockerd that start started is the process that stop ends."""
    machine.program("docker", '[ -e "$HOME/up" ]')
    machine.program("id", "echo 0")
    machine.program("dockerd", DOCKERD)
    machine.cache.mkdir()
    started = machine.run("scripts/engine", "start")
    assert started.returncode == 0, started.stderr
    pid = int(started.stdout.split()[-1])
    assert (machine.cache / "celeriac" / "dockerd.pid").read_text().strip() == str(pid)
    stopped = machine.run("scripts/engine", "stop")
    assert (stopped.returncode, stopped.stdout) == (0, f"stopped dockerd, process {pid}\n"), stopped.stderr
    assert not (machine.cache / "up").exists()


def test_ci_refuses_an_unknown_step(machine: Machine) -> None:
    """A step that does not exist is a usage error that lists those that do, and nothing is run."""
    done = machine.run(".ci/run", "lnit")
    assert (done.returncode, done.stdout) == (4, "")
    assert "unknown step lnit; known: system lint types" in done.stderr
