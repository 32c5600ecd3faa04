"""Environments of adapters are made once, whatever happens meanwhile, and see Celeriac and their packages alone."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from celeriac.conformance import claim as claims
from celeriac.conformance import cli
from celeriac.conformance.claim import ClaimError, find_adapter, load_claim
from celeriac.conformance.environments import Build, BuildError, Made, cache_folder, interpreter

#: Seconds after which something that must happen has not happened.
PATIENCE = 60.0

WHEEL = "tiny-1.0-py3-none-any.whl"

CLAIM = """
name = "tiny"
roles = ["producer"]
links = ["amqp"]
clocks = ["wall"]
driver.command = ["{python}", "-m", "tiny"]
build.requirements = ["REQUIREMENT"]
"""

#: A package whose build says that it has begun, and goes on when it is told to.
BACKEND = """
import os, shutil
HERE = os.path.dirname(__file__)
def build_wheel(folder, *_):
    if os.path.exists(f"{HERE}/begun"):
        open(f"{HERE}/begun", "w").write("!")
        open(f"{HERE}/go").read(1)
    return shutil.copy(f"{HERE}/WHEEL", folder).rpartition("/")[2]
"""


def write_wheel(folder: Path) -> Path:
    """Write the package ``tiny``, which has one constant, as a wheel."""
    info = "tiny-1.0.dist-info"
    files = {
        "tiny.py": "SIZE = 1",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return folder / WHEEL


def write_slow_source(folder: Path) -> Path:
    """Write the same package as a source that builds when it is told to: its pipes are ``begun`` and ``go``."""
    source = folder / "slow"
    source.mkdir()
    write_wheel(source)
    system = 'requires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (source / "pyproject.toml").write_text(f"[build-system]\n{system}")
    (source / "backend.py").write_text(BACKEND.replace("WHEEL", WHEEL))
    os.mkfifo(source / "begun")
    os.mkfifo(source / "go")
    return source


def write_claim(folder: Path, requirement: str) -> Path:
    """Write the claim of an adapter that needs a package."""
    path = folder / "adapter.toml"
    path.write_text(CLAIM.replace("REQUIREMENT", requirement))
    return path


def ask(python: Path, code: str) -> str:
    """Answer what code prints in an environment, run in a way that no variable can change."""
    return subprocess.run(
        [str(python), "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Answer what an environment with the package holds."""
    return Build((f"./{WHEEL}",), write_wheel(tmp_path_factory.mktemp("claim")).parent)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Let the cache folder be one that the tests of this module share, and that a test may spoil but not empty."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CELERIAC_CACHE", str(folder))
        yield folder


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip find nothing: its index is a port that nobody listens on."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/")
    monkeypatch.setenv("PIP_RETRIES", "0")


def test_environment_sees_its_packages_and_celeriac(cache: Path, tiny: Build) -> None:
    """The processes of an adapter import its packages and this Celeriac, and nothing else of the harness's."""
    python = interpreter(tiny)

    assert cache in python.parents
    assert ask(python, "import tiny; print(tiny.SIZE)") == "1"
    served = ask(python, "from celeriac.conformance import process; print(process.__file__)")
    assert Path(served).resolve() == Path(cli.__file__).with_name("process.py").resolve()
    assert ask(python, "from importlib.util import find_spec; print(find_spec('pytest'))") == "None"


def test_environment_is_made_once(cache: Path, tiny: Build) -> None:
    """An environment that is there is used without a word, as if it had always been."""
    python = interpreter(tiny)
    lines: list[str] = []

    assert interpreter(tiny, lines.append) == python
    assert lines == []


def test_half_made_environment_is_made_again(cache: Path, tiny: Build) -> None:
    """An environment whose making was cut short is thrown away and made anew."""
    home = interpreter(tiny).parents[3]
    (home / "made").unlink()
    (home / "packages" / "pyvenv.cfg").write_text("nonsense")
    lines: list[str] = []

    python = interpreter(tiny, lines.append)

    assert ask(python, "import tiny; print(tiny.SIZE)") == "1"
    assert lines == [f"making an environment with ./{WHEEL} in {home} (once)"]


def without_python(seat: Path) -> None:
    """Take the interpreter from under a seat."""
    (seat / "bin" / "python").unlink()
    (seat / "bin" / "python").symlink_to("/nowhere/python")


def without_packages(seat: Path) -> None:
    """Let a seat not see the packages, as if the cache folder had been moved."""
    (path,) = seat.rglob("celeriac.pth")
    path.write_text(str(seat / "links"))


@pytest.mark.parametrize("spoil", [without_python, without_packages])
def test_dead_seat_is_made_again(cache: Path, tiny: Build, spoil: Callable[[Path], None]) -> None:
    """What sees neither Python nor packages any more is replaced, and the packages stay."""
    python = interpreter(tiny)
    spoil(python.parents[1])
    lines: list[str] = []

    assert interpreter(tiny, lines.append) == python
    assert ask(python, "import tiny; print(tiny.SIZE)") == "1"
    assert lines == []


def test_what_cannot_be_fetched_is_one_line(cache: Path, tmp_path: Path, no_index: None) -> None:
    """Without an index and without a cache the error says what was wanted, what pip said and what to do."""
    build = Build(("celeriac-is-no-such-package==1.0",), tmp_path)

    with pytest.raises(BuildError) as caught:
        interpreter(build)

    line = str(caught.value)
    assert "\n" not in line
    assert "celeriac-is-no-such-package==1.0: pip install: No matching distribution found" in line
    assert "a package index that pip can reach, or a CELERIAC_CACHE that has it" in line
    assert not list((cache / "environments" / build.key).glob("made"))


def test_run_without_environment_is_a_usage_error(cache: Path, suite: Any, no_index: None) -> None:
    """A run whose adapter has no environment ends like one whose adapter does not exist: status 4 and one line."""
    suite.claim("[features]", '[build]\nrequirements = ["./not-there.whl"]\n[features]')
    suite.checks(
        """
        @check("ETA-004")
        def test_nothing(world):
            '''Is never run.'''
        """
    )

    finished = suite.run()

    assert finished.status == 4
    (line,) = [line for line in finished.err.splitlines() if line]
    assert line.startswith(
        f"ERROR: adapter '{suite.adapter}': no environment can be made with ./not-there.whl"
    )


def test_folder_that_cannot_be_written_is_one_line(tiny: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder that is none is named with the reason."""
    monkeypatch.setenv("CELERIAC_CACHE", os.devnull)

    with pytest.raises(
        BuildError, match=r"no environment can be made in /dev/null/environments/.*: Not a directory"
    ):
        interpreter(tiny)


class Builders:
    """Processes that build the environment of one claim."""

    def __init__(self, folder: Path) -> None:
        self.source = write_slow_source(folder)
        self.claim = write_claim(folder, "./slow")
        self.processes: list[subprocess.Popen[str]] = []
        self._begun, self._go = (os.open(self.source / name, os.O_RDWR) for name in ("begun", "go"))
        self._environment = {**os.environ, "CELERIAC_CACHE": str(folder / "cache")}

    def start(self) -> subprocess.Popen[str]:
        """Start one."""
        code = "import sys; from celeriac.conformance.cli import main; sys.exit(main())"
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, "-c", code, "build", str(self.claim)],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def line(self, process: subprocess.Popen[str]) -> str:
        """Answer the next line that one tells."""
        assert process.stderr is not None
        assert select.select([process.stderr], [], [], PATIENCE)[0]
        return process.stderr.readline()

    def wait_for_build(self) -> None:
        """Return once the package is being built."""
        assert select.select([self._begun], [], [], PATIENCE)[0]

    def go_on(self) -> None:
        """Let the build that is waiting end, and no other wait."""
        (self.source / "begun").unlink()
        os.write(self._go, b"!")

    def close(self) -> None:
        """End all of them."""
        for pipe in (self._begun, self._go):
            os.close(pipe)
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture
def builders(tmp_path: Path) -> Iterator[Builders]:
    """Answer processes that end with the test."""
    builders = Builders(tmp_path)
    yield builders
    builders.close()


def test_two_processes_make_one_environment(builders: Builders) -> None:
    """A process that needs an environment which another is making waits for it, says so, and uses it."""
    first = builders.start()
    assert "making an environment with ./slow" in builders.line(first)
    builders.wait_for_build()
    second = builders.start()
    assert "waiting for another process" in builders.line(second)

    builders.go_on()

    answers = [process.communicate() for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0]
    assert answers[0][0] == answers[1][0]
    assert [told for _, told in answers] == ["", ""]


def test_killed_maker_is_followed_by_another(builders: Builders) -> None:
    """When a maker is killed, the next one waits for the pip that has outlived it, and makes the environment anew."""
    first = builders.start()
    assert "making an environment" in builders.line(first)
    builders.wait_for_build()
    first.kill()
    first.wait()
    second = builders.start()
    assert "waiting for another process" in builders.line(second)

    builders.go_on()

    assert "making an environment" in builders.line(second)
    assert (second.communicate()[1], second.returncode) == ("", 0)


def test_command_makes_environments(cache: Path, tiny: Build, capsys: pytest.CaptureFixture[str]) -> None:
    """``celeriac build`` makes the environment of an adapter and prints its Python, which its driver then runs."""
    claim = write_claim(tiny.base, f"./{WHEEL}")

    assert cli.main(["build", str(claim)]) == 0

    python = interpreter(tiny)
    assert capsys.readouterr().out == f"{claim}: {python}\n"
    driver: Any = find_adapter(str(claim)).factory()
    assert driver.command == (str(python), "-m", "tiny")


def test_class_is_given_the_python(suite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver class whose claim has an environment is made with the Python of that environment."""
    monkeypatch.setattr(claims, "make", lambda build: Made(Path(f"/of/{build}/python"), None))
    suite.claim("[features]", '[build]\nrequirements = ["tiny"]\n[features]')
    with (suite.folder / f"{suite.module}.py").open("a") as driver:
        driver.write("\n    def __init__(self, python):\n        self.python = python\n")

    made: Any = find_adapter(str(suite.adapter)).factory()

    assert made.python == "/of/tiny/python"


@pytest.mark.parametrize(
    ("words", "status", "out", "err"),
    [
        (["build", "reference"], 0, "reference runs in this environment: there is nothing to make\n", ""),
        (["build", "refrence"], 4, "", "celeriac build: unknown adapter 'refrence'; did you mean reference"),
    ],
)
def test_command_without_environment(
    words: list[str], status: int, out: str, err: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An adapter that has no environment needs none; one that does not exist is one line and status 4."""
    assert cli.main(words) == status
    captured = capsys.readouterr()
    assert (captured.out, captured.err.startswith(err)) == (out, True)


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"CELERIAC_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/celeriac"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/c"}, "/c/.cache/celeriac"),
        ({"CELERIAC_CACHE": "", "HOME": "/c"}, "/c/.cache/celeriac"),
    ],
)
def test_cache_folder(variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is where CELERIAC_CACHE says, else in the user's cache folder."""
    for name in ("CELERIAC_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder)


EXTENSION = """
extends = "adapter.toml"
name = "tiny-2"
build.requirements = ["tiny==2"]
features.link = true
"""


def test_variant_extends_a_claim(tmp_path: Path) -> None:
    """A claim that extends another says only what is different, in its tables, too."""
    base = write_claim(tmp_path, "tiny==1")
    base.write_text(base.read_text() + "features.link_error = true\n")
    (tmp_path / "tiny-2.toml").write_text(EXTENSION)

    claim = load_claim(tmp_path / "tiny-2.toml")

    assert (claim.name, claim.roles) == ("tiny-2", ("producer",))
    assert claim.build == Build(("tiny==2",), tmp_path)
    assert claim.features == {"link": True, "link_error": True}


def test_variant_with_another_kind_of_driver(tmp_path: Path) -> None:
    """A command in a claim takes the place of the class of the claim that it extends."""
    write_claim(tmp_path, "tiny==1")
    (tmp_path / "tiny-2.toml").write_text(f'{EXTENSION}driver.command = ["tiny", "--serve"]\n')

    claim = load_claim(tmp_path / "tiny-2.toml")

    assert claim.driver == {"command": ["tiny", "--serve"]}


def test_variant_of_nothing(tmp_path: Path) -> None:
    """A claim that extends one which is not there is refused with the path of that one."""
    (tmp_path / "tiny-2.toml").write_text(EXTENSION)

    with pytest.raises(ClaimError, match=r"adapter claim .*/adapter\.toml: No such file"):
        load_claim(tmp_path / "tiny-2.toml")
