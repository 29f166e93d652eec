"""Whole turns through the real runner, the rehearsing agent, the gateway as a process that dies, and a real forge."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jobs import commands as c
from jobs.events import LinkAttached, PromptDelivered, StepStarted, TurnEnded
from jobs.session import Session, Status
from jobs.store import Store
from tests.gateway.conftest import Site
from tests.gateway.git_world import World, world
from tests.logs import GRACE
from tests.runner.boxes import RunningBox

__all__ = ["world"]

TOKEN = "t-1"
PATIENCE = 30.0
PROJECT = Path(__file__).parents[2]
STEPS = [
    "python3 -m unittest",
    "Read tests/test_fuel.py",
    "Read rocket/fuel.py",
    "Edit rocket/fuel.py",
    "python3 -m unittest",
    "git commit -qam 'Count the last, partly filled tank'",
]


@pytest.fixture
def asked() -> str:
    """What the session is asked; a test may ask something else."""
    return "Fix the failing test"


class Webs:
    """Web processes, one after the other or side by side, in one folder of sockets."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment, self._log = environment, log
        self._running: list[asyncio.subprocess.Process] = []

    async def start(self) -> None:
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.gateway.web_process",
                env=self._environment, cwd=PROJECT, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        self._running.append(process)
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            assert await process.stdout.readline() == b"ready\n", self._log.read_text()

    async def end(self, how: signal.Signals) -> None:
        """End the oldest process that runs, and wait until it has."""
        process = self._running.pop(0)
        process.send_signal(how)
        async with asyncio.timeout(PATIENCE):
            await process.wait()

    async def end_all(self) -> None:
        while self._running:
            await self.end(signal.SIGKILL)


class Stage:
    """A session whose box runs here, at the web processes of this stage."""

    def __init__(self, site: Site, session: Session, webs: Webs) -> None:
        self.site, self.session, self.webs = site, session, webs

    @property
    def sid(self) -> str:
        return self.session.id

    async def until(self, true_of: Callable[[Session], object]) -> Session:
        async with asyncio.timeout(PATIENCE):
            while True:
                session = await self.site.store.load(self.sid)
                if session is not None and true_of(session):
                    return session
                await asyncio.sleep(0.01)

    async def until_said(self, kind: type[Any], count: int = 1) -> list[Any]:
        async with asyncio.timeout(PATIENCE):
            while len(found := await self.site.log(self.sid, kind)) < count:
                await asyncio.sleep(0.01)
        return found

    async def told(self) -> list[tuple[str, str]]:
        """What the transcript has of tools: each with each of its statuses."""
        entries = await self.site.store.transcript(self.sid)
        return [(e.body["id"], e.body["status"]) for e in entries if e.kind == "tool"]


@pytest.fixture
async def stage(
    store: Store, redis_url: str, world: World, short_folder: Path, tmp_path: Path, pyz: Path, asked: str
) -> AsyncIterator[Stage]:
    site = Site(store, short_folder)
    environment = site.environment | {
        "PATH": os.environ["PATH"],
        "REDIS_URL": redis_url,
        "SHIPMATE_GATEWAY_DIR": str(short_folder / "gateway"),
        "GITHUB_URL": world.forge.url,
        "GITHUB_TOKEN": world.token,
    }
    webs = Webs(environment, tmp_path / "web.log")
    await site.ask("s1", 1, asked)
    async with a_box(site, pyz, tmp_path / "box", short_folder / "gateway") as session:
        yield Stage(site, session, webs)
        await webs.end_all()


@asynccontextmanager
async def a_box(site: Site, pyz: Path, folder: Path, gateway: Path) -> AsyncIterator[Session]:
    """The session's box: its runner, which finds no gateway yet."""
    await site.box("s1", TOKEN)
    session = await site.store.load("s1")
    assert session is not None
    running = RunningBox(pyz, folder, gateway)
    await running.start(token=TOKEN, box="s1-1", branch=session.branch, limits={"silence_seconds": 5})
    yield session
    await running.kill()


async def test_a_turn_from_prompt_to_push(stage: Stage, world: World) -> None:
    await stage.webs.start()
    (end,) = await stage.until_said(TurnEnded)
    assert (end.outcome, end.error, end.pushed) == ("done", None, True)
    assert [(commit.author, commit.subject) for commit in end.commits] == [
        ("Ada <ada@acme.test>", "Count the last, partly filled tank")
    ]
    assert (await world.branches())[stage.session.branch] == end.head
    assert [event.title for event in await stage.site.log(stage.sid, StepStarted)] == STEPS
    assert {"attached", "delivered"} <= (await stage.site.store.stamps(stage.sid)).keys()


async def test_a_web_process_that_is_killed_in_mid_turn_costs_nothing(stage: Stage, world: World) -> None:
    await stage.webs.start()
    await stage.until_said(StepStarted, 2)
    await stage.webs.end(signal.SIGKILL)
    await stage.webs.start()
    (end,) = await stage.until_said(TurnEnded)
    assert (end.outcome, end.pushed) == ("done", True)
    assert (await world.branches())[stage.session.branch] == end.head
    assert [event.epoch for event in await stage.site.log(stage.sid, LinkAttached)][:2] == [1, 2]
    assert [event.again for event in await stage.site.log(stage.sid, PromptDelivered)] == [False]
    assert [event.title for event in await stage.site.log(stage.sid, StepStarted)] == STEPS
    told = await stage.told()
    assert len(told) == len(set(told)) and sum(status == "completed" for _, status in told) >= 4


async def test_a_web_process_that_ends_in_order_hands_its_boxes_to_the_next(stage: Stage) -> None:
    await stage.webs.start()
    await stage.until_said(StepStarted, 1)
    await stage.webs.start()
    await stage.webs.end(signal.SIGTERM)
    await stage.until_said(LinkAttached, 2)
    (end,) = await stage.until_said(TurnEnded)
    assert (end.outcome, end.pushed) == ("done", True)
    assert [event.title for event in await stage.site.log(stage.sid, StepStarted)] == STEPS


async def test_a_prompt_that_came_while_no_process_was_there_is_done_by_the_next(stage: Stage) -> None:
    await stage.webs.start()
    await stage.until_said(TurnEnded)
    await stage.webs.end(signal.SIGKILL)
    await stage.site.ask(stage.sid, 2, "explain the repository")
    await stage.until(lambda session: session.status is Status.WORKING)
    await stage.webs.start()
    first, second = await stage.until_said(TurnEnded, 2)
    assert (first.turn, second.turn, second.outcome) == (1, 2, "done")


@pytest.mark.parametrize("asked", ["Run a slow command for 30 seconds"])
async def test_a_stop_that_nobody_heard_reaches_the_agent_through_the_next_process(stage: Stage) -> None:
    await stage.webs.start()
    await stage.until_said(StepStarted)
    await stage.webs.end(signal.SIGKILL)
    await stage.site.inbox.handle(stage.sid, c.Stop(GRACE))
    await stage.webs.start()
    (end,) = await stage.until_said(TurnEnded)
    assert (end.outcome, end.turn) == ("stopped", 1)
