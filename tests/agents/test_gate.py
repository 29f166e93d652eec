"""Reads pass and writes wait while the repository is fetched, with real agents; one that never asks waits itself."""

import json
import time

import pytest

from bot.gateway.mirrors import FRESH_SECONDS, MARK
from jobs.events import AgentReady, Event, PhaseReached, PromptDelivered, StepStarted, TurnEnded
from jobs.session import Status
from tests.agents.boxes import run, wire
from tests.agents.test_main_job import SECONDS
from tests.e2e.people import Office, Thread, until

pytestmark = pytest.mark.asyncio(loop_scope="session")
README = ("cat", "/work/repo/README.md")
# What starts a subagent: the tool, and which one is to be started.
SUBAGENTS = {
    "opencode": ("task", {"subagent_type": "general"}),
    "claude": ("agent", {"subagent_type": "general-purpose"}),
}
asks_first = pytest.mark.of(lambda row: row.gate == "ask")
never_asks = pytest.mark.of(lambda row: row.gate != "ask")


async def while_the_forge_is_away(office: Office, words: str) -> Thread:
    """A mention whose box has a tree from an image, and cannot fetch what is new."""
    await until(lambda: office.shop.store.images.newest("acme/rocket"), lambda image: image is not None, SECONDS)
    await office.forge(down=True)
    down = time.time()

    async def outdated() -> float:  # what the gateway has just fetched it gives out without asking the forge again
        return time.time() - max([down, *(each.stat().st_mtime for each in (office.stack.state / "git").rglob(MARK))])

    await until(outdated, lambda seconds: seconds > FRESH_SECONDS)
    thread = await office.ada.says(f"@shipmate {words}")
    await until(thread.log, lambda log: reached(log, "syncing_again") is not None, SECONDS)
    return thread


def reached(log: list[Event], phase: str) -> int | None:
    return next((event.seq for event in log if isinstance(event, PhaseReached) and event.phase == phase), None)


def first(log: list[Event], kind: type[Event]) -> int:
    return next(event.seq for event in log if isinstance(event, kind))


async def asks(office: Office, thread: Thread) -> list[str]:
    """What the agent has asked leave for so far."""
    lines = [line.get("from") for line in await wire(office, thread)]
    return [json.dumps(line) for line in lines if "session/request_permission" in json.dumps(line)]


async def done(office: Office, thread: Thread, line: str = "") -> list[Event]:
    """The forge is back: what waited is done, on what the forge has."""
    await office.forge(down=False)
    session = await thread.settled(1, SECONDS)
    log = await thread.log()
    assert [event.outcome for event in log if isinstance(event, TurnEnded)] == ["done"]
    if line:
        assert session.pull_request is not None
        assert f"+{line}" in await office.patch(session.pull_request.number)
    return log


@asks_first
async def test_its_reads_pass(agent: str, office: Office) -> None:
    thread = await while_the_forge_is_away(office, "what is this repository?")

    async def heard() -> list[str]:
        return [entry.body["text"] for entry in await office.shop.store.transcript(thread.sid) if entry.kind == "text"]

    await until(heard, lambda said: "my script knows no more about it" in "".join(said), SECONDS)
    log = await thread.log()
    assert reached(log, "synced") is None and not any(isinstance(event, TurnEnded) for event in log)
    assert [event.tool for event in log if isinstance(event, StepStarted)] == ["read"]
    await done(office, thread)


@asks_first
async def test_its_writes_wait(agent: str, office: Office) -> None:
    line = f"{agent} waited for this"
    thread = await while_the_forge_is_away(office, f"add a line to the README saying {line}")
    await until(lambda: asks(office, thread), bool, SECONDS)
    assert line not in (await run(office, thread, *README)).decode()
    log = await done(office, thread, line)
    synced = reached(log, "synced")
    assert synced is not None and first(log, PromptDelivered) < synced < first(log, TurnEnded)


@pytest.mark.of(lambda row: row.name in SUBAGENTS)
async def test_what_its_subagent_would_write_waits_too(agent: str, office: Office) -> None:
    line, (tool, which) = f"a subagent of {agent} was here", SUBAGENTS[agent]
    task = {"description": "Add a line", "prompt": f"add a line to the README saying {line}"}
    thread = await while_the_forge_is_away(office, f"use tool {tool} {json.dumps(task | which)}")
    await until(lambda: asks(office, thread), bool, SECONDS)
    assert line not in (await run(office, thread, *README)).decode()
    await done(office, thread, line)


@never_asks
async def test_one_that_never_asks_gets_its_prompt_after_the_sync(agent: str, office: Office) -> None:
    thread = await while_the_forge_is_away(office, f"add a line to the README saying {agent} waited")
    assert (await thread.until(lambda s: True)).status is Status.PREPARING
    log = await done(office, thread, f"{agent} waited")
    synced = reached(log, "synced")
    assert synced is not None and synced < first(log, AgentReady) < first(log, PromptDelivered)
