"""Boxes on Modal (https://modal.com): the same promises as on this machine, kept with somebody else's.

`jobs/wiring.py` makes one `ModalProvider` for each process and keeps it: it has one client. Nothing that matters is in
its memory. Modal says what runs; the ledger has what Modal does not keep (`modal_records.py`). Only the files
`sandbox/modal*.py` know Modal's library, whose errors become the protocol's by the table in `modal_errors.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Self

from sandbox import modal_asking
from sandbox.box_folder import checked_name
from sandbox.ledger import Ledger
from sandbox.modal_account import Account, bounded, many
from sandbox.modal_errors import Doing, told
from sandbox.modal_keeping import Keeper
from sandbox.modal_making import BUILD_SECONDS, CREATE_SECONDS, GREET_SECONDS, Base, Maker, checked
from sandbox.modal_place import ModalPlace
from sandbox.modal_records import BOX, NAME, OURS, BoxRecord
from sandbox.modal_turns import alone, under_way
from sandbox.provider import (
    BoxError,
    BoxInfo,
    BoxSpec,
    BoxState,
    ExecResult,
    Gone,
    Permanent,
    Snapshot,
    SnapshotKind,
    Temporary,
    Unreachable,
)

if TYPE_CHECKING:
    import modal

log = logging.getLogger(__name__)
LIST_SECONDS = 10.0  # Modal is asked no more often than so for all boxes
DEATH_SECONDS, DYING_SECONDS, LOOK_SECONDS = 30.0, 2.0, 0.1
END_SECONDS = 3.0  # for the words with the runner, beyond its grace
TURN_SECONDS = 30.0


class ModalProvider:
    """Boxes on Modal (`sandbox/provider.py`). Use it as a context, or call `close` at the end of the process."""

    name = "modal"
    isolated = True

    def __init__(
        self, place: ModalPlace, ledger: Ledger, clock: Callable[[], float] = time.time, base: Base | None = None
    ) -> None:
        place.check()
        self.longest_seconds: float | None = place.longest_seconds
        self._ledger, self._clock = ledger, clock
        self._account = Account(place)
        self._maker = Maker(place, ledger, self._account, base)
        self._keeper = Keeper(place, ledger, self._account, clock)
        self._listing = asyncio.Lock()
        self._listed: tuple[float, dict[str, modal.Sandbox]] = (float("-inf"), {})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        await self._account.close()

    async def prepare(self) -> None:
        """Have the base image built, if its definition is new. The first box would do it, and take minutes."""
        await self._maker.base()

    async def create(self, spec: BoxSpec) -> BoxInfo:
        """Start a box, or adopt the one that lives under this name."""
        checked_name(spec.name)
        checked(spec)
        grown_from = await self._keeper.known(spec.base) if spec.base is not None else None
        async with alone(self._ledger, spec.name, BUILD_SECONDS + CREATE_SECONDS + GREET_SECONDS):
            record = await self._record(spec.name)
            if record is not None and (record.ended or record.greeting == "done"):
                return await self._adopt(spec.name)
            intent = record or BoxRecord(dict(spec.labels), self._clock(), spec.base)
            made = await self._maker.make(spec, grown_from, intent)
        return BoxInfo(spec.name, BoxState.RUNNING, made.labels, made.born)

    async def _adopt(self, name: str) -> BoxInfo:
        info = await self.status(name)
        if info.state is not BoxState.RUNNING:
            raise Permanent(f"box {name} has ended, and a name is used once")
        return info

    async def _record(self, name: str) -> BoxRecord | None:
        fields = await self._ledger.get(BOX + name)
        return BoxRecord.read(fields) if fields is not None else None

    async def _records(self) -> dict[str, BoxRecord]:
        """Of all boxes, by name."""
        return {key.removeprefix(BOX): BoxRecord.read(f) for key, f in (await self._ledger.all(BOX)).items()}

    async def status(self, name: str) -> BoxInfo:
        """Whether the box runs."""
        record = await self._record(checked_name(name))
        return await self._info(name, record)

    async def _info(self, name: str, record: BoxRecord | None) -> BoxInfo:
        if record is not None and not record.sandbox:
            record = await self._found(name, record)
        if record is None:
            return BoxInfo(name, BoxState.GONE, {}, 0.0)
        if record.sandbox and not record.ended:
            record = await self._looked_at(name, record)
        return record.info(name)

    async def _info_or_as_noted(self, name: str, record: BoxRecord) -> BoxInfo:
        """One box that cannot be asked about must not hide all others: it is taken to be as it was."""
        try:
            return await self._info(name, record)
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

    async def _looked_at(self, name: str, record: BoxRecord) -> BoxRecord:
        """As Modal has it now. That it has ended is noted: Modal will not know for ever."""
        code = await self._account.code(record.sandbox)
        if code is None:
            return record
        self._account.forget(record.sandbox)
        latest = await self._record(name)  # it may have been told to end meanwhile, or be forgotten
        ended = (latest or record).has_ended(self._clock(), code)
        if latest is not None:
            await self._ledger.put(BOX + name, ended.written())
        return ended

    async def _live(self, name: str) -> BoxRecord:
        """The record of a box that runs, as far as is known; raises Gone."""
        record = await self._record(checked_name(name))
        if record is not None and not record.sandbox:
            record = await self._found(name, record)
        if record is None or record.ended or not record.sandbox:
            raise Gone(f"box {name} does not run")
        return record

    async def exec(
        self,
        name: str,
        argv: tuple[str, ...],
        *,
        stdin: bytes = b"",
        timeout: float = 60.0,
        limit: int = 4 << 20,
        heard: Callable[[bytes], None] | None = None,
    ) -> ExecResult:
        """Run a command in the repository's folder of a live box."""
        record = await self._live(name)
        try:
            sandbox = await self._account.sandbox(record.sandbox)
            with told(Doing.USE):
                return await modal_asking.run(sandbox, argv, stdin, timeout, limit, heard, self._account.seconds)
        except (Gone, Unreachable, modal_asking.Cut) as failed:
            raise await self._why(name, record, failed) from failed

    async def _why(self, name: str, record: BoxRecord, failed: Exception) -> Exception:
        """What it means that a box did not answer: the end of a command is judged by the box's own state."""
        self._account.forget(record.sandbox)
        with contextlib.suppress(Temporary, Unreachable):
            if await self._is_gone(name, record, DYING_SECONDS):  # its processes go a moment before Modal tells
                return Gone(f"box {name} ended meanwhile")
        return Unreachable(f"box {name} does not answer: {failed}")

    async def snapshot(self, name: str, kind: SnapshotKind, moment: str = "", hurry: Event | None = None) -> Snapshot:
        """Hold a live box still, keep its file system, let it go on."""
        record = await self._live(name)
        if (taken := await self._keeper.of_moment(name, moment)) is not None:
            return taken
        async with alone(self._ledger, f"{name}:snapshot", CREATE_SECONDS):
            if (taken := await self._keeper.of_moment(name, moment)) is not None:
                return taken
            try:
                sandbox = await self._account.sandbox(record.sandbox)
                with told(Doing.USE):
                    return await self._keeper.take(name, record, sandbox, kind, moment, hurry)
            except (Gone, Unreachable, modal_asking.Cut) as failed:
                raise await self._why(name, record, failed) from failed

    async def last_state(self, name: str, kind: SnapshotKind = SnapshotKind.FOLLOW_UP) -> Snapshot | None:
        """Turn what a dead box left into a snapshot."""
        info = await self.status(name)
        record = await self._record(name)
        if info.state is BoxState.GONE or record is None:
            return None
        if info.state is BoxState.RUNNING:
            raise Temporary(f"box {name} still runs")
        return await self._keeper.last(name, record, kind)

    async def terminate(self, name: str, grace: float = 3.0) -> None:
        """End every process of the box: kindly, then at once. That it was us is noted before."""
        if await under_way(self._ledger, checked_name(name)):  # a box that is just being made cannot be ended yet
            async with alone(self._ledger, name, TURN_SECONDS):
                pass
        if (await self.status(name)).state is not BoxState.RUNNING:
            return
        async with alone(self._ledger, f"{name}:end", TURN_SECONDS):
            record = await self._live_or_none(name)
            if record is None:
                return
            await self._ledger.put(BOX + name, replace(record, ending=self._clock()).written())
            sandbox = await self._account.sandbox(record.sandbox)
            if grace > 0 and await self._ends_kindly(name, record, sandbox, grace):
                return
            async with bounded(DEATH_SECONDS, Doing.USE):
                await sandbox.terminate.aio()
            if not await self._is_gone(name, record, DEATH_SECONDS):
                raise Unreachable(f"box {name} does not end")

    async def _live_or_none(self, name: str) -> BoxRecord | None:
        try:
            return await self._live(name)
        except Gone:
            return None

    async def _ends_kindly(self, name: str, record: BoxRecord, sandbox: modal.Sandbox, grace: float) -> bool:
        """Whether the runner ends by itself when it is asked."""
        with contextlib.suppress(Gone, Unreachable, modal_asking.Cut), told(Doing.USE):
            await modal_asking.end(sandbox, END_SECONDS)
        return await self._is_gone(name, record, grace)

    async def _is_gone(self, name: str, record: BoxRecord, seconds: float) -> bool:
        """Whether the box has ended within so long. Modal's own `wait` may wait for ever, so it is asked again and
        again."""
        end = time.monotonic() + seconds
        while not (await self._looked_at(name, record)).ended:
            if time.monotonic() > end:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True

    async def overgrown(self) -> dict[str, str]:
        """None: Modal itself holds boxes to their limits."""
        return {}

    async def discard(self, name: str) -> None:
        """Forget a box and what it left."""
        await self.terminate(name, 0.0)
        await self._ledger.drop(BOX + name)

    async def forget_snapshot(self, snapshot: str) -> None:
        """Let go of a snapshot."""
        await self._keeper.forget(snapshot)

    async def renew(self, before: float) -> int:
        """Take anew, under the same ids, what Modal would collect before this time. It may take minutes.

        Once nothing is left to do, what dead boxes left is noted, so that it is among that from then on.
        """
        renewed = await self._keeper.renew(before)
        if not renewed:
            boxes = await self._records()
            await self._keeper.note({name: record for name, record in boxes.items() if record.ended})
        return renewed

    async def list(self) -> list[BoxInfo]:
        """Every box that is running or dead with its state still here; and those that only Modal knows, by their
        tags: whoever asks decides what becomes of them."""
        async with self._listing:
            at, running = self._listed
            if self._clock() - at > LIST_SECONDS:
                at, running = self._listed = self._clock(), await self._account.running()
                await self._adopt_unknown(running)
        known = await self._records()
        sure = {name: record for name, record in known.items() if record.is_told(running, at)}
        asked = await many(self._info_or_as_noted(name, record) for name, record in known.items() if name not in sure)
        found = [record.info(name) for name, record in sure.items()] + asked
        return [info for info in found if info.state is not BoxState.GONE]

    async def _adopt_unknown(self, running: dict[str, modal.Sandbox]) -> None:
        """Note the boxes that Modal has and the ledger has not: their maker died, or the ledger was lost."""
        known = {record.sandbox for record in (await self._records()).values()}
        await many(self._adopt_from_tags(id, running[id]) for id in running.keys() - known)

    async def _adopt_from_tags(self, id: str, sandbox: modal.Sandbox) -> None:
        try:
            async with bounded(self._account.seconds, Doing.READ):
                tags = await sandbox.get_tags.aio()
        except BoxError as trouble:
            log.warning("whose box %s is could not be asked: %s", id, trouble)
            return
        name = tags.pop(NAME, "")
        tags.pop(OURS, None)
        if name and not await under_way(self._ledger, name):
            found = BoxRecord(tags, self._clock(), sandbox=id, greeting="done")
            if not await self._ledger.put_new(BOX + name, found.written()):
                await self._found(name, await self._record(name) or found)
