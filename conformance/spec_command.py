"""``celeriac spec``: the specification in a terminal, for people, for programs and for editors."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from celeriac.conformance import spec_text
from celeriac.conformance.nearest import did_you_mean
from celeriac.conformance.spec_facts import facts
from celeriac.conformance.spec_search import missed, passages, search
from celeriac.spec import Requirement, Spec, load, schema, schema_names

__all__ = ["NotThere", "add_arguments", "perform"]

#: The words name something that is there; a search found nothing.
FOUND, NOTHING = 0, 1


class NotThere(ValueError):  # noqa: N818 - what is asked for is not there, and the text says what is
    """There is no such requirement, area or schema."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what may be asked; one thing at a time."""
    parser.add_argument(
        "ids", metavar="ID", nargs="*", help="a requirement such as ETA-004, or an area such as ETA"
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--search", metavar="TEXT", nargs="+", help="those that have all of these words")
    only.add_argument("--schemas", action="store_true", help="list the JSON Schemas")
    only.add_argument("--schema", metavar="NAME", help="print one, such as claim, the schema of adapter.toml")
    parser.add_argument("--json", action="store_true", help="for programs")


def perform(arguments: argparse.Namespace) -> int:
    """Print what was asked for and answer the exit status: 1 when a search found nothing.

    Raises:
        NotThere: there is no such requirement, area or schema.
    """
    if arguments.ids and (arguments.search or arguments.schemas or arguments.schema):
        raise NotThere(f"name requirements or use the option, not both: {' '.join(arguments.ids)}")
    if arguments.schema:
        return _say(_json(_schema(arguments.schema)))
    if arguments.schemas:
        return _say(_schemas(as_json=arguments.json))
    spec = load()
    if arguments.search:
        return _search(spec, " ".join(arguments.search).split(), as_json=arguments.json)
    groups = [_named(spec, word) for word in arguments.ids]
    if arguments.json:
        chosen = [each for group in groups for each in group] or spec.requirements.values()
        return _say(_json(_document(spec, chosen)))
    if not groups:
        return _say(spec_text.everything(spec))
    paper = _paper()
    pages = [_page(group, spec, paper) for group in groups]
    return _say(line for number, page in enumerate(pages) for line in ([""] * bool(number) + page))


def _page(group: Sequence[Requirement], spec: Spec, paper: spec_text.Paper) -> list[str]:
    if len(group) > 1:
        return spec_text.area(group, spec, paper)
    return spec_text.requirement(group[0], facts(group[0]), spec, paper)


def _search(spec: Spec, words: list[str], *, as_json: bool) -> int:
    requirements, texts = search(spec, words), passages(spec, words)
    if as_json:
        _say(_json(_document(spec, requirements)))
        return FOUND if requirements else NOTHING
    if not requirements and not texts:
        sys.stderr.write(f"celeriac spec: {missed(spec, words)}\n")
        return NOTHING
    return _say(spec_text.found(requirements, texts, words, _paper()))


def _named(spec: Spec, word: str) -> list[Requirement]:
    found = [each for name, each in spec.requirements.items() if word.upper() in {name, name.split("-")[0]}]
    if not found:
        areas = {name.split("-")[0] for name in spec.requirements}
        raise NotThere(did_you_mean("requirement", word, spec.requirements if "-" in word else areas))
    return found


def _schema(name: str) -> Mapping[str, Any]:
    short = name.removeprefix("urn:celeriac:schema:")
    if short not in schema_names():
        raise NotThere(did_you_mean("schema", short, schema_names()))
    return schema(short)


def _schemas(*, as_json: bool) -> Iterable[str]:
    known = {name: schema(name) for name in schema_names()}
    if as_json:
        return _json(
            [{"name": name, "id": each["$id"], "title": each["title"]} for name, each in known.items()]
        )
    width = max(map(len, known))
    return [f"{name:<{width}}  {each['title']}" for name, each in known.items()]


def _document(spec: Spec, chosen: Iterable[Requirement]) -> Mapping[str, Any]:
    return {
        "spec": {"version": spec.version},
        "requirements": [spec_text.record(each, facts(each)) for each in chosen],
    }


def _paper() -> spec_text.Paper:
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return spec_text.Paper(shutil.get_terminal_size().columns, colour)


def _say(lines: Iterable[str]) -> int:
    try:
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()
    except BrokenPipeError:  # of `| head`, which has seen enough; nothing is left to be flushed at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FOUND


def _json(content: Any) -> list[str]:
    return [json.dumps(content, indent=2, ensure_ascii=False)]
