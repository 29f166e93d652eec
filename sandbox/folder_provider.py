"""What is the same for every provider whose boxes are folders of this machine: finding, asking, keeping, forgetting.

`local.py` and `unisolated.py` say how a box is started, how its processes are found and how its tree is laid; the rest
is here. Nothing is remembered between two calls: any process may make any of them, and be killed in any of them.
"""

import asyncio
import contextlib
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event

from sandbox import box_life, control, disk_trouble, freezing, host_processes, keeping, trees
from sandbox.box_folder import BoxFolder, Record, checked_name
from sandbox.host_processes import Process
from sandbox.layers import Layers
from sandbox.ownership import Owner, open_folder
from sandbox.provider import (
    BoxInfo,
    BoxSpec,
    BoxState,
    ExecResult,
    Gone,
    Permanent,
    Snapshot,
    SnapshotKind,
    Unreachable,
)

GREETING_BYTES = 60_000  # what a pipe takes without a reader
HALF_MADE_SECONDS = 600


class FolderProvider(ABC):
    """A provider (`sandbox/provider.py`) whose boxes and layers are folders below `boxes_dir`."""

    longest_seconds: float | None = None

    def __init__(self, boxes_dir: Path, *, gateway: Path, agents: Path, owner: Owner) -> None:
        self._owner, self._gateway, self._agents = owner, gateway.absolute(), agents.absolute()
        self._root = boxes_dir.absolute()
        self._boxes = self._root / "box"
        self._layers = Layers(self._root / "layers", owner)
        self._ready = False

    @abstractmethod
    def _start(self, folder: BoxFolder, lock: int, spec: BoxSpec, chain: tuple[str, ...]) -> None:
        """Start the box's processes; returns when the runner's is there. Raises BoxError."""

    @abstractmethod
    def _process(self, folder: BoxFolder) -> contextlib.AbstractContextManager[Process | None]:
        """The box's processes; None if there are none any more, or none yet."""

    def _chain_below(self, record: Record) -> tuple[str, ...]:
        """The layers that a snapshot of this box stacks upon."""
        return record.chain

    def _prepare(self) -> None:
        """Make what every box needs, once."""
        open_folder(self._boxes)
        self._layers.prepare()

    async def create(self, spec: BoxSpec) -> BoxInfo:
        """Start a box, or adopt the one that lives under this name."""
        return await asyncio.to_thread(self._create, spec)

    def _create(self, spec: BoxSpec) -> BoxInfo:
        checked_name(spec.name)
        if len(spec.greeting) > GREETING_BYTES or not spec.greeting.endswith(b"\n"):
            raise Permanent("a greeting is one line of at most 60 kB that ends in a newline")
        if not self._ready:
            self._prepare()
            self._ready = True
        try:
            folder, lock, chain = self._make(spec)
        except FileExistsError:
            return self._adopt(BoxFolder(self._boxes / spec.name))
        except OSError as failed:
            raise disk_trouble.judged(f"box {spec.name} could not be made", failed) from failed
        try:
            self._start(folder, lock, spec, chain)
        except BaseException as failed:
            self._kill(folder)
            folder.remove()
            if isinstance(failed, trees.UNBEARABLE):
                raise disk_trouble.judged(f"box {spec.name} could not be made", failed) from failed
            raise
        finally:
            os.close(lock)
        return self._info(folder)

    def _make(self, spec: BoxSpec) -> tuple[BoxFolder, int, tuple[str, ...]]:
        with self._layers.held():
            chain = self._layers.chain(spec.base)
            self._layers.check_weight(chain, spec.limits.disk_bytes)
            limits = spec.limits.disk_bytes, spec.limits.memory_bytes
            record = Record(dict(spec.labels), time.time(), chain, host_processes.boot(), *limits)
            try:
                folder, lock = BoxFolder.make(self._boxes, spec.name, record, self._owner)
            except FileExistsError:
                self._clear_stillborn(BoxFolder(self._boxes / spec.name))
                folder, lock = BoxFolder.make(self._boxes, spec.name, record, self._owner)
        return folder, lock, chain

    def _clear_stillborn(self, folder: BoxFolder) -> None:
        """Remove what a maker left that was killed before the box had a process."""
        lock = folder.lock()
        if lock is not None:
            if not folder.said():
                folder.remove()
            os.close(lock)

    def _clear_half_made(self) -> None:
        """Remove the nameless folders of makers that were killed long ago."""
        for path in self._boxes.glob(".*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - HALF_MADE_SECONDS:
                    trees.remove(path)
        self._layers.clear_half_made(time.time() - HALF_MADE_SECONDS)

    def _adopt(self, folder: BoxFolder) -> BoxInfo:
        info = self._info(folder)
        if info.state is not BoxState.RUNNING:
            raise Permanent(f"box {folder.name} has ended, and a name is used once")
        return info

    async def status(self, name: str) -> BoxInfo:
        """Whether the box runs."""
        return await asyncio.to_thread(lambda: self._info(BoxFolder(self._boxes / checked_name(name))))

    def _info(self, folder: BoxFolder) -> BoxInfo:
        record = folder.record()
        if record is None:
            return BoxInfo(folder.name, BoxState.GONE, {}, 0.0)
        freezing.thaw_forgotten(folder, self._process)
        state = BoxState.RUNNING if box_life.runs(folder, self._process) else BoxState.DEAD
        code = box_life.exit_code(folder) if state is BoxState.DEAD else None
        return BoxInfo(folder.name, state, record.labels, record.born, code)

    def _folders(self) -> Iterator[BoxFolder]:
        if self._boxes.is_dir():
            for path in sorted(self._boxes.iterdir()):
                if not path.name.startswith("."):
                    yield BoxFolder(path)

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
        folder = BoxFolder(self._boxes / checked_name(name))
        if (await self.status(name)).state is not BoxState.RUNNING:
            raise Gone(f"box {name} does not run")
        try:
            with folder.control() as address:
                return await control.run(address, argv, stdin, timeout, limit, heard)
        except (FileNotFoundError, control.NoAnswer) as failed:
            if await asyncio.to_thread(box_life.dies, folder, self._process):
                raise Gone(f"box {name} ended meanwhile") from failed
            raise Unreachable(f"box {name} does not answer: {failed}") from failed

    async def terminate(self, name: str, grace: float = 3.0) -> None:
        """End every process of the box."""
        await asyncio.to_thread(self._end, BoxFolder(self._boxes / checked_name(name)), grace)

    def _end(self, folder: BoxFolder, grace: float) -> None:
        box_life.end_kindly(folder, self._process, grace)
        self._kill(folder)

    def _kill(self, folder: BoxFolder) -> None:
        """End every process of a box at once. A provider may have more to take away."""
        box_life.kill(folder, self._process)

    async def snapshot(self, name: str, kind: SnapshotKind, moment: str = "", hurry: Event | None = None) -> Snapshot:
        """Freeze a live box, keep its file system as a new layer, thaw it."""
        folder = BoxFolder(self._boxes / checked_name(name))
        return await asyncio.to_thread(self._snapshot, folder, kind, moment, freezing.heeding(hurry))

    def _snapshot(self, folder: BoxFolder, kind: SnapshotKind, moment: str, look: Callable[[], None]) -> Snapshot:
        record = folder.record()
        with self._process(folder) as process:
            if record is None or process is None or process.gone():
                raise Gone(f"box {folder.name} does not run")

            def copy(target: Path) -> Sequence[Path]:
                return keeping.copy(folder, process, target, self._layers.tree, look)

            id, below = folder.snapshot_of(moment), self._chain_below(record)
            try:
                taken = self._layers.keep(copy, id, kind, below, time.time()).snapshot()
            except trees.UNBEARABLE as failed:
                if process.gone():
                    raise Gone(f"box {folder.name} ended meanwhile") from failed
                raise disk_trouble.judged(f"box {folder.name} cannot be copied", failed) from failed
            keeping.remember(folder, id)
            return taken

    async def last_state(self, name: str, kind: SnapshotKind = SnapshotKind.FOLLOW_UP) -> Snapshot | None:
        """Turn what a dead box left into a snapshot."""
        return await asyncio.to_thread(self._last_state, BoxFolder(self._boxes / checked_name(name)), kind)

    def _last_state(self, folder: BoxFolder, kind: SnapshotKind) -> Snapshot | None:
        record = folder.record()
        if record is None:
            return None
        with box_life.locked(folder, self._process):
            below = self._chain_below(record)
            try:
                taken = self._layers.take(folder.upper, folder.last_snapshot, kind, below, time.time())
            except trees.UNBEARABLE as failed:
                raise disk_trouble.judged(f"what box {folder.name} left cannot be kept", failed) from failed
        return taken.snapshot() if taken is not None else None

    async def overgrown(self) -> dict[str, str]:
        """Live boxes that have too much of something, and of what. Without isolation there are no limits."""
        return {}

    async def discard(self, name: str) -> None:
        """Forget a box and what it left."""
        await asyncio.to_thread(self._discard, BoxFolder(self._boxes / checked_name(name)))

    def _discard(self, folder: BoxFolder) -> None:
        if not folder.path.exists():
            return
        self._end(folder, 0.0)
        with contextlib.suppress(Gone), box_life.locked(folder, self._process):
            folder.remove()
        self._layers.forget_again(folder.last_snapshot, self._used_layers)

    async def forget_snapshot(self, snapshot: str) -> None:
        """Let go of a snapshot."""
        await asyncio.to_thread(self._layers.forget, snapshot, self._used_layers)

    def _used_layers(self) -> Iterator[str]:
        """The layers that boxes stand on, and those that their last states are being turned into."""
        for folder in self._folders():
            if (record := folder.record()) is not None:
                yield from (*record.chain, folder.last_snapshot)

    def _list(self) -> list[BoxInfo]:
        self._clear_half_made()
        found = [self._info(folder) for folder in self._folders()]
        return [info for info in found if info.state is not BoxState.GONE]

    async def list(self) -> list[BoxInfo]:
        """Every box that is running or dead with its state still here."""
        return await asyncio.to_thread(self._list)
