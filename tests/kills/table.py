"""The kill table for people and for machines: rows as they come, the sums at the end, `kills.json`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.kills.rows import Row

COUNTS = ("events_lost", "events_doubled", "posts_lost", "posts_doubled", "commits_lost")
WORDS = ("cells", "twice", "lost", "doubled", "unended", "median s", "worst s", "silent s")
HEAD = f"{'victim':18} {'moment':17} " + " ".join(f"{word:>8}" for word in WORDS)


def line_of(row: Row) -> str:
    """One row, short, with what was wrong below it."""
    line = _line(row.victim, row.moment, [row])
    return "\n".join([f"{line}  {' '.join(row.outcomes)}", *(f"    {fault}" for fault in row.faults)])


def summed(rows: Sequence[Row]) -> str:
    """The sums by victim, and of all."""
    victims = list(dict.fromkeys(row.victim for row in rows))
    lines = [_line(victim, "all", [row for row in rows if row.victim == victim]) for victim in victims]
    return "\n".join([HEAD, *lines, _line("all", "all", rows)])


def _line(victim: str, moment: str, rows: Sequence[Row]) -> str:
    lost = sum(row.events_lost + row.posts_lost + row.commits_lost for row in rows)
    doubled = sum(row.events_doubled + row.posts_doubled for row in rows)
    again = sum(row.delivered > 1 for row in rows)
    unended = sum(not row.turn_ended for row in rows)
    seconds = sorted(row.seconds_to_recover for row in rows)
    counts = (len(rows), again, lost, doubled, unended)
    numbers = [*(f"{count:8}" for count in counts), f"{seconds[len(seconds) // 2]:8.2f}", f"{seconds[-1]:8.2f}"]
    numbers.append(f"{max(row.seconds_silent for row in rows):8.2f}")
    return " ".join([f"{victim:18} {moment:17}", *numbers])


def write(rows: Sequence[Row], path: Path) -> None:
    """Keep them for whoever compares."""
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def sound(rows: Sequence[Row]) -> bool:
    """Whether nothing was wrong in any of them."""
    return all(row.turn_ended and not row.faults and not any(getattr(row, name) for name in COUNTS) for row in rows)
