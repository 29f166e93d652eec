"""One at a time over all processes: who makes, copies or ends a box on Modal has a lease. A shell on the ledger.

A lease is renewed while it is held; whoever holds one and dies is waited for a few seconds only. Who was silent for so
long that somebody else may have it by now is cut off in the middle of what it does.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator

from sandbox.ledger import Ledger
from sandbox.modal_records import LEASE
from sandbox.provider import Temporary

HOLD_SECONDS, RENEW_SECONDS, LOOK_SECONDS = 12.0, 3.0, 0.05


@contextlib.asynccontextmanager
async def alone(ledger: Ledger, what: str, patience: float) -> AsyncIterator[None]:
    """Be the only one at this. Raises Temporary after `patience` seconds of waiting."""
    key, us = f"{LEASE}{what}", {"who": secrets.token_hex(8)}
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while not await ledger.put_new(key, us, ttl=HOLD_SECONDS):
        if loop.time() > end:
            raise Temporary(f"somebody else is at it ({what})", 5.0)
        await asyncio.sleep(LOOK_SECONDS)
    doing, over, lost = asyncio.current_task(), asyncio.Event(), asyncio.Event()
    assert doing is not None

    async def renew() -> None:
        if not await _renewed(ledger, key, us, over):
            lost.set()
            doing.cancel()

    renewing = asyncio.create_task(renew())
    try:
        try:
            yield
        finally:
            over.set()  # told, not cancelled: a client of the ledger that is just dialling may swallow that, and go on
            await renewing
            await ledger.drop_if(key, us)
    except asyncio.CancelledError:
        if not lost.is_set() or doing.uncancel():
            raise
        raise Temporary(f"somebody else may be at it by now ({what})", 5.0) from None


async def under_way(ledger: Ledger, what: str) -> bool:
    """Whether somebody is at this."""
    return await ledger.get(f"{LEASE}{what}") is not None


async def _renewed(ledger: Ledger, key: str, us: dict[str, str], over: asyncio.Event) -> bool:
    """Renew it until it is over; False: it is not ours any more."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RENEW_SECONDS):
                await over.wait()
        if over.is_set():
            return True
        with contextlib.suppress(Temporary):  # the next renewal comes before it is over
            if not await ledger.extend(key, us, HOLD_SECONDS) and not over.is_set():
                return False
