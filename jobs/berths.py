"""Berths: each is room for one box on this machine, as many as `SHIPMATE_BOXES` says. Who has one, who waits, who makes
room. Boxes elsewhere need none: their place says itself when there are too many.

`jobs/operations.py` asks before it makes a box and tells when one is gone; `jobs/upkeep.py` calls `see_to` in every
sweep. First come, first served; warm boxes that nobody took give way first, then boxes that have nothing to do, and at
last the boxes in which images are built (`jobs/images.py` holds a `spare` berth meanwhile).
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence

from jobs.commands import AwaitBox, Refused
from jobs.log import forgiven
from jobs.records import Offer
from jobs.session import Session, Status
from jobs.wants import Operation, start_of
from jobs.wiring import Workshop
from sandbox.provider import Temporary
from sandbox.side_by_side import HERE, place_of

log = logging.getLogger(__name__)
IDLE_LEAST_SECONDS = 5.0  # a person who reads an answer may well reply at once
YIELD_SECONDS = 10.0  # so long a session waits for other boxes to make room before a build is given up
LOOK_SECONDS, AGAIN_SECONDS = 0.5, 60.0


async def admitted(shop: Workshop, session: Session) -> bool:
    """Whether a box may be made for this session now; if not, it waits in the queue, and its thread says so."""
    most = shop.settings.boxes
    if not most or session.status is not Status.WAITING or not is_counted(shop, session.repository):
        return True
    if session.lost_box is not None:
        await shop.store.warm.ended(session.lost_box)
    position = await shop.store.berths.take(session.id, asked(session), shop.clock(), most)
    if position:
        log.info("session %s waits for a box, as number %d", session.id, position)
        await _tell(shop, session.id, position)
    return position == 0


async def given_back(shop: Workshop, sid: str) -> None:
    """See whether this session still needs its berth, and let the next one in if it does not."""
    if not shop.settings.boxes:
        return
    session = await shop.store.load(sid)
    if session is None or not _has_box(shop, session):
        await shop.store.berths.give_back(sid)
        await _admit(shop, await shop.store.berths.queued())


async def see_to(shop: Workshop, sessions: Sequence[Session]) -> None:
    """Set right what is counted, let in who finds room, tell the others their number, and make room for them."""
    most, now = shop.settings.boxes, shop.clock()
    if not most:
        for session in sessions:
            if session.position:
                await _tell(shop, session.id, 0)
        return
    holders = [session.id for session in sessions if _has_box(shop, session) and not _is_warm(session)]
    counted = [session for session in sessions if is_counted(shop, session.repository)]
    rules = shop.settings.rules  # one whose start is tried again later keeps no other from a berth until then
    waiting = {session.id: asked(session) for session in counted if start_of(session, now, rules) is not None}
    await shop.store.berths.correct(holders, waiting, now)
    queued = await shop.store.berths.queued()
    room = await _admit(shop, queued)
    for position, sid in enumerate(queued, 1):
        if position > room:
            await _tell(shop, sid, position)
    for session in sessions:
        if session.position and session.id not in queued:  # it has a berth, or its box is not on this machine any more
            await _tell(shop, session.id, 0)
    near = [session for session in sessions if _has_box(shop, session)]
    leaving = sum(session.status is Status.PARKING for session in near)
    for session in idle(near, now)[: max(0, len(queued) - max(0, room) - leaving)]:
        log.info("session %s has had nothing to do for longest; its box makes room", session.id)
        await shop.ask_for(session, Operation("park", session.generation, int(session.since)))


@contextlib.asynccontextmanager
async def spare(shop: Workshop, repository: str, build: str) -> AsyncIterator[None]:
    """A berth for the boxes of this build, one at a time. Raises Temporary if there is none, or if it is given up
    because a session needs it."""
    if not shop.settings.boxes or not is_counted(shop, repository):
        yield
        return
    if not await _has_spare(shop, build):
        raise Temporary("there are as many boxes as there may be", AGAIN_SECONDS)
    building, over, given_up = asyncio.current_task(), asyncio.Event(), asyncio.Event()
    assert building is not None

    async def watch() -> None:
        while await _keeps_spare(shop, build):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await over.wait()
                return
        given_up.set()
        building.cancel()

    watching = asyncio.create_task(watch())
    try:
        try:
            yield
        finally:
            over.set()
            await watching
    except asyncio.CancelledError:
        if not given_up.is_set() or building.uncancel():
            raise
        raise Temporary("its box was needed for a session", AGAIN_SECONDS) from None
    finally:
        await shop.store.berths.give_back(build)


async def _has_spare(shop: Workshop, build: str) -> bool:
    return await shop.store.berths.take_spare(build, shop.clock(), shop.settings.boxes)


async def _keeps_spare(shop: Workshop, build: str) -> bool:
    """Whether the build may go on."""
    with forgiven(log, "whether a session needs the box of a build could not be seen; it is looked again"):
        since = await shop.store.berths.waited_since()
        if since is not None and shop.clock() - since > YIELD_SECONDS:
            return False
        return await _has_spare(shop, build)  # it is asked for again and again, or somebody else has it
    return True


async def room_for_warm(shop: Workshop) -> int | None:
    """How many more warm boxes there may be; below 0: those that wait give way to who waits. None: no limit."""
    most = shop.settings.boxes
    if not most:
        return None
    return -1 if await shop.store.berths.queued() else max(0, await shop.store.berths.room(most))


async def make_warm(shop: Workshop, offer: Offer) -> bool:
    """Write down a warm box that is about to be made; False: what room there was somebody else has taken."""
    if shop.settings.boxes and is_counted(shop, offer.repository):
        return await shop.store.berths.make_warm(offer, shop.settings.boxes)
    await shop.store.warm.make(offer)
    return True


def asked(session: Session) -> float:
    """When what this session waits with was asked: whoever asked first comes first."""
    return session.queue[0].received_at or session.since if session.queue else session.since


def idle(sessions: Sequence[Session], now: float) -> list[Session]:
    """Sessions whose box has nothing to do, or may do nothing until people have raised the budget; those first that
    have had nothing for longest."""
    at_rest = [s for s in sessions if s.status is Status.IDLE and (not s.queue or s.paused is not None)]
    free = [session for session in at_rest if now - session.since >= IDLE_LEAST_SECONDS]
    return sorted(free, key=lambda session: session.since)


async def makes_room(shop: Workshop, session: Session) -> bool:
    """Whether its box has nothing to do while others wait for one."""
    most = shop.settings.boxes
    if not most or not _has_box(shop, session) or not idle([session], shop.clock()):
        return False
    return len(await shop.store.berths.queued()) > max(0, await shop.store.berths.room(most))


def _is_warm(session: Session) -> bool:
    """Whether its box was made warm, and is counted as such."""
    return session.box is not None and session.start == "warm"


def is_counted(shop: Workshop, repository: str | None) -> bool:
    """Whether new boxes of this repository are on this machine."""
    return shop.place(repository) == HERE


def _has_box(shop: Workshop, session: Session) -> bool:
    """Whether it has a box on this machine, or gets one."""
    if session.box is not None:
        return place_of(session.box) == HERE
    return session.status is Status.BOOTING and is_counted(shop, session.repository)


async def _admit(shop: Workshop, queued: Sequence[str]) -> int:
    """Ask for the boxes that there is room for; how many that were. What is asked for again is the same job: there may
    be nobody to do it for long."""
    room = max(0, await shop.store.berths.room(shop.settings.boxes))
    for sid in queued[:room]:
        session = await shop.store.load(sid)
        due = start_of(session, shop.clock(), shop.settings.rules) if session is not None else None
        if session is not None and due is not None:
            await shop.ask_for(session, due)
    return room


async def _tell(shop: Workshop, sid: str, position: int) -> None:
    try:
        await shop.inbox.handle(sid, AwaitBox(position))
    except Refused as refused:
        log.info("session %s: %s", sid, refused)
