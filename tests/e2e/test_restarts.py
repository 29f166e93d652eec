"""Ctrl-C puts the boxes to sleep and leaves no process; the next start with the same folder goes on where it was."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from bot.ports import free_port
from bot.stack import Stack
from jobs.session import Status
from tests.e2e.conftest import environment, office_of, state_folder
from tests.e2e.people import Office, Thread, until

pytestmark = pytest.mark.asyncio(loop_scope="session")
EVERYTHING = ("playground", "redis", "web", "boxes", "images", "publish", "upkeep")


@asynccontextmanager
async def running(state: Path, port: int) -> AsyncIterator[Office]:
    async with Stack.running(state, environment(), page_port=port) as stack, office_of(stack) as office:
        yield office


def processes_naming(folder: Path) -> list[str]:
    """The command lines, and the environments, of processes that have to do with this folder."""
    needle, found = str(folder).encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
                if needle in line or needle in (entry / "environ").read_bytes():
                    found.append(line.replace(b"\0", b" ").decode())
            except OSError:
                continue
    return found


async def test_parked_in_mid_turn_and_restored_with_work_and_conversation_by_the_next_start() -> None:
    port = free_port()
    with state_folder() as state:
        async with running(state, port) as office:
            thread = await office.ada.says("@shipmate add a line to the README saying the first day")
            number = (await thread.settled()).pull_request
            await office.ada.replies(thread, "run a slow command for 2 seconds")
            await thread.hears("› sleep 2")
            await office.stack.park()
            session = await thread.session()
            assert session is not None and session.status in (Status.ASLEEP, Status.WAITING) and session.box is None
        assert processes_naming(state) == []

        async with running(state, port) as office:
            thread = Thread(office, thread.channel, thread.ts)
            await thread.settled(prompts=2)
            await office.grace.replies(thread, "what did you do here?")
            session = await thread.settled(prompts=3)
            assert session.generation == 2 and session.pull_request == number
            resumed = [event.resumed for event in await thread.log() if event.kind == "agent_ready"]
            assert resumed == [False, True]
            assert [ending.outcome for ending in await thread.endings()] == ["done"] * 3
            await thread.hears("Earlier in this conversation I was asked", "saying the first day")
            cards = [said.card for said in await thread.from_us()]
            assert len(set(cards)) == len(cards)
            await office.stack.discard()
        assert processes_naming(state) == []


async def test_ctrl_c_of_the_demo_parks_the_boxes_and_leaves_no_process() -> None:
    port = free_port()
    with state_folder() as state:
        demo = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "demo", "--state", str(state), "--port", str(port)),
            env=environment() | {"HOME": str(state)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with aiohttp.ClientSession() as http:
            assert demo.stdout is not None
            page = await until(demo.stdout.readline, lambda line: b"Shipmate is ready" in line, 60)
            assert f"http://127.0.0.1:{port}/".encode() in page
            async with http.get(f"http://127.0.0.1:{port}/playground/bootstrap") as answer:
                people = {person["name"]: person["token"] for person in (await answer.json())["people"]}
            said = {"channel": "C0DEV", "text": "<@U0SHIPMATE> run a slow command for 60 seconds"}
            headers = {"Authorization": f"Bearer {people['ada']}"}
            url = f"http://127.0.0.1:{port}/api/"
            async with http.post(url + "chat.postMessage", data=said, headers=headers) as answer:
                thread = (await answer.json())["ts"]

            async def replies() -> str:
                asked = {"channel": "C0DEV", "ts": thread}
                async with http.post(url + "conversations.replies", data=asked, headers=headers) as answer:
                    return json.dumps(await answer.json())

            await until(replies, lambda words: "sleep 60" in words)
        demo.send_signal(signal.SIGINT)
        rest, _ = await asyncio.wait_for(demo.communicate(), 30)
        assert demo.returncode == 0 and b"Good night" in rest
        assert processes_naming(state) == []
        assert any(state.glob("boxes/layer*/*")) or not state.glob("boxes/box/*")
