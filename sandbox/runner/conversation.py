"""The agent kept alive, with one conversation open in it, whatever becomes of its process.

`life.py` starts it and `turns.py` prompts it. An agent that ended is started again and goes on where it was, if it can.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sandbox.runner.acp import Acp
from sandbox.runner.gate import Gate
from sandbox.runner.journal import Journal
from sandbox.runner.jsonrpc import AgentError, AgentGone
from sandbox.runner.mcp_settings import Servers
from sandbox.runner.processes import Child, Children, since_boot
from sandbox.runner.within import within

PAUSES = (0.2, 1.0, None)  # after each of the three tries


class Unusable(Exception):
    """The agent cannot be started; the message is a sentence."""


class Program(NamedTuple):
    """The agent as a program. `start` starts its process; `journal` keeps what it is told and says.

    `set_aside` puts away what it knows of conversations, if there is any; `at_model`: when it last was with its model;
    `servers`: the repository's own, which it is told of; `folder`: where programs of agents are.
    """

    start: Callable[[], Child]
    set_aside: Callable[[], bool]
    at_model: Callable[[], float]
    journal: Journal
    servers: Servers
    folder: str


class Conversation:
    """The agent `program` at work. `tools`: where the service's own are; `gate` opens when writes may begin.

    `earlier`: the id of a conversation to go on with.
    """

    def __init__(
        self,
        children: Children,
        program: Program,
        repo: str,
        tools: str,
        gate: Gate,
        earlier: str | None,
    ) -> None:
        self._children, self._program, self._repo, self.gate = children, program, repo, gate
        self._tools = tools
        self._agent: Acp | None = None
        self.id = earlier
        self.resumed = False
        self._is_kept = False  # it is on record, so it must not become another one
        self._prompted = 0.0  # when it was prompted last
        self.info: dict[str, str] = {}
        self.on_update: Callable[[dict[str, Any]], None] | None = None  # set while a turn runs

    @property
    def alive(self) -> bool:
        """Whether there is an agent that can be prompted."""
        return self._agent is not None and self._agent.alive

    @property
    def journal(self) -> Journal:
        """What keeps all that the agent is told and says."""
        return self._program.journal

    @property
    def busy_at(self) -> float:
        """When something was last seen of it beside its updates: it spoke with its model, or waited for us."""
        waits = self._agent is not None and self._agent.waits_for_us
        return asyncio.get_running_loop().time() if waits else self._program.at_model()

    async def gone(self) -> str:
        """Wait until the agent ends by itself; how it ended."""
        assert self._agent is not None, "started"
        return await asyncio.shield(self._agent.gone)

    async def start(self, started: Child | None = None) -> None:
        """Start the agent (or take one that was started already) and open the conversation. Raises Unusable.

        One that is alive with its conversation open is left as it is. If it cannot be started with what it knows of an
        earlier conversation, that is put away and it begins anew.
        """
        if self.alive:
            return
        try:
            await self._start(started)
        except Unusable:
            if self.id is None or not self._program.set_aside():
                raise
            self.id = None
            await self._start(None)

    async def _start(self, started: Child | None) -> None:
        for pause in PAUSES:
            try:
                await self._try(started)
                return
            except FileNotFoundError as missing:
                raise Unusable(
                    f"The agent is not installed in this box: {missing.filename} was not found."
                ) from missing
            except (AgentError, AgentGone, OSError) as failed:
                await self.kill()
                if pause is None:
                    raise Unusable(f"The agent could not be started: {failed}.") from failed
            started = None
            await asyncio.sleep(pause)

    async def _try(self, started: Child | None) -> None:
        child, journal = started or self._program.start(), self._program.journal
        servers = self._program.servers
        agent = Acp(child, self._repo, self._tools, servers, self.gate, self._updated, journal)
        self._agent = agent
        await agent.initialize()
        self.resumed = self._is_kept = await agent.open(self.id)
        self.id, self.info = agent.conversation, agent.info

    def _updated(self, update: dict[str, Any]) -> None:
        if self.on_update is not None:
            self.on_update(update)

    @property
    def sees(self) -> bool:
        """Whether the agent takes pictures in a prompt."""
        return self._agent is not None and self._agent.sees

    def keep(self) -> None:
        """It is put on record now."""
        self._is_kept = True

    async def catch_up(self) -> list[str]:
        """Tell the agent of the servers that the repository names by now, if they are others; which a new one was not.

        Between turns only: the conversation is opened once more, or another one if nobody knows it yet. One that cannot
        be opened again is left as it is.
        """
        agent = self._agent
        if agent is not None and agent.alive and agent.is_behind:
            with contextlib.suppress(AgentError, AgentGone):
                await (agent.go_on(agent.conversation) if self._is_kept else agent.open(None))
                self.id = agent.conversation
        return [] if self.resumed else self._program.servers.left_out

    async def prompt(self, texts: list[str], images: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        """One prompt to its end; the agent's answer. Raises AgentError or AgentGone."""
        if self._agent is None:
            raise AgentGone("the agent is not running")
        self._prompted = since_boot()
        return await self._agent.prompt(texts, images)

    async def prime(self, words: str, seconds: float) -> bool:
        """One throwaway prompt, then a fresh conversation in the same process; whether it went well. Raises Unusable.

        An agent that does not answer in time, or ends, is started again without.
        """
        agent = self._agent
        assert agent is not None, "started"
        try:
            await within(seconds, agent.prime(words))
        except (AgentError, AgentGone, OSError, asyncio.TimeoutError):
            await self.kill()
            self.id = None
            await self.start()
            return False
        self.id = agent.conversation
        return True

    def cancel(self) -> None:
        """Ask the agent to end the prompt that it is at."""
        if self._agent is not None:
            self._agent.cancel()

    def end_what_it_began(self) -> None:
        """End the commands of a prompt that was cancelled: some agents leave them running."""
        if self._agent is not None:
            self._children.kill_begun(self._agent.pid, self._prompted, self._program.folder)

    def end_what_was_left(self) -> None:
        """End what earlier turns left running outside of the agent."""
        self._children.kill_strays()

    async def end(self) -> None:
        """End the agent kindly."""
        if self._agent is not None:
            await self._agent.end()
            self._children.kill_strays()

    async def kill(self) -> None:
        """End the agent at once, with everything that it started."""
        if self._agent is not None:
            await self._agent.end(0)
            self._children.kill_strays()
