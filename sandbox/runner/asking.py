"""The agent's part of a turn: prompted, listened to, and ended when it should end.

`turns.py` asks for it once a turn. An agent that asks before it writes may be prompted before the tree is in step: it
reads, and when the tree has moved it is told what it had seen and what is not so any more, before anything that it
wanted to do meanwhile is done. An agent is told in the one way that all of them have: its prompt is cancelled and
given to it once more, with a word about it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.runner.attachments import Brought
from sandbox.runner.conversation import Conversation
from sandbox.runner.jsonrpc import AgentError, AgentGone
from sandbox.runner.outdated import news_of, outdated, warning_of
from sandbox.runner.toolcalls import ToolCall, record
from sandbox.runner.translate import Translator
from sandbox.runner.tree import Tree
from sandbox.runner.turn import Turn

# Why an agent ended its turn -> how it went, and what to say about it. https://agentclientprotocol.com/protocol/prompt-turn
REASONS: dict[str, tuple[str, str | None]] = {
    "end_turn": ("done", None),
    "cancelled": ("stopped", None),
    "max_tokens": ("failed", "The agent stopped because its answer became too long. Reply to let it go on."),
    "max_turn_requests": ("failed", "The agent stopped because it asked its model too often. Reply to let it go on."),
    "refusal": ("failed", "The agent refused to go on with this request."),
}
LOOK_SECONDS = 30.0  # how often a turn is looked at while nothing comes
ANSWERED, STOPPED, TIMED_OUT, OUTDATED = "answered", "stopped", "timed_out", "outdated"
Outcome = tuple[str, "str | None"]  # how it went, and what to say about it


class Asking:
    """Asks in one conversation and one tree. `say` makes frames; `restart` starts an agent that ended."""

    def __init__(
        self,
        conversation: Conversation,
        tree: Tree,
        say: Callable[..., None],
        restart: Callable[[], Awaitable[None]],
    ) -> None:
        self._conversation, self._tree, self._say, self._restart = conversation, tree, say, restart
        self._looked: list[ToolCall] = []  # what was done in turns that ended before the tree was in step
        self._begun = ""  # the conversation that was told the rules of the house
        self._started = 0

    async def ask(self, turn: Turn, brought: Brought, translator: Translator) -> Outcome:
        """The agent's part of a turn, whatever happens in it."""
        try:
            return await self._until_it_answers(turn, brought, translator)
        finally:
            if not self._conversation.gate.is_open:
                self._looked += translator.calls

    async def _until_it_answers(self, turn: Turn, brought: Brought, translator: Translator) -> Outcome:
        """An agent that ends in the middle is started again and told that it was interrupted: once, as with a box."""
        while True:
            try:
                answer = await self._once(turn, brought, translator)
                if answer is not None:
                    return answer
            except AgentGone as gone:
                why = f"The agent ended in the middle of its work ({gone}). It is started again; reply to go on."
                if turn.again or turn.stopped.is_set():
                    return "failed", turn.failed or why
                turn.again = True
            else:
                why = "The agent could not be told that its repository was brought up to date. Reply to try again."
            if not self._conversation.alive:
                await self._restart()
            if not self._conversation.alive:
                return "failed", turn.failed or why

    async def _once(self, turn: Turn, brought: Brought, translator: Translator) -> Outcome | None:
        """How it went; None if there is news that it must be told. Raises AgentGone."""
        gate = self._conversation.gate
        if self._tree.step is not None and not gate.is_open:
            turn.news = self._news(turn, translator)  # of earlier turns
            gate.open()
        self._conversation.on_update = translator.update
        asked = asyncio.ensure_future(self._prompt(turn, brought, translator))
        await asyncio.sleep(0)  # the prompt is written now
        self._say_started(turn)
        try:
            over, why = await self._wait(turn, asked, translator)
            if over == ANSWERED:
                return _outcome(asked, translator)
            await self._end(asked, turn.cancel_seconds)
        finally:
            self._conversation.on_update = None  # what it repeats of earlier turns when it is started again is no news
        if over == OUTDATED:
            gate.open()
            return None
        if turn.failed:
            return "failed", turn.failed
        return over, why or None

    async def _wait(self, turn: Turn, asked: asyncio.Future[str], translator: Translator) -> tuple[str, str]:
        """What comes first: its answer, on a tree that is in step; somebody's stop; news; or, with a sentence, the end
        of its time."""
        gate, loop = self._conversation.gate, asyncio.get_running_loop()
        end = loop.time() + turn.seconds
        stopped, moved = asyncio.ensure_future(turn.stopped.wait()), asyncio.ensure_future(self._tree.moved())
        waits: set[asyncio.Future[Any]] = {asked, stopped, moved}
        try:
            while True:
                look, too_long = self._patience(turn, end, asked.done(), translator)
                if too_long:
                    return TIMED_OUT, too_long
                _, waits = await asyncio.wait(waits, timeout=look, return_when=asyncio.FIRST_COMPLETED)
                if moved.done() and not gate.is_open:
                    turn.news = self._news(turn, translator)
                    if turn.news:
                        return OUTDATED, ""
                    gate.open()
                if asked.done() and (gate.is_open or asked.exception() is not None):
                    return ANSWERED, ""
                if stopped.done():
                    return STOPPED, ""
        finally:
            stopped.cancel()
            moved.cancel()

    def _patience(self, turn: Turn, end: float, answered: bool, translator: Translator) -> tuple[float, str]:
        """For how long to look away, in seconds; and what took too long, if something did.

        An agent may be quiet while a command runs, while it speaks with its model, or waits for us; else it hangs.
        """
        now, quiet = asyncio.get_running_loop().time(), turn.quiet_seconds
        if now >= end:
            return 0.0, f"The turn took longer than {_span(turn.seconds)}."
        busy = answered or translator.runs_command
        left = quiet if busy else max(translator.heard_at, self._conversation.busy_at) + quiet - now
        if left <= 0:
            return 0.0, f"The agent said and did nothing for {_span(quiet)}, so it was stopped. Reply to go on."
        return min(end - now, left, LOOK_SECONDS), ""

    def _news(self, turn: Turn, translator: Translator) -> list[str]:
        """What the agent must know before it goes on, now that the tree has moved."""
        step = self._tree.step
        assert step is not None, "it has moved"
        looked = [*self._looked, *translator.calls]
        seen = list(step.changed) if self._conversation.resumed else outdated(looked, step.changed)
        turn.warning = warning_of(step)
        return news_of(step, seen)

    def _say_started(self, turn: Turn) -> None:
        if self._started != turn.number:
            self._started = turn.number
            self._say("turn_started", turn=turn.number, at=time.time())

    async def _prompt(self, turn: Turn, brought: Brought, translator: Translator) -> str:
        """Why the agent ended its turn, in ACP's words."""
        talk = self._conversation
        begins, self._begun = not talk.resumed and talk.id != self._begun, talk.id or ""
        texts = turn.texts(self._tree.git.repo, self._tree.branch.name, begins, brought.lines)
        answer = await talk.prompt(texts, brought.images)
        translator.used(record(answer.get("usage")))
        return str(answer.get("stopReason") or "end_turn")

    async def _end(self, asked: asyncio.Future[str], seconds: float) -> None:
        """Cancel; and if that does not help, kill."""
        if not asked.done():
            self._conversation.cancel()
            await asyncio.wait({asked}, timeout=seconds)
            if asked.done():
                self._conversation.end_what_it_began()
            else:
                await self._conversation.kill()
        await asyncio.gather(asked, return_exceptions=True)


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:g} seconds"


def _outcome(asked: asyncio.Future[str], translator: Translator) -> Outcome:
    """How it went. Raises AgentGone."""
    try:
        outcome, error = REASONS.get(asked.result(), ("done", None))
    except AgentError as failed:
        return "failed", f"The agent reported an error: {failed}"
    if outcome == "done" and translator.in_trouble:
        return "failed", f"The agent reported an error: {translator.summary or 'it did not say which'}"
    return outcome, error
