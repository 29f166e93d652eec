"""A server of our own: which one is chosen, and what it keeps."""

import asyncio
import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from jobs import redis_server
from jobs.settings import SOCKET_PATH_BYTES, JobSettings
from jobs.store import Store
from tests.jobs.servers import Server

SOON = 10.0


def settings(folder: Path, path: str = "") -> JobSettings:
    return JobSettings.from_env({"SHIPMATE_DATA_DIR": str(folder), "PATH": path})


def installed(folder: Path, **versions: str) -> str:
    """A PATH with programs that say this of themselves."""
    folder.mkdir(exist_ok=True)
    for name, said in versions.items():
        program = folder / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\necho {shlex.quote(said)}\n")
        program.chmod(0o755)
    return str(folder)


def written_by(folder: Path, engine: str, version: str) -> None:
    (folder / "redis").mkdir(parents=True)
    (folder / "redis" / "engine.json").write_text(json.dumps({"engine": engine, "version": version}))


REDIS_7 = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=d81b8ff71cfb150e"
REDIS_8 = "Redis server v=8.2.3 sha=00000000:1 malloc=jemalloc-5.3.0 bits=64 build=1"
REDIS_5 = "Redis server v=5.0.14 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64 build=1"
VALKEY_8 = "Valkey server v=8.1.1 sha=00000000:0 malloc=libc bits=64 build=1"


@pytest.mark.parametrize(
    ("installed_here", "last", "expected"),
    [
        ({}, None, "valkey 9"),
        ({"redis_server": REDIS_7}, None, "redis 7"),
        ({"redis_server": REDIS_7, "valkey_server": VALKEY_8}, None, "redis 7"),
        ({"valkey_server": VALKEY_8}, None, "valkey 8"),
        ({"redis_server": REDIS_5}, None, "valkey 9"),  # too old
        ({"redis_server": "no idea"}, None, "valkey 9"),
        ({"redis_server": REDIS_7}, ("valkey", "9.1.2"), "valkey 9"),  # what wrote last goes on
        ({"valkey_server": VALKEY_8}, ("valkey", "9.1.2"), "valkey 9"),
        ({"redis_server": REDIS_7}, ("redis", "7.0.15"), "redis 7"),
        ({"redis_server": REDIS_8}, ("redis", "7.0.15"), "redis 8"),
        ({}, ("redis", "7.0.15"), "valkey 9"),  # Valkey reads what an older Redis wrote
        ({"redis_server": REDIS_7}, ("redis", "8.2.3"), None),
        ({}, ("redis", "7.4.0"), None),
        ({}, ("valkey", "99.0.0"), None),
    ],
)
def test_a_server_is_chosen_that_can_read_what_is_there(
    tmp_path: Path, installed_here: dict[str, str], last: tuple[str, str] | None, expected: str | None
) -> None:
    if last is not None:
        written_by(tmp_path / "data", *last)
    here = settings(tmp_path / "data", installed(tmp_path / "bin", **installed_here))
    if expected is None:
        with pytest.raises(ValueError, match="was last written by .* REDIS_URL"):
            redis_server.plan(here)
        return
    redis_server.plan(here)
    kept = json.loads((tmp_path / "data/redis/engine.json").read_text())
    assert f"{kept['engine']} {kept['version'].split('.')[0]}" == expected


def test_a_note_that_cannot_be_read_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis/engine.json").write_text("{")
    with pytest.raises(ValueError, match=r"engine\.json cannot be read"):
        redis_server.plan(settings(tmp_path))


def test_the_data_and_the_socket_are_for_us_alone() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="sm-") as folder:
        plan = redis_server.plan(settings(Path(folder)))
        assert plan.url == f"unix://{folder}/redis/redis.sock"
        assert Path(folder, "redis").stat().st_mode & 0o777 == 0o700


def test_a_deep_folder_has_its_socket_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    plan = redis_server.plan(settings(deep))
    socket = Path(plan.url.removeprefix("unix://"))
    assert len(os.fsencode(socket)) <= SOCKET_PATH_BYTES
    assert redis_server.plan(settings(deep)).url == plan.url
    try:
        socket.parent.chmod(0o755)
        with pytest.raises(ValueError, match="not a folder of ours alone"):
            redis_server.plan(settings(deep))
    finally:
        socket.parent.rmdir()


async def test_the_planned_server_answers_and_keeps_its_data(tmp_path: Path) -> None:
    async with Server.running(tmp_path) as server:
        store = await Store.open(server.url, archive=tmp_path / "archive")
        await store.stamp("s1", "link", 1.5)
        server.kill()
        await server.start()
        assert await store.stamps("s1") == {"link": 1.5}
        await store.close()


async def test_a_second_server_waits_until_the_first_has_let_go_of_the_data(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with Server.running(tmp_path / "data") as server:
        with (tmp_path / "data/redis/lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        guard = server.plan.argv[: server.plan.argv.index("--port") - 1]
        second = subprocess.Popen([*guard, sys.executable, "-c", f"open({str(mark)!r}, 'w')"])
        assert not mark.exists()
        server.kill()
        assert second.wait(SOON) == 0
        assert mark.exists()
        await server.start()


async def test_a_server_ends_with_whoever_started_it(tmp_path: Path) -> None:
    plan = redis_server.plan(settings(tmp_path))
    script = f"import subprocess, time; subprocess.Popen({list(plan.argv)!r}); time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    await redis_server.answering(plan.url, SOON)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    socket = Path(plan.url.removeprefix("unix://"))
    async with asyncio.timeout(SOON):
        while socket.exists():  # it is taken away at a kind end
            await asyncio.sleep(0.02)


async def test_that_nobody_answers_is_told_in_time(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no Redis-compatible server answered in 0\.2 s"):
        await redis_server.answering(f"unix://{tmp_path}/none.sock", 0.2)
    assert time.monotonic() - began < 2
