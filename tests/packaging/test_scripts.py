"""The scripts do nothing where nothing is lacking, and say in one line what is wrong where they cannot work."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [ROOT / ".ci" / "run", *sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file())]
ENGINE = "exit 0"
ENGINE_WITHOUT_IMAGE = '[ "$1" = version ]'
NO_ENGINE = "exit 1"

#: An engine that keeps the label and the content of the one image that it is given.
ENGINE_WITH_STORE = """\
case $1 in
  import) cat >"$HOME/content"; printf '%s\\n' "$@" | sed -n 's/.*recipe=//p' >"$HOME/label" ;;
  image) cat "$HOME/label" 2>/dev/null ;;
esac
"""

#: What installs a root file system with one file, and notes what it was asked for.
DEBOOTSTRAP = """\
echo "$@" >>"$HOME/asked"
for word in "$@"; do case $word in */root) mkdir -p "$word/etc"; echo made >"$word/etc/motd" ;; esac; done
"""

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

#: An engine that has the oldest of the images, and knows what is in it.
ENGINE_WITH_BULLSEYE = """\
case "$*" in
  version | image*celeriac-bullseye) echo 000000000000 ;;
  run*celeriac-bullseye*rabbitmq-server*) echo "rabbitmq-server 3.8.9-3, redis-server 5:6.0.16-1, " ;;
  *) exit 1 ;;
esac
"""

MIRROR = "http://127.0.0.1:1/debian"
SERVERS = "rabbitmq-server, redis-server, libfaketime"

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


def with_mirror(machine: Machine) -> None:
    """Give a machine all that images are made with."""
    machine.cache.mkdir()
    machine.program("docker", ENGINE_WITH_STORE)
    machine.program("debootstrap", DEBOOTSTRAP)
    machine.program("id", "echo 0")
    machine.program("apt-config", "")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_script_is_executable_and_parses(script: Path) -> None:
    """Every script can be executed, is valid bash and stops at the first error."""
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()
    parsed = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (parsed.returncode, parsed.stderr) == (0, "")


def test_images_are_made_once(machine: Machine) -> None:
    """An image is made from a root file system that has the servers and libfaketime; a second run makes nothing."""
    with_mirror(machine)
    made = machine.run("scripts/images", "bookworm", CELERIAC_MIRROR=MIRROR)
    assert made.stdout.splitlines()[1].startswith(
        f"celeriac-bookworm waits for debootstrap to install {SERVERS} from {MIRROR}"
    )
    assert made.stdout.splitlines()[-1].startswith("celeriac-bookworm is made")
    asked = (machine.cache / "asked").read_text().split()
    assert f"--include={SERVERS.replace(' ', '')}" in asked
    again = machine.run("scripts/images")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "celeriac-bookworm is there")
    assert (machine.cache / "asked").read_text().split() == asked


def test_images_imports_a_kept_file_system(machine: Machine) -> None:
    """An image that the engine has lost is made from the root file system that was kept."""
    with_mirror(machine)
    machine.run("scripts/images", "bookworm", CELERIAC_MIRROR=MIRROR)
    content = (machine.cache / "content").read_bytes()
    (machine.cache / "label").unlink()
    machine.program("debootstrap", "exit 77")
    done = machine.run("scripts/images", "bookworm")
    assert (done.returncode, done.stdout.splitlines()[-1][:25]) == (0, "celeriac-bookworm is made")
    assert (machine.cache / "content").read_bytes() == content


def test_images_are_made_again_by_another_recipe(machine: Machine) -> None:
    """An image and a root file system of another recipe are replaced."""
    with_mirror(machine)
    machine.run("scripts/images", "bookworm", CELERIAC_MIRROR=MIRROR)
    (kept,) = (machine.cache / "celeriac").glob("*.tar")
    older = kept.rename(kept.with_name("bookworm-000000000000.tar"))
    (machine.cache / "label").write_text("000000000000\n")
    done = machine.run("scripts/images", "bookworm", CELERIAC_MIRROR=MIRROR)
    assert (done.returncode, done.stdout.splitlines()[-1][:25]) == (0, "celeriac-bookworm is made")
    assert (kept.exists(), older.exists()) == (True, False)


def test_images_makes_all(machine: Machine) -> None:
    """Asked for all, it makes every suite, each from Debian's own script where debootstrap has none for the suite."""
    with_mirror(machine)
    (scripts := machine.cache / "scripts").mkdir()
    (scripts / "bookworm").touch()
    done = machine.run("scripts/images", "all", CELERIAC_MIRROR=MIRROR, DEBOOTSTRAP_DIR=str(machine.cache))
    assert done.returncode == 0, done.stderr
    asked = [line.split() for line in (machine.cache / "asked").read_text().splitlines()]
    assert {(words[-4], Path(words[-1]).name) for words in asked} == {
        ("bullseye", "sid"),
        ("bookworm", "bookworm"),
        ("trixie", "sid"),
        ("forky", "sid"),
    }


def test_images_lists_what_is_in_them(machine: Machine) -> None:
    """The list has a line per suite: the versions found inside, or what to do to have it."""
    machine.program("docker", ENGINE_WITH_BULLSEYE)
    listed = machine.run("scripts/images", "--list").stdout.splitlines()[1:]
    assert listed[0] == "bullseye (of an older recipe): rabbitmq-server 3.8.9-3, redis-server 5:6.0.16-1"
    assert listed[1] == "bookworm: not made: scripts/images bookworm"
    assert len(listed) == 4


def test_official_images_get_the_library(machine: Machine) -> None:
    """An official image is the base of one with libfaketime, named after it."""
    machine.program("docker", '[ "$1" = version ] || { echo "$@" >"$HOME/told"; cat >"$HOME/recipe"; }')
    done = machine.run("scripts/images", "--official", "rabbitmq:4.1")
    assert done.returncode == 0, done.stderr
    told = (machine.cache / "told").read_text().split()
    assert (told[0], told[-1]) == ("build", "-")
    assert {"BASE=rabbitmq:4.1", "celeriac-rabbitmq-4.1"} <= {*told}
    assert "libfaketime" in (machine.cache / "recipe").read_text()


def test_official_images_that_cannot_be_had_say_what_is_needed(machine: Machine) -> None:
    """Where an official image cannot be built upon, the engine's last words and the two needs are shown."""
    machine.program("docker", '[ "$1" = version ] || { echo "no such host" >&2; exit 1; }')
    done = machine.run("scripts/images", "--official", "rabbitmq:4.1")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "no such host",
        "scripts/images: celeriac-rabbitmq-4.1 needs the image rabbitmq:4.1 and a mirror that its apt can reach",
    ]


def test_official_images_need_a_tag(machine: Machine) -> None:
    """An official image without a tag is a usage error."""
    machine.program("docker", ENGINE)
    done = machine.run("scripts/images", "--official", "rabbitmq")
    assert (done.returncode, done.stderr.count("has no tag")) == (4, 1)


def test_images_takes_the_mirror_that_apt_uses(machine: Machine) -> None:
    """Of apt's own sources the one that carries the wanted suite of Debian is used, whatever suite apt has."""
    machine.program("docker", ENGINE_WITHOUT_IMAGE)
    machine.program("apt-get", APT)
    machine.program("id", "echo 0")
    machine.program("debootstrap", 'echo "$@" >"$HOME/asked"; exit 77')
    helper = machine.program("apt-helper", APT_HELPER)
    done = machine.run("scripts/images", "trixie", CELERIAC_APT_HELPER=str(helper))
    assert done.returncode == 1
    suite, _root, mirror, _script = (machine.cache / "asked").read_text().split()[-4:]
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
    machine.program("docker", ENGINE)
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
