"""Questions, files and the pull request's words, asked for by an agent over the real gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import mcp_types
import pytest
from mcp.client.client import Client

from bot.gateway.tools_people import TURN_OVER
from jobs import commands as c
from jobs import commands_tools as t
from jobs.events import AnswerTaken, FileRefused, PullRequestDescribed, QuestionAsked
from tests.gateway.conftest import Box, Json, Site, ended, one_box
from tests.gateway.tools_client import text_of, tools_of
from tests.logs import GRACE

TABS: Json = {"question": "Tabs or spaces?", "options": ["tabs", "spaces"]}


@asynccontextmanager
async def at_work(site: Site, **settings: str) -> AsyncIterator[tuple[Client, Box]]:
    """An agent in the middle of its first turn, and its box."""
    await site.box()
    async with (
        site.gateway(**settings) as socket,
        one_box(socket) as box,
        tools_of(socket) as agent,
    ):
        await box.get_ready()
        yield agent, box


async def asked(site: Site) -> str:
    session = await site.until("s1", lambda session: session.inquiries)
    return session.inquiries[-1].id


def words(result: mcp_types.CallToolResult) -> tuple[bool, str]:
    return bool(result.is_error), text_of(result)


async def test_the_agent_gets_the_answer_that_somebody_gives_while_it_waits(site: Site) -> None:
    async with at_work(site) as (agent, _):
        calling = asyncio.create_task(agent.call_tool("ask_people", TABS))
        await site.inbox.handle("s1", t.AnswerQuestion(await asked(site), "spaces", GRACE))
        assert words(await calling) == (False, "Grace answered: spaces")
        assert words(await agent.call_tool("ask_people", TABS)) == (False, "Grace answered: spaces"), "asked again"
        assert len(await site.log("s1", QuestionAsked)) == len(await site.log("s1", AnswerTaken)) == 1


async def test_without_an_answer_in_time_it_is_told_to_end_its_turn_and_gets_it_as_its_next_request(site: Site) -> None:
    async with at_work(site, SHIPMATE_ASK_SECONDS="0.05") as (agent, box):
        wrong, said = words(await agent.call_tool("ask_people", TABS))
        assert not wrong and "end your turn now" in said
        await box.up(ended(2))
        session = await site.inbox.handle("s1", t.AnswerQuestion("q1", "spaces", GRACE))
        assert session.turn is not None and session.turn.prompt.author == GRACE
        assert session.turn.prompt.text.startswith("spaces")


async def test_a_question_outlives_the_gateway_that_was_asked(site: Site) -> None:
    async with at_work(site) as (agent, _):
        calling = asyncio.create_task(agent.call_tool("ask_people", TABS))
        await asked(site)
        async with site.gateway("b") as other, tools_of(other) as same:
            again = asyncio.create_task(same.call_tool("ask_people", TABS))
            await site.inbox.handle("s1", t.AnswerQuestion("q1", "tabs", GRACE))
            assert words(await again) == words(await calling) == (False, "Grace answered: tabs")


async def test_an_agent_that_waits_while_the_gateway_closes_is_told_to_call_again(site: Site) -> None:
    await site.box()
    gateway = AsyncExitStack()
    socket = await gateway.enter_async_context(site.gateway())
    async with one_box(socket) as box, tools_of(socket) as agent:
        await box.get_ready()
        calling = asyncio.create_task(agent.call_tool("ask_people", TABS))
        await asked(site)
        closing = asyncio.create_task(gateway.aclose())
        wrong, said = words(await calling)
        await closing
    assert wrong and "Call ask_people again with the very same arguments" in said


async def test_whoever_waits_is_told_when_the_turn_is_stopped(site: Site) -> None:
    async with at_work(site) as (agent, _):
        calling = asyncio.create_task(agent.call_tool("ask_people", TABS))
        await asked(site)
        await site.inbox.handle("s1", c.Stop(GRACE))
        assert words(await calling) == (True, TURN_OVER)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"question": ""},
        {"question": " \u200b "},
        {"question": "x" * 2_000},
        {"question": "?", "options": ["x" * 80]},
        {"question": "?", "options": [""]},
        {"question": "?", "options": ["a"] * 11},
        {"question": "?", "options": "tabs"},
        {"question": "?", "session": "s2"},
    ],
)
async def test_a_question_that_is_none_is_refused_and_changes_nothing(site: Site, wrong: Json) -> None:
    async with at_work(site) as (agent, _):
        is_wrong, said = words(await agent.call_tool("ask_people", wrong))
        assert is_wrong and said.startswith("ask_people was called wrongly. ")
        assert await site.log("s1", QuestionAsked) == []


async def test_the_words_of_the_pull_request_are_kept_and_the_agent_hears_when_they_count(site: Site) -> None:
    async with at_work(site) as (agent, _):
        wish = {"title": "Round\ntanks up", "body": "Because.", "draft": True}
        wrong, said = words(await agent.call_tool("open_pull_request", wish))
        assert not wrong and "When your turn ends" in said
        (described,) = await site.log("s1", PullRequestDescribed)
        assert (described.title, described.body, described.draft) == ("Round tanks up", "Because.", True)


async def test_a_box_that_does_not_know_files_leads_to_an_error_that_says_so(site: Site) -> None:
    async with at_work(site, SHIPMATE_ASK_SECONDS="0.05") as (agent, _):
        wrong, said = words(await agent.call_tool("attach", {"path": "shot.png"}))
        assert wrong and "older runner" in said
        assert len(await site.log("s1", FileRefused)) == 1
