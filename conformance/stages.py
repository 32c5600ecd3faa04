"""The stages of a run, one per flavour of broker, open one at a time."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable

from celeriac.conformance.adapter import Adapter
from celeriac.conformance.providers import Lease, Provider, Unavailable, find
from celeriac.conformance.stage import Stage
from celeriac.conformance.travel import VARIABLE, ControlFile, library
from celeriac.conformance.travel_stage import TravelStage
from celeriac.conformance.verdicts import HarnessError, WithdrawnError
from celeriac.conformance.virtual_stage import VirtualStage
from celeriac.conformance.wall_stage import WallStage

__all__ = ["Stages", "open_stage"]


def open_stage(factory: Callable[[], Adapter], flavour: str, source: str | None, clock: str) -> Stage:
    """Open a stage: the embedded broker in process under a virtual clock, else a provider's.

    Where the clock cannot be moved after all, it is the machine's, and the stage says why.

    Raises:
        Unavailable: the broker cannot be had here.
        HarnessError: the adapter cannot be started.
    """
    if clock == "virtual":
        return VirtualStage(factory, source)
    try:
        withdrawn = None
        if clock == "travel":
            return _travel(factory, find(flavour, source))
    except WithdrawnError as error:
        withdrawn = str(error)
    provider = find(flavour, source)
    try:
        stage = WallStage(factory, provider)
    except BaseException:
        provider.close()
        raise
    stage.withdrawn = withdrawn
    return stage


def _travel(factory: Callable[[], Adapter], provider: Provider) -> Stage:
    if library() is None:
        raise WithdrawnError(
            f"libfaketime is not installed (Debian: apt-get install libfaketime) or in {VARIABLE}"
        )
    control = ControlFile()
    try:
        return TravelStage(factory, provider, control)
    except BaseException:
        provider.close()
        control.close()
        raise


class Stages:
    """Opens the stage that is asked for and closes the one before.

    Args:
        opener: opens the stage of a flavour.
    """

    def __init__(self, opener: Callable[[str], Stage]) -> None:
        self._open = opener
        self._flavour = ""
        self._stage: Stage | None = None
        self._failure: Exception | None = None
        self.complaints: list[str] = []

    def enter(self, flavour: str) -> bool:
        """Make ``flavour`` the current one; answer whether it was not before."""
        if flavour == self._flavour:
            return False
        self.close()
        self._flavour = flavour
        try:
            self._stage = self._open(flavour)
        except Exception as error:  # noqa: BLE001 - it becomes the verdict of its checks
            self._failure = _verdict(error)
        return True

    def prepare(self, leases: Iterable[Lease]) -> None:
        """Tell the open stage, if there is one, which kinds of time-outs its scenarios will ask for."""
        if self._stage is not None:
            self._stage.prepare(leases)

    def current(self) -> Stage:
        """Answer the open stage.

        Raises:
            Unavailable: its broker cannot be had here.
            HarnessError: it could not be opened.
        """
        if self._failure is not None:
            # raised once per check: without this its traceback would grow, and so would every report of it
            raise self._failure.with_traceback(None)
        assert self._stage is not None, "enter(flavour) first"
        return self._stage

    def close(self) -> None:
        """Close the open stage; what goes wrong is kept in ``complaints``."""
        stage, self._stage, self._failure, self._flavour = self._stage, None, None, ""
        if stage is None:
            return
        try:
            stage.close()
        except Exception as error:  # noqa: BLE001 - the report comes first
            self.complaints.append(f"closing the stage: {type(error).__name__}: {error}")


def _verdict(error: Exception) -> Exception:
    if isinstance(error, HarnessError | Unavailable):
        return error
    text = "".join(traceback.format_exception(error))
    return HarnessError(f"the stage cannot be opened: {type(error).__name__}: {error}\n{text}")
