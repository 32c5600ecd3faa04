"""A history that somebody watches."""

from __future__ import annotations

from celeriac.conformance.history import History


def test_watcher_acts_once_at_the_number_of_records() -> None:
    """Records from before, of other kinds and beyond the number do not count; a view and its run are watched alike."""
    run = History()
    run.add("refused", 1.0, "hand")
    view = run.since(run.end)
    done: list[int] = []
    view.when("refused", 2, lambda: done.append(run.end))

    for kind in ("refused", "published", "refused", "refused", "refused"):
        run.add(kind, 2.0, "hand")

    assert done == [4]
