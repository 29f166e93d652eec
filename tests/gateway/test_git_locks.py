"""Locks between processes: one at a time, given up when the holder or what it started ends."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from bot.gateway.locks import Locks

HOLDER = """
import fcntl, sys
with open(sys.argv[1], "w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


async def _holder(file: Path) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, str(file), stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    return process


async def test_another_process_has_to_be_waited_for_and_its_death_frees_the_lock(tmp_path: Path) -> None:
    locks, file = Locks(), tmp_path / "x.lock"
    process = await _holder(file)
    with pytest.raises(TimeoutError):
        async with locks.held(file, 0.1):
            pytest.fail("the lock was taken twice")
    process.kill()
    async with locks.held(file, 10):
        await process.wait()


async def test_in_one_process_it_is_one_at_a_time_too(tmp_path: Path) -> None:
    locks, inside, most = Locks(), 0, 0

    async def enter() -> None:
        nonlocal inside, most
        async with locks.held(tmp_path / "x.lock", 10):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(enter() for _ in range(20)))
    assert (inside, most) == (0, 1)


async def test_a_child_that_outlives_its_holder_keeps_the_lock(tmp_path: Path) -> None:
    locks, file = Locks(), tmp_path / "x.lock"
    async with locks.held(file, 10) as descriptor:
        child = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, pass_fds=(descriptor,))
    with pytest.raises(TimeoutError):
        async with locks.held(file, 0.1):
            pytest.fail("the child was not waited for")
    assert child.stdin is not None
    child.stdin.close()
    async with locks.held(file, 10):
        await child.wait()


async def test_time_spent_inside_does_not_count(tmp_path: Path) -> None:
    async with Locks().held(tmp_path / "x.lock", 0.02) as descriptor:
        await asyncio.sleep(0.05)  # longer than the patience for getting in
        assert os.fstat(descriptor).st_size == 0
