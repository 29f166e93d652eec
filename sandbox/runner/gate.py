"""Reads pass, writes wait: what an agent asks leave for before the tree is in step.

`acp.py` brings each request here, from the agent and from whatever it has below it, and `turns.py` opens the gate when
the tree has moved. Nothing is refused: agents take a refusal for the end of the turn. What waits is let through in the
order in which it came, or given back when its turn is cancelled.
"""

from __future__ import annotations

import asyncio
from typing import Any

READS = ("read", "search")  # https://agentclientprotocol.com/protocol/tool-calls; subagents come as "think"
COMMANDS = ("command", "cmd", "script")  # some agents call `cat x > y` a read


class Gate:
    """Closed until `open`, and open from then on."""

    def __init__(self) -> None:
        self.is_open = False
        self._parked: list[asyncio.Future[bool]] = []

    async def lets_through(self, call: dict[str, Any]) -> bool:
        """Whether a tool call may be done, as soon as that is certain. False: its turn was cancelled meanwhile."""
        if self.is_open or only_reads(call):
            return True
        waiting: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._parked.append(waiting)
        return await waiting

    def open(self) -> None:
        """The tree is in step: what waits goes on, and nothing waits any more."""
        self.is_open = True
        self._answer(True)

    def give_back(self) -> None:
        """The turn was cancelled: what waits is not wanted any more."""
        self._answer(False)

    def _answer(self, may: bool) -> None:
        parked, self._parked = self._parked, []
        for waiting in parked:
            if not waiting.done():  # else the agent that asked is gone
                waiting.set_result(may)


def only_reads(call: dict[str, Any]) -> bool:
    """Whether a tool call changes nothing. A command never counts as a read, whatever the agent takes it for."""
    given = call.get("rawInput")
    return call.get("kind") in READS and not (isinstance(given, dict) and any(given.get(name) for name in COMMANDS))
