"""The application of an aio-celery worker process: built as standard input orders, with the probe tasks.

To be named to the worker command, as ``worker.py`` does.
"""

from __future__ import annotations

import time

from celeriac.adapters.aio_celery.application import application
from celeriac.adapters.probes import Reporter
from celeriac.adapters.worker_child import orders

__all__ = ["app", "reporter", "told"]

told = orders()

reporter = Reporter(told.spec.name, time.time, told.emit)

app = application(told.scenario, reporter, broker_url=told.spec.broker_url, settings=told.spec.settings)
