"""One turn as the runner sees it: what was asked, by whom, and how long there is. `life.py` makes it of an event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from sandbox.runner.git import Person

CONTEXT_MARK = "<system-reminder>"  # agents and models know this as words that are not the person's
DELIVERY_SECONDS = 600.0
STOP_IN_ALL = 1.4  # times the seconds for a cancel: how long a stop may take with the delivery
T = TypeVar("T")


class Turn:
    """A delivered prompt. `asked`: the person's words.

    `seconds`: the turn's limit; `cancel_seconds`: how long the agent may take to heed a cancel before it is killed;
    `quiet_seconds`: how long it may say and do nothing.
    """

    def __init__(self, event: dict[str, Any], longest: float, cancel_seconds: float, quiet_seconds: float) -> None:
        self.number = int(event["turn"])
        self.asked = str(event.get("text") or "")
        self.author = Person.of(event.get("author") or {})
        self.co_authors = [Person.of(person) for person in event.get("co_authors") or [] if isinstance(person, dict)]
        self.seconds = float(event.get("seconds") or longest)
        self.cancel_seconds, self.quiet_seconds = cancel_seconds, quiet_seconds
        self.attachments = [file for file in event.get("attachments") or [] if isinstance(file, dict)]
        self._rules = [_harmless(str(line)) for line in event.get("rules") or []]
        self._others = [_quoted(str(line)) for line in event.get("others") or []]
        self._earlier = [_harmless(str(line)) for line in event.get("earlier") or []]
        self.again = bool(event.get("again"))  # somebody has been at it before and was interrupted
        self.news: list[str] = []  # what is different from when the agent last looked
        self.warning = ""  # what people have to know of that
        self.failed = ""  # why it cannot be done after all
        self._stopped_at = 0.0
        self.stopped = asyncio.Event()

    def stop(self) -> None:
        """Somebody asked for the end of this turn."""
        if not self.stopped.is_set():
            self._stopped_at = time.monotonic()
            self.stopped.set()

    def fail(self, why: str) -> None:
        """It cannot be done after all."""
        self.failed = why
        self.stop()

    async def within(self, doing: Awaitable[T]) -> T:
        """Wait for a part of the turn's end; once stopped, only as long as a stop may take in all."""
        task, stopped = asyncio.ensure_future(doing), asyncio.ensure_future(self.stopped.wait())
        try:
            await asyncio.wait({task, stopped}, timeout=DELIVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and self.stopped.is_set():
                left = self._stopped_at + STOP_IN_ALL * self.cancel_seconds - time.monotonic()
                await asyncio.wait({task}, timeout=max(left, 0.5))
            if not task.done():
                raise asyncio.TimeoutError
            return task.result()
        finally:
            task.cancel()
            stopped.cancel()
            await asyncio.gather(task, stopped, return_exceptions=True)

    def texts(self, repo: str, branch: str, begins: bool = False, files: Sequence[str] = ()) -> list[str]:
        """What the agent is given: the person's words alone, then what it should know about them.

        `begins`: it is the first of its conversation, and has the rules of the house too. `files`: what came with it.
        """
        told = self._rules if begins else []
        told = [
            *told,
            f"This request is from {self.author.name}. Several people may ask in this conversation; do what the newest "
            "request says.",
            f"The repository is {repo}, on its own branch {branch}. Work only there. When you end, your changes are "
            "saved and published for you under that person's name; publish nothing yourself.",
        ]
        if self.again:
            told.append(
                "You were interrupted in the middle of this request. Part of it may be done: look before you go on."
            )
        if self._earlier:
            told += [
                "This conversation is new: an earlier one about the same work was lost. In it, oldest first:",
                *(f"- {line}" for line in self._earlier),
                "What was done then is in the repository, on this branch: look before you rely on it.",
            ]
        told += self.news
        if files:
            told += ["Files that came with this request:", *(f"- {_harmless(line)}" for line in files)]
        if self._others:
            told += [
                "Said in the conversation meanwhile, for your information:",
                *(f"- {line}" for line in self._others),
            ]
        return [self.asked, "\n".join([CONTEXT_MARK, *told, "</system-reminder>"])]


def _quoted(said: str) -> str:
    """What somebody said with its lines and their indentation, for it may be code; only its first begins a line."""
    first, *more = [line.rstrip() for line in _open_ended(said).strip().splitlines()] or [""]
    return "\n".join([" ".join(first.split()), *(f"  > {line}" for line in more)])


def _harmless(said: str) -> str:
    """What somebody said as one line that cannot end the agent's context."""
    return _open_ended(" ".join(said.split()))


def _open_ended(said: str) -> str:
    return said.replace("</", "< /")
