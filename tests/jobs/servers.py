"""Servers that tests may kill, and connections that lose answers."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from jobs import redis_server
from jobs.redis_server import Plan
from jobs.settings import JobSettings


class Server:
    """A server of one test's own."""

    def __init__(self, folder: Path) -> None:
        env = {"SHIPMATE_DATA_DIR": str(folder), "PATH": ""}
        self.plan: Plan = redis_server.plan(JobSettings.from_env(env))
        self.url = self.plan.url
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._process = subprocess.Popen(self.plan.argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await redis_server.answering(self.url, 20)

    def kill(self) -> None:
        """As a crash would."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator["Server"]:
        server = cls(folder)
        await server.start()
        try:
            yield server
        finally:
            server.kill()


class Forgetful:
    """A way to a server on which the answer to the next script, or other command, is lost with the connection."""

    def __init__(self, url: str, command: bytes = b"EVALSHA") -> None:
        self._socket, self.command = url.removeprefix("unix://"), command
        self.lose_next = False
        self.lost = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Yields the URL of this way."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            there, back = await asyncio.open_unix_connection(self._socket)
            try:
                while asked := await reader.read(1 << 20):
                    back.write(asked)
                    said = await there.read(1 << 20)
                    if self.lose_next and self.command in asked:
                        self.lose_next = False
                        self.lost += 1
                        break
                    writer.write(said)
            finally:
                writer.close()
                back.close()
