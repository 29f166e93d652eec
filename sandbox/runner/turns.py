"""One turn from prompt to `turn_ended`: asked, translated, stopped or timed out if need be, delivered, told.

`life.py` runs turns one after the other. Every turn ends with exactly one `turn_ended`, whatever happened in it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from sandbox.runner import history, leftovers
from sandbox.runner.asking import Asking
from sandbox.runner.attachments import Attachments, Brought
from sandbox.runner.branch import Work
from sandbox.runner.conversation import Conversation
from sandbox.runner.delivery import Delivered, deliver
from sandbox.runner.git import GitFailed, Person
from sandbox.runner.translate import Translator
from sandbox.runner.tree import Tree
from sandbox.runner.turn import Turn

COALESCE_SECONDS = 0.1
BRING_SECONDS = 90.0  # for everything that came with a prompt
LEFT = "Keep what was written after the turn had ended"
ERROR_CHARS = REMARK_CHARS = 1900
SAY_SO = "If it belongs in the pull request, reply and say so."


class Ending(NamedTuple):
    """How the agent's part of a turn went."""

    outcome: str
    error: str | None
    summary: str
    usage: dict[str, Any]


class Turns:
    """Runs turns in one conversation and one tree. `say` makes frames; `restart` starts an agent that ended."""

    def __init__(
        self,
        conversation: Conversation,
        tree: Tree,
        say: Callable[..., None],
        restart: Callable[[], Awaitable[None]],
        attachments: Attachments,
    ) -> None:
        self._conversation, self._tree, self._git, self._say = conversation, tree, tree.git, say
        self._asking, self._attachments = Asking(conversation, tree, say, restart), attachments
        self._last: Person | None = None  # whose the last turn of this box was
        self._pushed = ""  # what the forge has of it by the last turn that pushed
        self._told: list[str] = []  # what people were told of work that is not in the pull request

    async def run(self, turn: Turn) -> None:
        """The whole turn."""
        if self._tree.step is not None:
            await self._part_from_the_last(turn.author)
            await history.begin(self._git)
        self._git.know(turn.author)
        brought = await self._brought(turn)
        ending = await self._work(turn, brought)
        delivered = await self._deliver(turn)
        error = " ".join(part for part in (ending.error, turn.warning, delivered.error) if part)[:ERROR_CHARS]
        self._say(
            "turn_ended",
            turn=turn.number,
            outcome=ending.outcome,
            summary=ending.summary,
            error=error or None,
            head=delivered.head,
            commits=delivered.commits,
            pushed=delivered.pushed,
            usage=ending.usage,
        )

    async def _deliver(self, turn: Turn) -> Delivered:
        """What the forge has of it: nothing, if it ended before there was a tree to work in."""
        if self._tree.step is None:
            return Delivered("", [], False, None, [])
        branch = self._tree.branch
        known = self._pushed or self._tree.head
        work = Work(branch.base, branch.name, turn.author, turn.co_authors, turn.asked, known)
        delivered = await deliver(self._git, work, turn.within)
        if delivered.pushed:
            self._pushed = delivered.head
        news = [sentence for sentence in delivered.told if sentence not in self._told]
        if news:
            what_to_do = f" {SAY_SO}" if any(leftovers.ONLY_HERE in sentence for sentence in news) else ""
            self._say("remark", text=" ".join(news)[:REMARK_CHARS] + what_to_do)
        self._told = delivered.told
        return delivered

    async def _part_from_the_last(self, author: Person) -> None:
        """Nobody's turn holds what another person's left behind: that ends, and what it wrote since is still his."""
        last, self._last = self._last, author
        if last is None or last.email == author.email:
            return
        self._conversation.end_what_was_left()
        with contextlib.suppress(GitFailed):
            await leftovers.commit(self._git, last, LEFT)
        with contextlib.suppress(GitFailed):
            await history.finish(self._git)

    async def _brought(self, turn: Turn) -> Brought:
        """What came with the prompt; nothing once the turn was stopped."""
        if not turn.attachments:
            return Brought([], [])
        bringing = asyncio.ensure_future(
            self._attachments.bring(turn.number, turn.attachments, self._conversation.sees)
        )  # fmt: skip
        stopped = asyncio.ensure_future(turn.stopped.wait())
        await asyncio.wait({bringing, stopped}, timeout=BRING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if bringing.done():
            return bringing.result()
        bringing.cancel()
        await asyncio.gather(bringing, return_exceptions=True)
        return Brought(["They could not be brought into the box in time."], [])

    async def _work(self, turn: Turn, brought: Brought) -> Ending:
        """The agent's part: ask, listen, and end it when it should end."""
        listening = Listening(turn.number, self._git.repo, self._say, self._conversation.journal.keep)
        try:
            outcome, error = await self._asking.ask(turn, brought, listening.translator)
        finally:
            listening.end()
        return Ending(outcome, error, listening.translator.summary, listening.translator.usage)


class Listening:
    """A turn's translator with its timer: what comes quickly is put together, the first of it is said at once."""

    def __init__(self, turn: int, repo: str, say: Callable[..., None], keep: Callable[[str, str], str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._flushed = 0.0
        self.translator = Translator(turn, repo, say, self._later, self._loop.time, keep)

    def _later(self) -> None:
        if self._timer is None:
            due = max(self._flushed + COALESCE_SECONDS, self._loop.time())
            self._timer = self._loop.call_at(due, self._flush)

    def _flush(self) -> None:
        self._timer = None
        self._flushed = self._loop.time()
        self.translator.flush()

    def end(self) -> None:
        """Say what still waits."""
        if self._timer is not None:
            self._timer.cancel()
        self.translator.finish()
