"""What an agent has seen that is not so any more, and how it is told. Pure.

`turns.py` asks when the tree has moved under an agent that was reading already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sandbox.runner.carry import EARLY
from sandbox.runner.sync import Step
from sandbox.runner.toolcalls import ToolCall

NAMED = 50
READ_BY_AGENTS = ("AGENTS.md", "CLAUDE.md", "GEMINI.md", "opencode.json")


def outdated(calls: Iterable[ToolCall], changed: Sequence[str]) -> list[str]:
    """The changed paths that these tool calls looked at or wrote to, and those that agents read by themselves."""
    seen = set(READ_BY_AGENTS).union(*(call.touched for call in calls))
    return [path for path in changed if path in seen]


def news_of(step: Step, seen: Sequence[str]) -> list[str]:
    """What an agent has to know of the tree's move: `seen` are the changed paths that it knew. Nothing: go on."""
    news = []
    carried = step.carried
    if seen:
        news.append(
            f"The repository was brought up to date just now, while you were at it. Changed since you looked: "
            f"{listed(seen)}. Look again before you rely on what you knew. Whatever you wanted to change or run "
            "meanwhile and that was not done: do it now, if it is still right."
        )
    if carried.merged:
        news.append(f"Your earlier changes to {listed(carried.merged)} were merged with newer ones: see that it fits.")
    if carried.conflicts:
        news.append(
            f"Your earlier changes to {listed(carried.conflicts)} do not go together with newer ones. These files are "
            f"as the repository has them now; `git show {EARLY}:PATH` has yours. Make them anew where they are needed."
        )
    return news


def warning_of(step: Step) -> str:
    """What people have to know of it."""
    if not step.carried.conflicts:
        return ""
    return (
        f"{listed(step.carried.conflicts)} had been changed here before the newest state of the repository was there, "
        "and that state differs in the same places: look at them in the result."
    )


def listed(paths: Sequence[str]) -> str:
    """The first paths, each in one harmless line."""
    shown = ", ".join(re.sub(r"\s+", " ", path).replace("</", "< /")[:200] for path in paths[:NAMED])
    return shown + (f" and {len(paths) - NAMED} more" if len(paths) > NAMED else "")
