"""A headless Chromium, and pictures of a report for the README: ``python -m tests.report.browser FOLDER``."""

from __future__ import annotations

import base64
import os
import shutil
import sys
from pathlib import Path

from selenium import webdriver

__all__ = ["chrome", "photograph"]

IMAGE = Path(__file__).parents[2] / "docs" / "images" / "report.png"

#: Opens the first failure with its timeline and puts it below the first screen, where the picture ends.
SHOW = """
document.querySelectorAll("details.f")[0].open = true;
document.querySelector("#filters").remove();
return document.querySelector(".pic").getBoundingClientRect().bottom + scrollY + 4;
"""


def chrome(
    width: int, height: int = 1000, *, dark: bool = False, scale: float = 1, scripts: bool = True
) -> webdriver.Chrome:
    """Answer a browser whose window has so many pixels, whatever the smallest window of the system is."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for word in ("--headless=new", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}"):
        options.add_argument(word)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium does not start as root with one
    if not scripts:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=str(shutil.which("chromedriver")))
    browser = webdriver.Chrome(options=options, service=service)
    size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    if dark:
        scheme = {"name": "prefers-color-scheme", "value": "dark"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    return browser


def photograph(page: Path, image: Path, width: int = 780, *, dark: bool = False) -> None:
    """Write a picture of a page from its head to the first timeline."""
    browser = chrome(width, dark=dark)
    try:
        browser.get(page.as_uri())
        height = browser.execute_script(SHOW)
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        wanted = {"format": "png", "captureBeyondViewport": True, "clip": clip}
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", wanted)
    finally:
        browser.quit()
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    photograph(Path(sys.argv[1]).resolve() / "report.html", Path(sys.argv[2]) if sys.argv[2:] else IMAGE)
