"""Waiting for what rings no bell: a process that ends, a file that appears. Looked at again until a deadline. And what
others can do meanwhile."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

SECONDS = 20.0
LOOK_SECONDS = 0.01


async def until(true: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Wait until something is true; what it was."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"it did not come true in {seconds:g} s"
        await asyncio.sleep(LOOK_SECONDS)
    return found


async def while_others_run(doing: Awaitable[T]) -> tuple[T, int]:
    """What comes of it, and how often somebody else had a turn before: of what never lets go nobody has any."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    running = asyncio.create_task(other())
    try:
        return await doing, turns
    finally:
        running.cancel()
