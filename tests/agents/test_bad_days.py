"""Real agents whose conversation is damaged: the thread is told, and a new one begins with what was done before."""

import os
import shlex
import signal

import pytest

from bot.view import ANEW
from jobs.events import AgentReady
from sandbox import agents
from tests.agents.boxes import agents_in, run, wire
from tests.agents.test_main_job import SECONDS
from tests.e2e.people import Office, Thread, until

pytestmark = pytest.mark.asyncio(loop_scope="session")
SPOIL = 'for file in $(find {} -type f -size +0); do echo "no longer what it was" > "$file"; done'


async def readies(thread: Thread) -> list[AgentReady]:
    return [event for event in await thread.log() if isinstance(event, AgentReady) and event.synced]


async def test_a_damaged_conversation_is_told_and_a_new_one_knows_what_was(agent: str, office: Office) -> None:
    thread = await office.ada.says("@shipmate add a line to the README saying before the damage")
    await thread.settled(1, SECONDS)
    known = len(await readies(thread))
    folders = " ".join(shlex.quote(f"/work/home/{folder}") for folder in agents.row(agent).state)
    for pid in await agents_in(office, thread):
        os.kill(pid, signal.SIGSTOP)
    await run(office, thread, "sh", "-c", SPOIL.format(folders))
    for pid in await agents_in(office, thread):
        os.kill(pid, signal.SIGKILL)
    again = await until(lambda: readies(thread), lambda found: len(found) > known, SECONDS)
    assert again[-1].resumed is False
    await thread.hears(ANEW)

    await office.grace.replies(thread, "add a line to the README saying after the damage")
    session = await thread.settled(2, SECONDS)
    assert (await thread.endings())[-1].outcome == "done"
    [prompted] = [
        line["to"]["params"]["prompt"][1]["text"]
        for line in await wire(office, thread)
        if "session/prompt" in str(line.get("to")) and "after the damage" in str(line["to"])
    ]
    assert "Ada Lovelace asked: add a line to the README saying before the damage — done: " in prompted
    assert session.pull_request is not None
    patch = await office.patch(session.pull_request.number)
    assert "+before the damage" in patch and "+after the damage" in patch
