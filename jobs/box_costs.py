"""How long sessions have boxes, and what that costs where boxes are paid for by the second. Pure.

All of it is read from logs, so it says what a place *would* cost as well: `shipmate cost` (`bot/cost_command.py`) does.
Money is in dollars, time in seconds, memory in GiB.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jobs import events as e
from jobs.events import Event

HOUR = 3600.0


class Rates(NamedTuple):
    """What is asked for a second of a core, and of a GiB."""

    core_second: float
    gib_second: float


# Modal, for sandboxes: docs/modal.md has the sources, and how sure they are
MODAL = Rates(core_second=0.1419 / HOUR, gib_second=3 * 0.00000222)


class Size(NamedTuple):
    """What a box is charged for: the larger of what it asks and what it uses."""

    cores: float
    gib: float

    def dollars(self, seconds: float, rates: Rates) -> float:
        """What a box of this size costs for so long."""
        return seconds * (self.cores * rates.core_second + self.gib * rates.gib_second)


class Stay(NamedTuple):
    """A session's box: from when to when, and how long of that a turn was under way. `over`: it is gone."""

    began: float
    seconds: float
    at_work: float
    over: bool


class Use(NamedTuple):
    """One session: its boxes, its turns, and what its model took, as far as that is known."""

    boxes: int
    seconds: float
    at_work: float
    turns: int
    model: float


_ENDS = (e.BoxParked, e.BoxLost, e.StartBegan, e.StartFailed, e.StartAbandoned)
_TURN_ENDS = (e.TurnEnded, *_ENDS)


def stays(events: Iterable[Event], now: float) -> list[Stay]:
    """The boxes of a session, in order; one that is there still counts until `now`.

    A box counts from when a worker began to make it: what is paid for begins somewhat later, never earlier.
    """
    found: list[Stay] = []
    began = working = None
    at_work, there = 0.0, False
    for event in events:
        if working is not None and isinstance(event, _TURN_ENDS):
            at_work, working = at_work + event.at - working, None
        if there and began is not None and isinstance(event, _ENDS):
            found.append(Stay(began, event.at - began, at_work, True))
            there = False
        if isinstance(event, e.StartBegan):
            began, at_work = event.at, 0.0
        elif isinstance(event, e.BoxStarted):
            there = True
        elif isinstance(event, e.PromptDelivered):
            working = event.at
    if there and began is not None:
        at_work += now - working if working is not None else 0.0
        found.append(Stay(began, now - began, at_work, False))
    return found


def use_of(events: Sequence[Event], now: float) -> Use:
    """What one session has used until now."""
    boxes = stays(events, now)
    ended = [event for event in events if isinstance(event, e.TurnEnded)]
    return Use(
        boxes=len(boxes),
        seconds=sum(stay.seconds for stay in boxes),
        at_work=sum(stay.at_work for stay in boxes),
        turns=len(ended),
        model=sum(event.cost or 0.0 for event in ended),
    )


@dataclass(frozen=True)
class Estimate:
    """What sessions like these cost for their boxes: of a middling one, of a long one (95 in 100 are shorter), of all.

    `idle_share`: the part of all box-seconds in which no turn ran. `model`: what models took, for comparison.
    """

    sessions: int
    turns: int
    boxes: int
    seconds: float
    seconds_p50: float
    seconds_p95: float
    idle_share: float
    dollars: float
    dollars_p50: float
    dollars_p95: float
    dollars_of_thousand: float
    model: float


def estimate(uses: Sequence[Use], size: Size, rates: Rates) -> Estimate:
    """Of the sessions that had a box at all."""
    had = [use for use in uses if use.boxes]
    each = sorted(use.seconds for use in had)
    seconds, at_work = sum(each), sum(use.at_work for use in had)
    p50, p95 = of_share(each, 0.5), of_share(each, 0.95)
    dollars = size.dollars(seconds, rates)
    return Estimate(
        sessions=len(had),
        turns=sum(use.turns for use in had),
        boxes=sum(use.boxes for use in had),
        seconds=seconds,
        seconds_p50=p50,
        seconds_p95=p95,
        idle_share=1 - at_work / seconds if seconds else 0.0,
        dollars=dollars,
        dollars_p50=size.dollars(p50, rates),
        dollars_p95=size.dollars(p95, rates),
        dollars_of_thousand=1000 * dollars / len(had) if had else 0.0,
        model=sum(use.model for use in had),
    )


def of_share(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all are not above; 0 of none."""
    return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered) + 0.499) - 1))] if ordered else 0.0
