"""What workers do for a live box after each turn: keep what it has, so that losing it costs a turn at most.

RQ workers of the queue `boxes` run `snapshot` with a session's id. The snapshot of a turn has a name that follows from
box and turn: a worker that is killed in between has cost nothing, for the next one finds it.
"""

import logging

from jobs.commands import Refused
from jobs.commands_snapshots import FailSnapshot, FinishSnapshot
from jobs.operations import delay_of, sentence
from jobs.wiring import Workshop, workshop
from sandbox.provider import BoxError, Gone, SnapshotKind

log = logging.getLogger(__name__)
RETRY_SECONDS, RETRY_MOST_SECONDS = 5.0, 300.0


async def snapshot(sid: str) -> None:
    """Keep what this session's box has."""
    async with workshop() as shop:
        await keep_turn(shop, sid)


async def keep_turn(shop: Workshop, sid: str) -> None:
    """As `snapshot`, with everything it needs handed in."""
    session = await shop.store.load(sid)
    if session is None or session.box is None or not session.saved.due:
        return
    box, generation, turn = session.box, session.generation, session.saved.due
    try:
        taken = await shop.provider.snapshot(box, SnapshotKind.TURN, f"turn {turn}")
    except Gone:
        return  # the upkeep sees it, and tells
    except Exception as trouble:
        usual = min(RETRY_SECONDS * 2**session.saved.failures, RETRY_MOST_SECONDS)
        await shop.inbox.handle(sid, FailSnapshot(generation, turn, sentence(trouble), delay_of(trouble, usual)))
        if not isinstance(trouble, BoxError):
            raise
        return
    try:
        await shop.inbox.handle(sid, FinishSnapshot(generation, turn, taken.id))
    except Refused as refused:
        log.info("the snapshot is not needed any more: %s", refused)
        await shop.provider.forget_snapshot(taken.id)
