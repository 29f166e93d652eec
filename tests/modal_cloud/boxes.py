"""Boxes as the control plane knows them: names, tags, how long they may live, how they ended, what they left."""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from modal_proto import api_pb2

from tests.modal_cloud.clock import Clock, Deadlines
from tests.modal_cloud.commands import Command
from tests.modal_cloud.dispatch import Refused
from tests.modal_cloud.faults import Faults
from tests.modal_cloud.ids import ulid
from tests.modal_cloud.images import Image, Images

Result = api_pb2.GenericResult
LONGEST_SECONDS = 24 * 3600
SLEEP = ["sleep", "172800"]
KILLED = 137
EXIT_SNAPSHOT_TTL = 30 * 24 * 3600
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Place(Protocol):
    """Where the processes of boxes are, or would be: `machine.py`, `paper.py`."""

    several_users: bool

    async def start(
        self, name: str, chain: tuple[str, ...], argv: list[str], env: dict[str, str], cwd: str
    ) -> Command: ...
    def run(self, name: str, command: str, argv: list[str], env: dict[str, str], cwd: str) -> Command: ...
    def signal(self, name: str, command: str, number: int) -> None: ...
    async def snapshot(self, name: str) -> str | None: ...
    async def end(self, name: str) -> None: ...
    def forget(self, name: str) -> None: ...


@dataclass(slots=True, eq=False)
class Box:
    """One sandbox. `result`: None until it is to end. `asked`: the whole definition, for tests to look at."""

    id: str
    task: str
    app: str
    name: str
    created: float
    asked: api_pb2.Sandbox
    image: Image
    tags: dict[str, str]
    env: dict[str, str]
    entry: Command | None = None
    commands: dict[str, Command] = field(default_factory=dict)
    result: Result | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    active: float = 0.0
    over: float | None = None  # when its end was decided
    snapshots: dict[str, asyncio.Future[Image]] = field(default_factory=dict)
    exit_snapshot: asyncio.Future[Image] | None = None

    @property
    def outcome(self) -> Result | None:
        """How it ended, as soon as its processes are gone."""
        return self.result if self.finished.is_set() else None

    @property
    def wants_exit_snapshot(self) -> bool:
        """Whether its last state is kept."""
        return self.asked.experimental_options_v2.get("enable_exit_snapshot", "").lower() == "true"


class Boxes:
    """All boxes, running and finished. `layer_of`: the layer with the files of a mount."""

    def __init__(
        self,
        clock: Clock,
        deadlines: Deadlines,
        faults: Faults,
        images: Images,
        place: Place,
        layer_of: Callable[[str], str],
    ) -> None:
        self._clock, self._deadlines, self._faults = clock, deadlines, faults
        self._images, self.place, self._layer_of = images, place, layer_of
        self._order: list[Box] = []
        self._by_id: dict[str, Box] = {}
        self._by_task: dict[str, Box] = {}
        self._running: dict[tuple[str, str], Box] = {}
        self._last: dict[tuple[str, str], Box] = {}
        self._created = 0.0
        self._going: set[asyncio.Task[Any]] = set()
        self.most: int | None = None  # how many may run at once

    def of_id(self, id: str) -> Box:
        """The box of an id, or Refused."""
        if (box := self._by_id.get(id)) is None:
            raise Refused("NOT_FOUND", f"Sandbox with ID {id} not found")
        return box

    def find(self, id: str) -> Box | None:
        """The box of an id, if there is one."""
        return self._by_id.get(id)

    def of_task(self, task: str) -> Box | None:
        """The box of a task, if there is one."""
        return self._by_task.get(task)

    def of_name(self, app: str, name: str, finished_too: bool) -> Box:
        """The running box of a name, or the last one that ran, or Refused."""
        box = self._running.get((app, name)) or (self._last.get((app, name)) if finished_too else None)
        if box is None:
            raise Refused("NOT_FOUND", f"No Sandbox named {name!r} found")
        return box

    def all(self) -> Iterator[Box]:
        """Every box that ever was, the newest first."""
        return reversed(self._order)

    def before(self, moment: float) -> Iterator[Box]:
        """Those made before a moment, the newest first; 0: all."""
        end = bisect_left(self._order, moment, key=lambda box: box.created) if moment else len(self._order)
        return (self._order[place] for place in range(end - 1, -1, -1))

    def after(self, count: int) -> list[Box]:
        """All but the first so many, the oldest first."""
        return self._order[count:]

    def alive(self) -> int:
        """How many run."""
        return sum(1 for box in self._by_id.values() if box.result is None)

    async def create(self, app: str, asked: api_pb2.Sandbox, tags: dict[str, str], env: dict[str, str]) -> Box:
        """Make a box, as asked. Refused if it cannot be."""
        image = self._images.get(asked.image_id)
        if asked.timeout_secs > LONGEST_SECONDS:
            raise Refused("INVALID_ARGUMENT", "timeout must be at most 24 hours")
        if asked.name and self._holds(app, asked.name):
            raise Refused("ALREADY_EXISTS", f"A Sandbox named {asked.name!r} is already running")
        if self.most is not None and self.alive() >= self.most:
            raise Refused("RESOURCE_EXHAUSTED", "the workspace has reached its limit of containers")
        now = self._clock.now()
        self._created = created = max(now, self._created + 1e-6)
        whole = ulid(created)
        box = Box(f"sb-{whole}", f"ta-{whole}V", app, asked.name, created, asked, image, tags, env, active=now)
        self._by_id[box.id] = self._by_task[box.task] = box
        self._order.append(box)
        if box.name:
            self._running[app, box.name] = self._last[app, box.name] = box
        argv = list(asked.entrypoint_args) or image.cmd or SLEEP
        try:
            chain = (*image.layers, *(self._layer_of(mount) for mount in asked.mount_ids))
            box.entry = await self.place.start(box.id, chain, argv, self.env(box), self.cwd(box))
        except BaseException:
            self._finish(box, Result(status=Result.GENERIC_STATUS_INIT_FAILURE, exitcode=1))
            raise
        self._go(self._watch(box, box.entry))
        self._deadlines.at(now + asked.timeout_secs, lambda: self._out_of_time(box))
        if asked.idle_timeout_secs:
            self._deadlines.at(now + asked.idle_timeout_secs, lambda: self._idle(box))
        return box

    def _holds(self, app: str, name: str) -> bool:
        if (app, name) in self._running:
            return True
        last = self._last.get((app, name))
        if last is None or last.over is None:
            return False
        held = self._faults.hit({"held_name"}, "SandboxCreateV2", name)
        return held is not None and self._clock.now() < last.over + held.more.get("by", 1.0)

    def env(self, box: Box, more: dict[str, str] | None = None) -> dict[str, str]:
        """What a process of a box finds in its environment."""
        usual = {"PATH": PATH, "HOME": "/root", "MODAL_SANDBOX_ID": box.id, "MODAL_TASK_ID": box.task}
        return {**usual, **box.image.env, **box.env, **(more or {})}

    def cwd(self, box: Box) -> str:
        """Where a process of a box starts."""
        return box.asked.workdir or box.image.workdir

    def terminate(self, box: Box) -> None:
        """End a box, as its owner asked."""
        self._finish(box, Result(status=Result.GENERIC_STATUS_TERMINATED, exitcode=KILLED))

    def kill(self, box: Box, result: Result) -> None:
        """End a box as something else did: the kernel, the host."""
        self._finish(box, result)

    def touch(self, box: Box) -> None:
        """Something was done in a box."""
        box.active = self._clock.now()

    async def reset(self) -> None:
        """End and forget all."""
        for box in self._by_id.values():
            self.terminate(box)
        while self._going:
            await asyncio.gather(*self._going, return_exceptions=True)
        self._order.clear()
        for known in (self._by_id, self._by_task, self._running, self._last):
            known.clear()
        self.most, self._created = None, 0.0

    async def snapshot(self, box: Box, key: str, ttl: int | None) -> Image:
        """What a box has written, as an image; the same for the same key."""
        if key not in box.snapshots:
            making = box.snapshots[key] = asyncio.ensure_future(self._snapshot(box, ttl, "snapshot"))
            making.add_done_callback(lambda made: box.snapshots.pop(key) if made.exception() else None)
        return await asyncio.shield(box.snapshots[key])

    async def _snapshot(self, box: Box, ttl: int | None, source: str) -> Image:
        layer = await self.place.snapshot(box.id)
        return self._images.of_snapshot(box.image, layer, ttl, source)

    async def _watch(self, box: Box, entry: Command) -> None:
        await entry.ended.wait()
        code = 128 + entry.signal if entry.signal else entry.code
        status = Result.GENERIC_STATUS_FAILURE if code else Result.GENERIC_STATUS_SUCCESS
        self._finish(box, Result(status=status, exitcode=code))

    def _out_of_time(self, box: Box) -> None:
        self._finish(box, Result(status=Result.GENERIC_STATUS_TIMEOUT, exitcode=124))

    def _idle(self, box: Box) -> None:
        if box.result is not None:
            return
        if any(not command.ended.is_set() for command in box.commands.values()):
            self.touch(box)
        end = box.active + box.asked.idle_timeout_secs
        if end > self._clock.now():
            self._deadlines.at(end, lambda: self._idle(box))
        else:
            fault = self._faults.hit({"idle"}, "*", box.name)
            status = "TERMINATED" if fault is None else fault.more["status"]
            self._finish(box, Result(status=Result.GenericStatus.Value(f"GENERIC_STATUS_{status}"), exitcode=KILLED))

    def _finish(self, box: Box, result: Result) -> None:
        if box.result is not None:
            return
        box.result, box.over = result, self._clock.now()
        if box.name and self._running.get((box.app, box.name)) is box:
            del self._running[box.app, box.name]
        if box.wants_exit_snapshot and box.entry is not None:
            box.exit_snapshot = asyncio.get_running_loop().create_future()
        self._go(self._clear(box))

    async def _clear(self, box: Box) -> None:
        """End the processes, keep the last state if that was asked, remove the rest."""
        await self.place.end(box.id)
        for command in box.commands.values():
            command.cut()
        if box.entry is not None:
            box.entry.cut()
        box.finished.set()
        await asyncio.gather(*box.snapshots.values(), return_exceptions=True)
        if box.exit_snapshot is not None:
            try:
                box.exit_snapshot.set_result(await self._snapshot(box, EXIT_SNAPSHOT_TTL, "exit"))
            except Refused:
                box.exit_snapshot.cancel()
        self.place.forget(box.id)

    def _go(self, doing: Any) -> None:
        task = asyncio.ensure_future(doing)
        self._going.add(task)
        task.add_done_callback(self._going.discard)
