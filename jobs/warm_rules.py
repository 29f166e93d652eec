"""How many warm boxes there should be, which of them have outlived their use, and where one is to be made. Pure.

`jobs/warm.py` looks, asks here, and does it; `shipmate doctor` shows the same counts.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

QUIET_SECONDS = 120.0  # a box that has been on offer to nobody for so long will not be any more
WISH_SECONDS = 300.0  # so long a box is kept ready for somebody who seems about to ask


@dataclass(frozen=True)
class WarmBox:
    """A warm box that nobody has taken. `fit` and `base`: as what, and from which image, it was made.

    `offered`: its runner waits at a gateway; `quiet_since`: since when it has not, if it runs.
    """

    name: str
    repository: str
    fit: str
    base: str
    born: float
    runs: bool
    offered: bool
    quiet_since: float = 0.0


@dataclass(frozen=True)
class Wanted:
    """What is wanted of one repository: how many boxes, started as what, grown from which image."""

    repository: str
    number: int
    fit: str
    base: str | None


@dataclass(frozen=True)
class Plan:
    """What is to be done: boxes to end, each with why, and repositories that are to get one more."""

    end: tuple[tuple[WarmBox, str], ...]
    fill: tuple[str, ...]


@dataclass(frozen=True)
class PoolCount:
    """How one repository's pool is."""

    repository: str
    wanted: int
    waiting: int
    filling: int


def wanted(
    numbers: Mapping[str, int], wishes: Collection[str], fits: Mapping[str, str], images: Mapping[str, str]
) -> tuple[Wanted, ...]:
    """What is wanted of every enabled repository. `numbers`: by the settings; `wishes`: one more, for a while; `fits`:
    as what a box of each enabled one is started."""
    return tuple(
        Wanted(name, numbers.get(name, 0) + (name in wishes), fits[name], images.get(name)) for name in sorted(fits)
    )


def within(wanted: Iterable[Wanted], there: Mapping[str, int], room: int) -> tuple[Wanted, ...]:
    """What is wanted, cut to what there is room for: beside those that are `there`, `room` more; below 0: none."""
    fitted = []
    for one in wanted:
        has = there.get(one.repository, 0)
        number = min(one.number, has + room) if room >= 0 else 0
        room -= max(0, number - has)
        fitted.append(replace(one, number=number))
    return tuple(fitted)


def plan(boxes: Sequence[WarmBox], wanted: Iterable[Wanted], now: float, seconds: float) -> Plan:
    """What is to be done about these boxes. `seconds`: how old one may become.

    One box of a repository is made at a time. What an older image left is kept until a new one waits in its place.
    """
    end: list[tuple[WarmBox, str]] = []
    fill: list[str] = []
    known: dict[str, Wanted] = {one.repository: one for one in wanted}
    end += [(box, "its repository is not enabled") for box in boxes if box.repository not in known]
    for one in known.values():
        ours = [box for box in boxes if box.repository == one.repository]
        useless = {box.name: why for box in ours if (why := _useless(box, one, now))}
        end += [(box, useless[box.name]) for box in ours if box.name in useless]
        left = sorted((box for box in ours if box.name not in useless), key=lambda box: -box.born)
        fresh = [box for box in left if box.offered and box.base == one.base and now - box.born <= seconds]
        older = [box for box in left if box.offered and box not in fresh]
        end += [(box, "there are more than are wanted") for box in fresh[one.number :]]
        end += [(box, "it is out of date") for box in older[max(0, one.number - len(fresh)) :]]
        if len(fresh) < one.number and one.base is not None and all(box.offered for box in left):
            fill.append(one.repository)
    return Plan(tuple(end), tuple(fill))


def _useless(box: WarmBox, one: Wanted, now: float) -> str:
    """Why nobody could take this box any more; empty if somebody could, or will."""
    if not box.runs:
        return "it ended"
    if box.fit != one.fit:
        return "its agent is started otherwise by now"
    if not box.offered and not one.number:
        return "it is not wanted any more"
    return "it does not get ready" if not box.offered and now - box.quiet_since > QUIET_SECONDS else ""


def counted(boxes: Iterable[WarmBox], wanted: Iterable[Wanted]) -> tuple[PoolCount, ...]:
    """How the pools are: those where something is wanted or there."""
    found = []
    ours = list(boxes)
    for one in wanted:
        of_it = [box for box in ours if box.repository == one.repository and box.runs]
        waiting = sum(box.offered for box in of_it)
        if one.number or of_it:
            found.append(PoolCount(one.repository, one.number, waiting, len(of_it) - waiting))
    return tuple(found)
