"""The rehearsal as a process, driven by the official SDK's client."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import acp
from acp import schema

PATIENCE = 20.0


class SdkClient(acp.Client):
    """Answers every question with `choose`, and keeps every update."""

    def __init__(self) -> None:
        self.updates: list[Any] = []
        self.asked: list[Any] = []
        self.choose = "allow_once"
        self.news = asyncio.Event()

    async def session_update(self, session_id: str, update: Any, **_: Any) -> None:
        self.updates.append(update)
        self.news.set()

    async def request_permission(
        self, session_id: str, tool_call: Any, options: list[Any], **_: Any
    ) -> acp.RequestPermissionResponse:
        self.asked.append(tool_call)
        self.news.set()
        if self.choose == "never":
            await asyncio.Event().wait()
        chosen = next(option for option in options if option.kind == self.choose)
        return acp.RequestPermissionResponse(
            outcome=schema.AllowedOutcome(outcome="selected", option_id=chosen.option_id)
        )

    async def wait(self, condition: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.news.clear()
                await self.news.wait()

    def of(self, kind: str) -> list[Any]:
        return [update for update in self.updates if update.session_update == kind]

    def text(self) -> str:
        return "".join(update.content.text for update in self.of("agent_message_chunk"))

    def titles(self) -> list[str]:
        return [update.title for update in self.of("tool_call")]


class Driven:
    """A rehearsal that runs, and one conversation with it."""

    def __init__(self, connection: Any, client: SdkClient, repo: Path, process: Any) -> None:
        self.connection, self.client, self.repo, self.process = connection, client, repo, process
        self.id = ""

    async def begin(self) -> None:
        self.id = (await self.connection.new_session(cwd=str(self.repo), mcp_servers=[])).session_id

    async def prompt(self, text: str) -> str:
        """Why the turn ended."""
        blocks = [
            schema.TextContentBlock(type="text", text=text),
            schema.TextContentBlock(type="text", text="<system-reminder>\nfix the failing test\n</system-reminder>"),
        ]
        asked = self.connection.prompt(session_id=self.id, prompt=blocks)
        return (await asyncio.wait_for(asked, PATIENCE)).stop_reason

    def readme(self) -> str:
        return (self.repo / "README.md").read_text()


@contextlib.asynccontextmanager
async def rehearsal(pyz: Path, repo: Path) -> AsyncIterator[Driven]:
    """A new process of it. Its HOME is beside the repository."""
    home = repo.with_name("home")
    home.mkdir(exist_ok=True)
    who = '[user]\n\tname = "Ada"\n\temail = "ada@acme.example"\n'
    (home / ".gitconfig").write_text(who)
    client = SdkClient()
    with (home / "stderr").open("wb") as stderr:
        argv = (sys.executable, "-I", "-S", "-B", str(pyz), "rehearsal")
        more = {"limit": 50 << 20, "stderr": stderr, "shutdown_timeout": 3}
        async with acp.spawn_agent_process(
            client, *argv, env={"HOME": str(home)}, cwd=str(repo), use_unstable_protocol=True, transport_kwargs=more
        ) as (connection, process):
            said = await connection.initialize(protocol_version=acp.PROTOCOL_VERSION)
            assert said.agent_info is not None and said.agent_info.name == "rehearsal"
            assert said.agent_capabilities is not None and said.agent_capabilities.load_session
            yield Driven(connection, client, repo, process)
