"""One turn from prompt to `turn_ended`: asked, translated, stopped or timed out if need be, delivered, told.

`life.py` runs turns one after the other. Every turn ends with exactly one `turn_ended`, whatever happened in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from sandbox.runner import history
from sandbox.runner.attachments import Attachments, Brought
from sandbox.runner.conversation import Conversation
from sandbox.runner.delivery import Work, deliver
from sandbox.runner.git import Git, GitFailed, Person
from sandbox.runner.jsonrpc import AgentError, AgentGone
from sandbox.runner.toolcalls import record
from sandbox.runner.translate import Translator
from sandbox.runner.turn import Turn

COALESCE_SECONDS = 0.1
BRING_SECONDS = 90.0  # for everything that came with a prompt
LOOK_SECONDS = 30.0  # how often a turn is looked at while nothing comes
LEFT = "Keep what was written after the turn had ended"
ERROR_CHARS = 1900
# Why an agent ended its turn -> how it went, and what to say about it. https://agentclientprotocol.com/protocol/prompt-turn
REASONS: dict[str, tuple[str, str | None]] = {
    "end_turn": ("done", None),
    "cancelled": ("stopped", None),
    "max_tokens": ("failed", "The agent stopped because its answer became too long. Reply to let it go on."),
    "max_turn_requests": ("failed", "The agent stopped because it asked its model too often. Reply to let it go on."),
    "refusal": ("failed", "The agent refused to go on with this request."),
}


class Ending(NamedTuple):
    """How the agent's part of a turn went."""

    outcome: str
    error: str | None
    summary: str
    usage: dict[str, Any]


class Turns:
    """Runs turns in one conversation and one repository. `say` makes frames; `restart` starts an agent that ended."""

    def __init__(
        self,
        conversation: Conversation,
        git: Git,
        base: str,
        branch: str,
        say: Callable[..., None],
        restart: Callable[[], Awaitable[None]],
        attachments: Attachments,
    ) -> None:
        self._conversation, self._git, self._base, self._branch, self._say = conversation, git, base, branch, say
        self._restart, self._attachments = restart, attachments
        self._begun = ""  # the conversation that was told the rules of the house
        self._started = 0
        self._last: Person | None = None  # whose the last turn of this box was

    async def run(self, turn: Turn) -> None:
        """The whole turn."""
        await self._part_from_the_last(turn.author)
        self._git.know(turn.author)
        await history.begin(self._git)
        brought = await self._brought(turn)
        ending = await self._work(turn, brought)
        work = Work(self._base, self._branch, turn.author, turn.co_authors, turn.asked)
        delivered = await deliver(self._git, work, turn.within)
        error = " ".join(part for part in (ending.error, delivered.error) if part)[:ERROR_CHARS]
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

    async def _part_from_the_last(self, author: Person) -> None:
        """Nobody's turn holds what another person's left behind: that ends, and what it wrote since is still his."""
        last, self._last = self._last, author
        if last is None or last.email == author.email:
            return
        self._conversation.end_what_was_left()
        with contextlib.suppress(GitFailed):
            await self._git.commit_leftovers(last, LEFT)
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
            outcome, error = await self._ask_again_if_it_ends(turn, brought, listening.translator)
        finally:
            listening.end()
        return Ending(outcome, error, listening.translator.summary, listening.translator.usage)

    async def _ask_again_if_it_ends(
        self, turn: Turn, brought: Brought, translator: Translator
    ) -> tuple[str, str | None]:
        """An agent that ends in the middle is started again and told that it was interrupted: once, as with a box."""
        while True:
            try:
                return await self._ask(turn, brought, translator)
            except AgentGone as gone:
                why = f"The agent ended in the middle of its work ({gone}). It is started again; reply to go on."
            if turn.again or turn.stopped.is_set():
                return "failed", why
            turn.again = True
            await self._restart()
            if not self._conversation.alive:
                return "failed", why

    async def _ask(self, turn: Turn, brought: Brought, translator: Translator) -> tuple[str, str | None]:
        self._conversation.on_update = translator.update
        asked = asyncio.ensure_future(self._prompt(turn, brought, translator))
        stopped = asyncio.ensure_future(turn.stopped.wait())
        await asyncio.sleep(0)  # the prompt is written now
        self._say_started(turn)
        try:
            too_long = await self._until_over(turn, {asked, stopped}, translator)
            if asked.done():
                return _outcome(asked, translator)
            await self._end(asked, turn.cancel_seconds)
        finally:
            stopped.cancel()
            self._conversation.on_update = None  # what it repeats of earlier turns when it is started again is no news
        return ("stopped", None) if turn.stopped.is_set() else ("timed_out", too_long)

    async def _until_over(self, turn: Turn, ends: set[asyncio.Future[Any]], translator: Translator) -> str:
        """Until one of `ends` is done, or it took too long: then a sentence that says what did.

        An agent may be quiet while a command runs, while it speaks with its model, or waits for us; else it hangs.
        """
        now = asyncio.get_running_loop().time
        end, quiet = now() + turn.seconds, turn.quiet_seconds
        while now() < end:
            seen = now() if translator.runs_command else max(translator.heard_at, self._conversation.busy_at)
            quiet_end = seen + quiet
            if quiet_end <= now():
                return f"The agent said and did nothing for {_span(quiet)}, so it was stopped. Reply to go on."
            look = min(end - now(), quiet_end - now(), LOOK_SECONDS)
            done, _ = await asyncio.wait(ends, timeout=look, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return ""
        return f"The turn took longer than {_span(turn.seconds)}."

    def _say_started(self, turn: Turn) -> None:
        if self._started != turn.number:
            self._started = turn.number
            self._say("turn_started", turn=turn.number, at=time.time())

    async def _prompt(self, turn: Turn, brought: Brought, translator: Translator) -> str:
        """Why the agent ended its turn, in ACP's words."""
        talk = self._conversation
        begins, self._begun = not talk.resumed and talk.id != self._begun, talk.id or ""
        texts = turn.texts(self._git.repo, self._branch, begins, brought.lines)
        answer = await talk.prompt(texts, brought.images)
        translator.used(record(answer.get("usage")))
        return str(answer.get("stopReason") or "end_turn")

    async def _end(self, asked: asyncio.Future[str], seconds: float) -> None:
        """Cancel; and if that does not help, kill."""
        self._conversation.cancel()
        await asyncio.wait({asked}, timeout=seconds)
        if not asked.done():
            await self._conversation.kill()
        await asyncio.gather(asked, return_exceptions=True)


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:g} seconds"


def _outcome(asked: asyncio.Future[str], translator: Translator) -> tuple[str, str | None]:
    """How it went. Raises AgentGone."""
    try:
        outcome, error = REASONS.get(asked.result(), ("done", None))
    except AgentError as failed:
        return "failed", f"The agent reported an error: {failed}"
    if outcome == "done" and translator.in_trouble:
        return "failed", f"The agent reported an error: {translator.summary[:ERROR_CHARS] or 'it did not say which'}"
    return outcome, error


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
