"""The file by which preloaded processes know their time, and the library that reads it."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from celeriac.conformance.travel import FILE, PACKAGED, VARIABLE, ControlFile, library

TEXT = re.compile(r"\+\d+\.\d{6}\n")


@pytest.fixture
def control() -> Iterator[ControlFile]:
    """A file that is removed in the end."""
    control = ControlFile()
    yield control
    control.close()


def text(control: ControlFile) -> str:
    """Answer what processes read."""
    return (control.folder / FILE).read_text(encoding="ascii")


def test_the_text_is_an_offset_ahead(control: ControlFile) -> None:
    """The file begins with no offset; what is written is seconds ahead, to the microsecond, and never in exponents."""
    assert text(control) == "+0.000000\n"
    for seconds, expected in [
        (0.05, "+0.050000\n"),
        (3601.5, "+3601.500000\n"),
        (1e9, "+1000000000.000000\n"),
    ]:
        control.write(seconds)
        assert text(control) == expected


def test_readers_see_whole_texts_that_never_go_back(control: ControlFile) -> None:
    """Whoever reads while the file is written sees one offset or the next, never half of one, never an earlier one."""

    def count() -> None:
        for number in range(2000):
            control.write(number / 7)

    writer = threading.Thread(target=count)
    writer.start()
    seen = []
    while writer.is_alive():
        seen.append(text(control))
    writer.join()
    assert all(map(TEXT.fullmatch, seen))
    offsets = [float(line) for line in seen]
    assert offsets == sorted(offsets)


def test_nothing_else_is_in_the_folder(control: ControlFile) -> None:
    """After a write the folder holds the file and nothing else."""
    control.write(1.0)
    assert [path.name for path in control.folder.iterdir()] == [FILE]


def test_others_can_read_the_file_and_see_nothing_else(control: ControlFile) -> None:
    """Another user, such as a container's, can read the file by its name, whatever the umask, and list no folder."""
    before = os.umask(0o077)
    try:
        control.write(1.0)
    finally:
        os.umask(before)
    assert stat.S_IMODE((control.folder / FILE).stat().st_mode) == 0o644
    assert stat.S_IMODE(control.folder.stat().st_mode) == 0o711


def test_the_file_is_removed() -> None:
    """After ``close`` the folder is gone; it may be called twice."""
    control = ControlFile()
    control.close()
    control.close()
    assert not control.folder.exists()


def test_processes_here_are_told_this_folder_and_this_library(
    control: ControlFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The environment names the library of this machine and the file, which is read each time."""
    (own := tmp_path / "own.so").touch()
    monkeypatch.setenv(VARIABLE, str(own))
    assert control.variables() == {
        "LD_PRELOAD": str(own),
        "FAKETIME_TIMESTAMP_FILE": str(control.folder / FILE),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_RESET": "1",
    }


def test_containers_are_told_theirs(
    control: ControlFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a container the file is where its folder is mounted, and the library is the container's own."""
    (own := tmp_path / "own.so").touch()
    monkeypatch.setenv(VARIABLE, str(own))
    variables = control.variables("/clock")
    assert variables["LD_PRELOAD"] == PACKAGED
    assert variables["FAKETIME_TIMESTAMP_FILE"] == f"/clock/{FILE}"


def test_a_library_that_is_named_and_not_there_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the variable names is taken or nothing: another library is not taken in its place."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing.so"))
    assert library() is None


CHILD = """
import sys, time
for line in sys.stdin:
    print(time.time(), time.monotonic(), flush=True)
"""


def test_a_process_follows(control: ControlFile, faketime: None) -> None:
    """A preloaded process that runs already is ahead by what is written, on both of its clocks."""
    command = [sys.executable, "-c", CHILD]
    environment = {**os.environ, **control.variables()}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def ask() -> tuple[float, float]:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write("?\n")
            child.stdin.flush()
            date, monotonic = map(float, child.stdout.readline().split())
            return date, monotonic

        before = ask()
        control.write(7200.0)
        after = ask()
        child.stdin.close()
    assert all(later - earlier >= 7200.0 for earlier, later in zip(before, after, strict=True))
