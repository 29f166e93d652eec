"""Jobs for the tests of workers, and a worker to do them: `python -m tests.jobs.work QUEUE REDIS_URL DATA_DIR COUNT`.

Each job leaves a mark in a Redis list of its own, for the tests to wait for.
"""

import asyncio
import os
import sys
from collections.abc import Callable

from rq import get_current_job

from jobs import log, wiring, worker
from jobs.settings import JobSettings

SECRET = "ghp_0123456789abcdef0123456789abcdef0123"


def _mark(name: str) -> None:
    job = get_current_job()
    assert job is not None
    job.connection.rpush(f"test:{name}", os.getpid())


def _wait_for(name: str) -> None:
    job = get_current_job()
    assert job is not None
    if job.connection.blpop([f"test:{name}"], timeout=20) is None:
        raise TimeoutError(name)


async def nothing(name: str) -> None:
    await asyncio.sleep(0)
    _mark(f"{name} done")


async def hold(name: str) -> None:
    """Say that it began, and go on when told."""
    _mark(f"{name} began")
    _wait_for(f"{name} go")
    _mark(f"{name} done")


async def crash(name: str) -> None:
    _mark(f"{name} began")
    raise RuntimeError(f"{name} met something unexpected, with {SECRET}")


async def settings(name: str) -> None:
    assert wiring._configured is not None
    _mark(f"{name} {wiring._configured.data_dir.name}")


def main(queue: str, redis_url: str, data_dir: str, count: str) -> None:
    chosen = JobSettings.from_env({"SHIPMATE_DATA_DIR": data_dir, "REDIS_URL": redis_url, "GITHUB_TOKEN": SECRET})
    log.configure(chosen.secrets())
    run: Callable[..., None] = worker.run
    run(queue, chosen, count=int(count))


if __name__ == "__main__":
    main(*sys.argv[1:])
