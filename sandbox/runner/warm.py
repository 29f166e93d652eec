"""A box in mode `warm` until somebody takes it: all that can be done before it is known for whom is done here.

`life.py` calls `Waiting.taken` and then serves, with the agent that runs already. Nothing in the box is anybody's yet:
while it waits, what the agent asks its model is answered by the gateway's priming route, which costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.runner import http1
from sandbox.runner.box import WIRE
from sandbox.runner.conversation import Conversation, Unusable
from sandbox.runner.dial import Dialer
from sandbox.runner.forward import Forwarder
from sandbox.runner.git import GitFailed
from sandbox.runner.link import (
    FIRST_PAUSE,
    LATEST_PAUSE,
    LONGEST_PAUSE,
    NOT_OUR_WIRE,
    AttachAgain,
    NotNow,
    Revoked,
    events,
    judge,
    whole,
)
from sandbox.runner.sync import Step
from sandbox.runner.within import within

if TYPE_CHECKING:
    from sandbox.runner.life import Box

PRIME = "Answer with the single word: ready."
PRIME_SECONDS = 30.0
SYNC_SECONDS = 120.0  # a box that waits longer is brought in step again: less to fetch when it is taken


class NotWarm(Exception):
    """The box cannot become what it was made for; the message says why."""


class Taken(NamedTuple):
    """A box that was taken: with a greeting as if it had been made for it, and the agent that waits in it."""

    box: Box
    conversation: Conversation


class Waiting:
    """`sync` brings the tree in step with the base branch; the gate of `conversation` opens later, for writes."""

    def __init__(
        self,
        box: Box,
        dialer: Dialer,
        forwarder: Forwarder,
        conversation: Conversation,
        sync: Callable[[], Awaitable[Step]],
    ) -> None:
        self._box, self._dialer, self._forwarder, self._sync = box, dialer, forwarder, sync
        self._conversation = conversation
        self._head = ""
        self._primed = False

    async def taken(self) -> Taken:
        """Get warm and wait for somebody. Raises NotWarm, and Revoked when the box is not wanted any more."""
        began = asyncio.get_running_loop().time()
        self._forwarder.priming = True
        try:
            await asyncio.gather(self._get_agent_ready(), self._bring_in_step())
        except (Unusable, GitFailed) as failed:
            raise NotWarm(str(failed)) from failed
        seconds = asyncio.get_running_loop().time() - began
        claim = await self._claim(round(seconds * 1000))
        self._forwarder.priming = False
        return Taken(self._served_as(claim), self._conversation)

    async def _get_agent_ready(self) -> None:
        await self._conversation.start(self._box.agent)
        if self._box.greeting.agent is not None and self._box.greeting.agent.prime:
            self._primed = await self._conversation.prime(PRIME, PRIME_SECONDS)

    async def _bring_in_step(self) -> None:
        self._head = (await self._sync()).head

    async def _claim(self, ready_ms: int) -> dict[str, Any]:
        """The gateway's word that somebody took us. While we wait, the tree is kept in step and the agent watched."""
        keeping = asyncio.ensure_future(self._keep_in_step())
        gone = asyncio.ensure_future(self._conversation.gone())
        asking = asyncio.ensure_future(self._ask_until_told(ready_ms))
        try:
            await asyncio.wait({asking, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise NotWarm(f"the agent ended while it waited ({gone.result()})")
            return asking.result()
        finally:
            for task in (keeping, gone, asking):
                task.cancel()
            await asyncio.gather(keeping, gone, asking, return_exceptions=True)

    async def _keep_in_step(self) -> None:
        while True:
            await asyncio.sleep(SYNC_SECONDS * random.uniform(0.8, 1.2))
            with contextlib.suppress(GitFailed, OSError):  # whoever takes the box syncs again
                await self._bring_in_step()

    async def _ask_until_told(self, ready_ms: int) -> dict[str, Any]:
        """Dial again and again, whatever the gateway does, until it says that we were taken. Raises Revoked."""
        pause = FIRST_PAUSE
        while True:
            began = asyncio.get_running_loop().time()
            try:
                return await self._ask(ready_ms)
            except NotNow as busy:
                await asyncio.sleep(min(busy.seconds, LATEST_PAUSE))
            except (OSError, EOFError, asyncio.TimeoutError, http1.BadHttp, AttachAgain, *NOT_OUR_WIRE):
                self._dialer.complain()
            if asyncio.get_running_loop().time() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _ask(self, ready_ms: int) -> dict[str, Any]:
        silence = self._box.greeting.silence_seconds
        facts = {"wire": WIRE, "head": self._head, "primed": self._primed, "ready_ms": ready_ms}
        body = json.dumps({**facts, "agent": self._conversation.info}).encode()
        wire = await self._dialer.open()
        try:
            head, lines = await within(silence, wire.ask("POST", "/link/warm", body))
            if head.status != 200:
                judge(head.status, await within(silence, whole(lines)))
            async for line in events(lines, silence):
                if line.get("kind") == "claimed":
                    return line
        finally:
            wire.close()
        raise AttachAgain("the gateway ended the stream")

    def _served_as(self, claim: dict[str, Any]) -> Box:
        limits = claim.get("limits") or {}
        greeting = self._box.greeting
        served = greeting._replace(
            mode="serve",
            generation=int(claim["generation"]),
            branch=str(claim["branch"]),
            turn_seconds=float(limits.get("turn_seconds", greeting.turn_seconds)),
            sync_seconds=float(limits.get("sync_seconds", greeting.sync_seconds)),
        )
        return self._box._replace(greeting=served)


def complain(why: Exception) -> int:
    """Say why a box did not become warm, in its own log on the host; the exit code."""
    print(f"runner: {why}", file=sys.stderr)
    return 0 if isinstance(why, Revoked) else 1
