"""Jobs for the tests of workers, and a worker to do them: `python -m tests.jobs.work QUEUE REDIS_URL DATA_DIR COUNT`.

Each job leaves a mark in a Redis list of its own, for the tests to wait for.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import redis.asyncio as redis

from jobs import log, wiring, worker, worker_threads
from jobs.settings import JobSettings

SECRET = "ghp_0123456789abcdef0123456789abcdef0123"
SECONDS = 20


async def _mark(name: str) -> None:
    async with _record() as client:
        await cast(Awaitable[int], client.rpush(f"test:{name}", os.getpid()))


async def _wait_for(name: str) -> None:
    async with _record() as client:
        if await cast(Awaitable[Any], client.blpop([f"test:{name}"], timeout=SECONDS)) is None:
            raise TimeoutError(name)


def _record() -> redis.Redis:
    assert wiring._configured is not None
    return redis.Redis.from_url(wiring._configured.redis_url, socket_timeout=2 * SECONDS)


async def nothing(name: str) -> None:
    await asyncio.sleep(0)
    await _mark(f"{name} done")


async def hold(name: str) -> None:
    """Say that it began, and go on when told."""
    await _mark(f"{name} began")
    await _wait_for(f"{name} go")
    await _mark(f"{name} done")


async def crash(name: str) -> None:
    await _mark(f"{name} began")
    raise RuntimeError(f"{name} met something unexpected, with {SECRET}")


async def settings(name: str) -> None:
    assert wiring._configured is not None
    await _mark(f"{name} {wiring._configured.data_dir.name}")


async def share(name: str) -> None:
    """Say in which thread it runs, and with which workshop."""
    async with wiring.workshop() as shop:
        await _mark(f"{name} in {threading.current_thread().name} {id(shop)}")


async def block(name: str) -> None:
    """Let nothing else go on, for good."""
    await _mark(f"{name} began")
    time.sleep(10 * SECONDS)


async def deaf(name: str) -> None:
    """Do not heed that the time is over."""
    await _mark(f"{name} began")
    while True:
        try:
            await asyncio.sleep(10 * SECONDS)
        except asyncio.CancelledError:
            await _mark(f"{name} was told")


def main(queue: str, redis_url: str, data_dir: str, count: str, still: str = "") -> None:
    chosen = JobSettings.from_env({"SHIPMATE_DATA_DIR": data_dir, "REDIS_URL": redis_url, "GITHUB_TOKEN": SECRET})
    log.configure(chosen.secrets())
    if still:
        wiring.configure(chosen)
        asyncio.run(worker_threads.Threads(queue, redis_url, int(count), float(still)).live())
    run: Callable[..., None] = worker.run
    run(queue, chosen, count=int(count))


if __name__ == "__main__":
    main(*sys.argv[1:])
