"""The agent's tool calls of one turn, as the page of a session shows them: what each changed, and what came out. Pure.

`pages.py` asks, for the newest turns first: a page has room for so much, and what does not fit is a title only. What a
box tells is not trusted to have the right shape, and the template escapes it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from jobs.store import Entry

ROOM = 200_000  # characters of details on a page, which is fetched again every other second
OUTPUT, LINES, LINE, AROUND = 3_000, 80, 300, 3
FILES = 10


class Details:
    """What there is still room for. One for each page."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room

    def steps(self, entries: Iterable[Entry]) -> list[dict[str, Any]]:
        """The tool calls in the order in which they began, each as it was told last: `title`, `exit`, `output` and
        `changes`, each with its `path` and `lines` of a sign and words."""
        calls: dict[str, dict[str, Any]] = {}
        for entry in entries:
            if entry.kind == "tool":
                call = calls.setdefault(str(entry.body.get("id") or entry.id), {})
                call |= {name: value for name, value in entry.body.items() if value}
        told = [_step(call) for call in calls.values() if isinstance(call.get("title"), str)]
        return [step if self._fits(step) else _without_details(step) for step in reversed(told)][::-1]

    def _fits(self, step: Mapping[str, Any]) -> bool:
        size = len(step["output"]) + sum(len(words) for one in step["changes"] for _, words in one["lines"])
        self._room -= size
        return self._room >= 0 or not size


def _step(call: Mapping[str, Any]) -> dict[str, Any]:
    output, code, changes = call.get("output"), call.get("exit"), call.get("diff")
    return {
        "title": call["title"],
        "exit": code if isinstance(code, int) and not isinstance(code, bool) else 0,
        "output": _end(output) if isinstance(output, str) else "",
        "changes": [_change(one) for one in changes[:FILES] if isinstance(one, dict)]
        if isinstance(changes, list)
        else [],
    }


def _without_details(step: Mapping[str, Any]) -> dict[str, Any]:
    return {**step, "output": "", "changes": []}


def _end(output: str) -> str:
    words = output.strip("\n")
    return words if len(words) <= OUTPUT else "…" + words[-OUTPUT:]


def _change(told: Mapping[str, Any]) -> dict[str, Any]:
    old, new = (str(told.get(name) or "").splitlines() for name in ("old", "new"))
    lines = _between(old, new)
    if len(lines) > LINES:
        lines = [*lines[:LINES], (" ", f"… and {len(lines) - LINES} more lines")]
    return {"path": str(told.get("path") or ""), "lines": [(sign, words[:LINE]) for sign, words in lines]}


def _between(old: list[str], new: list[str]) -> list[tuple[str, str]]:
    """What is different, without what both begin and end with, but for some lines around it."""
    shorter = min(len(old), len(new))
    first = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    last = next((n for n in range(shorter - first) if old[-1 - n] != new[-1 - n]), shorter - first)
    before, after = old[max(0, first - AROUND) : first], old[len(old) - last :][:AROUND]
    gone, come = old[first : len(old) - last], new[first : len(new) - last]
    return [
        *((" ", line) for line in before),
        *(("-", line) for line in gone),
        *(("+", line) for line in come),
        *((" ", line) for line in after),
    ]
