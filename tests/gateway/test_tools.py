"""The agent's tools over a real gateway, with the official SDK's client."""

import asyncio

import pytest

from bot.gateway.tools import CALLS_AT_ONCE, CALLS_PER_SECOND, CallPace
from tests.gateway.conftest import Site, one_box
from tests.gateway.tools_client import text_of, tools_of


async def test_an_agent_shakes_hands_and_lists_the_tools(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, tools_of(socket) as client:
        listed = await client.list_tools()
        assert client.server_info is not None and client.server_info.name == "shipmate"
        for tool in listed.tools:
            assert tool.input_schema["type"] == "object" and tool.description


async def test_a_tool_that_is_not_there_is_an_error_that_names_those_that_are(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, tools_of(socket) as client:
        result = await client.call_tool("rm_rf", {})
        assert result.is_error and "There is no tool 'rm_rf' here. There are: " in text_of(result)


async def test_nobody_without_a_token_reaches_the_tools(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket, "stranger") as stranger:
        assert (await stranger.post("/tools/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})).status == 401


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"jsonrpc":"2.0"}', b'{"jsonrpc":"2.0","id":1}', b"\xff"]
)
async def test_what_is_no_message_is_answered_as_such(site: Site, body: bytes) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        assert (await box.post("/tools/mcp", body)).status == 400


async def test_many_boxes_are_served_at_once(site: Site) -> None:
    for n in range(20):
        await site.box(f"s{n}", f"t-{n}")
    async with site.gateway() as socket:

        async def asked(n: int) -> str:
            async with tools_of(socket, f"t-{n}") as client:
                return text_of(await client.call_tool("nothing", {}))

        said = await asyncio.gather(*map(asked, range(20)))
    assert all("There is no tool" in words for words in said)


def test_a_session_that_calls_in_a_loop_is_slowed_down_and_others_are_not() -> None:
    pace = CallPace()
    assert all(pace.allows("s1", 0.0) for _ in range(int(CALLS_AT_ONCE)))
    assert not pace.allows("s1", 0.0)
    assert pace.allows("s2", 0.0)
    assert not pace.allows("s1", 0.5 / CALLS_PER_SECOND)
    assert pace.allows("s1", 1.1 / CALLS_PER_SECOND)
    assert not pace.allows("s1", 1.2 / CALLS_PER_SECOND)
