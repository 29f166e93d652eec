"""One running Shipmate for all end-to-end tests: production processes against the playground, in a folder of its own.

Each test talks in threads of its own. Before each, whatever the last one had broken is whole again, and nobody has said
anything for a while, so that no budget is spent. Where isolation is not allowed, boxes run without it.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest_asyncio
import redis

from bot.stack import Stack
from sandbox import probe
from tests.e2e.people import Office

QUIET_SLACK = {
    "duplicate": 0,
    "reorder": 0,
    "delay": 0,
    "drop_acks": 0,
    "drop_mentions": 0,
    "drop_messages": 0,
    "rate_limit": 0,
    "fail": 0,
    "fail_after": 0,
    "slow": 0,
    "methods": [],
    "down": False,
    "no_agent_sessions": False,
    "unlimited": True,
}
QUIET_FORGE = {"down": False, "slow": 0, "fail_next": 0, "rate_limit_next": 0, "reject_pushes": False}


def environment() -> dict[str, str]:
    """What a person's shell would hand to the demo."""
    found = {name: os.environ[name] for name in ("PATH", "LANG", "SHIPMATE_AGENTS_DIR") if name in os.environ}
    return found | ({} if probe.probe().allowed else {"SHIPMATE_UNISOLATED": "1"})


@contextmanager
def state_folder() -> Iterator[Path]:
    """A folder that the boxes' own user can enter, with a short name for the sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="sm-e2e-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def office_of(stack: Stack) -> AsyncIterator[Office]:
    """People who work with this stack."""
    async with aiohttp.ClientSession() as http, stack.workshop() as shop:
        found = Office(stack, http, shop)
        await found.meet()
        yield found


@asynccontextmanager
async def open_office(**settings: str) -> AsyncIterator[Office]:
    """A stack of a test's own, with people; nothing is left of it."""
    with state_folder() as state:
        async with Stack.running(state, environment() | settings) as stack:
            async with office_of(stack) as found:
                yield found
            await stack.discard()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_office() -> AsyncIterator[Office]:
    """The stack that most tests share."""
    async with open_office() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def office(shared_office: Office) -> Office:
    """The shared stack, with nothing wrong and every budget full."""
    await shared_office.slack(**QUIET_SLACK)
    await shared_office.forge(**QUIET_FORGE)
    with redis.Redis.from_url(shared_office.stack.env["REDIS_URL"]) as record:
        for spent in (*record.scan_iter("*budget:*"), *record.scan_iter("*fact:slack:*pause*")):
            record.delete(spent)
    await shared_office.meet()
    return shared_office
