"""A report is read in a real browser: it filters, leads to a timeline, and complains of nothing."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

PAGE = "report.html"


def shown(browser: Any) -> list[str]:
    """Answer the ids of the requirements that can be seen, in order."""
    script = (
        "return [...document.querySelectorAll('[data-t]')].filter(r => r.checkVisibility())"
        ".map(r => r.id || r.querySelector('a').textContent)"
    )
    return list(browser.execute_script(script))


def expect_address(browser: Any, end: str) -> None:
    """Wait until the address ends like this: the browser tells of it a moment after the page has changed it."""
    WebDriverWait(browser, 20).until(lambda there: there.current_url.endswith(end))


@pytest.mark.parametrize("width", [1280, 390])
def test_fits_and_is_silent(failing: Path, browse: Callable[..., Any], width: int) -> None:
    """On a desk and on a phone nothing sticks out to the side, and the console has no line."""
    browser = browse(failing / PAGE, width)
    browser.execute_script("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []


def test_filters_live_in_the_address(failing: Path, browse: Callable[..., Any]) -> None:
    """What is chosen stands in the address, is there again after a reload, and goes when all is shown."""
    browser = browse(failing / PAGE)
    everything = shown(browser)
    Select(browser.find_element(By.NAME, "v")).select_by_value("fail")
    expect_address(browser, "?v=fail")
    assert set(shown(browser)) == {"TIM-007"}
    browser.refresh()
    assert set(shown(browser)) == {"TIM-007"}
    assert browser.find_element(By.NAME, "n").text == "1 requirement"
    browser.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    assert browser.execute_async_script("setTimeout(arguments[0])") is None
    assert shown(browser) == everything
    expect_address(browser, PAGE)


def test_profile_chapter_and_text(failing: Path, browse: Callable[..., Any]) -> None:
    """A link with filters shows what they say, and a profile of the first screen is one of them."""
    browser = browse(failing / PAGE, query="?c=TIM&l=MUST&q=consumer_timeout")
    found = shown(browser)
    assert "TIM-007" in found
    assert all(name.startswith("TIM") for name in found)
    browser = browse(failing / PAGE)
    browser.find_element(By.CSS_SELECTOR, "[data-profile=scheduling]").click()
    expect_address(browser, "?p=scheduling")
    assert {name[:3] for name in shown(browser)} == {"ETA", "EXP"}


def test_keyboard(failing: Path, browse: Callable[..., Any]) -> None:
    """The first tab skips to the verdicts, a slash goes to the search, and Escape empties it."""
    browser = browse(failing / PAGE)
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("href").endswith("#main")
    body.send_keys("/")
    field = browser.switch_to.active_element
    assert field.get_attribute("name") == "q"
    field.send_keys("TIM-007")
    assert "TIM-007" in shown(browser)
    expect_address(browser, "?q=TIM-007")
    field.send_keys(Keys.ESCAPE)
    expect_address(browser, PAGE)


def test_from_a_failure_to_its_timeline(failing: Path, browse: Callable[..., Any]) -> None:
    """The permanent link of a requirement opens it, with its timeline, and its command can be copied."""
    browser = browse(failing / PAGE, query="#TIM-007")
    entry = browser.find_element(By.ID, "TIM-007")
    picture = entry.find_element(By.CSS_SELECTOR, "svg")
    assert picture.is_displayed()
    assert {"redelivered", "31 min later"} <= set(picture.text.splitlines())
    button = entry.find_element(By.CSS_SELECTOR, "button.copy")
    button.click()
    assert button.text in {"copied", "press Ctrl+C"}
    assert browser.execute_script("return getSelection().toString()").endswith("--requirement=TIM-007")


def test_a_link_leads_past_a_filter(failing: Path, browse: Callable[..., Any]) -> None:
    """A permanent link shows its requirement also where a filter hides it."""
    browser = browse(failing / PAGE, query="?v=pass#TIM-007")
    assert browser.execute_async_script("setTimeout(arguments[0])") is None
    assert browser.find_element(By.ID, "TIM-007").is_displayed()


def test_without_javascript(failing: Path, browse: Callable[..., Any]) -> None:
    """Where no script runs a failure is there in full, and there are no filters that would do nothing."""
    browser = browse(failing / PAGE, scripts=False)
    assert not browser.find_element(By.ID, "filters").is_displayed()
    entry = browser.find_element(By.ID, "TIM-007")
    assert {"Why:", "expected", "observed", "Again:"} <= set(re.findall(r"[\w]+:?", entry.text))
    assert "redelivered" in entry.find_element(By.CSS_SELECTOR, "svg").text
    for summary in entry.find_elements(By.CSS_SELECTOR, "details:not([open]) > summary"):
        if summary.is_displayed():
            summary.click()
    assert all(each.is_displayed() for each in entry.find_elements(By.CSS_SELECTOR, "pre, dl"))


@pytest.mark.parametrize("scripts", [True, False])
def test_printed(failing: Path, browse: Callable[..., Any], scripts: bool) -> None:
    """On paper every failure is unfolded, the list stays short, and nothing is there that one would click."""
    browser = browse(failing / PAGE, scripts=scripts)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    entry = browser.find_element(By.ID, "TIM-007")
    unfolded = entry.find_elements(By.CSS_SELECTOR, "pre, dl, svg")
    assert len(unfolded) > 2
    assert all(each.size["height"] > 10 for each in unfolded)
    assert not browser.find_element(By.ID, "filters").is_displayed()
    assert not entry.find_element(By.CSS_SELECTOR, ".copy").is_displayed()
    assert browser.find_element(By.CSS_SELECTOR, ".ch > details").size["height"] < 100
    paper = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert paper.startswith(b"%PDF")
    assert 10 < len(re.findall(rb"/Type /Page\b", paper)) < 40
