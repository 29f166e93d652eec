"""Boxes on Modal (https://modal.com): the same promises as on this machine, kept with somebody else's.

`jobs/wiring.py` makes one `ModalProvider` for each process and keeps it: it has one client. Nothing that matters is in
its memory. Modal says what runs, the ledger has what Modal does not keep, and `modal_watch.py` puts both together. Only
the files `sandbox/modal*.py` know Modal's library, whose errors become the protocol's by the table in
`modal_errors.py`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Self

from sandbox import modal_asking
from sandbox.box_folder import checked_name
from sandbox.ledger import Ledger
from sandbox.modal_account import Account, bounded
from sandbox.modal_errors import Doing, told
from sandbox.modal_keeping import Keeper
from sandbox.modal_leases import alone, under_way
from sandbox.modal_making import BUILD_SECONDS, CREATE_SECONDS, GREET_SECONDS, Base, Maker, checked
from sandbox.modal_place import ModalPlace
from sandbox.modal_records import BOX, BoxRecord
from sandbox.modal_watch import Watch
from sandbox.provider import (
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

DEATH_SECONDS, DYING_SECONDS = 30.0, 2.0
END_SECONDS = 3.0  # for the words with the runner, beyond its grace
LEASE_SECONDS = 30.0


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
        self._watch = Watch(ledger, self._account, clock)

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
            record = await self._watch.record(spec.name)
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

    async def status(self, name: str) -> BoxInfo:
        """Whether the box runs."""
        record = await self._watch.record(checked_name(name))
        return await self._watch.info(name, record)

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
        record = await self._watch.live(name)
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
            if await self._watch.is_gone(name, record, DYING_SECONDS):  # its processes go a moment before Modal tells
                return Gone(f"box {name} ended meanwhile")
        return Unreachable(f"box {name} does not answer: {failed}")

    async def snapshot(self, name: str, kind: SnapshotKind, moment: str = "", hurry: Event | None = None) -> Snapshot:
        """Hold a live box still, keep its file system, let it go on."""
        record = await self._watch.live(name)
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
        record = await self._watch.record(name)
        if info.state is BoxState.GONE or record is None:
            return None
        if info.state is BoxState.RUNNING:
            raise Temporary(f"box {name} still runs")
        return await self._keeper.last(name, record, kind)

    async def terminate(self, name: str, grace: float = 3.0) -> None:
        """End every process of the box: kindly, then at once. That it was us is noted before."""
        if await under_way(self._ledger, checked_name(name)):  # a box that is just being made cannot be ended yet
            async with alone(self._ledger, name, LEASE_SECONDS):
                pass
        if (await self.status(name)).state is not BoxState.RUNNING:
            return
        async with alone(self._ledger, f"{name}:end", LEASE_SECONDS):
            record = await self._watch.live_or_none(name)
            if record is None:
                return
            await self._ledger.put(BOX + name, replace(record, ending=self._clock()).written())
            sandbox = await self._account.sandbox(record.sandbox)
            if grace > 0 and await self._ends_kindly(name, record, sandbox, grace):
                return
            async with bounded(DEATH_SECONDS, Doing.USE):
                await sandbox.terminate.aio()
            if not await self._watch.is_gone(name, record, DEATH_SECONDS):
                raise Unreachable(f"box {name} does not end")

    async def _ends_kindly(self, name: str, record: BoxRecord, sandbox: modal.Sandbox, grace: float) -> bool:
        """Whether the runner ends by itself when it is asked."""
        with contextlib.suppress(Gone, Unreachable, modal_asking.Cut), told(Doing.USE):
            await modal_asking.end(sandbox, END_SECONDS)
        return await self._watch.is_gone(name, record, grace)

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
            boxes = await self._watch.records()
            await self._keeper.note({name: record for name, record in boxes.items() if record.ended})
        return renewed

    async def list(self) -> list[BoxInfo]:
        """Every box that is running or dead with its state still here; and those that only Modal knows, by their
        tags: whoever asks decides what becomes of them."""
        return await self._watch.list()
