"""Words with the runner of a box on Modal: a small program is run there as root, and passes them on (docs/wire.md).

So a command runs as the agent's user, below the runner, bounded in the box itself, just as in a box of this machine.
`sandbox/modal.py` calls `run`, `end` and `held`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from sandbox import control
from sandbox.modal_entry import ASK
from sandbox.provider import ExecResult, Unreachable
from sandbox.runner.control import HOLD_SECONDS

if TYPE_CHECKING:
    import modal
    from modal.container_process import ContainerProcess

PIECE = 1 << 20
BEAT_SECONDS, HANG_UP_SECONDS = 4.0, 5.0
MORE_BYTES = 1 << 20  # beyond what a command may say: the lines around it


class Cut(Exception):
    """The box hung up before it had answered, or may have moved while it was held."""


async def run(
    sandbox: modal.Sandbox,
    argv: tuple[str, ...],
    stdin: bytes,
    timeout: float,
    limit: int,
    heard: control.Heard | None,
    patience: float,
) -> ExecResult:
    """Run a command; the box may take `patience` seconds beyond `timeout`. Raises Cut, TimeoutError, Permanent, or an
    error of Modal's."""
    async with asyncio.timeout(timeout + patience):
        async with _asking(sandbox, timeout + patience, limit + MORE_BYTES) as (process, reader):
            await _say(process, control.request(argv, stdin, timeout, limit, heard))
            try:
                return await control.answered(reader, limit, heard)
            except control.GARBLED as cut:
                raise Cut(f"the box hung up in the middle of a command ({type(cut).__name__})") from cut


async def end(sandbox: modal.Sandbox, seconds: float) -> None:
    """Ask the runner to end. Raises TimeoutError or an error of Modal's."""
    async with asyncio.timeout(seconds), _asking(sandbox, seconds, MORE_BYTES) as (process, reader):
        await _say(process, b'{"op":"end"}\n')
        await reader.readline()


@contextlib.asynccontextmanager
async def held(sandbox: modal.Sandbox, seconds: float, patience: float) -> AsyncIterator[None]:
    """Nothing moves in the box meanwhile. It moves on soon after whoever holds it is no more.

    Raises TimeoutError if it does not answer within `patience` seconds, Unreachable if it does not hold still, and Cut
    at the end of a block in which it may have moved: it was not told for too long that it is held, or what passes that
    on has ended.
    """
    async with contextlib.AsyncExitStack() as open_end:
        async with asyncio.timeout(patience):
            process, reader = await open_end.enter_async_context(_asking(sandbox, seconds, MORE_BYTES))
            await _say(process, b'{"op":"hold"}\n')
            answer = await reader.readline()
        if not answer:
            raise Cut("the box hung up instead of holding still")
        if not _says_held(answer):
            raise Unreachable("the box does not hold still")
        beats = _Beats(process)
        beating = asyncio.create_task(beats.go_on())
        try:
            yield
            beats.check()
            if beating.done() or reader.at_eof():
                raise Cut("the box was not held to the end")
        finally:
            await _end(beating)
            with contextlib.suppress(Exception):  # it may be gone, and then there is nothing to hang up
                async with asyncio.timeout(HANG_UP_SECONDS):
                    process.stdin.write_eof()
                    await process.stdin.drain.aio()


def _says_held(answer: bytes) -> bool:
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(answer)
        return isinstance(said, dict) and bool(said.get("held"))
    return False


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel it, and wait for that, but not for ever."""
    task.cancel()
    await asyncio.wait({task}, timeout=HANG_UP_SECONDS)
    if task.done() and not task.cancelled():
        task.exception()  # what went wrong there was told by what it was for


class _Beats:
    """What tells a box again and again that it is held."""

    def __init__(self, process: ContainerProcess[bytes]) -> None:
        self._process = process
        self._last = time.monotonic()

    async def go_on(self) -> None:
        """Until cancelled. Raises Cut, or an error of Modal's."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            self._process.stdin.write(b"\n")
            await self._process.stdin.drain.aio()
            self.check()
            self._last = time.monotonic()

    def check(self) -> None:
        """Raise Cut if the box may have gone on because it heard nothing."""
        if time.monotonic() - self._last > HOLD_SECONDS:
            raise Cut("the box could not be told in time that it is held")


async def _say(process: ContainerProcess[bytes], text: bytes) -> None:
    for start in range(0, len(text), PIECE):
        process.stdin.write(text[start : start + PIECE])
        await process.stdin.drain.aio()


@contextlib.asynccontextmanager
async def _asking(
    sandbox: modal.Sandbox, seconds: float, most: int
) -> AsyncIterator[tuple[ContainerProcess[bytes], asyncio.StreamReader]]:
    """The program in the box that passes words on, and what comes back."""
    from modal.stream_type import StreamType

    process = await sandbox.exec.aio(
        *ASK, text=False, timeout=math.ceil(seconds) + 5, workdir="/", stderr=StreamType.DEVNULL
    )
    reader = asyncio.StreamReader(limit=control.LINE_BYTES)
    reading = asyncio.create_task(_read(process, reader, most))
    try:
        yield process, reader
    finally:
        await _end(reading)


async def _read(process: ContainerProcess[bytes], reader: asyncio.StreamReader, most: int) -> None:
    """Hand on what the box says, and no more of it than it may say."""
    try:
        async for piece in process.stdout:
            most -= len(piece)
            if most < 0:
                return
            reader.feed_data(piece)
    except Exception as failed:
        reader.set_exception(failed)
    finally:
        reader.feed_eof()
