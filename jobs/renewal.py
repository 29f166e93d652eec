"""What a place far away needs now and then besides single boxes: its base image made, and snapshots kept for longer.

Each process that works on boxes there (`jobs/worker_threads.py`) runs `tend` beside its jobs. Whatever fails is tried
again in the next round, and the first box that needs it does it then.
"""

import asyncio
import logging
import secrets

from jobs.log import forgiven
from jobs.wiring import Workshop

log = logging.getLogger(__name__)
ROUND_SECONDS = 3600.0
AHEAD_SECONDS = 7 * 86_400.0  # a snapshot that is let go within that time is renewed
CALLS_MOST = 100  # in a round; each renews some
FIRST_SECONDS = 60.0  # after the start, which has enough to do


async def tend(shop: Workshop) -> None:
    """Until cancelled."""
    with forgiven(log, "the base image could not be made beforehand; the first box that needs it has it made"):
        await shop.provider.prepare()
    await asyncio.sleep(FIRST_SECONDS)
    while True:
        with forgiven(log, "snapshots could not be renewed; the next round tries again"):
            await renew(shop)
        await asyncio.sleep(ROUND_SECONDS)


async def renew(shop: Workshop) -> int:
    """Renew what is due, unless another process has done so within this hour; how many snapshots that were."""
    if not await shop.store.lease("renewal", secrets.token_hex(8), ROUND_SECONDS / 2):
        return 0
    many = 0
    for _ in range(CALLS_MOST):
        some = await shop.provider.renew(shop.clock() + AHEAD_SECONDS)
        many += some
        if not some:
            break
    if many:
        log.info("%d snapshots are kept for longer", many)
    return many
