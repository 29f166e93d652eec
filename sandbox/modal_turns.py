"""One at a time over all processes: who makes, copies or ends a box on Modal holds its turn. A shell on the ledger.

A turn is renewed while it is held; whoever holds one and dies is waited for a few seconds only.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator

from sandbox.ledger import Ledger
from sandbox.modal_records import TURN
from sandbox.provider import Temporary

HOLD_SECONDS, RENEW_SECONDS, LOOK_SECONDS = 12.0, 3.0, 0.05


@contextlib.asynccontextmanager
async def alone(ledger: Ledger, what: str, patience: float) -> AsyncIterator[None]:
    """Be the only one at this. Raises Temporary after `patience` seconds of waiting."""
    key, us = f"{TURN}{what}", {"who": secrets.token_hex(8)}
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while not await ledger.put_new(key, us, ttl=HOLD_SECONDS):
        if loop.time() > end:
            raise Temporary(f"somebody else is at it ({what})", 5.0)
        await asyncio.sleep(LOOK_SECONDS)
    over = asyncio.Event()
    renewing = asyncio.create_task(_renew(ledger, key, us, over))
    try:
        yield
    finally:
        over.set()  # told, not cancelled: a client of the ledger that is just dialling may swallow that, and go on
        await renewing
        if await ledger.get(key) == us:
            await ledger.drop(key)


async def under_way(ledger: Ledger, what: str) -> bool:
    """Whether somebody is at this."""
    return await ledger.get(f"{TURN}{what}") is not None


async def _renew(ledger: Ledger, key: str, us: dict[str, str], over: asyncio.Event) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RENEW_SECONDS):
                await over.wait()
        if over.is_set():
            return
        with contextlib.suppress(Temporary):  # the next renewal comes before it is over
            await ledger.put(key, us, ttl=HOLD_SECONDS)
