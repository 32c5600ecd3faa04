"""A pytest plugin for runs on wall time in which much does not happen: a check waits for it less long."""

from __future__ import annotations

from celeriac.conformance.wall_stage import WallStage

__all__: list[str] = []

#: Seconds after which something that has not happened never will.
WallStage.patience = 8.0
