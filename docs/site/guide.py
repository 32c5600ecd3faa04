"""The claims of Celery's guide, each with the requirements that decide it, or the reason why none does."""

from __future__ import annotations

from celeriac import spec
from celeriac.spec.model import GUIDE_SECTIONS
from docs.site.markdown import requirement_link, table

__all__ = ["GUIDE", "page"]

GUIDE = "https://docs.celeryq.dev/en/stable/userguide/calling.html"

HEAD = """---
hide-toc: true
---

# What the guide claims

Every claim of [Celery's calling guide]({guide}), in its order and in our own words: {decided} are decided by
requirements, of {others} it is said why they cannot be. At the end stand the requirements that no claim asks for, with
the reason why they are there.

"""


def page() -> tuple[str, str]:
    """Answer the page."""
    told = spec.guide()
    claims = [claim for section in told["sections"] for claim in section["claims"]]
    decided = sum(bool(claim["decided_by"]) for claim in claims)
    parts = [HEAD.format(guide=GUIDE, decided=decided, others=len(claims) - decided)]
    for section in told["sections"]:
        rows = (
            [claim["says"], _links(claim["decided_by"]) or claim["reason"]] for claim in section["claims"]
        )
        parts.append(f"## {GUIDE_SECTIONS[section['section']]}\n\n")
        parts.append(table(("the guide says", "decided by"), rows))
    parts.append("## Beyond the guide\n\n")
    beyond = ([each["reason"], _links(each["requirements"])] for each in told["beyond"])
    parts.append(table(("why", "requirements"), beyond))
    return "spec/guide", "".join(parts)


def _links(names: list[str] | None) -> str:
    return ", ".join(map(requirement_link, names or ()))
