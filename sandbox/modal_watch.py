"""What is true of boxes on Modal: its own word and what the ledger has of them, put together. `sandbox/modal.py` asks.

Modal says what runs; of what has ended it soon knows nothing any more, so an end is noted when it is seen. A box that
only one of the two knows is found by its name or its tags.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.box_folder import checked_name
from sandbox.ledger import Ledger
from sandbox.modal_account import UNKNOWN, Account, bounded, many
from sandbox.modal_errors import Doing
from sandbox.modal_leases import under_way
from sandbox.modal_records import BOX, NAME, OURS, BoxRecord
from sandbox.provider import BoxError, BoxInfo, BoxState, Gone, Temporary

if TYPE_CHECKING:
    import modal

log = logging.getLogger(__name__)
LIST_SECONDS = 10.0  # Modal is asked no more often than so for all boxes
LOOK_SECONDS = 0.1


class Watch:
    """How boxes are."""

    def __init__(self, ledger: Ledger, account: Account, clock: Callable[[], float]) -> None:
        self._ledger, self._account, self._clock = ledger, account, clock
        self._listing = asyncio.Lock()
        self._listed: tuple[float, dict[str, modal.Sandbox]] = (float("-inf"), {})

    async def record(self, name: str) -> BoxRecord | None:
        """What is written down of a box."""
        fields = await self._ledger.get(BOX + name)
        return BoxRecord.read(fields) if fields is not None else None

    async def records(self) -> dict[str, BoxRecord]:
        """Of all boxes, by name."""
        return {key.removeprefix(BOX): BoxRecord.read(f) for key, f in (await self._ledger.all(BOX)).items()}

    async def info(self, name: str, record: BoxRecord | None) -> BoxInfo:
        """How a box is of which this is written down."""
        if record is not None and not record.sandbox:
            record = await self._found(name, record)
        if record is None:
            return BoxInfo(name, BoxState.GONE, {}, 0.0)
        if record.sandbox and not record.ended:
            record = await self.looked_at(name, record)
        return record.info(name)

    async def _info_or_as_noted(self, name: str, record: BoxRecord) -> BoxInfo:
        """One box that cannot be asked about must not hide all others: it is taken to be as it was."""
        try:
            return await self.info(name, record)
        except BoxError as trouble:
            log.warning("box %s is taken to be as it was: %s", name, trouble)
            return record.info(name)

    async def _found(self, name: str, record: BoxRecord) -> BoxRecord | None:
        """What came of an intent: somebody is at it, or its box is found by its name, or there is none."""
        if await under_way(self._ledger, name):
            return record
        sandbox = await self._account.named(name)
        if sandbox is None:
            await self._ledger.drop(BOX + name)
            return None
        record = replace(record, sandbox=sandbox.object_id)
        await self._ledger.put(BOX + name, record.written())
        return record

    async def looked_at(self, name: str, record: BoxRecord) -> BoxRecord:
        """As Modal has it now. That it has ended is noted: Modal will not know for ever."""
        code = await self._account.code(record.sandbox)
        if code is None:
            return record
        if code == UNKNOWN:  # for good, or only where this was asked: an end cannot be taken back
            found = await self._account.named(name)
            if found is not None and found.object_id == record.sandbox:
                raise Temporary(f"Modal says of box {name} both that it runs and that there is none")
        self._account.forget(record.sandbox)
        latest = await self.record(name)  # it may have been told to end meanwhile, or be forgotten
        ended = (latest or record).has_ended(self._clock(), code)
        if latest is not None:
            await self._ledger.put(BOX + name, ended.written())
        return ended

    async def live(self, name: str) -> BoxRecord:
        """The record of a box that runs, as far as is known; raises Gone."""
        record = await self.record(checked_name(name))
        if record is not None and not record.sandbox:
            record = await self._found(name, record)
        if record is None or record.ended or not record.sandbox:
            raise Gone(f"box {name} does not run")
        return record

    async def live_or_none(self, name: str) -> BoxRecord | None:
        """The same; None if it does not run."""
        try:
            return await self.live(name)
        except Gone:
            return None

    async def is_gone(self, name: str, record: BoxRecord, seconds: float) -> bool:
        """Whether the box has ended within so long. Modal's own `wait` may wait for ever, so it is asked again and
        again."""
        end = time.monotonic() + seconds
        while not (await self.looked_at(name, record)).ended:
            if time.monotonic() > end:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True

    async def list(self) -> list[BoxInfo]:
        """Every box that is running or dead with its state still here; and those that only Modal knows, by their
        tags: whoever asks decides what becomes of them."""
        async with self._listing:
            at, running = self._listed
            if not 0 <= self._clock() - at <= LIST_SECONDS:  # or the clock was put back
                at, running = self._listed = self._clock(), await self._account.running()
                await self._adopt_unknown(running)
        known = await self.records()
        sure = {name: record for name, record in known.items() if record.is_told(running, at)}
        asked = await many(self._info_or_as_noted(name, record) for name, record in known.items() if name not in sure)
        found = [record.info(name) for name, record in sure.items()] + asked
        return [info for info in found if info.state is not BoxState.GONE]

    async def _adopt_unknown(self, running: dict[str, modal.Sandbox]) -> None:
        """Note the boxes that Modal has and the ledger has not: their maker died, or the ledger was lost."""
        known = {record.sandbox for record in (await self.records()).values()}
        await many(self._adopt_from_tags(id, running[id]) for id in running.keys() - known)

    async def _adopt_from_tags(self, id: str, sandbox: modal.Sandbox) -> None:
        """One of which nothing can be learned must not hide all others."""
        try:
            async with bounded(self._account.seconds, Doing.READ):
                tags = await sandbox.get_tags.aio()
            name = tags.pop(NAME, "")
            tags.pop(OURS, None)
            if name and not await under_way(self._ledger, name):
                found = BoxRecord(tags, self._clock(), sandbox=id, greeting="done")
                if not await self._ledger.put_new(BOX + name, found.written()):
                    await self._found(name, await self.record(name) or found)
        except BoxError as trouble:
            log.warning("whose box %s is could not be asked: %s", id, trouble)
