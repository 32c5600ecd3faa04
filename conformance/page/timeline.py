"""What happened, as a picture: four lanes, and time that runs down.

Records stand in order at equal distances, because milliseconds and hours have to be readable in one picture; a gap of
time is a break in the axis with its length beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from celeriac.conformance.page.elements import Element, el

__all__ = ["LANES", "drawn", "legend", "picture", "span"]

#: Lane -> where it stands.
LANES: Mapping[str, int] = {"caller": 118, "broker": 232, "worker": 346, "store": 462}
TITLES = {"store": "result store"}
WIDTH, ROW, TOP, GAP = 504, 25, 24, 20

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


def picture(rows: Sequence[Row], evidence: Sequence[Row], name: str, clock: str) -> Element:
    """Answer the picture of records, with a title for whoever cannot see it.

    Args:
        rows: as ``drawn`` answers them.
        evidence: the records that the verdict rests on; they are marked.
        name: an id of its own in the page.
        clock: virtual, travel or wall.
    """
    letters, workers = _letters(rows), _workers(rows)
    marked = {row["seq"] for row in evidence}
    marks: list[Element] = []
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
    told = ", ".join(f"{row['kind']} at {span(row['at'] - rows[0]['at'])}" for row in rows)
    return el(
        "svg",
        el("title", f"Timeline, {clock} time", id=f"{name}-t"),
        el("desc", told, id=f"{name}-d"),
        [_lane(lane, x, y) for lane, x in LANES.items()],
        marks,
        viewBox=f"0 0 {WIDTH} {y}",
        role="img",
        aria_labelledby=f"{name}-t {name}-d",
        cls="tl",
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


def _lane(lane: str, x: int, bottom: int) -> list[Element]:
    return [
        el("text", TITLES.get(lane, lane), x=x, y=16, cls="ln"),
        el("path", d=f"M{x} 24V{bottom - 4}", cls="lv"),
    ]


def _break(y: int, seconds: float) -> list[Element]:
    middle = y - 6
    zigzag = "".join(f"l5 {-6 if step % 2 else 6}" for step in range(80))
    return [
        el("path", d=f"M100 {middle}{zigzag}", cls="br"),
        el("text", f"{span(seconds)} later", x=4, y=middle + 4, cls="bt"),
    ]


def _mark(
    row: Row, y: int, stamp: str, letters: Mapping[str, str], workers: set[Any], is_evidence: bool
) -> list[Element]:
    start, end = (LANES[lane] for lane in PLACES[row["kind"]])
    if row["kind"] == "published" and row["data"].get("connection") in workers:
        start = LANES["worker"]
    text = _label(row, letters)
    marks = [el("rect", x=0, y=y - 15, width=WIDTH, height=22, cls="ev")] if is_evidence else []
    marks.append(el("text", f"{stamp}{' *' if is_evidence else ''}", x=4, y=y, cls="at"))
    if start == end:
        marks.append(el("path", d=f"M{start - 4} {y - 8}h8v8h-8z", cls="mk"))
        anchor = {"x": start - 9, "cls": "r"} if start == LANES["store"] else {"x": start + 9, "cls": None}
        return [*marks, el("text", text, y=y, **anchor)]
    way = 1 if end > start else -1
    marks.append(el("path", d=f"M{start} {y + 1}H{end}m{-7 * way} -4l{7 * way} 4l{-7 * way} 4", cls="ar"))
    return [*marks, el("text", text, x=(start + end) // 2, y=y - 3, cls="m")]


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
