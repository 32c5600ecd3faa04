"""The page of a run on several brokers says what differs between them."""

from __future__ import annotations

from typing import Any

import html5lib

DIFFERS = """
@check("BAS-001")
def test_same(world): pass

@check("BAS-002")
def test_differs(world):
    if world.broker.flavour == "redis":
        raise Violation("", Judgement("fail", "one message", "two messages"))
"""
ABSENT = ("rabbitmq", "valkey")


def table(suite: Any) -> Any:
    """Answer the page's table of what differs by broker, as rows of texts, None when there is none."""
    text = (suite.folder / "out" / "report.html").read_text()
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    heads = [each for each in tree.iter("table") if each.find("thead/tr")[-1].text == "requirements"]
    return [["".join(cell.itertext()) for cell in row] for row in heads[0].iter("tr")] if heads else None


def test_what_differs_by_broker(suite: Any) -> None:
    """A requirement that holds on one broker and not on another is told with both, and its check names the broker."""
    suite.checks(DIFFERS)
    suite.run("--broker=all", absent=ABSENT)
    assert table(suite) == [["embedded", "redis", "requirements"], ["✔ pass", "✘ fail", "BAS-002 "]]
    text = (suite.folder / "out" / "report.html").read_text()
    assert text.count("</code> on redis</h4>") == 1
    assert "differs on redis: fail</i>" in text
    assert "same on redis</i>" in text


def test_nothing_differs(suite: Any) -> None:
    """Where all brokers fare alike the page says so; a run on one broker does not speak of others."""
    suite.checks('@check("BAS-001")\ndef test_same(world): pass\n')
    suite.run("--broker=all", absent=ABSENT)
    assert table(suite) is None
    text = (suite.folder / "out" / "report.html").read_text()
    assert "Nothing that was judged on several of" in text
    suite.run()
    assert 'id="brokers"' not in (suite.folder / "out" / "report.html").read_text()
