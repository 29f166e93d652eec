"""Everything else in the box held still for a moment, so that nothing is written while the tree moves.

`sync.py` uses it. What is started while the others are held, such as its git, runs. Without /proc nobody is held.
A `Stillness` is stricter: for a provider that copies the whole tree nothing may move, whatever is started meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

from sandbox.runner.processes import Children, below

STOPPED = ("T", "t", "Z", "X")
LOOKS, LOOK_SECONDS = 1000, 0.001


@contextlib.asynccontextmanager
async def held_still() -> AsyncIterator[None]:
    """All processes below the runner stand still. Those that stood still before are left so."""
    held: set[int] = set()
    known: set[int] = set()
    try:
        while fresh := set(below(os.getpid())) - known:  # what they started meanwhile is there in the next round
            known |= fresh
            for pid in fresh:
                if _state(pid) not in STOPPED and _send(pid, signal.SIGSTOP):
                    held.add(pid)
            await _stopped(held)
        yield
    finally:
        for pid in held:
            _send(pid, signal.SIGCONT)


class Stillness:
    """The box, held still by one at a time."""

    def __init__(self, children: Children) -> None:
        self._children = children
        self._moving = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """All processes below the runner stand still, and so does each that it starts meanwhile."""
        async with self._moving:
            late: set[int] = set()
            self._children.held = late
            try:
                async with held_still():
                    yield
            finally:
                self._children.held = None
                for pid in late:
                    _send(pid, signal.SIGCONT)

    async def over(self) -> None:
        """Wait until the box may move: whoever is about to begin something asks."""
        async with self._moving:
            pass


@contextlib.asynccontextmanager
async def nobody_held() -> AsyncIterator[None]:
    """For a tree that nobody can be at work in."""
    yield


async def _stopped(pids: set[int]) -> None:
    """A signal works a moment after it was sent: wait, but not for one that sleeps in the kernel."""
    for _ in range(LOOKS):
        if all(_state(pid) in STOPPED for pid in pids):
            return
        await asyncio.sleep(LOOK_SECONDS)


def _send(pid: int, how: int) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, how)
        return True
    return False


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1].decode()
    except OSError:
        return "X"
