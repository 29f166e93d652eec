"""What every test may ask for: one real Redis-compatible server, emptied before each use; the runner, the sample."""

import asyncio
import gc
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings

from bot.supervisor import LEASH
from jobs import redis_server
from jobs.inbox import Inbox
from jobs.session import Rules, Session
from jobs.settings import JobSettings
from jobs.store import Store
from jobs.wants import Operation
from sandbox.runner_archive import build
from tests.order import LongestFirst
from tests.runner.boxes import make_sample

START_SECONDS = 20.0
gc.disable()  # until all tests are found, for what is loaded and found stays
# The same examples on every run, and no clock in the verdict.
settings.register_profile("shipmate", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shipmate")


def pytest_collection_finish() -> None:
    """What is there by now is not looked through again and again for what may go."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LongestFirst | None:
    """Where the tests of a file stay together, several processes share the files as `order.py` says."""
    return LongestFirst(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def redis_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server of this run, as `shipmate demo` would start it from the bundled program; but it need not outlive a
    power cut, so nobody waits for the disk."""
    folder = tmp_path_factory.mktemp("record")
    plan = redis_server.plan(JobSettings.from_env({"SHIPMATE_DATA_DIR": str(folder), "PATH": ""}))
    argv = (*LEASH, str(os.getpid()), *plan.argv, "--appendfsync", "no")
    with (folder / "redis.log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as server:
        try:
            asyncio.run(redis_server.answering(plan.url, START_SECONDS))
            yield plan.url
        finally:
            server.kill()


@pytest.fixture(scope="session")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runner's archive."""
    return build(tmp_path_factory.mktemp("archive") / "runner.pyz")


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample repository, bare."""
    folder = tmp_path_factory.mktemp("sample")
    make_sample(folder / "bare.git", folder / "work")
    return folder / "bare.git"


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """An empty server."""
    with redis.Redis.from_url(redis_server_url) as client:
        client.flushall()
    return redis_server_url


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Where the store puts closed sessions."""
    return tmp_path / "archive"


@pytest.fixture
async def store(redis_url: str, archive: Path) -> AsyncIterator[Store]:
    """An empty record."""
    opened = await Store.open(redis_url, archive=archive)
    yield opened
    await opened.close()


@pytest.fixture
def hints() -> list[tuple[str, Operation]]:
    """What `inbox` has asked the queue for: pairs of a session's id and an operation."""
    return []


@pytest.fixture
def inbox(store: Store, hints: list[tuple[str, Operation]]) -> Inbox:
    """An inbox on the record of this test, with the usual rules and the real clock."""

    async def enqueue(session: Session, operation: Operation) -> None:
        hints.append((session.id, operation))

    return Inbox(store, enqueue, Rules())
