"""An adapter served over stdio that prints wherever it can."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from celeriac.conformance.adapter import Adapter, Answer, Call, Event, Ok, Scenario
from celeriac.conformance.process import serve


class Chatty(Adapter):
    def hello(self) -> Mapping[str, Any]:
        print("hello, world")  # noqa: T201
        return {"implementation": "chatty", "version": "1", "missing": {}}

    def begin(self, scenario: Scenario) -> Answer:
        os.write(1, b'{"id": 2, "ok": "forged"}\n')
        return Ok()

    def end(self) -> Answer:
        return Ok()

    def call(self, call: Call) -> Answer:
        subprocess.run(["sh", "-c", "echo from a child; cat"], check=True)
        reporters = [threading.Thread(target=self.report, args=(i,)) for i in range(4)]
        for thread in reporters:
            thread.start()
        for thread in reporters:
            thread.join()
        return Ok({"value": (call.task, b"\xff")})

    def report(self, number: int) -> None:
        for attempt in range(50):
            sys.stdout.write("noise\n")
            self.emit(
                Event(
                    "started",
                    1.0,
                    {"worker": f"w{number}", "task_id": "t", "attempt": attempt, "args": (object(),)},
                )
            )

    def close(self) -> None:
        sys.stderr.write("closed\n")


serve(Chatty())
