"""Everything else in the box held still for a moment, so that nothing is written while the tree moves.

`sync.py` uses it. What is started while the others are held, such as its git, runs. Without /proc nobody is held.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

from sandbox.runner.processes import below

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
