"""Variants of the reference: what they are, and the adapters that play them.

A variant is the reference with one place exchanged.  The exchange is made when a scenario begins and undone when
it ends, so that the harness itself never meets it.  Any variant can be judged by hand:

    pytest conformance --adapter=tests.saboteurs.roster:ttl_in_seconds
"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

from celeriac.adapters.fork_server import ForkServer
from celeriac.adapters.reference.adapter import ReferenceAdapter
from celeriac.conformance.adapter import Adapter, Answer, Scenario

__all__ = ["Change", "Oddity", "Saboteur", "Variant", "adapter_of"]

#: One exchange, such as ``mock.patch.object(...)``; it can be made and undone again and again.
Change = AbstractContextManager[Any]


@dataclass(frozen=True, slots=True)
class Variant:
    """The reference with one place exchanged.

    Attributes:
        id: a Python name.
        what: one line: what is different.
        changes: how.
    """

    id: str
    what: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Saboteur(Variant):
    """A variant that breaks one requirement.

    Attributes:
        requirement: the one.
        seen: the project and version that had the same mistake, where one is known.
        also: further requirements that the same mistake breaks necessarily.
        because: why it does.
    """

    requirement: str
    seen: str = ""
    also: tuple[str, ...] = ()
    because: str = ""


@dataclass(frozen=True, slots=True)
class Oddity(Variant):
    """A variant that differs where the specification leaves a choice; ``where`` names the requirements that do."""

    where: tuple[str, ...] = ()


class _Changed(ReferenceAdapter):
    """The reference adapter that makes the changes of its variant for each scenario, also in worker processes."""

    variant: ClassVar[Variant]

    def __init__(self) -> None:
        super().__init__()
        self._changes = ExitStack()
        command = [sys.executable, "-m", "tests.saboteurs.worker", self.variant.id]
        self._server = ForkServer(command, {"PYTHONPATH": os.pathsep.join(sys.path)})

    def begin(self, scenario: Scenario) -> Answer:
        """Make the changes, then begin."""
        for change in self.variant.changes:
            self._changes.enter_context(change)
        return super().begin(scenario)

    def end(self) -> Answer:
        """End, then undo the changes."""
        with self._changes:
            return super().end()


def adapter_of(variant: Variant) -> type[Adapter]:
    """Answer the adapter class that plays a variant; it has the claim of the reference."""
    return type(variant.id, (_Changed,), {"variant": variant, "__module__": __name__})
