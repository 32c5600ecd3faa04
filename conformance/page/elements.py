"""HTML as a tree: text that an implementation wrote can never become markup, because only ``el`` makes markup."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from celeriac.conformance.journal import redacted

__all__ = ["Child", "Element", "clean", "el", "html", "prose"]

Element = ET.Element
Child = Element | str | int | None | Sequence["Child"]

#: Characters that no document may hold; a reader sees their code instead.
FORBIDDEN = re.compile(r"[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0001fffd]")


def el(tag: str, /, *children: Child, **attributes: str | int | None) -> Element:
    """Answer an element; ``cls`` stands for ``class``, ``_`` in a name for ``-``, and None leaves one out."""
    names = {"cls": "class"}
    given = {
        names.get(name, name.replace("_", "-")): clean(str(value))
        for name, value in attributes.items()
        if value is not None
    }
    made = ET.Element(tag, given)
    for child in children:
        _append(made, child)
    return made


def _append(parent: Element, child: Child) -> None:
    if child is None:
        return
    if isinstance(child, ET.Element):
        parent.append(child)
    elif isinstance(child, str | int):
        _write(parent, clean(str(child)))
    else:
        for each in child:
            _append(parent, each)


def _write(parent: Element, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text


def clean(text: str) -> str:
    """Answer a text as a page may show it: without passwords, and with the codes of characters it cannot hold."""
    return FORBIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), redacted(text))


def prose(text: str) -> list[Child]:
    """Answer a text of the specification, what stands between backquotes as code."""
    return [el("code", part) if number % 2 else part for number, part in enumerate(text.split("`"))]


def html(element: Element) -> str:
    """Answer the markup of an element."""
    return ET.tostring(element, encoding="unicode", method="html")
