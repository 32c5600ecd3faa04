"""Applications for the tests of the worker command; the broker's URL comes from the environment."""

from __future__ import annotations

import os
import time
from pathlib import Path

from celeriac.reference import App

app = App("sample", os.environ.get("SAMPLE_BROKER", "amqp://127.0.0.1:1//"))


@app.task(name="touch")
def touch(path: str) -> None:
    """Leave a file behind."""
    Path(path).touch()


@app.task(name="hold")
def hold(path: str, until: str) -> None:
    """Leave a file behind, then wait for another one to appear."""
    Path(path).touch()
    while not Path(until).exists():
        time.sleep(0.01)
    Path(path).rename(f"{path}.done")
