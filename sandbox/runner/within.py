"""Waiting with a limit. `asyncio.wait_for` will not do: before Python 3.12 it may forget that it was cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def within(seconds: float | None, doing: Awaitable[T]) -> T:
    """The result of `doing`. Raises asyncio.TimeoutError, and cancels it, if it takes longer; None is no limit."""
    task = asyncio.ensure_future(doing)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise asyncio.TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def first(doing: Awaitable[T], ending: asyncio.Event) -> T | None:
    """What comes of `doing`; None, and it is cancelled, when the event comes before."""
    task, told = asyncio.ensure_future(doing), asyncio.ensure_future(ending.wait())
    await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    told.cancel()
    await asyncio.gather(task, told, return_exceptions=True)
    return None if task.cancelled() else task.result()
