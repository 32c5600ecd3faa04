"""What a specification is made of: chapters, requirements, and the words they may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "FIELDS",
    "GUIDE_SECTIONS",
    "LEVELS",
    "OBSERVED",
    "PROFILES",
    "ROLES",
    "VERSION",
    "Chapter",
    "Requirement",
    "Spec",
    "SpecError",
]

#: The version of the specification (not of the package that carries it).
VERSION = "1.0-draft"

#: How binding a requirement is.
LEVELS = ("MUST", "SHOULD", "MAY")

#: Who a requirement binds.
ROLES = ("producer", "worker", "result-consumer", "local-caller", "broker")

#: The questions that a reader has before all others -> what each is about, in the order in which they are answered.
PROFILES: Mapping[str, str] = {
    "producer": "what a call puts on the wire: message, options, serializers, compression, routing",
    "worker": "which messages a worker understands, runs and settles",
    "results": "what is stored, who gets to see it, and when",
    "scheduling": "ETA, countdown and expiry",
    "workflow": "links, error callbacks, chains and groups",
    "reliability": "what happens when a broker, a connection or a lease is lost",
}

#: The chapters that belong to one profile, whoever is bound; in the others the role decides.
_CHAPTER_PROFILES: Mapping[str, str] = {
    "LNK": "workflow",
    "ONM": "results",
    "RES": "results",
    "ETA": "scheduling",
    "EXP": "scheduling",
    "RTY": "reliability",
    "ERR": "reliability",
    "CON": "reliability",
    "TIM": "reliability",
}

#: How compliance can be seen -> what one looks at.
OBSERVED: Mapping[str, str] = {
    "wire": "the bytes of one message",
    "history": "the order and the times of several records",
    "probe": "what a probe task reports from inside the worker",
    "answer": "what a call returns or raises",
    "none": "nothing that a harness can see; such a requirement says why it is excluded",
}

#: The sections of Celery's calling guide: slug -> title.
GUIDE_SECTIONS: Mapping[str, str] = {
    "basics": "Basics",
    "example": "Example",
    "linking-callbacks-errbacks": "Linking (callbacks/errbacks)",
    "on-message": "On message",
    "eta-and-countdown": "ETA and Countdown",
    "expiration": "Expiration",
    "message-sending-retry": "Message Sending Retry",
    "retry-policy": "Retry Policy",
    "connection-error-handling": "Connection Error Handling",
    "serializers": "Serializers",
    "compression": "Compression",
    "connections": "Connections",
    "routing-options": "Routing options",
    "results-options": "Results options",
    "advanced-options": "Advanced Options",
}

#: The list items of a requirement block -> whether each block must have it.
FIELDS: Mapping[str, bool] = {
    "observed": True,
    "guide": True,
    "why": True,
    "known behaviour": False,
    "feature": False,
    "excluded": False,
}


class SpecError(ValueError):
    """The specification is malformed, or something was asked of it that it does not have."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One normative sentence.

    Attributes:
        id: permanent, such as ``ETA-004``.
        level: one of ``LEVELS``.
        role: who is bound, one of ``ROLES``.
        observed: how compliance can be seen, a key of ``OBSERVED``.
        guide: the section of the guide it comes from, a key of ``GUIDE_SECTIONS``.
        sentence: the requirement itself.
        why: one sentence of rationale.
        known: where and how released versions of Celery differ, with the upstream thread.
        excluded: why it cannot be checked; set exactly when ``observed`` is none.
        feature: the feature of the claim without which it does not apply, such as ``serializer:yaml``.
        chapter: slug of the chapter it stands in.
    """

    id: str
    level: str
    role: str
    observed: str
    guide: str
    sentence: str
    why: str
    known: str | None
    excluded: str | None
    feature: str | None
    chapter: str

    @property
    def profile(self) -> str:
        """Answer the profile that it counts for, a key of ``PROFILES``."""
        return _CHAPTER_PROFILES.get(
            self.id.partition("-")[0], "worker" if self.role == "worker" else "producer"
        )


@dataclass(frozen=True, slots=True)
class Chapter:
    """One chapter, in the order of its file.

    Attributes:
        slug: the file's name without number and suffix, such as ``eta-countdown``.
        prefix: the three letters that its ids start with.
        title: what the chapter is called.
        prose: the Markdown around the requirements.
        requirements: the requirements in the order of the text.
    """

    slug: str
    prefix: str
    title: str
    prose: str
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class Spec:
    """The whole specification.

    Attributes:
        version: the version of the text.
        chapters: the chapters in order.
        requirements: every requirement by its id, in the order of the chapters.
    """

    version: str
    chapters: tuple[Chapter, ...]
    requirements: Mapping[str, Requirement]
