"""Run one command to its end and keep what it said, bounded in time and size. git and `exec` go through here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sandbox.runner.processes import Child, Children

DRAIN_SECONDS = 0.25
LIMIT = 4 << 20


class Finished(NamedTuple):
    """How a command ended. `code`: negative for a signal, 127 if there is no such program, 126 if it cannot be run."""

    code: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False
    timed_out: bool = False


async def run(
    children: Children,
    argv: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    stdin: bytes = b"",
    timeout: float = 60.0,
    limit: int = LIMIT,
    heard: Callable[[bytes], None] | None = None,
) -> Finished:
    """Run `argv` and wait for it. After `timeout` seconds, or when this task is cancelled, its group is killed.

    `limit` is for both outputs together; `heard`, if given, has them as they come, and then the answer has none. A
    child in the background that holds the output open does not delay the end.
    """
    try:
        child = children.spawn(argv, cwd=cwd, env=env)
    except FileNotFoundError as missing:
        return Finished(127 if missing.filename == argv[0] else 126, b"", f"{missing}\n".encode())
    except (OSError, ValueError) as wrong:
        return Finished(126, b"", f"{wrong}\n".encode())
    room = Room(limit)
    out, err = Collected(room, heard), Collected(room, heard)
    try:
        await _connect(child, out, err, stdin)
        timed_out = not await ended(child, timeout)
        if timed_out:
            child.kill()
            await ended(child, None)
        await asyncio.wait({out.closed, err.closed}, timeout=DRAIN_SECONDS)
    finally:
        child.kill()  # alive only if we were cancelled
        out.stop()
        err.stop()
        child.close()
    assert child.code is not None, "it has ended"
    return Finished(child.code, bytes(out.data), bytes(err.data), room.exceeded, timed_out)


async def ended(child: Child, timeout: float | None) -> bool:
    """Wait until the process is gone; False if it still lives after `timeout` seconds."""
    gone: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    child.when_ended(lambda code: None if gone.done() else gone.set_result(code))
    await asyncio.wait({gone}, timeout=timeout)
    return child.code is not None


async def _connect(child: Child, out: Collected, err: Collected, stdin: bytes) -> None:
    loop, process = asyncio.get_running_loop(), child.process
    await loop.connect_read_pipe(lambda: out, process.stdout)
    await loop.connect_read_pipe(lambda: err, process.stderr)
    if not stdin:
        assert process.stdin is not None, "spawned with pipes"
        process.stdin.close()
        return
    feed, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, process.stdin)
    feed.write(stdin)
    with contextlib.suppress(OSError):
        feed.write_eof()


class Room:
    """How many more bytes of output are kept."""

    def __init__(self, limit: int) -> None:
        self.left = limit
        self.exceeded = False

    def take(self, data: bytes) -> bytes:
        """As much of `data` as there is room for."""
        kept = data[: self.left]
        self.left -= len(kept)
        self.exceeded = self.exceeded or len(kept) < len(data)
        return kept


class Collected(asyncio.Protocol):
    """One output of a command. The rest is read and thrown away when the room is used up, so that it never blocks."""

    def __init__(self, room: Room, heard: Callable[[bytes], None] | None = None) -> None:
        self.data = bytearray()
        self._keep = heard or self.data.extend
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room = room
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        kept = self._room.take(data)
        if kept:
            self._keep(kept)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        if not self.closed.done():
            self.closed.set_result(None)

    def stop(self) -> None:
        """Read no more."""
        if self._transport is not None:
            self._transport.close()
