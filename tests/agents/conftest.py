"""A running Shipmate for each real agent: the program from the registry, in local boxes, behind it the scripted model.

`make test-agents` runs these. What is missing is fetched; where that cannot be, or boxes cannot be isolated, the tests
of that agent say so and are left out. All tests of an agent are in one process, and share one Shipmate. A test that is
marked `of` is for some agents only: those whose row it says yes to.
"""

import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from xdist.scheduler import LoadScopeScheduling

from jobs.settings import JobSettings
from sandbox import agents, probe
from sandbox.agent_install import NotAsPinned, NotInstalled, install
from tests.e2e.conftest import open_office
from tests.e2e.people import Office

REAL = ("opencode", "claude", "codex", "gemini")


class ByAgent(LoadScopeScheduling):
    """Gives all tests of an agent to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.rpartition("[")[2]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByAgent:
    return ByAgent(config, log)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "of(which): for the agents whose row `which` says yes to")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes an agent's name is one for each of them; `AGENTS=codex,opencode` chooses."""
    if "agent" in metafunc.fixturenames:
        chosen = [name for name in os.environ.get("AGENTS", "").split(",") if name] or REAL
        marks = [mark.args[0] for mark in metafunc.definition.iter_markers("of")]
        fitting = [name for name in chosen if all(which(agents.row(name)) for which in marks)]
        metafunc.parametrize("agent", fitting, scope="session")


@pytest.fixture(scope="session")
def installed(agent: str) -> str:
    """An agent that can be started here, fetched if need be."""
    found = probe.probe()
    if not found.allowed:
        pytest.skip(f"boxes cannot be isolated here: {found.reason}")
    told = {name: os.environ[name] for name in ("HOME", "XDG_DATA_HOME", "SHIPMATE_AGENTS_DIR") if name in os.environ}
    folder = JobSettings.from_env(told).agents_dir
    try:
        with one_at_a_time(folder):
            install(agents.row(agent), folder)
    except NotAsPinned:
        raise  # not the network's fault
    except (NotInstalled, OSError, ValueError) as missing:
        pytest.skip(f"{agent} cannot be fetched here: {missing}")
    return agent


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """What several agents need is fetched once."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def office(installed: str) -> AsyncIterator[Office]:
    """People, and a stack whose boxes start this agent."""
    async with open_office(installed, SHIPMATE_START_SECONDS="60") as found:
        yield found
