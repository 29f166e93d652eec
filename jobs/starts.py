"""Who is making a box just now: said again and again meanwhile, so that a slow start is not taken for a lost one.

Workers wrap the making in `at_start` (`jobs/operations.py`), and ask `is_at_start` before they begin what looks lost;
the upkeep asks before it tells a session that time went by. A worker that dies is not heard of any more in seconds.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator

from jobs.log import forgiven
from jobs.session import Session
from jobs.store import Store

log = logging.getLogger(__name__)
HOLD_SECONDS, RENEW_SECONDS = 8.0, 2.0
LOOK_SECONDS = 1.0  # a look takes the lease for a moment, if nobody has it


@contextlib.asynccontextmanager
async def at_start(store: Store, session: Session) -> AsyncIterator[None]:
    """Say, while the block runs, that the box of this session's generation is being made."""
    name, us, over = _lease(session), secrets.token_hex(8), asyncio.Event()
    renewing = asyncio.create_task(_renew(store, name, us, over))
    try:
        yield
    finally:
        over.set()  # told, not cancelled: a client of the record that is just dialling may swallow that
        await renewing
        with forgiven(log, f"it could not be said that a start is over; that is known in {HOLD_SECONDS:.0f} s"):
            await store.release(name, us)


async def is_at_start(store: Store, session: Session) -> bool:
    """Whether a worker that lives is making the box of this session's generation."""
    name, us = _lease(session), secrets.token_hex(8)
    if not await store.lease(name, us, LOOK_SECONDS):
        return True
    await store.release(name, us)
    return False


def _lease(session: Session) -> str:
    return f"start:{session.id}:{session.generation}"


async def _renew(store: Store, name: str, us: str, over: asyncio.Event) -> None:
    while not over.is_set():
        with forgiven(log, "it could not be said that a start goes on; it is tried again"):
            await store.lease(name, us, HOLD_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RENEW_SECONDS):
                await over.wait()
