"""Environments: what the processes of an adapter run in, where it disturbs nobody.

An adapter may judge an implementation that is not installed beside the harness, in any language.  Its claim then has a
``[build]`` table of packages for pip, or of files and the steps that make a program of them, and its processes run in
an environment of their own, made once and kept in the cache folder::

    environments/KEY.lock         held by whoever makes or looks at the environment, and by the step that it started
    environments/KEY/made         written last: without it the environment is half made, and is made again
    environments/KEY/packages/    a virtual environment with the packages
    environments/KEY/seats/SEAT/  one that sees these packages and one installation of Celeriac: what processes run
    environments/KEY/built/       copies of the files, and what the steps have made of them
    environments/KEY/steps.log    what the steps have printed

``KEY`` stands for the table, the contents of its files and this Python, so that all checkouts share what is made of
them; ``SEAT`` stands for where Celeriac is, so that the processes of each checkout run its own code, and no variable
has to say where that is.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from celeriac.conformance.verdicts import HarnessError

__all__ = ["Build", "BuildError", "Made", "Tell", "cache_folder", "interpreter", "is_made", "make"]

#: Is told, in a line, of what takes long.
Tell = Callable[[str], None]

#: Names the folder in which environments are kept.
VARIABLE = "CELERIAC_CACHE"

#: The packages that the processes of an adapter may import.
PACKAGES = ("celeriac.spec", "celeriac.reference", "celeriac.conformance", "celeriac.adapters")

#: How pip begins the line that says why it failed.
_COMPLAINT = "ERROR: "

#: How many lines of what any other program has said last are shown: npm's last is where its log is.
_LAST = 3


class BuildError(HarnessError):
    """An environment cannot be made; the text is one line."""


@dataclass(frozen=True, slots=True)
class Build:
    """What an environment holds, and how it is made.

    Attributes:
        requirements: as pip takes them; a path is relative to ``base``.
        base: the folder of the claim.
        python: the version of Python to run the packages, such as ``3.13``; None for that of the harness.
        needs: programs that have to be on the PATH.
        files: patterns of files relative to ``base``; what comes from a folder beside it loses that folder.
        steps: commands that make a program of the files, run in the folder of their copies.
    """

    requirements: tuple[str, ...]
    base: Path
    python: str | None = None
    needs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    steps: tuple[tuple[str, ...], ...] = ()

    @property
    def key(self) -> str:
        """A name for all this on this Python.

        Raises:
            BuildError: a pattern names no file.
        """
        python = (platform.python_implementation(), platform.python_version(), sysconfig.get_platform())
        local = [str(self.base)] if any(map(_is_path, self.requirements)) else []
        made = [self.python, *self.needs, *map(shlex.join, self.steps)] if self.python or self.steps else []
        contents = [f"{name} {_hash(path.read_bytes())}" for name, path in self.sources().items()]
        return _digest(*python, *self.requirements, *local, *map(str, made), *contents)

    def sources(self) -> dict[str, Path]:
        """Answer the files by their places in the folder of copies.

        Raises:
            BuildError: a pattern names no file.
        """
        found: dict[str, Path] = {}
        for pattern in self.files:
            root, rest = _split(self.base, pattern)
            matches = {
                str(path.relative_to(root)): path for path in sorted(root.glob(rest)) if path.is_file()
            }
            if not matches:
                raise BuildError(f"[build] files: there is no {pattern} in {self.base}")
            found |= matches
        return found

    def __str__(self) -> str:
        if not self.requirements:
            return self.base.name
        first, *others = self.requirements
        return f"{first} and {len(others)} more packages" if others else first


@dataclass(frozen=True, slots=True)
class Made:
    """An environment that is there.

    Attributes:
        python: the Python that sees its packages, that of the harness when it has none.
        folder: where its files and what was made of them are, None when it has none.
    """

    python: Path
    folder: Path | None

    def fill(self, word: str) -> str:
        """Answer a word of a command, ``{python}`` and ``{build}`` in it replaced."""
        return word.replace("{python}", str(self.python)).replace("{build}", str(self.folder or "{build}"))


def cache_folder() -> Path:
    """Answer the folder of what may be made again: ``CELERIAC_CACHE``, else ``celeriac`` in the user's cache folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named).absolute()
    users = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (users if users.is_absolute() else Path.home() / ".cache") / "celeriac"


def interpreter(build: Build, tell: Tell = lambda line: None, *, again: bool = False) -> Path:
    """Answer the Python of an environment; see ``make``."""
    return make(build, tell, again=again).python


def make(build: Build, tell: Tell = lambda line: None, *, again: bool = False) -> Made:
    """Answer an environment, which is made if it is not there.

    Args:
        build: what it holds.
        tell: told before anything that takes long.
        again: make it anew, though it is there.

    Raises:
        BuildError: it cannot be made.
    """
    home = cache_folder() / "environments" / build.key
    seat = home / "seats" / _digest(*_places().values()) if build.requirements else None
    made = Made(_python(seat) if seat else Path(sys.executable), home / "built" if build.files else None)
    if not again and _is_usable(home, seat):
        return made
    try:
        with _locked(home, tell) as lock:
            _check_needs(build)
            if again or not (home / "made").is_file():
                tell(f"making an environment with {build} in {home} (once)")
                _make(home, build, lock)
            if seat and not _is_usable(home, seat):
                _seat(home, seat, build, lock)
            return made
    except OSError as error:
        raise BuildError(f"no environment can be made in {home}: {error.strerror or error}") from error


def is_made(build: Build) -> bool:
    """Answer whether ``make`` would find an environment as it should be."""
    home = cache_folder() / "environments" / build.key
    return _is_usable(home, home / "seats" / _digest(*_places().values()) if build.requirements else None)


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


def _check_needs(build: Build) -> None:
    missing = [program for program in build.needs if shutil.which(program) is None]
    if build.python and not _runs(_command(build)):
        missing.append(_command(build))
    if missing:
        raise BuildError(f"{build} cannot be built: {', '.join(missing)} must be installed and on the PATH")


def _runs(python: str) -> bool:
    """Answer whether a Python can be started; whoever manages versions may have put an empty promise on the PATH."""
    try:
        return not subprocess.run([python, "-I", "-c", ""], capture_output=True, check=False).returncode
    except OSError:
        return False


def _make(home: Path, build: Build, lock: int) -> None:
    (home / "made").unlink(missing_ok=True)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    if build.requirements:
        _install(home / "packages", build, lock)
    if build.files:
        _build(home, build, lock)
    (home / "made").write_text("\n".join((*build.requirements, *build.files)), encoding="utf-8")


def _install(packages: Path, build: Build, lock: int) -> None:
    _run([_command(build), "-I", "-m", "venv", str(packages)], build, lock)
    pip = [str(_python(packages)), "-I", "-m", "pip", "--no-input", "--disable-pip-version-check"]
    _run([*pip, "install", *build.requirements], build, lock)


def _build(home: Path, build: Build, lock: int) -> None:
    """Copy the files and run the steps; their output stays in ``steps.log``."""
    folder, log = home / "built", home / "steps.log"
    for name, source in build.sources().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / name)
    for step in build.steps:
        done = _perform(step, folder, lock)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"$ {shlex.join(step)}\n{done.stdout}\n")
        if done.returncode:
            raise BuildError(
                f"{build} cannot be built: {shlex.join(step)}: {_why(done.stdout)} (more in {log})"
            )


def _run(command: Sequence[str], build: Build, lock: int) -> None:
    done = _perform(command, build.base, lock)
    if done.returncode:
        step = "pip install" if "pip" in command else "python -m venv"
        raise BuildError(
            f"no environment can be made with {build}: {step}: {_why(done.stdout)}"
            f" (needed once: a package index that pip can reach, or a {VARIABLE} that has it already)"
        )


def _perform(command: Sequence[str], folder: Path, lock: int) -> subprocess.CompletedProcess[str]:
    """Run one step, which holds the lock even when it outlives this process."""
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(lock,),
        text=True,
        errors="replace",
        check=False,
    )


def _why(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    complaints = [line.removeprefix(_COMPLAINT) for line in lines if line.startswith(_COMPLAINT)]
    return " / ".join(complaints[-1:] or lines[-_LAST:] or ["it failed and said nothing"])


def _is_usable(home: Path, seat: Path | None) -> bool:
    """Answer whether an environment is complete and a seat in it sees Celeriac and the packages, pip among them."""
    if seat is None:
        return (home / "made").is_file()
    look = f"from importlib.util import find_spec; assert all(map(find_spec, {(*PACKAGES, 'pip')}))"
    try:
        done = subprocess.run([str(_python(seat)), "-I", "-c", look], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and (home / "made").is_file()


def _seat(home: Path, seat: Path, build: Build, lock: int) -> None:
    _run([_command(build), "-I", "-m", "venv", "--clear", "--without-pip", str(seat)], build, lock)
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


def _command(build: Build) -> str:
    return f"python{build.python}" if build.python else sys.executable


def _site(environment: Path) -> Path:
    """Answer the folder of an environment's packages."""
    return next(environment.glob("lib/python*")) / "site-packages"


def _split(base: Path, pattern: str) -> tuple[Path, str]:
    """Answer the folder to look in, and what remains of a pattern such as ``../javascript/*.mjs``."""
    parts = Path(pattern).parts
    ups = sum(part == ".." for part in parts)
    beside = parts[: ups + 1] if ups else ()
    return base.joinpath(*beside), str(Path(*parts[len(beside) :]))


def _is_path(requirement: str) -> bool:
    return requirement.startswith(".")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest(*texts: str) -> str:
    return _hash(json.dumps(texts).encode())[:16]
