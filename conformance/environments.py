"""Environments: the packages that a claim asks for, where they disturb nobody.

An adapter may judge a version of its implementation that is not installed beside the harness.  Its claim then has a
``[build]`` table of requirements, and its processes run in an environment of their own, made once and kept in the
cache folder::

    environments/KEY.lock         held by whoever makes or looks at the environment, and by the pip that it started
    environments/KEY/made         written last: without it the environment is half made, and is made again
    environments/KEY/packages/    a virtual environment with the packages
    environments/KEY/seats/SEAT/  one that sees these packages and one installation of Celeriac: what processes run

``KEY`` stands for the requirements and this Python, so that all checkouts share the packages; ``SEAT`` stands for where
Celeriac is, so that the processes of each checkout run its own code, and no variable has to say where that is.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from celeriac.conformance.verdicts import HarnessError

__all__ = ["Build", "BuildError", "Tell", "cache_folder", "interpreter"]

#: Is told, in a line, of what takes long.
Tell = Callable[[str], None]

#: Names the folder in which environments are kept.
VARIABLE = "CELERIAC_CACHE"

#: The packages that the processes of an adapter may import.
PACKAGES = ("celeriac.spec", "celeriac.reference", "celeriac.conformance", "celeriac.adapters")

#: How pip begins the line that says why it failed.
_COMPLAINT = "ERROR: "


class BuildError(HarnessError):
    """An environment cannot be made; the text is one line."""


@dataclass(frozen=True, slots=True)
class Build:
    """What an environment holds.

    Attributes:
        requirements: as pip takes them; a path is relative to ``base``.
        base: the folder of the claim.
    """

    requirements: tuple[str, ...]
    base: Path

    @property
    def key(self) -> str:
        """A name for these requirements on this Python."""
        python = (platform.python_implementation(), platform.python_version(), sysconfig.get_platform())
        local = [str(self.base)] if any(map(_is_path, self.requirements)) else []
        return _digest(*python, *self.requirements, *local)

    def __str__(self) -> str:
        first, *others = self.requirements
        return f"{first} and {len(others)} more packages" if others else first


def cache_folder() -> Path:
    """Answer the folder of what may be made again: ``CELERIAC_CACHE``, else ``celeriac`` in the user's cache folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named).absolute()
    users = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (users if users.is_absolute() else Path.home() / ".cache") / "celeriac"


def interpreter(build: Build, tell: Tell = lambda line: None, *, again: bool = False) -> Path:
    """Answer the Python of an environment, which is made if it is not there.

    Args:
        build: what it holds.
        tell: told before anything that takes long.
        again: make it anew, though it is there.

    Raises:
        BuildError: it cannot be made.
    """
    home = cache_folder() / "environments" / build.key
    seat = home / "seats" / _digest(*_places().values())
    if not again and _is_usable(home, seat):
        return _python(seat)
    try:
        with _locked(home, tell) as lock:
            if again or not (home / "made").is_file():
                tell(f"making an environment with {build} in {home} (once)")
                _make(home, build, lock)
            if not _is_usable(home, seat):
                _seat(home, seat)
            return _python(seat)
    except OSError as error:
        raise BuildError(f"no environment can be made in {home}: {error.strerror or error}") from error


@contextmanager
def _locked(home: Path, tell: Tell) -> Iterator[int]:
    """Be alone with an environment, and answer the descriptor that keeps others out as long as anybody holds it."""
    import fcntl  # not every system has it, and not every adapter an environment

    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"waiting for another process, which is making {home}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _make(home: Path, build: Build, lock: int) -> None:
    (home / "made").unlink(missing_ok=True)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    packages = home / "packages"
    _run([sys.executable, "-I", "-m", "venv", str(packages)], build, lock)
    pip = [str(_python(packages)), "-I", "-m", "pip", "--no-input", "--disable-pip-version-check"]
    _run([*pip, "install", *build.requirements], build, lock)
    (home / "made").write_text("\n".join(build.requirements), encoding="utf-8")


def _run(command: Sequence[str], build: Build, lock: int) -> None:
    """Run one step, which holds the lock even when it outlives this process."""
    done = subprocess.run(
        command,
        cwd=build.base,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(lock,),
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        step = "pip install" if "pip" in command else "python -m venv"
        raise BuildError(
            f"no environment can be made with {build}: {step}: {_why(done.stdout)}"
            f" (needed once: a package index that pip can reach, or a {VARIABLE} that has it already)"
        )


def _why(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    complaints = [line.removeprefix(_COMPLAINT) for line in lines if line.startswith(_COMPLAINT)]
    return (complaints or lines or ["it failed and said nothing"])[-1]


def _is_usable(home: Path, seat: Path) -> bool:
    """Answer whether an environment is complete and a seat in it sees Celeriac and the packages, pip among them."""
    look = f"from importlib.util import find_spec; assert all(map(find_spec, {(*PACKAGES, 'pip')}))"
    try:
        done = subprocess.run([str(_python(seat)), "-I", "-c", look], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and (home / "made").is_file()


def _seat(home: Path, seat: Path) -> None:
    venv.EnvBuilder(symlinks=True, clear=True).create(seat)
    links = seat / "links"
    (links / "celeriac").mkdir(parents=True)
    for name, place in _places().items():
        links.joinpath(*name.split(".")).symlink_to(place)
    packages = f"import site; site.addsitedir({str(_site(home / 'packages'))!r})"
    (_site(seat) / "celeriac.pth").write_text(f"{packages}\n{links}\n", encoding="utf-8")


def _places() -> dict[str, str]:
    """Answer the folder of each of Celeriac's packages."""
    specs = {name: util.find_spec(name) for name in PACKAGES}
    return {name: str(Path(str(spec.origin)).resolve().parent) for name, spec in specs.items() if spec}


def _python(environment: Path) -> Path:
    return environment / "bin" / "python"


def _site(environment: Path) -> Path:
    """Answer the folder of an environment's packages."""
    base = str(environment)
    return Path(sysconfig.get_path("purelib", "venv", {"base": base, "platbase": base}))


def _is_path(requirement: str) -> bool:
    return requirement.startswith(".")


def _digest(*texts: str) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]
