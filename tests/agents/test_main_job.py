"""The main job with real agents: two people, one pull request; stopped, killed in mid-turn, put to sleep, restored."""

import os
import signal
from collections.abc import Callable

import pytest

from bot.view import ANEW
from jobs.operations import park_box
from jobs.session import Status
from sandbox import agents
from tests.agents.boxes import agents_in, commands_in, run, wire
from tests.e2e.people import Office, Thread, until

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECONDS = 400.0  # of patience: a machine may be busy


def is_run(command: str) -> Callable[[list[str]], bool]:
    return lambda found: any(each.strip() == command for each in found)


async def stopped_in_a_command(office: Office, thread: Thread, prompts: int) -> None:
    """A command is stopped in its middle with all that it started, and the agent lives on."""
    before = await agents_in(office, thread)
    await office.ada.replies(thread, "run a slow command for 100 seconds")
    await thread.until(lambda s: len(s.seen) == prompts and s.status is Status.WORKING, SECONDS)
    await thread.hears("sleep 100", seconds=SECONDS)
    await until(lambda: commands_in(office, thread), is_run("sleep 100"), SECONDS)
    await office.grace.replies(thread, "stop")
    await thread.settled(prompts, SECONDS)
    assert (await thread.endings())[-1].outcome == "stopped"
    assert (await agents_in(office, thread))[:1] == before[:1]
    await until(lambda: commands_in(office, thread), lambda found: not is_run("sleep 100")(found))


async def killed_in_mid_turn(office: Office, thread: Thread, prompts: int) -> None:
    """The agent's process dies in the middle of a turn: it is started again and asked once more."""
    await office.ada.replies(thread, "run a slow command for 6 seconds")
    await thread.until(lambda s: len(s.seen) == prompts and s.status is Status.WORKING, SECONDS)
    await until(lambda: commands_in(office, thread), is_run("sleep 6"), SECONDS)
    first, *_ = await agents_in(office, thread)
    os.kill(first, signal.SIGKILL)
    await thread.settled(prompts, SECONDS)
    ending = (await thread.endings())[-1]
    assert (ending.outcome, ending.error) == ("done", None)
    assert any(event.kind == "phase_reached" and event.phase == "agent_restarting" for event in await thread.log())


async def put_to_sleep(office: Office, thread: Thread) -> None:
    async def tried() -> Status:
        await park_box(office.shop, thread.sid)
        session = await thread.session()
        assert session is not None
        return session.status

    await until(tried, lambda status: status is Status.ASLEEP, SECONDS)


async def test_a_session_lives_its_whole_life(agent: str, office: Office) -> None:
    thread = await office.ada.says("@shipmate fix the failing test")
    await thread.until(lambda s: s.status is Status.WORKING, SECONDS)
    await office.grace.replies(thread, "add a line to the README saying hello")
    session = await thread.settled(2, SECONDS)
    assert [ending.outcome for ending in await thread.endings()] == ["done", "done"]
    assert session.pull_request is not None
    commits = await office.commits(session.pull_request.number)
    assert len(commits) == 2, (await run(office, thread, "git", "log", "-p", f"-{len(commits)}")).decode()
    fix, line = commits
    assert (fix["author"], line["author"]) == (
        "Ada Lovelace <ada@acme.example>",
        "Grace Hopper <grace@acme.example>",
    )
    assert line["co_authors"] == ["Ada Lovelace <ada@acme.example>"]
    patch = await office.patch(session.pull_request.number)
    assert "+    return math.ceil(fuel / tank)" in patch and "+hello" in patch
    card = await thread.card()
    assert all(words in card.words for words in ("I will find the failing test", "asked by Ada Lovelace", "1 commit"))
    steps = [(event.tool, event.title) for event in await thread.log() if event.kind == "step_started"]
    assert ("execute", "python3 -m unittest") in steps
    assert any(tool == "read" and "test_fuel.py" in title for tool, title in steps), steps
    assert any(tool == "edit" for tool, _ in steps), steps

    await stopped_in_a_command(office, thread, 3)
    await killed_in_mid_turn(office, thread, 4)
    messages = await wire(office, thread)
    assert any("session/prompt" in str(message.get("to", "")) for message in messages)

    await put_to_sleep(office, thread)
    await office.grace.replies(thread, "what did you do here?")
    session = await thread.settled(5, SECONDS)
    assert (session.generation, session.status) == (2, Status.IDLE)
    resumed = [event.resumed for event in await thread.log() if event.kind == "agent_ready"][-1]
    if agents.row(agent).resumes != "none":
        assert resumed
        known = (await thread.endings())[-1].summary
        assert "“fix the failing test”" in known and "“add a line to the README saying hello”" in known
    elif not resumed:  # now and then it can all the same, but only with what it knows since it was killed
        await thread.hears(ANEW)
        known = str([line["to"] for line in await wire(office, thread) if "session/prompt" in str(line.get("to"))][-1])
        assert "asked: fix the failing test — done" in known and "saying hello — done" in known
