"""The schemas and the vectors: every field with its description, an example, and the file to take away."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from celeriac.spec import guide, guide_examples, schema, schema_names, vector_names, vectors
from docs.site.markdown import cell, fenced, rooted, table
from docs.site.sources import Sources

__all__ = ["example_of", "schema_files", "schema_pages", "vector_files", "vector_pages"]

#: Characters of an example that a page shows.
LONGEST = 2500

#: Keywords of a schema -> how a reader is told of them.
LIMITS: Mapping[str, str] = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "minLength": "at least {} characters",
    "minItems": "at least {} items",
    "pattern": "matches `{}`",
    "format": "format {}",
    "x-unit": "in {}",
    "default": "default {}",
    "examples": "such as {}",
}

#: Keywords that list what a value may be.
ALTERNATIVES = ("anyOf", "oneOf")

#: Those whose value is shown as JSON.
AS_JSON = ("default", "examples")

#: What the schemas are grouped by: title -> how the names begin.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "The adapter protocol": ("adapter-",),
    "Vectors": ("vectors-",),
    "Files that people and programs write": ("claim", "expectations"),
    "Reports and records": (
        "report",
        "journal",
        "coverage",
        "implementations",
        "interop",
        "matrix",
        "kill-matrix",
        "flakes",
        "requirements",
        "profile-matrix",
    ),
    "What travels, and what is configured": ("",),
}

SCHEMAS = """# Schemas

JSON Schema 2020-12. They refer to one another by URNs, which no change of address breaks: an editor or a validator that
is given the files finds everything in them. In Python, `celeriac.spec.validator(name)` has done that already.

"""

VECTORS = """# Vectors

Worked examples as data, for the tests of any implementation in any language. The suite plays every one of them.

"""


def schema_files() -> Iterator[tuple[str, str]]:
    """Answer the files that the site offers for the schemas."""
    for name in schema_names():
        yield f"schemas/{name}.schema.json", json.dumps(schema(name), indent=2) + "\n"


def vector_files() -> Iterator[tuple[str, str]]:
    """Answer the files that the site offers for the vectors."""
    for name in vector_names():
        yield f"vectors/{name}.json", json.dumps(vectors(name), indent=1) + "\n"


def schema_pages(sources: Sources) -> Iterator[tuple[str, str]]:
    """Answer a page for each schema, after the one that lists them."""
    left = list(schema_names())
    parts = [SCHEMAS]
    for title, beginnings in GROUPS.items():
        names = [name for name in left if name.startswith(beginnings)]
        left = [name for name in left if name not in names]
        rows = ([f"[`{name}`](/spec/schemas/{name}.md)", _about(schema(name))] for name in names)
        parts.append(f"## {title}\n\n{table(('schema', 'what it describes'), rows)}")
    yield "spec/schemas", "".join(parts)
    for name in schema_names():
        yield f"spec/schemas/{name}", _schema_page(name, schema(name), example_of(name, sources))


def _about(described: Mapping[str, Any]) -> str:
    return str(described.get("description") or described["title"])


def _schema_page(name: str, described: Mapping[str, Any], shown: Any) -> str:
    page = f"spec/schemas/{name}"
    file = f"schemas/{name}.schema.json"
    parts = [
        "---\norphan: true\n---\n\n",
        f"# {described['title']}\n\n",
        f"{_about(described)}\n\n",
        f'`{described["$id"]}` · <a href="{rooted(page, file)}" download>{name}.schema.json</a>\n\n',
        *_fields("## Fields", described),
    ]
    for part, definition in described.get("$defs", {}).items():
        parts += _definition(part, definition)
    if shown is not None:
        parts.append(f"## Example\n\n{_excerpt(shown)}")
    return "".join(parts)


def _definition(name: str, described: Mapping[str, Any]) -> Iterator[str]:
    yield f"## Part `{name}`\n\n"
    if "description" in described:
        yield f"{described['description']}\n\n"
    if not described.get("properties"):
        yield f"{_type(described)}\n\n"
    yield from _fields("", described)


def _fields(heading: str, described: Mapping[str, Any]) -> Iterator[str]:
    rows = list(_rows(described, ""))
    if rows:
        yield f"{heading}\n\n`*` marks what has to be there.\n\n" if heading else ""
        yield table(("field", "type", "what"), rows)


def _rows(described: Mapping[str, Any], prefix: str) -> Iterator[Sequence[str]]:
    """Answer a row for each property, those of its parts indented by their path."""
    for name, given in described.get("properties", {}).items():
        field = given if isinstance(given, dict) else {}
        star = "\\*" if name in described.get("required", ()) else ""
        yield f"`{prefix}{name}`{star}", _type(field), _what(field)
        yield from _rows(field, f"{prefix}{name}.")
        seen = set(field.get("properties", ()))
        for branch in (each for word in ALTERNATIVES for each in field.get(word, ())):
            fresh = {key: value for key, value in branch.get("properties", {}).items() if key not in seen}
            seen |= fresh.keys()
            yield from _rows({"properties": fresh}, f"{prefix}{name}.")
        items = field.get("items")
        if isinstance(items, dict):
            yield from _rows(items, f"{prefix}{name}[].")
    others = described.get("additionalProperties")
    if isinstance(others, dict):
        yield f"`{prefix}`*any name*", _type(others), _what(others)
        yield from _rows(others, f"{prefix}*.")


def _what(field: Mapping[str, Any]) -> str:
    limits = dict.fromkeys(_limit(key, field[key]) for key in LIMITS if key in field)
    told = f"({', '.join(limits)})" if limits else ""
    return f"{field.get('description', '')} {told}".strip()


def _limit(key: str, value: Any) -> str:
    if key in {"minLength", "minItems"} and value == 1:
        return "not empty"
    return LIMITS[key].format(_shown(key, value))


def _shown(key: str, value: Any) -> str:
    if key not in AS_JSON:
        return str(value)
    return f"`{json.dumps(value[0] if key == 'examples' else value)}`"


def _type(field: Mapping[str, Any]) -> str:
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return ", ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    if "$ref" in field:
        return _reference(field["$ref"])
    for word in ALTERNATIVES:
        if word in field and "type" not in field:
            return " or ".join(dict.fromkeys(map(_type, field[word])))
    kinds = field.get("type", "anything")
    text = kinds if isinstance(kinds, str) else " or ".join(kinds)
    items = field.get("items")
    return f"{text} of {_type(items)}" if isinstance(items, dict) else text


def _reference(target: str) -> str:
    if target.startswith("#"):
        return f"part `{target.rpartition('/')[2]}`"
    name = target.rpartition(":")[2].partition("#")[0]
    return f"[`{name}`](/spec/schemas/{name}.md)"


def example_of(name: str, sources: Sources) -> Any:
    """Answer an instance of a schema: its own example, or what the repository has of it; None where there is none."""
    examples = schema(name).get("examples")
    if examples:
        return examples[0]
    vector = name.removeprefix("vectors-")
    if vector != name:
        content = vectors(vector)
        return {**content, "cases": content["cases"][:1]}
    if name == "guide-examples":
        return {"about": "The guide's examples.", "examples": guide_examples()}
    return guide() if name == "guide" else sources.recorded.get(name)


def _excerpt(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if len(text) <= LONGEST:
        return fenced(text, "json")
    return fenced(f"{text[:LONGEST].rpartition(chr(10))[0]}\n...", "text")


# -- vectors --------------------------------------------------------------------------------------------


def vector_pages(sources: Sources) -> Iterator[tuple[str, str]]:
    """Answer a page for each file of vectors, after the one that lists them."""
    rows = (
        [f"[`{name}`](/spec/vectors/{name}.md)", len(vectors(name)["cases"]), vectors(name)["about"]]
        for name in vector_names()
    )
    yield "spec/vectors", VECTORS + table(("file", "cases", "what"), rows)
    for name in vector_names():
        yield f"spec/vectors/{name}", _vector_page(sources, name, vectors(name))


def _vector_page(sources: Sources, name: str, content: Mapping[str, Any]) -> str:
    page = f"spec/vectors/{name}"
    others = {key: value for key, value in content.items() if key not in {"about", "cases"}}
    decided = [identity for identity, found in sources.vectors_of.items() if name in found]
    links = ", ".join(f"[{identity}](/requirements/{identity}.md)" for identity in decided)
    return "".join(
        [
            "---\norphan: true\nhide-toc: true\n---\n\n",
            f"# {name}\n\n{content['about']}\n\n",
            f"{len(content['cases'])} cases · ",
            f'<a href="{rooted(page, f"vectors/{name}.json")}" download>{name}.json</a> · ',
            f"schema [`vectors-{name}`](/spec/schemas/vectors-{name}.md)\n\n",
            f"They belong to {links}.\n\n" if links else "",
            *(f"`{key}`:\n\n{_excerpt(value)}" for key, value in others.items()),
            "## Cases\n\n",
            _cases(content["cases"]),
        ]
    )


def _cases(cases: Sequence[Mapping[str, Any]]) -> str:
    """Answer a table with a row per case: the columns that most cases have, the others together in the last."""
    counted: dict[str, int] = {}
    for case in cases:
        for key in case:
            counted[key] = counted.get(key, 0) + 1
    columns = [key for key, count in counted.items() if count * 2 > len(cases)][:6]
    rows = []
    for case in cases:
        rest = {key: value for key, value in case.items() if key not in columns}
        last = "; ".join(f"{key} {_value(value)}" for key, value in rest.items())
        rows.append([*(_value(case[key]) if key in case else "" for key in columns), last])
    titles = [*columns, "further"] if any(row[-1] for row in rows) else columns
    return table(titles, (row[: len(titles)] for row in rows))


def _value(value: Any) -> str:
    if isinstance(value, str) and " " in value and "`" not in value and not value.startswith(("{", "[")):
        return cell(value).replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    short = text if len(text) <= 120 else f"{text[:110]}… ({len(text)} characters)"
    return f"`` {short} ``" if "`" in short else f"`{short}`"
