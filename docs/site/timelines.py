"""Pictures of what becomes of a task that is held for longer than its broker likes, from recorded runs.

A picture is SVG in the page, with a title and a description for those who do not see it.  Lengths are to scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from tests.matrix.page import TITLES, span

__all__ = ["Life", "lives", "picture", "pictures"]

WIDTH, LEFT, RIGHT, HEIGHT = 760, 96, 24, 190
LANES: Mapping[str, int] = {"caller": 40, "broker": 84, "worker": 128}

#: The scenarios that a reader is shown, in this order, and what each warns of.
SCENARIOS = ("TIM-007", "TIM-020", "TIM-012")


@dataclass(frozen=True, slots=True)
class Life:
    """What became of one task.

    Attributes:
        broker: such as ``RabbitMQ 3.10.8``.
        flavour: rabbitmq, redis or valkey.
        judged: who executed it.
        countdown_s: how long it had to wait, in seconds.
        timeout_s: the broker's patience, in seconds.
        taken_back_s: when the broker lost it, in seconds after the sending.
        ending: how: channel-close, consumer-cancel or redeliver.
        delivered: moments of delivery, in seconds.
        executed: moments at which it ran.
        died: how many workers ended.
    """

    broker: str
    flavour: str
    judged: str
    countdown_s: float
    timeout_s: float
    taken_back_s: float
    ending: str
    delivered: Sequence[float]
    executed: Sequence[float]
    died: int


#: How a delivery ends -> what the picture says.
ENDINGS: Mapping[str, str] = {
    "channel-close": "406, channel closed",
    "consumer-cancel": "consumer cancelled",
    "redeliver": "delivered again",
}


def lives(matrix: Mapping[str, Any], adapter: str = "celery") -> Iterator[Life]:
    """Answer, for each version that took a task back, what became of it."""
    known = {(each["flavour"], each["version"]): each for each in matrix["versions"]}
    for run in matrix["runs"]:
        if run["adapter"] != adapter or run["why_not"] is not None:
            continue
        taken = next(
            (row for row in known[run["flavour"], run["version"]]["takes_back"] if row["after_s"]), None
        )
        shown = [life for life in run["lives"] if life["requirement"] in SCENARIOS]
        if taken is None or not shown:
            continue
        life = shown[0]
        yield Life(
            broker=f"{TITLES[run['flavour']]} {run['version']}",
            flavour=run["flavour"],
            judged=run["implementation"],
            countdown_s=life["countdown_s"],
            timeout_s=taken["timeout_s"],
            taken_back_s=life["delivered_after_s"][1],
            ending=taken["ending"],
            delivered=life["delivered_after_s"],
            executed=life["executed_after_s"],
            died=len(life["workers_ended"]),
        )


def pictures(matrix: Mapping[str, Any]) -> str:
    """Answer the two timelines that the guide warns of, at the top of their page, and those of all versions below."""
    found = list(lives(matrix))
    rabbit = [life for life in found if life.flavour == "rabbitmq"]
    redis = [life for life in found if life.flavour != "rabbitmq"]
    redis.sort(key=lambda life: life.flavour != "redis")  # one of Redis itself is the picture at the top
    parts = ["## Longer than RabbitMQ's `consumer_timeout`\n\n", *_told(rabbit[:1])]
    parts += [_more("Other versions of RabbitMQ", rabbit[1:])]
    parts += ["## Longer than Redis' `visibility_timeout`\n\n", *_told(redis[:1])]
    parts += [_more("Other versions of Redis, and Valkey", redis[1:])]
    return "".join(parts)


def _told(found: Sequence[Life]) -> Iterator[str]:
    for number, life in enumerate(found):
        yield f"{summary(life)}\n\n{picture(life, f'{life.flavour}-{number}')}\n\n"


def _more(title: str, found: Sequence[Life]) -> str:
    if not found:
        return ""
    inner = "".join(
        f"**{life.broker}**\n\n{picture(life, f'{life.flavour}-more-{number}')}\n\n"
        for number, life in enumerate(found)
    )
    return f"<details><summary>{title}</summary>\n\n{inner}\n</details>\n\n"


def summary(life: Life) -> str:
    """Answer what the picture shows, in words."""
    again = {
        "channel-close": "the broker closes the channel of the worker that holds it, and gives it to the next one",
        "consumer-cancel": "the broker cancels the consumer that holds it, and gives it to the next one",
        "redeliver": "it is handed out once more, and its first holder is not told",
    }[life.ending]
    times = {1: "once", 2: "twice"}.get(len(life.executed), f"{len(life.executed)} times")
    died = {0: "", 1: ", and one worker ended"}.get(life.died, f", and {life.died} workers ended")
    return (
        f"A task with a countdown of {span(life.countdown_s)} on {life.broker}, whose patience is "
        f"{span(life.timeout_s)}: after {span(life.taken_back_s)} {again}. {life.judged} ran it {times}{died}."
    )


def picture(life: Life, name: str) -> str:
    """Answer the picture; ``name`` tells its ids from those of others on the page."""
    end = max([life.countdown_s, *life.executed]) * 1.04
    scale = (WIDTH - LEFT - RIGHT) / end

    def x(seconds: float) -> float:
        return round(LEFT + seconds * scale, 1)

    shapes = [*_lanes(), *_axis(life, end, x), *_holds(life, x), *_marks(life, x)]
    label = f'role="img" aria-labelledby="{name}-title {name}-desc"'
    return (
        f'<figure class="timeline"><svg viewBox="0 0 {WIDTH} {HEIGHT}" {label}>'
        f'<title id="{name}-title">{escape(f"Timeline of a held task on {life.broker}")}</title>'
        f'<desc id="{name}-desc">{escape(summary(life))}</desc>{"".join(shapes)}</svg></figure>'
    )


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _lanes() -> Iterator[str]:
    for lane, y in LANES.items():
        yield f'<text class="lane" x="8" y="{y + 4}">{lane}</text>'
        yield _line("lane", LEFT, y, WIDTH - RIGHT, y)


def _axis(life: Life, end: float, x: Callable[[float], float]) -> Iterator[str]:
    step = next(size for size in (600, 900, 1800, 3600, 7200) if end / size <= 6)
    for number in range(int(end // step) + 1):
        at = x(number * step)
        yield _line("tick", at, 150, at, 156)
        yield f'<text class="axis" x="{at}" y="172">{span(number * step) if number else "0"}</text>'
    patience = x(life.timeout_s)
    yield _line("limit", patience, 20, patience, 150)
    yield f'<text class="limit" x="{patience - 6}" y="14">patience: {span(life.timeout_s)}</text>'
    due = x(life.countdown_s)
    yield _line("due", due, 20, due, 150)
    yield f'<text class="due" x="{due - 6}" y="30">due: {span(life.countdown_s)}</text>'


def _holds(life: Life, x: Callable[[float], float]) -> Iterator[str]:
    """Answer who holds the task: the first holder until it is told, or, where nobody tells it, until it has run it."""
    y = LANES["worker"]
    last = max(life.executed, default=life.countdown_s)
    first_end = last if life.ending == "redeliver" else life.taken_back_s
    for number, (begin, end) in enumerate(((0.0, first_end), (life.delivered[-1], last))):
        top = y - 13 if number == 0 else y + 2
        size = f'width="{round(x(end) - x(begin), 1)}" height="11"'
        yield f'<rect class="hold hold-{number}" x="{x(begin)}" y="{top}" {size} rx="2"/>'
        words = "held by the first worker" if number == 0 else "held again"
        yield f'<text class="hold" x="{x(begin) + 4}" y="{top + 9}">{words}</text>'


def _marks(life: Life, x: Callable[[float], float]) -> Iterator[str]:
    for moment in life.delivered:
        yield _line("arrow", x(moment), LANES["broker"], x(moment), LANES["worker"] - 14)
        yield f'<circle class="delivered" cx="{x(moment)}" cy="{LANES["broker"]}" r="4"/>'
    yield f'<circle class="sent" cx="{x(0)}" cy="{LANES["caller"]}" r="4"/>'
    yield _line("arrow", x(0), LANES["caller"], x(0), LANES["broker"])
    yield f'<text x="{x(0) + 8}" y="{LANES["caller"] - 6}">sent</text>'
    yield f'<text x="{x(0) + 8}" y="{LANES["broker"] - 6}">delivered</text>'
    taken = x(life.taken_back_s)
    yield f'<text class="taken" x="{taken + 8}" y="{LANES["broker"] - 6}">{ENDINGS[life.ending]}</text>'
    for number, moment in enumerate(sorted(life.executed)):
        y = LANES["worker"] - 7 if number == 0 else LANES["worker"] + 8
        yield f'<path class="executed" d="M{x(moment)} {y - 6}l6 6l-6 6l-6 -6z"/>'
    times = f"runs {len(life.executed)} times" if len(life.executed) > 1 else "runs"
    yield f'<text class="executed" x="{x(max(life.executed)) - 8}" y="{LANES["worker"] - 18}">{times}</text>'
