"""What workers do for a live box after each turn: keep what it has, so that losing it costs a turn at most.

RQ workers of the queue `boxes` run `snapshot` with a session's id. The snapshot of a turn has a name that follows from
box and turn: a worker that is killed in between has cost nothing, for the next one finds it. A box stands still while
it is copied, so a copy that takes long is given up for a person who waits: the next turn is kept instead.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from threading import Event

from jobs.commands import Refused
from jobs.commands_snapshots import FailSnapshot, FinishSnapshot, PutOffSnapshot
from jobs.log import forgiven
from jobs.operations import delay_of, sentence
from jobs.session import Session
from jobs.wiring import Workshop, workshop
from sandbox.provider import BoxError, Gone, Hurried, SnapshotKind

log = logging.getLogger(__name__)
RETRY_SECONDS, RETRY_MOST_SECONDS = 5.0, 300.0
LOOK_SECONDS, PATIENCE_SECONDS = 0.1, 0.3  # so long somebody may wait for a box that stands still


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
        async with _hurry(shop, sid) as hurry:
            taken = await shop.provider.snapshot(box, SnapshotKind.TURN, f"turn {turn}", hurry)
    except Gone:
        return  # the upkeep sees it, and tells
    except Hurried:
        log.info("the copy after turn %d took too long: its box was needed", turn)
        await shop.inbox.handle(sid, PutOffSnapshot(generation, turn))
        return
    except Exception as trouble:
        usual = min(RETRY_SECONDS * 2 ** min(session.saved.failures, 10), RETRY_MOST_SECONDS)
        await shop.inbox.handle(sid, FailSnapshot(generation, turn, sentence(trouble), delay_of(trouble, usual)))
        if not isinstance(trouble, BoxError):
            raise
        return
    try:
        await shop.inbox.handle(sid, FinishSnapshot(generation, turn, taken.id))
    except Refused as refused:
        log.info("the snapshot is not needed any more: %s", refused)
        await shop.provider.forget_snapshot(taken.id)


@contextlib.asynccontextmanager
async def _hurry(shop: Workshop, sid: str) -> AsyncIterator[Event]:
    """What is set when somebody has waited long enough for this session's box."""
    hurry, over = Event(), asyncio.Event()
    watching = asyncio.create_task(_watch(shop, sid, hurry, over))
    try:
        yield hurry
    finally:
        over.set()  # told, not cancelled: a client of the record that is just dialling may swallow that, and go on
        await watching


async def _watch(shop: Workshop, sid: str, hurry: Event, over: asyncio.Event) -> None:
    waited = 0.0
    while waited < PATIENCE_SECONDS:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await over.wait()
            return
        with forgiven(log, "whether somebody waits could not be seen; it is looked again"):
            session = await shop.store.load(sid)
            needed = session is not None and (session.turn is not None or _is_waited_for(session))
            waited = waited + LOOK_SECONDS if needed else 0.0
    hurry.set()


def _is_waited_for(session: Session) -> bool:
    """Whether the next prompt is given to its box as soon as that can take one; not so while it is paused."""
    return bool(session.queue) and session.paused is None
