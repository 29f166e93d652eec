"""Waiting for what rings no bell: a process that ends, a file that appears. Looked at again until a deadline."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

SECONDS = 20.0
LOOK_SECONDS = 0.01


async def until(true: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Wait until something is true; what it was."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"it did not come true in {seconds:g} s"
        await asyncio.sleep(LOOK_SECONDS)
    return found
