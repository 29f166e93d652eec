"""The control socket: how the host runs a command in the box (docs/wire.md). One request for each connection.

The listening socket is an inherited descriptor that nothing inside the box can see, or lies where only root of the box
can go. Providers are the clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.runner import commands
from sandbox.runner.holding import Stillness
from sandbox.runner.processes import Children
from sandbox.runner.within import within

LINE_BYTES = 1 << 20
HOLD_SECONDS = 15.0  # without a word from the one who holds the box: he is no more
STDIN_BYTES = 256 << 20


class Control:
    """Answers `exec`, `hold`, `ping` and `end`. `end` is called when the host wants the runner to end."""

    def __init__(
        self, children: Children, repo: str, env: Mapping[str, str], end: Callable[[], None], still: Stillness
    ) -> None:
        self._children, self._repo, self._env, self._end, self._still = children, repo, env, end, still
        self._own = {"{python}": sys.executable, "{runner}": os.path.abspath(sys.argv[0])}

    async def serve(self, fd: int) -> asyncio.AbstractServer:
        """Begin to serve the listening socket `fd`."""
        return await asyncio.start_unix_server(self._client, sock=socket.socket(fileno=fd), limit=LINE_BYTES)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            answer, rest = await self._obey(request, reader, writer)
            writer.write(json.dumps(answer).encode() + b"\n" + rest)
            await writer.drain()
        except (ValueError, KeyError, TypeError, AttributeError) as wrong:
            writer.write(json.dumps({"error": f"not a request: {wrong}"}).encode() + b"\n")
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the caller went away: nobody is left to tell
        finally:
            writer.close()

    async def _obey(
        self, request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[dict[str, Any], bytes]:
        if request["op"] == "ping":
            return {"ok": True, "runner": "1"}, b""
        if request["op"] == "end":
            self._end()
            return {"ok": True}, b""
        if request["op"] == "hold":
            await self._hold(reader, writer)
            return {"ok": True}, b""
        if request["op"] != "exec":
            raise ValueError(f"unknown op {request['op']!r}")
        size = int(request.get("stdin_bytes") or 0)
        if size > STDIN_BYTES:
            raise ValueError(f"stdin is larger than {STDIN_BYTES} bytes")
        stdin = await reader.readexactly(size)
        await self._still.over()
        done = await self._run(request, stdin, writer if request.get("follow") else None)
        answer = {
            "code": done.code,
            "stdout_bytes": len(done.stdout),
            "stderr_bytes": len(done.stderr),
            "truncated": done.truncated,
            "timed_out": done.timed_out,
        }
        return answer, done.stdout + done.stderr

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Nothing moves in the box until the client says nothing any more."""
        async with self._still.kept():
            writer.write(b'{"held":true}\n')
            with contextlib.suppress(asyncio.TimeoutError):
                while await within(HOLD_SECONDS, reader.readline()):
                    pass

    async def _run(
        self, request: dict[str, Any], stdin: bytes, follower: asyncio.StreamWriter | None
    ) -> commands.Finished:
        def say(piece: bytes) -> None:
            assert follower is not None
            if not follower.is_closing():
                follower.write(b'{"piece":%d}\n' % len(piece) + piece)

        return await commands.run(
            self._children,
            [self._own.get(word, word) for word in map(str, request["argv"])],
            cwd=str(request.get("cwd") or self._repo),
            env=self._env,
            stdin=stdin,
            timeout=float(request.get("timeout") or 60),
            limit=int(request.get("limit") or commands.LIMIT),
            heard=say if follower is not None else None,
        )
