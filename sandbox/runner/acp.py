"""One agent over the Agent Client Protocol: started, spoken to, ended. By hand, on `jsonrpc.py`.

`conversation.py` keeps one of these alive. https://agentclientprotocol.com/protocol/overview (protocol version 1).
Agents differ in what they send; everything here goes by meaning (`kind`), never by an agent's own ids or titles.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from sandbox.runner.commands import ended
from sandbox.runner.gate import Gate
from sandbox.runner.journal import Journal
from sandbox.runner.jsonrpc import AgentError, AgentGone, NoSuchMethod, Peer
from sandbox.runner.mcp_settings import Servers
from sandbox.runner.processes import Child

PROTOCOL = 1
INITIALIZE_SECONDS = 90.0
OPEN_SECONDS = 120.0
KIND_SECONDS = 2.0
ID_CHARS = 300
TOOLS_NAME, TITLE = "shipmate", "Shipmate"
ALLOW = ("allow_once", "allow_always")  # the narrowest first
Update = Callable[[dict[str, Any]], None]


class Acp:
    """A running agent. `on_update` gets each `update` of the open conversation; `gate`: where what it wants may wait.

    `tools`: the address of the service's own tools, which an agent that speaks MCP over HTTP is told; `servers`: the
    repository's own.
    """

    def __init__(
        self,
        child: Child,
        repo: str,
        tools: str,
        servers: Servers,
        gate: Gate,
        on_update: Update,
        journal: Journal,
    ) -> None:
        self._peer = Peer(child, journal, self._requested, self._notified)
        self._repo, self._tools, self._servers = repo, tools, servers
        self._told: list[dict[str, Any]] = []  # the servers that it was told of last
        self._gate = gate
        self._on_update = on_update
        self._cancelled = False
        self._can: dict[str, Any] = {}
        self.info: dict[str, str] = {}
        self.conversation = ""

    @property
    def alive(self) -> bool:
        """Whether it can be spoken to."""
        return self._peer.child.code is None and not self._peer.gone.done()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._peer.child.pid

    @property
    def waits_for_us(self) -> bool:
        """Whether it has asked us something that we have not answered yet."""
        return self._peer.answering

    @property
    def gone(self) -> asyncio.Future[str]:
        """Done when the agent has ended; the result says how."""
        return self._peer.gone

    async def initialize(self) -> None:
        """Shake hands. Raises AgentError or AgentGone."""
        await self._peer.connect()
        params = {
            "protocolVersion": PROTOCOL,
            "clientCapabilities": {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False},
            "clientInfo": {"name": "shipmate", "title": "Shipmate", "version": "1"},
        }
        said = _record(await self._peer.call("initialize", params, INITIALIZE_SECONDS))
        if said.get("protocolVersion") != PROTOCOL:
            raise AgentError(f"the agent speaks ACP version {said.get('protocolVersion')}, not {PROTOCOL}")
        self._can = _record(said.get("agentCapabilities"))
        info = _record(said.get("agentInfo"))
        self.info = {key: str(info.get(key, ""))[:200] for key in ("name", "version")}

    async def open(self, earlier: str | None) -> bool:
        """Go on with an earlier conversation if that is possible, else begin one. Returns whether it went on."""
        if earlier and await self.go_on(earlier):
            self.conversation = earlier
            return True
        said = _record(await self._peer.call("session/new", self._where(), OPEN_SECONDS))
        self.conversation = str(said.get("sessionId") or "")
        if not 0 < len(self.conversation) <= ID_CHARS:
            raise AgentError("the agent opened a conversation without a usable id")
        await self._name()
        return False

    async def _name(self) -> None:
        """Give the conversation a title: an agent that can be told one may else have a model think of it, with all of
        its tools and after the turn is over."""
        if "title" in _record(self._can.get("sessionCapabilities")):
            with contextlib.suppress(AgentError):
                named = {"sessionId": self.conversation, "title": TITLE}
                await self._peer.call("session/set_title", named, OPEN_SECONDS)

    async def go_on(self, earlier: str) -> bool:
        """Open an earlier conversation, with the servers as they are named now; whether that could be done."""
        ways = []
        if "resume" in _record(self._can.get("sessionCapabilities")):
            ways.append("session/resume")  # without replaying, which nobody here reads
        if self._can.get("loadSession"):
            ways.append("session/load")
        for way in ways:
            try:
                await self._peer.call(way, {"sessionId": earlier, **self._where()}, OPEN_SECONDS)
            except AgentError:
                continue
            return True
        return False

    def _where(self) -> dict[str, Any]:
        self._told = self._mcp_servers()
        return {"cwd": self._repo, "mcpServers": self._told}

    def _mcp_servers(self) -> list[dict[str, Any]]:
        can = _record(self._can.get("mcpCapabilities"))
        ours = {"type": "http", "name": TOOLS_NAME, "url": self._tools, "headers": []}
        return ([ours] if can.get("http") and self._tools else []) + self._servers.of(can)

    @property
    def is_behind(self) -> bool:
        """Whether the repository's servers are others by now than those that it was told of."""
        return self._told != self._mcp_servers()

    @property
    def sees(self) -> bool:
        """Whether it takes pictures in a prompt."""
        return bool(_record(self._can.get("promptCapabilities")).get("image"))

    async def prompt(self, texts: list[str], images: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        """One prompt, to its end. Returns the answer with its `stopReason`. Raises AgentError or AgentGone."""
        self._cancelled = False
        return await self._prompt(texts, images)

    async def prime(self, words: str) -> None:
        """One throwaway prompt, in which nothing may be changed, and then a fresh conversation. Raises as `prompt`."""
        self._cancelled = True
        await self._prompt([words], ())
        await self.open(None)

    async def _prompt(self, texts: list[str], images: Sequence[dict[str, Any]]) -> dict[str, Any]:
        blocks = [*({"type": "text", "text": text} for text in texts), *images]
        return _record(await self._peer.call("session/prompt", {"sessionId": self.conversation, "prompt": blocks}))

    def cancel(self) -> None:
        """Ask the agent to end the prompt that it is at."""
        self._cancelled = True
        self._gate.give_back()
        self._peer.notify("session/cancel", {"sessionId": self.conversation})

    async def end(self, seconds: float = KIND_SECONDS) -> None:
        """End the agent: kindly first, then at once."""
        self._peer.end_input()
        if not await ended(self._peer.child, seconds):
            self._peer.child.kill()
            await ended(self._peer.child, None)
        self._peer.child.kill()  # what it left in its group

    def _notified(self, method: str, params: dict[str, Any]) -> None:
        update = params.get("update")
        if method == "session/update" and isinstance(update, dict) and params.get("sessionId") == self.conversation:
            self._on_update(update)

    async def _requested(self, method: str, params: dict[str, Any]) -> Any:
        if method == "session/request_permission":
            return {"outcome": await self._told_permission(params)}
        if method == "fs/write_text_file":
            return None  # some agents tell us and write by themselves as well; doing it again would be twice
        raise NoSuchMethod(method)  # reading too: the runner may see what the agent must not, so it reads for nobody

    async def _told_permission(self, params: dict[str, Any]) -> dict[str, Any]:
        """The answer; what was asked for is told as an update, because some agents tell it in no other way."""
        call = _record(params.get("toolCall"))
        ours = "toolCallId" in call and params.get("sessionId") == self.conversation
        if ours:
            self._on_update({"status": "pending", **call, "sessionUpdate": "tool_call_update"})
        outcome = await self._permission(params)
        if ours and outcome["outcome"] == "selected":
            begun = {"sessionUpdate": "tool_call_update", "toolCallId": call["toolCallId"], "status": "in_progress"}
            self._on_update(begun)
        return outcome

    async def _permission(self, params: dict[str, Any]) -> dict[str, Any]:
        """Yes, once the tree is in step: the box is the fence. Told to stop meanwhile: cancelled, never rejected."""
        if self._cancelled or not await self._gate.lets_through(_record(params.get("toolCall"))):
            return {"outcome": "cancelled"}
        options = [option for option in params.get("options") or [] if isinstance(option, dict)]
        for kind in ALLOW:
            for option in options:
                if option.get("kind") == kind:
                    return {"outcome": "selected", "optionId": option.get("optionId")}
        return {"outcome": "cancelled"}


def _record(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


__all__ = ["Acp", "AgentError", "AgentGone"]
