"""An agent driven by hand over ACP: what a box is compared with."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sandbox import runner_archive

SYSTEM_PYTHON = Path("/usr/bin/python3")
LINE_BYTES = 1 << 24


def rehearsal(folder: Path) -> tuple[str, ...]:
    """The argv of the scripted agent, run by the interpreter that boxes have."""
    python = str(SYSTEM_PYTHON) if SYSTEM_PYTHON.exists() else sys.executable
    runner = runner_archive.build(folder / "runner.pyz", python)
    return (python, "-I", "-S", "-B", str(runner), "rehearsal")


class ByHand:
    """One agent process. Requests are awaited; notifications are passed over."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process, self._number = process, 0

    async def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask, and wait for the answer."""
        assert self._process.stdout is not None
        number = await self.send(method, params)
        while line := await self._process.stdout.readline():
            said: dict[str, Any] = json.loads(line)
            if said.get("id") == number and "method" not in said:
                return said
        raise RuntimeError("the agent ended")

    async def send(self, method: str, params: dict[str, Any]) -> int:
        """Ask; the number of the request."""
        assert self._process.stdin is not None
        self._number += 1
        request = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        await self._process.stdin.drain()
        return self._number

    async def first_read(self) -> None:
        """Until the first file was read."""
        assert self._process.stdout is not None
        reads = set()
        while line := await self._process.stdout.readline():
            update = json.loads(line).get("params", {}).get("update", {})
            if update.get("kind") == "read":
                reads.add(update["toolCallId"])
            if update.get("toolCallId") in reads and update.get("status") == "completed":
                return
        raise RuntimeError("the agent ended")


@asynccontextmanager
async def by_hand(
    argv: tuple[str, ...], repo: Path, home: Path, env: Mapping[str, str] | None = None
) -> AsyncIterator[ByHand]:
    """The agent, started in a ready checkout, and killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=repo,
        env={"HOME": str(home), "PATH": os.defpath, "TMPDIR": str(home), **(env or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=LINE_BYTES,
    )
    try:
        yield ByHand(process)
    finally:
        process.kill()
        await process.wait()


async def seconds_to_prompt(argv: tuple[str, ...], repo: Path, home: Path, text: str) -> float:
    """From the start of the agent until its first prompt is written to it."""
    began = time.perf_counter()
    async with by_hand(argv, repo, home) as agent:
        await _prompt(agent, repo, text)
        return time.perf_counter() - began


async def seconds_to_read(argv: tuple[str, ...], repo: Path, home: Path, text: str) -> float:
    """From the start of the agent until its first read was answered."""
    began = time.perf_counter()
    async with by_hand(argv, repo, home) as agent:
        await _prompt(agent, repo, text)
        await agent.first_read()
        return time.perf_counter() - began


async def _prompt(agent: ByHand, repo: Path, text: str) -> None:
    await agent.call("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
    opened = await agent.call("session/new", {"cwd": str(repo), "mcpServers": []})
    prompt = [{"type": "text", "text": text}]
    await agent.send("session/prompt", {"sessionId": opened["result"]["sessionId"], "prompt": prompt})
