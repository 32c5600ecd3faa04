"""Adapters in process at half-finished stages: the reference's, with one thing left out or done wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from celeriac.adapters.reference.adapter import ReferenceAdapter
from celeriac.conformance.adapter import Answer, Call, Event, Ok, Scenario, WorkerSpec


class Finished(ReferenceAdapter):
    """Leaves out the events of one kind, if it names one."""

    dropped = ""

    def begin(self, scenario: Scenario) -> Answer:
        emit = self.emit
        self.emit = lambda event: None if event.kind == self.dropped else emit(self.told(event))
        answer = super().begin(scenario)
        self.emit = emit
        return answer

    def told(self, event: Event) -> Event:
        return event


class Raising(Finished):
    def __init__(self) -> None:
        raise RuntimeError("the client is not installed")


class Speechless(Finished):
    def hello(self) -> Any:
        return None


class Unreading(Finished):
    def call(self, call: Call) -> Answer:
        return super().call(
            replace(call, args=[arg.decode() if isinstance(arg, bytes) else arg for arg in call.args])
        )


class Boasting(Finished):
    def call(self, call: Call) -> Answer:
        return Ok({"task_id": "i-sent-it"})


class Renaming(Finished):
    def call(self, call: Call) -> Answer:
        super().call(call)
        return Ok({"task_id": "my-own-id"})


class Misrouting(Finished):
    def call(self, call: Call) -> Answer:
        return super().call(replace(call, options={**call.options, "queue": "elsewhere"}))


class Workless(Finished):
    def start_worker(self, spec: WorkerSpec) -> Answer:
        return Ok()


class Unready(Finished):
    dropped = "ready"


class Unstarted(Finished):
    dropped = "started"


class Endless(Finished):
    dropped = "ended"


class Miscounting(Finished):
    def told(self, event: Event) -> Event:
        return replace(event, data={**event.data, "value": 5}) if event.kind == "ended" else event


class Unresulting(Finished):
    def get_result(self, task_id: str, **_: Any) -> Answer:
        return Ok({"value": None, "messages": []})


class Stateless(Finished):
    def state(self, task_id: str) -> Answer:
        return Ok("PENDING")
