"""Who is making a box just now, or putting one to sleep: said again and again meanwhile, so that slow is not lost.

Workers wrap it in `at_work` (`jobs/operations.py`), and ask `somebody_is_at` before they begin what looks lost; the
upkeep asks before it tells a session that time went by. A worker that dies is not heard of any more in seconds.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from typing import Literal

from jobs.log import forgiven
from jobs.session import Session
from jobs.store import Store

log = logging.getLogger(__name__)
HOLD_SECONDS, RENEW_SECONDS = 8.0, 2.0
LOOK_SECONDS = 1.0  # a look takes the lease for a moment, if nobody has it
Work = Literal["start", "park"]


@contextlib.asynccontextmanager
async def at_work(store: Store, work: Work, session: Session) -> AsyncIterator[None]:
    """Say, while the block runs, that somebody is at this work on the box of this session's generation."""
    name, us, over = _lease(work, session), secrets.token_hex(8), asyncio.Event()
    renewing = asyncio.create_task(_renew(store, name, us, over))
    try:
        yield
    finally:
        over.set()  # told, not cancelled: a client of the record that is just dialling may swallow that
        await renewing
        with forgiven(log, f"it could not be said that a {work} is over; that is known in {HOLD_SECONDS:.0f} s"):
            await store.release(name, us)


async def somebody_is_at(store: Store, work: Work, session: Session) -> bool:
    """Whether a worker that lives is at this work on the box of this session's generation."""
    name, us = _lease(work, session), secrets.token_hex(8)
    if not await store.lease(name, us, LOOK_SECONDS):
        return True
    await store.release(name, us)
    return False


def _lease(work: Work, session: Session) -> str:
    return f"{work}:{session.id}:{session.generation}"


async def _renew(store: Store, name: str, us: str, over: asyncio.Event) -> None:
    while not over.is_set():
        with forgiven(log, "it could not be said that a worker is at it; it is tried again"):
            await store.lease(name, us, HOLD_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RENEW_SECONDS):
                await over.wait()
