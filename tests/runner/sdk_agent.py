"""An agent written with the official SDK, as the independent check of the runner's own ACP: run as a program.

It does what the prompt's first word says, and tells how the client answered its requests.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import acp
from acp import schema

ANSWERS = {"refuse": "refusal", "overflow": "max_tokens", "loop": "max_turn_requests"}
OPTIONS = [
    schema.PermissionOption(option_id="never", name="No", kind="reject_once"),
    schema.PermissionOption(option_id="for-ever", name="Always", kind="allow_always"),
    schema.PermissionOption(option_id="just-now", name="Once", kind="allow_once"),
]


class SdkAgent(acp.Agent):
    """One conversation."""

    def __init__(self) -> None:
        self._client: Any = None
        self._cwd = Path()
        self._cancelled = asyncio.Event()
        self._servers: list[str] = []
        self._opened = 0

    def on_connect(self, conn: Any) -> None:
        self._client = conn

    async def initialize(self, protocol_version: int, **_: Any) -> acp.InitializeResponse:
        info = schema.Implementation(name="sdk-agent", version="0.12")
        can = schema.AgentCapabilities(
            mcp_capabilities=schema.McpCapabilities(http="http" in sys.argv),
            prompt_capabilities=schema.PromptCapabilities(image="sees" in sys.argv),
        )
        return acp.InitializeResponse(protocol_version=protocol_version, agent_info=info, agent_capabilities=can)

    async def new_session(self, cwd: str, mcp_servers: list[Any], **_: Any) -> acp.NewSessionResponse:
        self._cwd = Path(cwd)
        self._servers = [_server(server) for server in mcp_servers]
        self._opened += 1
        return acp.NewSessionResponse(session_id=f"sdk-{self._opened}")

    async def prompt(self, session_id: str, prompt: list[Any], **_: Any) -> acp.PromptResponse:
        words = prompt[0].text
        self._cancelled.clear()
        if words.startswith("fail"):
            raise acp.RequestError(-32603, "Out of luck", {"details": "the model is away"})
        if words in ANSWERS:
            return acp.PromptResponse(stop_reason=ANSWERS[words])
        if words == "servers":
            await self._update(acp.update_agent_message_text(" and ".join(self._servers) or "none"))
            return acp.PromptResponse(stop_reason="end_turn")
        if words == "settings":
            (self._cwd / ".mcp.json").write_text('{"mcpServers": {"late": {"command": "sh"}}}')
            return acp.PromptResponse(stop_reason="end_turn")
        if words.startswith("blocks"):
            blocks = [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in prompt]
            await self._update(acp.update_agent_message_text(json.dumps(blocks)))
            return acp.PromptResponse(stop_reason="end_turn")
        if words == "wait":
            await self._update(acp.update_agent_message_text("I wait."))
            await self._cancelled.wait()
            return acp.PromptResponse(stop_reason="cancelled")
        await self._work()
        usage = schema.Usage(input_tokens=3, output_tokens=4, total_tokens=7)
        return acp.PromptResponse(stop_reason="end_turn", usage=usage)

    async def _work(self) -> None:
        await self._update(acp.update_agent_thought_text("Let me see."))
        await self._update(acp.update_agent_message_text("I will write a file.\n\n"))
        await self._update(acp.update_plan([acp.plan_entry("Write it", status="in_progress")]))
        path = self._cwd / "by-sdk.txt"
        diff = acp.tool_diff_content(str(path), "hello\n", None)
        await self._update(acp.start_tool_call("t1", "Write by-sdk.txt", kind="edit", status="pending", content=[diff]))
        call = schema.ToolCallUpdate(tool_call_id="t1", title="Write by-sdk.txt", kind="edit")
        answer = await self._client.request_permission(
            session_id=f"sdk-{self._opened}", tool_call=call, options=OPTIONS
        )
        path.write_text("hello\n")
        await self._client.write_text_file(session_id="sdk-1", path=str(self._cwd / "by-client.txt"), content="no")
        done = acp.update_tool_call("t1", status="completed", content=[diff, acp.tool_content(acp.text_block("Done."))])
        await self._update(done)
        try:
            await self._client.read_text_file(session_id="sdk-1", path="/etc/hostname")
            reading = "was answered"
        except acp.RequestError as refused:
            reading = f"was refused with {refused.code}"
        told = f"Option {answer.outcome.option_id} was chosen; reading {reading}."
        await self._update(acp.update_agent_message_text(told))

    async def _update(self, update: Any) -> None:
        await self._client.session_update(session_id=f"sdk-{self._opened}", update=update)

    async def cancel(self, session_id: str, **_: Any) -> None:
        self._cancelled.set()


def _server(server: Any) -> str:
    if isinstance(server, schema.McpServerStdio):
        env = {one.name: one.value for one in server.env}
        return f"{server.name} runs {server.command} {' '.join(server.args)} with {env}"
    return f"{server.name} at {server.url} with {[(one.name, one.value) for one in server.headers]}"


if __name__ == "__main__":
    asyncio.run(acp.run_agent(SdkAgent()))
