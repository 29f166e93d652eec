"""One running Shipmate for all end-to-end tests: production processes against the playground, in a folder of its own.

Each test talks in threads of its own. Before each, whatever the last one had broken is whole again, and nobody has said
anything for a while, so that no budget is spent. Where isolation is not allowed, boxes run without it.
"""

import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
import redis

from bot.stack import Stack
from bot.supervisor import last_words
from sandbox import probe
from tests.e2e.people import Office
from tests.leash import end_with_us

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
    end_with_us(folder)
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
async def open_office(agent: str = "rehearsal", **settings: str) -> AsyncIterator[Office]:
    """A stack of a test's own with these settings, and people; nothing is left of it."""
    with state_folder() as state:
        async with Stack.running(state, environment(), agent=agent, settings=settings) as stack:
            try:
                async with office_of(stack) as found:
                    yield found
            except BaseException as failed:
                failed.add_note(last_words_of(stack))
                raise
            finally:
                await stack.discard()


def last_words_of(stack: Stack) -> str:
    """The ends of the logs of all programs, for whoever looks into a failure."""
    logs = sorted((stack.state / "logs").glob("*.log"))
    return "\n".join(f"--- {log.name}\n{last_words(log, 25)}" for log in logs)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the programs said when a test fails."""
    report = yield
    offices = [given for given in getattr(item, "funcargs", {}).values() if isinstance(given, Office)]
    if report.failed and offices:
        report.sections.append(("what the programs said", last_words_of(offices[0].stack)))
    return report


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_office() -> AsyncIterator[Office]:
    """The stack that most tests share. A worker that was killed is soon taken for lost."""
    async with open_office(SHIPMATE_START_SECONDS="10") as found:
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def careful_office() -> AsyncIterator[Office]:
    """A stack with two repositories, whose sessions have a dollar each. A model's tokens cost one for a million."""
    prices = json.dumps({"shipmate-scripted": [1, 1]})
    repositories = {"SHIPMATE_REPOSITORIES": "acme/rocket,acme/docs"}
    async with open_office(SHIPMATE_BUDGET="1", SHIPMATE_MODEL_PRICES=prices, **repositories) as found:
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
