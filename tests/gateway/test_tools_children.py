"""Sessions that an agent starts through its tools: over a real gateway, with the official SDK's client."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp.client.client import Client

from bot.gateway.tools_children import CHILDREN_TOOLS, UNKNOWN, WAITING_MOST
from jobs import commands as c
from jobs import events as e
from jobs.session import Session, Status
from tests.gateway.conftest import Box, Site, ended, frame, one_box
from tests.gateway.tools_client import text_of, tools_of
from tests.logs import ADA, PLACE, RULES

TASK = {"repository": "acme/pad", "prompt": "Paint the pad"}


@asynccontextmanager
async def at_work(site: Site, sid: str = "s1", token: str = "t-1") -> AsyncIterator[tuple[Client, Box]]:
    """A session whose agent works on a prompt of Ada's, and may use its tools."""
    site.environment["SHIPMATE_REPOSITORIES"] = "acme/rocket,acme/pad@trunk"
    site.environment["SHIPMATE_AGENTS_DIR"] = str(site.folder / "no-agents")
    await site.box(sid, token)
    async with site.gateway(sid) as socket, one_box(socket, token) as box, tools_of(socket, token) as client:
        await box.get_ready()
        yield client, box


async def said(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return text_of(result)


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error, (tool, arguments, text_of(result))
    return text_of(result)


async def children_of(site: Site, sid: str = "s1") -> list[Session]:
    root = await site.store.load(sid)
    assert root is not None
    found = [await site.store.load(child.id) for child in root.children]
    return [child for child in found if child is not None]


async def test_a_session_is_started_for_the_person_whose_request_it_is(site: Site) -> None:
    async with at_work(site) as (client, _):
        words = await said(client, "spawn_session", **TASK)
    (child,) = await children_of(site)
    assert f"Session #1 works on acme/pad now, on a branch of its own; its id is {child.id}." in words
    assert "You are given its report as your next request" in words
    assert (child.repository, child.base_branch, child.agent, child.place) == ("acme/pad", "trunk", "rehearsal", PLACE)
    assert child.queue[0].author == ADA == child.opened_by
    assert child.lineage == e.Lineage(parent="s1", root="s1", depth=1, number=1)
    assert child.status is Status.WAITING and child.branch != "shipmate/s1"
    assert [event.kind for event in await site.log("s1")][-2:] == ["child_spawned", "child_handed"]


async def test_the_same_task_is_one_session_however_often_it_is_asked_for(site: Site) -> None:
    async with at_work(site) as (client, _):
        first = await said(client, "spawn_session", **TASK)
        again = await asyncio.gather(*(said(client, "spawn_session", **TASK) for _ in range(5)))
        assert {first, *again} == {first}
        await said(client, "spawn_session", **TASK | {"prompt": "Paint it red"})
    assert len(await children_of(site)) == 2


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("spawn_session", {}, "repository: Field required; prompt: Field required"),
    ("spawn_session", TASK | {"prompt": 7}, "prompt: Input should be a valid string"),
    ("spawn_session", TASK | {"prompt": "  "}, "prompt: Value error, must say something"),
    ("spawn_session", TASK | {"prompt": "x" * 20_001}, "prompt: String should have at most 20000 characters"),
    ("spawn_session", TASK | {"wait": "perhaps"}, "wait: Input should be a valid boolean"),
    ("spawn_session", TASK | {"branch": "--upload-pack=x"}, "branch: String should match pattern"),
    ("spawn_session", TASK | {"branch": "main/"}, "branch: String should match pattern"),
    ("spawn_session", TASK | {"branch": "main...x"}, "branch: Value error, is no name of a branch"),
    ("spawn_session", TASK | {"branch": "a.lock/b"}, "branch: Value error, is no name of a branch"),
    ("spawn_session", TASK | {"owner": "me"}, "owner: Extra inputs are not permitted"),
    (
        "spawn_session",
        TASK | {"repository": "acme/secret"},
        "not enabled. Enabled repositories: acme/rocket, acme/pad.",
    ),
    ("spawn_session", TASK | {"agent": "hal"}, "there is no agent called 'hal'"),
    ("spawn_session", TASK | {"agent": "opencode", "model": "gpt"}, "a model is written provider/name"),
    ("spawn_session", TASK | {"agent": "opencode"}, "opencode is not installed here"),
    ("session_status", {"session": 3}, "session: Input should be a valid string"),
    ("session_status", {"session": "s1"}, UNKNOWN),
    ("read_session", {"session": "#1"}, UNKNOWN),
    ("prompt_session", {"session": "nobody", "prompt": "go on"}, UNKNOWN),
    ("stop_session", {"session": ""}, UNKNOWN),
    ("list_sessions", {"all": True}, "all: Extra inputs are not permitted"),
]


async def test_what_cannot_be_done_is_refused_with_what_to_do_and_changes_nothing(site: Site) -> None:
    async with at_work(site) as (client, _):
        before = await site.log("s1")
        for tool, arguments, why in WRONG:
            words = await refused(client, tool, **arguments)
            assert why in words, (tool, arguments)
            assert "x" * 100 not in words, "what was wrong is not repeated"
    assert await site.log("s1") == before


async def test_nobody_steers_or_sees_what_another_has_started(site: Site) -> None:
    async with at_work(site) as (mine, _), at_work(site, "s2", "t-2") as (theirs, _):
        await said(mine, "spawn_session", **TASK)
        (child,) = await children_of(site)
        for name in (child.id, "#1", "1"):
            for tool in ("session_status", "read_session", "stop_session"):
                assert await refused(theirs, tool, session=name) == UNKNOWN
            assert await refused(theirs, "prompt_session", session=name, prompt="Tell me all") == UNKNOWN
        assert json.loads(await said(theirs, "list_sessions")) == {"sessions": []}


async def test_a_session_that_was_started_sees_its_own_and_not_those_beside_it(site: Site) -> None:
    async with at_work(site) as (client, _):
        await said(client, "spawn_session", **TASK)
        await said(client, "spawn_session", **TASK | {"prompt": "Paint the other pad"})
        first, second = await children_of(site)
        async with working_child(site, first) as theirs:
            assert await refused(theirs, "read_session", session=second.id) == UNKNOWN
            assert await refused(theirs, "stop_session", session="s1") == UNKNOWN
            assert "Session #3" in await said(theirs, "spawn_session", **TASK)
            (own,) = json.loads(await said(theirs, "list_sessions"))["sessions"]
            assert (own["number"], own["state"]) == ("#3", "working")
        assert len(json.loads(await said(client, "list_sessions"))["sessions"]) == 3


@asynccontextmanager
async def working_child(site: Site, child: Session) -> AsyncIterator[Client]:
    session = await site.inbox.handle(child.id, c.BeginStart(0))
    await site.inbox.handle(child.id, c.FinishStart(1, f"{child.id}-1", "cold", None, True))
    await site.grant(session, "t-child")
    async with site.gateway("child") as socket, one_box(socket, "t-child") as box:
        await box.get_ready()
        async with tools_of(socket, "t-child") as client:
            yield client


async def test_a_storm_is_bounded_and_the_log_stays_small(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bot.gateway.tools")
    async with at_work(site) as (client, _):
        before = len(await site.log("s1"))
        calls = (client.call_tool("spawn_session", TASK | {"prompt": f"Task {n}"}) for n in range(100))
        answers = await asyncio.gather(*calls)
    words = [text_of(answer) for answer in answers]
    started = [answer for answer in answers if not answer.is_error]
    assert len(started) == RULES.children_parallel == len(await children_of(site))
    assert any("which is the most at a time" in said for said in words)
    assert sum("Too many tool calls" in said for said in words) >= 30
    assert sum("too many calls" in line for line in caplog.messages) == 1
    assert len(await site.log("s1")) - before == 2 * RULES.children_parallel


async def test_a_session_is_not_buried_under_requests_of_the_one_that_started_it(site: Site) -> None:
    async with at_work(site) as (client, _):
        await said(client, "spawn_session", **TASK)
        for n in range(WAITING_MOST - 1):
            await said(client, "prompt_session", session="1", prompt=f"More {n}")
        why = await refused(client, "prompt_session", session="1", prompt="One more")
        assert "10 requests wait in #1 already" in why
        assert "Session #1 has it." in await said(client, "prompt_session", session="1", prompt="More 0")
        (child,) = await children_of(site)
        assert len(child.queue) == WAITING_MOST


async def test_outside_of_a_turn_nothing_is_started(site: Site) -> None:
    async with at_work(site) as (client, box):
        await box.up(frame(2, "turn_started", turn=1), ended(3))
        assert "only while a request is worked on" in await refused(client, "spawn_session", **TASK)


async def test_an_agent_looks_after_what_it_started(site: Site) -> None:
    async with at_work(site) as (client, _):
        await said(client, "spawn_session", **TASK)
        (child,) = await children_of(site)
        status = json.loads(await said(client, "session_status", session="#1"))
        assert (status["session"], status["state"], status["phase"]) == (child.id, "working", "Waiting for a box")
        assert "Session #1 has it." in await said(
            client, "prompt_session", session="1", prompt="Paint it red", wait=False
        )
        await said(client, "prompt_session", session="1", prompt="Paint it red", wait=False)
        (child,) = await children_of(site)
        assert [prompt.text for prompt in child.queue] == ["Paint the pad", "Paint it red"]
        read = json.loads(await said(client, "read_session", session=child.id))
        assert (read["branch"], read["diff"]) == (child.branch, "Nothing has been pushed yet.")
        assert "is stopping" in await said(client, "stop_session", session="#1")
        (child,) = await children_of(site)
        assert child.queue == ()
        assert "nothing left to stop" in await refused(client, "stop_session", session="#1")


async def test_an_old_box_of_the_session_may_use_no_tool(site: Site) -> None:
    async with at_work(site) as (client, _):
        await site.inbox.handle("s1", c.LoseBox(1, "gone"))
        await site.inbox.handle("s1", c.BeginStart(1))
        assert "not its session's any more" in await refused(client, "spawn_session", **TASK)


def test_every_tool_teaches_when_to_use_it() -> None:
    for tool in CHILDREN_TOOLS:
        assert len(tool.description) > 60 and tool.arguments.model_json_schema()["type"] == "object"
