"""Whole control planes under load: processes looked at from outside (`spent`), and the runners' process (`Held`)."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
LINE_BYTES = 64 << 20


@dataclass(frozen=True)
class Spent:
    """What a program and all that it started have used: seconds of processor so far, bytes of memory now."""

    cpu: float
    rss: int
    files: int

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.cpu + other.cpu, self.rss + other.rss, self.files + other.files)


def spent(group: int) -> Spent:
    """Of every process in this process group; each program of a stack leads one of its own."""
    cpu, rss, files = 0.0, 0, 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) != group:
                continue
            cpu += (int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])) / TICKS
            rss += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            files += len(list((entry / "fd").iterdir()))
        except (OSError, IndexError):  # it has just ended
            continue
    return Spent(cpu, rss, files)


class Held:
    """The process with the light runners."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator["Held"]:
        """Start it, and end it with all its links."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.scale.runners", cwd=SOURCE, limit=LINE_BYTES,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            yield cls(process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    @property
    def pid(self) -> int:
        """Its process, and its group."""
        return self._process.pid

    async def do(self, what: str, **more: Any) -> dict[str, Any]:
        """One order (`runners.py`), and what came of it. Its answer is heard even if whoever asked has given up."""
        return await asyncio.shield(asyncio.ensure_future(self._told(what, more)))

    async def _told(self, what: str, more: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")
            await self._process.stdin.drain()
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the runners' process ended")
        found: dict[str, Any] = json.loads(line)
        return found
