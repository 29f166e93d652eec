"""Keeps processes running: starts them, starts again what dies, and ends all of them, in order, when told.

`shipmate demo` runs the whole of Shipmate under it. A process that keeps dying is started again ever more slowly, and
given up after a number of deaths in a row, which ends everything with its last words.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)
FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 5.0
LEASH = (sys.executable, "-I", "-S", str(Path(__file__).with_name("leash.py")))


@dataclass(frozen=True)
class Program:
    """One line of the Procfile. Its output goes to `<logs>/<name>.log`. `env` is its whole environment."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]


@dataclass(frozen=True)
class Patience:
    """Bears `deaths` in a row; `healthy` seconds up begin the count anew; who is to end has `kind` seconds for it."""

    deaths: int = 12
    healthy: float = 10.0
    kind: float = 8.0


class GivenUp(Exception):
    """A program died too often; the message has its last words."""


class Supervisor:
    """Runs programs in the order they were added and ends them in the opposite order."""

    def __init__(self, logs: Path, patience: Patience = Patience()) -> None:
        self._logs, self._patience = logs, patience
        self._keepers: list[tuple[Program, asyncio.Task[None]]] = []
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self.given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def pid(self, name: str) -> int | None:
        """The process id of this program now; None between a death and the next start."""
        process = self._running.get(name)
        return process.pid if process is not None and process.returncode is None else None

    def add(self, program: Program) -> None:
        """Start this program and keep it running."""
        self._keepers.append((program, asyncio.create_task(self._keep(program))))

    async def end(self, *names: str) -> None:
        """End programs kindly, then for good: these at once or, if none is named, all, the last added first."""
        kept = list(reversed(self._keepers))
        if names:
            await asyncio.gather(*(self._end_one(*one) for one in kept if one[0].name in names))
            return
        for one in kept:
            await self._end_one(*one)

    def cut(self) -> None:
        """Kill everything at once, as a power cut does: nobody can say goodbye, and nothing is started again."""
        for _, keeper in self._keepers:
            keeper.cancel()
        for process in self._running.values():
            if process.returncode is None:
                _kill_group(process.pid)

    async def _end_one(self, program: Program, keeper: asyncio.Task[None]) -> None:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper
        self._keepers.remove((program, keeper))
        process = self._running.pop(program.name, None)
        if process is not None:
            await _end(process, self._patience.kind)

    async def _keep(self, program: Program) -> None:
        deaths = 0
        while True:
            began = time.monotonic()
            process = await self._spawn(program)
            code = await process.wait()
            _kill_group(process.pid)
            deaths = 1 if time.monotonic() - began > self._patience.healthy else deaths + 1
            log.warning("%s ended with %s; it is started again", program.name, code)
            if deaths >= self._patience.deaths:
                words = last_words(self._logs / f"{program.name}.log")
                if not self.given_up.done():
                    self.given_up.set_exception(GivenUp(f"{program.name} does not stay up.\n{words}"))
                return
            await asyncio.sleep(min(FIRST_DELAY_SECONDS * 2 ** (deaths - 1), LONGEST_DELAY_SECONDS))

    async def _spawn(self, program: Program) -> asyncio.subprocess.Process:
        """Started in a session of its own, so that a Ctrl-C at the terminal reaches only the supervisor.

        A program must be named by its path. It ends with this process even if that is killed.
        """
        with (self._logs / f"{program.name}.log").open("ab") as out:
            spawning = asyncio.create_subprocess_exec(
                *LEASH,
                str(os.getpid()),
                *program.argv,
                env=dict(program.env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
            process = await asyncio.shield(asyncio.ensure_future(spawning))
        self._running[program.name] = process
        return process


async def _end(process: asyncio.subprocess.Process, kind_seconds: float) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), kind_seconds)
    _kill_group(process.pid)
    await process.wait()


def _kill_group(group: int) -> None:
    """What a dead program left behind in its process group (a work-horse, a git) ends with it. Boxes are elsewhere."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def last_words(path: Path, lines: int = 12) -> str:
    """The end of a log, for a person to read."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
