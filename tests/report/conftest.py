"""Runs whose reports are read, and the browser that reads them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

#: A saboteur that executes some tasks twice, and areas in which it is caught while most of the rest holds.
SABOTEUR = "tests.saboteurs.roster:keeps_what_it_has_lost"


def judge(folder: Path, *words: str) -> Path:
    """Judge an adapter in a process of its own and answer the folder of its report."""
    command = [sys.executable, "-m", "pytest", "conformance", "-q", f"--report-dir={folder}", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answer the report folder of a real run in which TIM-007 fails."""
    words = (f"--adapter={SABOTEUR}", "--requirement=TIM", "--requirement=BAS")
    return judge(tmp_path_factory.mktemp("failing"), *words)


@pytest.fixture(scope="session")
def browse() -> Iterator[Callable[..., Chrome]]:
    """Answer a function that opens a page of a file in Chromium at some width; skip loudly where there is none."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        if os.environ.get("CI") == "true":
            pytest.fail("Chromium is required under CI=true: apt-get install chromium chromium-driver")
        pytest.skip("NO BROWSER: apt-get install chromium chromium-driver")
    from tests.report.browser import chrome

    opened: list[Chrome] = []

    def browse(page: Path, width: int = 1280, query: str = "", *, scripts: bool = True) -> Chrome:
        browser = chrome(width, scripts=scripts)
        opened.append(browser)
        browser.get(page.as_uri() + query)
        return browser

    yield browse
    for browser in opened:
        browser.quit()
