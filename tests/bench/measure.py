"""Rows of the measure: how they are made from pairs of times, printed and written down. Pure but for the clock."""

import json
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

ROUNDS = 20
Timed = Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Row:
    """One figure. `ratio` is `p50` over `bare_p50`, or what `note` says; `start` and `end` are times of day (UTC)."""

    name: str
    unit: str
    n: int
    p50: float
    p95: float
    bare_p50: float | None
    ratio: float | None
    start: str
    end: str
    note: str


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all are not above."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered) + 0.499) - 1))]


def row(
    name: str, ours: Sequence[float], bare: Sequence[float], began: float, note: str, *, unit: str = "ms",
    ratio: float | None = None,
) -> Row:  # fmt: skip
    """A row of what was measured; without `ratio` given it is ours over bare."""
    p50 = percentile(ours, 0.5)
    bare_p50 = percentile(bare, 0.5) if bare else None
    if ratio is None and bare_p50:
        ratio = p50 / bare_p50
    return Row(
        name=name,
        unit=unit,
        n=len(ours),
        p50=round(p50, 2),
        p95=round(percentile(ours, 0.95), 2),
        bare_p50=None if bare_p50 is None else round(bare_p50, 2),
        ratio=None if ratio is None else round(ratio, 3),
        start=_time_of_day(began),
        end=_time_of_day(time.time()),
        note=note,
    )


async def interleaved(rounds: int, *contenders: Timed) -> list[list[float]]:
    """Each contender in turn, `rounds` times, after one round that does not count."""
    times: list[list[float]] = [[] for _ in contenders]
    for number in range(rounds + 1):
        for kept, contender in zip(times, contenders, strict=True):
            taken = await contender()
            if number:
                kept.append(taken)
    return times


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds."""
    return seconds * 1000


def table(rows: Iterable[Row]) -> str:
    """The rows for a person."""
    lines = [f"{'name':<23}{'unit':>6}{'n':>6}{'p50':>10}{'p95':>10}{'bare':>10}{'ratio':>8}  note"]
    for one in rows:
        bare = "" if one.bare_p50 is None else f"{one.bare_p50:.2f}"
        ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
        lines.append(
            f"{one.name:<23}{one.unit:>6}{one.n:>6}{one.p50:>10.2f}{one.p95:>10.2f}{bare:>10}{ratio:>8}  {one.note}"
        )
    return "\n".join(lines)


def write(rows: Iterable[Row], path: Path) -> None:
    """The rows for a program; those of the file that were not measured now stay as they are."""
    kept = {one["name"]: one for one in json.loads(path.read_text())} if path.exists() else {}
    kept |= {one.name: asdict(one) for one in rows}
    path.write_text(json.dumps(list(kept.values()), indent=1) + "\n")


def _time_of_day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
