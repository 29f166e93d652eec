"""A whole Shipmate with two web processes and two workers, to be killed in parts or as a whole and started anew.

The kill table, the soak and the tests beside this file work on one `Site`. What it finds out about processes, it finds
out from the host, as whoever pulls a plug would.
"""

import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import redis.asyncio as redis

from bot.ports import free_port
from bot.stack import WORKERS, Stack
from sandbox import host_processes
from sandbox.box_folder import BoxFolder
from tests.e2e.conftest import QUIET_FORGE, QUIET_SLACK, environment, last_words_of, office_of, state_folder
from tests.e2e.people import Office, Thread, until

WEBS = ("web", "web2")
PROGRAMS = ("playground", "redis", *WEBS, *WORKERS, "upkeep")
BACK_SECONDS = 60.0


class Site:
    """A stack on one folder. `office`: the people who work with it as it runs now; another one after a power cut."""

    office: Office

    def __init__(self, state: Path, settings: dict[str, str]) -> None:
        self._state, self._settings, self._port = state, settings, free_port()
        self._opened = AsyncExitStack()
        self._addresses: dict[str, str] = {}
        self._dead: set[int] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, **settings: str) -> AsyncIterator["Site"]:
        """Start one; nothing is left of it in the end."""
        with state_folder() as state:
            site = cls(state, settings)
            try:
                await site.begin()
                yield site
            except BaseException as failed:
                failed.add_note(last_words_of(site.office.stack))
                raise
            finally:
                await site.office.stack.discard()
                await site._opened.aclose()

    async def begin(self) -> None:
        """Start everything on what the folder has."""
        running = Stack.running(self._state, environment(), page_port=self._port, settings=self._settings)
        stack = await self._opened.enter_async_context(running)
        self.office = await self._opened.enter_async_context(office_of(stack))
        self._addresses = {"web": stack.web_url, "web2": await stack.add_web("web2")}
        await self.quiet()

    async def quiet(self) -> None:
        """Nothing is wrong with Slack and the forge any more."""
        await self.office.slack(**QUIET_SLACK)
        await self.office.forge(**QUIET_FORGE)

    def thread(self, thread: Thread) -> Thread:
        """The same thread, for the people as they are now."""
        return Thread(self.office, thread.channel, thread.ts)

    def processes(self, *programs: str) -> list[int]:
        """Every process of these programs, with all that they have forked; none of one that is just dead."""
        found = {self.office.stack.supervisor.pid(name) for name in programs} - {None}
        return [pid for pid in host_processes.every_process() if _session_of(pid) in found]

    def kill(self, *programs: str) -> float:
        """Kill them all at once; when that was."""
        doomed, killed = self.processes(*programs), time.time()
        self._dead = set(doomed)
        host_processes.send(doomed, signal.SIGKILL)
        return killed

    @contextlib.contextmanager
    def still(self, *programs: str) -> Iterator[None]:
        """They do nothing meanwhile; then those that are still alive go on."""
        with frozen(self.processes(*programs)):
            yield

    async def back(self, *programs: str) -> None:
        """Until they have been started again and can do their work."""
        for name in programs:
            await until(lambda name=name: self._up(name), bool, BACK_SECONDS)  # type: ignore[misc]

    async def _up(self, name: str) -> bool:
        if self.office.stack.supervisor.pid(name) in {None, *self._dead}:  # it may not know yet that one is dead
            return False
        if name in self._addresses:
            status, _ = await self.office.text(self._addresses[name] + "/health")
            return status == 200
        if name == "redis":
            async with redis.Redis.from_url(self.office.stack.env["REDIS_URL"]) as record:  # once: ours tries for long
                await record.ping()
        return True

    async def lose_power(self) -> float:
        """Kill every process that there is, boxes too, and start anew on what the disk has; when they were killed."""
        self.office.stack.supervisor.cut()
        boxes = [pid for folder in self._box_folders() for pid in members(folder)]
        killed = time.time()
        host_processes.send([*self.processes(*PROGRAMS), *boxes], signal.SIGKILL)
        await self._opened.aclose()
        self._opened = AsyncExitStack()
        await self.begin()
        return killed

    def _box_folders(self) -> list[BoxFolder]:
        boxes = self.office.stack.settings.jobs.boxes_dir / "box"
        return [BoxFolder(path) for path in sorted(boxes.glob("[!.]*"))]

    def box(self, name: str | None) -> BoxFolder:
        """The folder of a box."""
        return BoxFolder(self.office.stack.settings.jobs.boxes_dir / "box" / str(name))


def runner_of(box: BoxFolder) -> int | None:
    """The process that is the box's runner, its first; None if it has none."""
    said = box.said()
    return said.get("child-pid") if "exit-code" not in said else None


def members(box: BoxFolder) -> list[int]:
    """Every process of the box, the runner first."""
    runner = runner_of(box)
    if runner is None:
        return []
    if "pid-namespace" in box.said():
        with host_processes.Pid1.found(runner, box.said()["pid-namespace"]) as process:
            found = process.members() if process is not None else []
    else:
        found = host_processes.with_home(box.upper / "work/home")
    return [runner, *(pid for pid in found if pid != runner)]


def agent_of(box: BoxFolder) -> int | None:
    """The process that is the agent; None if it does not run just now."""
    for pid in members(box):
        with contextlib.suppress(OSError):
            if b"\0rehearsal\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return None


@contextlib.contextmanager
def frozen(pids: Iterable[int]) -> Iterator[None]:
    """These processes are stopped meanwhile."""
    held = list(pids)
    host_processes.send(held, signal.SIGSTOP)
    try:
        yield
    finally:
        host_processes.send(held, signal.SIGCONT)


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None
