"""The one that looks again: every few seconds, under a lease, whatever is wanted and not under way is asked for.

`shipmate upkeep` runs it. Nothing is remembered here: if this process dies, the next one (or another copy, which waits
for the lease) sees the same log and the same boxes. It also tells sessions of boxes that died, ends boxes that no
session knows, lets go of snapshots that nobody names any more, and keeps RQ's own books clean. What may take long goes
on beside the sweeps (`jobs/beside.py`).
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Mapping

from jobs import berths, images, warm
from jobs.at_work import Work, somebody_is_at
from jobs.beside import Beside
from jobs.commands import LoseBox, Refused, Tick
from jobs.hindsight import Hindsight
from jobs.image_records import lost_tries
from jobs.log import about, forgiven
from jobs.park_reasons import is_moved
from jobs.records import Unnamed
from jobs.session import Session, Status
from jobs.shelf import Shelf
from jobs.under_way import UnderWay
from jobs.wants import Operation, start_is_lost, wants
from jobs.warm import WarmPool
from jobs.wire import spoken_with
from jobs.wiring import Workshop
from sandbox.provider import Barred, BoxError, BoxInfo, BoxState, Permanent
from sandbox.side_by_side import HERE, place_of

log = logging.getLogger(__name__)
SWEEP_SECONDS = 2.0
LEASE_SECONDS = 10.0
BEGUN: Mapping[Status, Work] = {Status.BOOTING: "start", Status.PARKING: "park"}
CLEAN_SECONDS = 10.0
KILLED = (137, -9)  # how a shell and how a parent tell SIGKILL
ORPHAN_SECONDS = 60.0
LEFT_SECONDS = 5.0  # far more than it takes to find a snapshot that is there
ARCHIVE_SECONDS = 86_400.0  # after it was closed: late edits and retries still find the session in memory
AGAIN_SECONDS = 3600.0  # after a snapshot could not be let go, for its place may be away for long
UNNAMED_SECONDS = 86_400.0  # so long a snapshot stays that nobody names: a backup of the record may still name it


class Upkeep:
    """Sweeps until cancelled. Several copies may run: the lease lets one of them work."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._name = secrets.token_hex(8)
        self._cleaned = 0.0
        self._strangers: set[str] = set()
        self._lost: set[str] = set()  # boxes elsewhere; what they left is to be noted
        self._under_way, self._warm = UnderWay(shop.store), WarmPool(shop)
        self._beside = Beside()
        self._hindsight = Hindsight(shop.store)

    async def run(self) -> None:
        """Sweep for ever; a fault in one sweep is logged and the next one tries again."""
        try:
            while True:
                with forgiven(log, "a sweep failed; the next one tries again"):
                    if await self._shop.store.lease("upkeep", self._name, LEASE_SECONDS):
                        await self.look()
                await asyncio.sleep(SWEEP_SECONDS)
        finally:
            await self._beside.end()

    async def sweep(self) -> None:
        """Look at everything once, and wait for what is done beside that."""
        await self.look()
        await self._beside.done()

    async def look(self) -> None:
        """Look at everything once."""
        boxes = await self._boxes()
        await self._end_overgrown(boxes or {})
        seen = []
        for session in await self._under_way.now():
            with about(session=session.id), forgiven(log, "it could not be looked at; the next sweep tries again"):
                session = await self._look_at(session, boxes)
            seen.append(session)
        self._beside.begin("what lost boxes left", sorted(self._lost), str, self._note_what_is_left)
        with forgiven(log, "berths for boxes could not be seen to; the next sweep tries again"):
            await berths.see_to(self._shop, seen)
        if boxes is not None:
            at_home = {name for session in seen for name in (session.box, session.lost_box)}
            strangers = [box for name, box in boxes.items() if name not in at_home]
            self._beside.begin("orphans", strangers, lambda box: box.name, self._end_if_orphan)
            with forgiven(log, "warm boxes could not be seen to; the next sweep tries again"):
                await self._warm.keep(boxes, self._beside)
        await self._ask_for_images()
        if not 0.0 <= self._shop.clock() - self._cleaned <= CLEAN_SECONDS:  # it may have been put back
            self._cleaned = self._shop.clock()
            await self._shop.queue.clean()
            await self._put_away()
            await self._let_go()
            self._beside.begin("summaries", [self._shop.clock()], lambda _: HERE, self._hindsight.renew)
            rules = self._shop.settings.rules
            with forgiven(log, "old files of agents could not be let go"):
                files = Shelf(self._shop.settings.files_dir)
                await asyncio.to_thread(files.forget_old, rules.close_seconds + rules.keep_seconds)

    async def _boxes(self) -> dict[str, BoxInfo] | None:
        """Every box by name; None if the provider cannot say, for then nothing must be concluded."""
        try:
            return {box.name: box for box in await self._shop.provider.list()}
        except BoxError as error:
            log.warning("boxes could not be listed: %s", error)
            return None

    async def _look_at(self, session: Session, boxes: dict[str, BoxInfo] | None) -> Session:
        """Tell it what became true, and ask for what is due; the session as it is then."""
        try:
            if session.box is not None and boxes is not None and await self._died(session.box, boxes):
                await self._shop.store.revoke(session.box)
                lost = LoseBox(session.generation, await self._how_it_ended(session.box))
                if place_of(session.box) != HERE:
                    self._lost.add(session.box)
                session = await self._shop.inbox.handle(session.id, lost)
            tick = Tick(starting=await self._is_starting(session))
            if self._shop.inbox.is_news(session, tick):
                session = await self._shop.inbox.handle(session.id, tick)
        except Refused as refused:
            log.info("session %s: %s", session.id, refused)
        due = await self._left_over(session, wants(session, self._shop.clock(), self._shop.settings.rules))
        if _outdated(session, boxes) or is_moved(self._shop, session):
            due = (*due, Operation("park", session.generation, int(session.since)))
        for operation in due:
            await self._shop.ask_for(session, operation)
        return session

    async def _left_over(self, session: Session, due: tuple[Operation, ...]) -> tuple[Operation, ...]:
        """Those of what is due that no worker is at: what was begun and takes long may be in good hands."""
        work = BEGUN.get(session.status)
        if work is None or all(operation.kind != work for operation in due):
            return due
        if not await somebody_is_at(self._shop.store, work, session):
            return due
        return tuple(operation for operation in due if operation.kind != work)

    async def _is_starting(self, session: Session) -> bool:
        """Whether a start that takes long is under way all the same: asked only where it matters."""
        lost = start_is_lost(session, self._shop.clock(), self._shop.settings.rules)
        return lost and await somebody_is_at(self._shop.store, "start", session)

    async def _died(self, box: str, boxes: dict[str, BoxInfo]) -> bool:
        """Whether this box is truly dead. The list may be older than the box, so the box itself has the last word."""
        if box in boxes and boxes[box].state is BoxState.RUNNING:
            return False
        return (await self._shop.provider.status(box)).state is not BoxState.RUNNING

    async def _how_it_ended(self, box: str) -> str:
        code = (await self._shop.provider.status(box)).exit_code
        return "its runner was killed; it may have run out of memory" if code in KILLED else "its processes ended"

    async def _note_what_is_left(self, box: str) -> None:
        """Ask for what a lost box left while its place still has it: its session may sleep for months. If we are
        killed before, the renewal comes across it."""
        try:
            await self._shop.provider.last_state(box)
        except Barred:
            return
        except Permanent as damaged:
            log.warning("what box %s left cannot be kept: %s", box, damaged)
        self._lost.discard(box)

    async def _end_overgrown(self, boxes: dict[str, BoxInfo]) -> None:
        """End boxes that use more than they may, and tell their people of what."""
        for name, why in (await self._shop.provider.overgrown()).items():
            sid = await self._owner(boxes[name]) if name in boxes else ""
            with about(session=sid, box=name), forgiven(log, "it could not be ended"):
                log.warning("box %s is ended: %s", name, why)
                await self._shop.provider.terminate(name, 0.0)
                session = await self._shop.store.load(sid) if sid else None
                if session is not None and session.box == name:
                    await self._shop.store.revoke(name)
                    await self._shop.inbox.handle(sid, LoseBox(session.generation, why))

    async def _owner(self, box: BoxInfo) -> str:
        """The session that a box serves, or served; empty if none ever did."""
        if warm.LABEL not in box.labels:
            return box.labels.get("session", "")
        claim = (await self._shop.store.warm.claims()).get(box.name)
        return claim.sid if claim is not None else ""

    async def _end_if_orphan(self, box: BoxInfo) -> None:
        """End a box that nobody knows any more: its worker died, or it came too late.

        The snapshot that was made of it but never named, by a worker that died in between, is forgotten with it; one
        that its place is still making is not waited for.
        """
        if not await self._is_orphan(box):
            return
        log.warning("box %s belongs to nobody; it is ended", box.name)
        await self._shop.store.revoke(box.name)
        await self._shop.provider.terminate(box.name, 0.0)
        left = None
        patience = None if place_of(box.name) == HERE else LEFT_SECONDS
        with contextlib.suppress(Permanent, TimeoutError):  # what cannot be read is of no use to anybody
            async with asyncio.timeout(patience):
                left = await self._shop.provider.last_state(box.name)
        await self._shop.provider.discard(box.name)
        owner = await self._owner(box) or box.labels["image"]
        if warm.LABEL in box.labels:
            await self._shop.store.warm.forget(box.name)
        if left is not None and not await self._names(owner, left.id, unknown=True):
            await self._shop.provider.forget_snapshot(left.id)

    async def _is_orphan(self, box: BoxInfo) -> bool:
        age = self._shop.clock() - box.born
        if "image" in box.labels:
            return await self._shop.store.images.builder(box.labels["image"]) != box.labels.get("build", "")
        owner = await self._owner(box)
        if not owner or (age < ORPHAN_SECONDS and warm.LABEL not in box.labels):  # a warm one was there when taken
            return False
        if box.state is not BoxState.RUNNING and await self._shop.store.leftovers.rests(owner):
            return False  # to ask it would bring it back from the archive
        session = await self._shop.store.load(owner)
        if session is None:
            self._wonder_at(box)
            return False
        booting = session.status is Status.BOOTING and warm.LABEL not in box.labels
        return box.name not in (session.box, session.lost_box) and not booting

    def _wonder_at(self, box: BoxInfo) -> None:
        """Say once that nobody is known for this box. A record that was lost must not cost the work in boxes too."""
        if box.name not in self._strangers:
            self._strangers.add(box.name)
            log.error(
                "box %s works for a session that this record does not know. It is left alone: it may hold the only copy"
                " of somebody's work. If the record was lost, restore it (docs/running.md)",
                box.name,
            )

    async def _put_away(self) -> None:
        """Close what has been at rest for very long, and move what was closed to the archive."""
        store, now = self._shop.store, self._shop.clock()
        for sid in await store.sleeping(now - self._shop.settings.rules.close_seconds):
            with about(session=sid), forgiven(log, "it could not be closed"):
                await self._shop.inbox.handle(sid, Tick())
        for sid in await store.closed(now - ARCHIVE_SECONDS):
            with about(session=sid), forgiven(log, "it could not be moved to the archive"):
                try:
                    if await store.archive(sid):
                        log.info("it is in the archive now")
                except OSError as full:  # for all the others as well
                    log.error("nothing can be written to the archive: %s", full)
                    return

    async def _let_go(self) -> None:
        """Let go of snapshots that were named once and are not any more, and of what long closed sessions left."""
        leftovers, now = self._shop.store.leftovers, self._shop.clock()
        due = now - self._shop.settings.rules.keep_seconds
        for sid in await leftovers.kept(due):
            with about(session=sid), forgiven(log, "what its box left could not be let go; it is tried again later"):
                await leftovers.keep_longer(sid, due + AGAIN_SECONDS)
                await self._shop.inbox.handle(sid, Tick())
                await leftovers.keep_no_more(sid)
        unnamed = await leftovers.unnamed(now - UNNAMED_SECONDS)
        self._beside.begin("snapshots", unnamed, lambda one: one.snapshot, self._let_go_of)

    async def _let_go_of(self, one: Unnamed) -> None:
        try:
            if not await self._names(one.owner, one.snapshot, unknown=False):
                await self._shop.provider.forget_snapshot(one.snapshot)
        except (BoxError, Refused) as trouble:
            log.warning("snapshot %s could not be let go; it is tried again later: %s", one.snapshot, trouble)
            later = self._shop.clock() - UNNAMED_SECONDS + AGAIN_SECONDS
            await self._shop.store.leftovers.put_off(one, later)
        else:
            await self._shop.store.leftovers.let_go(one)

    async def _names(self, owner: str, snapshot: str, *, unknown: bool) -> bool:
        """Whether a session, or a good image of a repository, names this snapshot now; `unknown`: there is no such
        session."""
        if "/" in owner:
            return snapshot in [image.snapshot for image in await self._shop.store.images.good(owner)]
        session = await self._shop.store.load(owner)
        return session.snapshot == snapshot if session is not None else unknown

    async def _ask_for_images(self) -> None:
        """Ask for the builds that are due, each under the number of its slot: several upkeeps ask for one and the same.
        One that nobody takes up for long becomes another one, for its worker may have died."""
        now = self._shop.clock()
        for repository, since in (await images.due(self._shop)).items():
            slot, place = int(since) + lost_tries(now - since), self._shop.place(repository)
            await self._shop.queue.enqueue_build(repository, slot, place)


def _outdated(session: Session, boxes: dict[str, BoxInfo] | None) -> bool:
    """Whether its runner speaks another wire than ours. Its box is parked, whatever it does: no gateway hears of it any
    more."""
    box = (boxes or {}).get(session.box or "")
    return box is not None and not spoken_with(box.labels) and session.status is not Status.PARKING
