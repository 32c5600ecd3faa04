"""The reference of the adapter protocol, from its schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from celeriac.conformance.envelopes import OPERATIONS
from celeriac.spec import schema

__all__ = ["page"]

HEAD = """# The protocol, message by message

Generated from `spec/schemas/adapter/` by `scripts/protocol`. How the messages belong together, and what happens when
one is wrong, is told in [the adapter protocol](../../spec/adapter-protocol.md). `*` marks what has to be there.

"""


def page() -> str:
    """Answer the page: every operation with its example, then answers, events and tagged values."""
    parts = [HEAD, *map(_operation, OPERATIONS), *_answers(), *_events(), *_values()]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _operation(name: str) -> str:
    told = schema(f"adapter-{name}")
    body, value = told["$defs"]["body"], told["$defs"]["ok"]
    example = told["examples"][0]
    fields = list(_rows(body)) or ["The body is empty."]
    returned = list(_rows(value)) or [_sentence(value)]
    lines = [f"> {json.dumps(example['request'])}", f"< {json.dumps(example['answer'])}"]
    head = [f"## {name}", "", f"{told['title']}. {told['description']}", "", "The body:", ""]
    return "\n".join([*head, *fields, "", "The value of `ok`:", "", *returned, "", "```", *lines, "```"])


def _rows(described: Mapping[str, Any]) -> Iterator[str]:
    properties = described.get("properties", {})
    if properties:
        yield from ("| field | type | what |", "|---|---|---|")
    for name, field in properties.items():
        star = "\\*" if name in described.get("required", ()) else ""
        yield f"| `{name}`{star} | {_type(field)} | {field.get('description', '')} |"


def _type(field: Mapping[str, Any]) -> str:
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return " ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    if "$ref" in field:
        return "a value" if field["$ref"].endswith("value") else field["$ref"].rpartition(":")[2]
    kinds = field.get("type", "anything")
    text = kinds if isinstance(kinds, str) else " or ".join(kinds)
    items = field.get("items")
    return f"{text} of {_type(items)}" if items else text


def _sentence(described: Mapping[str, Any]) -> str:
    text = described["description"] if "type" not in described else f"{_type(described)}."
    return f"{text[:1].upper()}{text[1:]}"


def _answers() -> Iterator[str]:
    told = schema("adapter-answer")
    yield f"## Answers\n\n{told['description']}\n"
    for name in ("raised", "unsupported", "broken"):
        kind = told["properties"][name]
        yield "\n".join([f"### {name}", "", kind["description"], "", *_rows(kind)])


def _events() -> Iterator[str]:
    told = schema("adapter-event")
    examples = "\n".join(f"< {json.dumps(example)}" for example in told["examples"])
    yield "\n".join(["## Events", "", told["description"], "", *_rows(told), "", "```", examples, "```"])


def _values() -> Iterator[str]:
    told = schema("adapter-value")
    rows = ["| tag | payload | what |", "|---|---|---|"]
    for rule in told["$defs"]["tagged"]["allOf"]:
        payload = rule["then"]["properties"]["v"]
        rows.append(
            f"| `{rule['if']['properties']['$']['const']}` | {_type(payload)} | {payload.get('description', '')} |"
        )
    yield "\n".join(["## Tagged values", "", told["description"], "", *rows])
