"""What happened, as a picture: four lanes, and time that runs down.

Records stand in order at equal distances, because milliseconds and hours have to be readable in one picture; a gap of
time is a break in the axis with its length beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from celeriac.conformance.page.elements import Element, el

__all__ = ["LANES", "drawn", "legend", "picture", "span", "symbols", "words"]

#: Lane -> where it stands.
LANES: Mapping[str, int] = {"caller": 118, "broker": 232, "worker": 346, "store": 462}
TITLES = {"store": "result store"}
WIDTH, ROW, TOP, GAP = 504, 25, 24, 20

#: Lower end of the lanes, which the frame of a picture cuts off.
LONGEST = 2000

#: Kind of record -> the lane it starts from and the one it leads to; the same one twice is a mark in a lane.
PLACES: Mapping[str, tuple[str, str]] = {
    "called": ("caller", "caller"),
    "answered": ("caller", "caller"),
    "published": ("caller", "broker"),
    "delivered": ("broker", "worker"),
    "acked": ("worker", "broker"),
    "rejected": ("worker", "broker"),
    "requeued": ("broker", "broker"),
    "expired": ("broker", "broker"),
    "cancelled": ("broker", "worker"),
    "closed": ("broker", "broker"),
    "refused": ("broker", "broker"),
    "ready": ("worker", "worker"),
    "started": ("worker", "worker"),
    "ended": ("worker", "worker"),
    "retried": ("worker", "worker"),
    "errback": ("worker", "worker"),
    "stopped": ("worker", "worker"),
    "stored": ("worker", "store"),
    "announced": ("store", "store"),
}

#: Shortest silence that is a break of the axis, in seconds.
BREAK_S = 1.0

#: Most records of one picture.
MOST = 26

Row = Mapping[str, Any]


def drawn(history: Sequence[Row], evidence: Sequence[Row]) -> list[Row]:
    """Answer the records to draw: those with a lane, those of the evidence's tasks if that is too many."""
    marked = {row["seq"] for row in evidence}
    rows = [row for row in history or evidence if row["kind"] in PLACES and not _is_noise(row, marked)]
    tasks = {row["data"].get("task_id") for row in evidence} - {None}
    if len(rows) > MOST and tasks:
        rows = [row for row in rows if row["seq"] in marked or row["data"].get("task_id") in tasks]
    if len(rows) > MOST:
        rows = sorted(
            sorted(rows, key=lambda row: row["seq"] not in marked)[:MOST], key=lambda row: row["seq"]
        )
    return rows


def _is_noise(row: Row, marked: set[int]) -> bool:
    """Answer whether a row only repeats its neighbour: an answer its request, a result's message what it stores."""
    if row["seq"] in marked:
        return False
    carries_result = row["kind"] == "published" and "task" not in (row["data"].get("headers") or {})
    return row["kind"] == "answered" or (carries_result and "status" in str(row.get("decoded", "")))


def symbols() -> Element:
    """Answer what all pictures of a page have in common, which they refer to: lanes, arrows, marks, the break."""
    ways = {*PLACES.values(), ("worker", "broker")}
    zigzag = "".join(f"l5 {-6 if step % 2 else 6}" for step in range(80))
    shapes = [
        el("g", [_lane(lane, x) for lane, x in LANES.items()], id="t-lanes"),
        el("path", d=f"M100 -6{zigzag}", id="t-break", cls="br"),
        el("rect", y=-15, width=WIDTH, height=22, id="t-ev", cls="ev"),
        *(_shape(*way) for way in sorted(ways)),
    ]
    return el("svg", el("defs", shapes), cls="defs", aria_hidden="true")


def _lane(lane: str, x: int) -> list[Element]:
    return [
        el("text", TITLES.get(lane, lane), x=x, y=16, cls="ln"),
        el("path", d=f"M{x} 24V{LONGEST}", cls="lv"),
    ]


def _shape(start: str, end: str) -> Element:
    x, to = LANES[start], LANES[end]
    if start == end:
        return el("path", d=f"M{x - 4} -8h8v8h-8z", cls="mk", id=_way(start, end))
    way = 1 if to > x else -1
    return el("path", d=f"M{x} 1H{to}m{-7 * way} -4l{7 * way} 4l{-7 * way} 4", cls="ar", id=_way(start, end))


def _way(start: str, end: str) -> str:
    return f"t-{start[0]}{end[0]}"


def picture(rows: Sequence[Row], evidence: Sequence[Row], clock: str) -> Element:
    """Answer the picture of records; the page that shows it has ``symbols`` in it, and ``words`` beside it.

    Args:
        rows: as ``drawn`` answers them.
        evidence: the records that the verdict rests on; they are marked.
        clock: virtual, travel or wall.
    """
    letters, workers = _letters(rows), _workers(rows)
    marked = {row["seq"] for row in evidence}
    marks: list[Element] = [el("use", href="#t-lanes")]
    y, last = TOP + ROW, rows[0]["at"]
    for row in rows:
        silence = row["at"] - last
        stamp = f"+{span(silence)}" if silence > 0 else ""
        if silence >= BREAK_S or row is rows[0]:
            marks += _break(y, silence) if silence else []
            y += GAP if silence else 0
            stamp = span(row["at"] - rows[0]["at"])
        marks += _mark(row, y, stamp, letters, workers, row["seq"] in marked)
        last = row["at"]
        y += ROW
    label = f"Timeline, {clock} time, which is told in words below"
    return el("svg", marks, viewBox=f"0 0 {WIDTH} {y - 10}", role="img", aria_label=label, cls="tl")


def words(rows: Sequence[Row], evidence: Sequence[Row]) -> str:
    """Answer what a picture shows, a line for each record: when, who saw it, what, of what; ``*`` is evidence."""
    marked, first, letters = {row["seq"] for row in evidence}, rows[0]["at"], _letters(rows)
    cells = [
        (
            f"{span(row['at'] - first)}{' *' * (row['seq'] in marked)}",
            row["observer"],
            _label(row, letters),
            _of(row),
        )
        for row in rows
    ]
    widths = [max(len(cell[column]) for cell in cells) for column in range(3)]
    return "\n".join(
        "  ".join(
            (*(text.ljust(width) for text, width in zip(cell[:3], widths, strict=True)), cell[3])
        ).rstrip()
        for cell in cells
    )


def _of(row: Row) -> str:
    shown = ("task", "queue", "attempt", "text", "op")
    return ", ".join(
        f"{name} {row['data'][name]}"[:80] for name in shown if row["data"].get(name) not in (None, "")
    )


def legend(rows: Sequence[Row]) -> Element | None:
    """Answer which letter of the picture is which task, nothing when there is only one."""
    letters = _letters(rows)
    if len(letters) < 2:
        return None
    return el(
        "p", "Tasks: ", [[letter, " ", el("code", task), "; "] for task, letter in letters.items()], cls="sub"
    )


def span(seconds: float) -> str:
    """Answer a duration as people say it."""
    if abs(seconds) < 1:
        return (
            f"{seconds * 1000:.0f} ms" if abs(seconds) >= 0.001 or not seconds else f"{seconds * 1e6:.0f} us"
        )
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + " s"


def _letters(rows: Sequence[Row]) -> dict[str, str]:
    tasks = dict.fromkeys(str(row["data"]["task_id"]) for row in rows if row["data"].get("task_id"))
    return {task: chr(65 + number) if number < 26 else f"T{number}" for number, task in enumerate(tasks)}


def _workers(rows: Sequence[Row]) -> set[Any]:
    """Answer the connections on which something was delivered: what these publish comes from a worker."""
    return {row["data"].get("connection") for row in rows if row["kind"] == "delivered"} - {None}


def _break(y: int, seconds: float) -> list[Element]:
    return [
        el("use", href="#t-break", y=y),
        el("text", f"{span(seconds)} later", x=4, y=y - 2, cls="bt"),
    ]


def _mark(
    row: Row, y: int, stamp: str, letters: Mapping[str, str], workers: set[Any], is_evidence: bool
) -> list[Element]:
    lane, to = PLACES[row["kind"]]
    if row["kind"] == "published" and row["data"].get("connection") in workers:
        lane = "worker"
    marks = [el("use", href="#t-ev", y=y)] if is_evidence else []
    told = f"{stamp}{' *' if is_evidence else ''}"
    marks += [el("text", told, x=4, y=y, cls="at")] if told else []
    marks.append(el("use", href=f"#{_way(lane, to)}", y=y))
    if lane != to:
        return [*marks, el("text", _label(row, letters), x=(LANES[lane] + LANES[to]) // 2, y=y - 3)]
    x, side = (LANES[lane] - 9, "e") if lane == "store" else (LANES[lane] + 9, "b")
    return [*marks, el("text", _label(row, letters), x=x, y=y, cls=side)]


def _label(row: Row, letters: Mapping[str, str]) -> str:
    data = row["data"]
    task = str(data.get("task_id") or "")
    parts = [row["kind"]]
    if row["kind"] == "delivered" and data.get("redelivered"):
        parts = ["redelivered"]
    if len(letters) > 1 and task in letters:
        parts.append(letters[task])
    if row["kind"] in {"ended", "stored"} and data.get("state"):
        parts.append(str(data["state"])[:12])
    if row["kind"] == "closed":
        parts.append(f"{data.get('scope')} {data.get('code') or ''}".strip())
    return " ".join(parts)
