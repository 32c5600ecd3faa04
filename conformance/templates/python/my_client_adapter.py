"""Drives My client: only what the suite asks for, as the client does it, without repairing anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celeriac.conformance.adapter import Adapter, Answer, Call, Ok, Scenario, Unsupported

__all__ = ["MyClientAdapter"]


class MyClientAdapter(Adapter):
    """My client, behind the contract of the suite."""

    def hello(self) -> Mapping[str, Any]:
        """Say who is driven, and in which version."""
        return {"implementation": "My client", "version": "0.0", "missing": {}}

    def begin(self, scenario: Scenario) -> Answer:
        """Note where the broker is and which queue calls go to; make the client's application here."""
        if scenario.settings or scenario.task_attributes:
            return Unsupported("options", "My client has no settings yet")
        self.scenario = scenario
        return Ok()

    def end(self) -> Answer:
        """Close what `begin` and the calls have opened."""
        return Ok()

    def call(self, call: Call) -> Answer:
        """Call a task, and answer Ok({"task_id": ...}) with the id that the client gave it."""
        if call.options:
            return Unsupported("options", f"My client has no {' and no '.join(call.options)} yet")
        return Unsupported("producer", "here the client has to send a message")

    def close(self) -> None:
        """Release what all scenarios share."""
