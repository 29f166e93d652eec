"""A light runner: the real link, dialer and outbox of `sandbox/runner/`, with a script where the agent would be.

`runners.py` holds thousands of them in one process. What it says is what a runner says of a short turn.
"""

import asyncio
import time
from typing import Any

from sandbox.runner.dial import Dialer
from sandbox.runner.link import Link
from sandbox.runner.outbox import Outbox

SILENCE_SECONDS = 5.0  # as docs/wire.md has it
HEAD = "a" * 40
PLAN = [{"text": f"Step {n} of what has to be done", "status": "pending"} for n in range(4)]
WORDS = "I have looked at the tests and at the function that they call. " * 3
BRIEFLY = "Say in one word"  # a prompt that begins so is answered at once: its session is only to be there
OUTPUT = "tests/test_fuel.py ......                                       [100%]\n" * 10


class Watched(Link):
    """A link that remembers when it last heard the gateway, and when it first did after a mark."""

    heard = 0.0
    again = 0.0
    mark = 0.0

    def _take(self, event: dict[str, Any]) -> None:
        self.heard = time.time()
        if not self.again and self.heard > self.mark:
            self.again = self.heard
        super()._take(event)


class LightRunner:
    """One box's runner. `pace`: seconds between two things that its agent does."""

    def __init__(self, greeting: dict[str, Any], pace: float) -> None:
        self._pace = pace
        self._resumed = greeting.get("conversation") is not None
        self.outbox = Outbox()
        dialer = Dialer(greeting["gateway"], greeting["token"])
        self.link = Watched(dialer, greeting["generation"], self.outbox, self._handle, SILENCE_SECONDS)
        self.turns = 0
        self.turn = 0
        self._running: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Attach, and be ready at once."""
        self._do(self.link.run())
        self.outbox.say("phase", phase="syncing")
        self.outbox.say("phase", phase="synced")
        self.outbox.say("ready", conversation="c1", resumed=self._resumed, head=HEAD)

    async def close(self) -> None:
        """Hang up, whatever it was doing."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _do(self, what: Any) -> None:
        task = asyncio.ensure_future(what)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _handle(self, event: dict[str, Any]) -> None:
        if event["kind"] == "prompt_delivered":
            self.turn = event["turn"]
            self.outbox.say("turn_started", turn=self.turn)
            if event["text"].startswith(BRIEFLY):
                self._end(self.turn)
            else:
                self._do(self._work(self.turn))

    def _end(self, turn: int) -> None:
        self.outbox.say(
            "turn_ended", turn=turn, outcome="done", summary="It is done.", head=HEAD, commits=[], pushed=False
        )
        self.turns += 1

    async def _work(self, turn: int) -> None:
        """Twenty frames with the first and the last one, as a short turn of an agent has them."""
        say = self.outbox.say
        await asyncio.sleep(self._pace)
        say("restated", turn=turn, text="I will fix the rounding of tanks.")
        say("plan", turn=turn, entries=PLAN)
        for number in range(4):
            say("text", turn=turn, text=WORDS)
            await asyncio.sleep(self._pace)
            call = {"turn": turn, "id": f"call-{number}", "title": f"Read rocket/part{number}.py"}
            say("step", **call, tool="read")
            say("tool", **call, tool="read", status="in_progress")
            await asyncio.sleep(self._pace)
            say("tool", **call, tool="read", status="completed", output=OUTPUT)
        self._end(turn)
