"""Snapshots on Modal: of a live box, of what a dead one left, kept for as long as they are named, and let go.

`sandbox/modal.py` calls it. A snapshot's id is ours and stays; the image behind it is Modal's, and is taken anew before
Modal collects it (`refresh`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from sandbox import modal_asking
from sandbox.ledger import Ledger
from sandbox.modal_account import Account, bounded, many
from sandbox.modal_errors import NOT_FOUND, Doing, is_a, judged
from sandbox.modal_leases import alone
from sandbox.modal_making import CREATE_SECONDS
from sandbox.modal_place import KEPT_SECONDS, ModalPlace
from sandbox.modal_records import SNAPSHOT, BoxRecord, SnapshotRecord, last_id, snapshot_id
from sandbox.provider import BoxError, Hurried, Missing, Snapshot, SnapshotKind, Temporary

if TYPE_CHECKING:
    import modal

log = logging.getLogger(__name__)
HELD_MORE_SECONDS = 60.0
UNASKED_SECONDS = 900.0  # after its end: whoever ends a box to have what it leaves asks for that before
# How long Modal keeps what a box leaves at its end is written nowhere; it is taken anew long before other snapshots go.
EXIT_SECONDS = 14 * 86_400.0
REFRESH_SECONDS, RENEWED_AT_ONCE = 600, 20
LOOK_SECONDS = 0.05
T = TypeVar("T")


class Keeper:
    """Takes, keeps and lets go of snapshots."""

    def __init__(self, place: ModalPlace, ledger: Ledger, account: Account, clock: Callable[[], float]) -> None:
        self._place, self._ledger, self._account, self._clock = place, ledger, account, clock
        self._failed: set[str] = set()  # could not be taken anew last time

    async def known(self, id: str) -> SnapshotRecord:
        """The snapshot of this id; raises Missing. Whether its image is still there, Modal alone knows."""
        fields = await self._ledger.get(SNAPSHOT + id)
        if fields is None:
            raise Missing(f"there is no snapshot {id!r} any more")
        return SnapshotRecord.read(fields)

    async def of_moment(self, box: str, moment: str) -> Snapshot | None:
        """The snapshot that was taken of this moment, if it is still known."""
        id = snapshot_id(box, moment)
        with contextlib.suppress(Missing):
            return (await self.known(id)).snapshot(id) if moment else None
        return None

    async def take(
        self, name: str, record: BoxRecord, sandbox: modal.Sandbox, kind: SnapshotKind, moment: str, hurry: Event | None
    ) -> Snapshot:
        """Hold the box still, and have Modal copy its file system. Raises BoxError, or what `modal_asking` raises.

        In a hurry the box goes on at once; what Modal has copied by then, or still copies, it collects by itself.
        """
        ttl, limit = KEPT_SECONDS[kind], self._place.snapshot_seconds
        async with modal_asking.held(sandbox, limit + HELD_MORE_SECONDS, self._place.call_seconds):
            taken = self._clock()
            async with bounded(limit + self._place.call_seconds, Doing.KEEP):
                copying = sandbox.snapshot_filesystem.aio(timeout=math.ceil(limit), ttl=math.ceil(ttl))
                image = await _unless(hurry, copying)
        kept = SnapshotRecord(image.object_id, kind.value, taken, taken + ttl, record.runner, record.agents)
        id = snapshot_id(name, moment or secrets.token_hex(12))
        await self._ledger.put(SNAPSHOT + id, kept.written())
        return kept.snapshot(id)

    async def last(self, name: str, record: BoxRecord, kind: SnapshotKind) -> Snapshot | None:
        """What a dead box left, which Modal has copied at its end; None if it could not. The same each time."""
        id = last_id(name)
        if (noted := await self._ledger.get(SNAPSHOT + id)) is not None:
            return SnapshotRecord.read(noted).snapshot(id)
        image = await self._left(name, record.sandbox) if record.sandbox else None
        if image is None:
            return None
        now = self._clock()
        kept = SnapshotRecord(image, kind.value, now, now + EXIT_SECONDS, record.runner, record.agents)
        await self._ledger.put_new(SNAPSHOT + id, kept.written())  # unless somebody else was quicker
        return (await self.known(id)).snapshot(id)

    async def note(self, dead: Mapping[str, BoxRecord]) -> None:
        """Note what dead boxes left that nobody has asked for: whoever sleeps may ask in months, and Modal will not
        keep for ever what we do not know of."""
        noted, now = await self._ledger.keys(SNAPSHOT), self._clock()
        known = {key.removeprefix(SNAPSHOT) for key in noted}

        async def one(name: str, record: BoxRecord) -> None:
            try:
                await self.last(name, record, SnapshotKind.FOLLOW_UP)
            except BoxError as trouble:
                log.warning("what box %s left is noted later: %s", name, trouble)

        left = {name: record for name, record in dead.items() if last_id(name) not in known}
        await many(one(name, record) for name, record in left.items() if record.ended < now - UNASKED_SECONDS)

    async def _left(self, name: str, id: str) -> str | None:
        """Modal's id of what this box left."""
        limit = self._place.snapshot_seconds
        try:
            async with asyncio.timeout(limit + self._place.call_seconds):
                sandbox = await self._account.handle(id)
                image = await sandbox._experimental_get_exit_snapshot.aio(timeout=limit)
        except Exception as failed:
            if is_a(failed, "modal.SnapshotCreationError") or is_a(failed, NOT_FOUND):
                log.warning("Modal kept nothing of box %s: %s", name, failed)
                return None
            if is_a(failed, "modal.TimeoutError") or is_a(failed, "TimeoutError"):
                raise Temporary(f"what box {name} left is still being copied", 5.0) from failed
            raise judged(failed, Doing.KEEP) from failed
        return image.object_id

    async def forget(self, id: str) -> None:
        """Let go of a snapshot, and of Modal's image with it. Raises Temporary while it is taken anew, which would else
        put it on record again."""
        async with alone(self._ledger, f"{id}:refresh", 0.0):
            fields = await self._ledger.get(SNAPSHOT + id)
            if fields is None:
                return
            await self._delete(SnapshotRecord.read(fields).image)
            await self._ledger.drop(SNAPSHOT + id)

    async def _delete(self, image: str) -> None:
        from modal.experimental import image_delete

        client, _ = await self._account.open()
        try:
            async with asyncio.timeout(self._place.call_seconds):
                await image_delete.aio(image, client=client)
        except Exception as failed:
            if not is_a(failed, NOT_FOUND):
                raise judged(failed, Doing.READ) from failed

    async def expiring(self, before: float) -> list[str]:
        """The snapshots that Modal is to collect before this time, those first that go first, but for what failed last
        time. Of turns only those whose time is over: they are only there for a box that gets lost."""
        found = await self._ledger.all(SNAPSHOT)
        records = {key.removeprefix(SNAPSHOT): SnapshotRecord.read(fields) for key, fields in found.items()}
        ends = {id: min(before, self._clock()) if _is_turn(record) else before for id, record in records.items()}
        due = [id for id, record in records.items() if record.expires and record.expires < ends[id]]
        return sorted(due, key=lambda id: (id in self._failed, records[id].expires))

    async def renew(self, before: float) -> int:
        """Take anew what Modal would collect before this time, as many as one call may; how many that were."""
        renewed = 0
        for id in await self.expiring(before):
            if renewed == RENEWED_AT_ONCE:
                break
            try:
                async with alone(self._ledger, f"{id}:refresh", 0.0):
                    renewed += await self.refresh(id)
                self._failed.discard(id)
            except Missing as gone:
                log.warning("snapshot %s cannot be kept longer: %s", id, gone)
                await self._ledger.drop(SNAPSHOT + id)
            except BoxError as trouble:
                self._failed.add(id)
                log.warning("snapshot %s is taken anew later: %s", id, trouble)
        return renewed

    async def refresh(self, id: str) -> bool:
        """Take a snapshot anew under its id, so that Modal keeps it for another full time; whether that was needed.

        The image from which the new one has grown is left to Modal, which collects it when its time is over. Raises
        BoxError; Missing if Modal has that image no more.
        """
        record = await self.known(id)
        ttl, limit = KEPT_SECONDS[SnapshotKind(record.kind)], self._place.snapshot_seconds
        grown_from = await self._account.image(record.image)
        if _is_turn(record):
            return False
        async with self._lent(grown_from) as sandbox:
            async with bounded(limit + self._place.call_seconds, Doing.KEEP):
                image = await sandbox.snapshot_filesystem.aio(timeout=math.ceil(limit), ttl=math.ceil(ttl))
            fresh = replace(record, image=image.object_id, expires=self._clock() + ttl)
            await self._ledger.put(SNAPSHOT + id, fresh.written())
        return True

    @contextlib.asynccontextmanager
    async def _lent(self, image: modal.Image) -> AsyncIterator[modal.Sandbox]:
        """A box that does nothing but have this file system; ended afterwards whatever happens, or soon by itself."""
        import modal

        client, app = await self._account.open()
        async with bounded(CREATE_SECONDS, Doing.MAKE):
            with self._account.using_app():
                sandbox = await modal.Sandbox.create.aio(
                "sleep", str(REFRESH_SECONDS), app=app, image=image, timeout=REFRESH_SECONDS, block_network=True,
                tags=self._account.tags(""), region=self._place.region, client=client,
            )  # fmt: skip
        try:
            async with bounded(CREATE_SECONDS, Doing.KEEP):  # a snapshot right after the start may fail
                process = await sandbox.exec.aio("true", timeout=60)
                await process.wait.aio()
            yield sandbox
        finally:
            with contextlib.suppress(BoxError):
                async with bounded(self._place.call_seconds, Doing.USE):
                    await sandbox.terminate.aio()


def _is_turn(record: SnapshotRecord) -> bool:
    return record.kind == SnapshotKind.TURN


async def _unless(hurry: Event | None, doing: Coroutine[Any, Any, T]) -> T:
    """What comes of `doing`, which is given up when somebody is in a hurry: then Hurried is raised."""
    task = asyncio.create_task(doing)
    try:
        while not task.done():
            if hurry is not None and hurry.is_set():
                raise Hurried("somebody needs the box")
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
