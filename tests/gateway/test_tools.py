"""The agent's tools over a real gateway, with the official SDK's client."""

import asyncio
import fcntl
import struct
import termios

import pytest

from bot.gateway.pace import Allowance
from bot.gateway.tools import BODY_BYTES, CALLS_AT_ONCE, CALLS_PER_SECOND
from tests.gateway.conftest import Site, one_box
from tests.gateway.tools_client import posted, text_of, tools_of
from tests.waiting import until


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


CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_sessions","arguments":%s}}'
ODD: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "Parse error"),
    "half an object": (b"{", 400, "Parse error"),
    "no UTF-8": (b"\xff", 400, "Parse error"),
    "endlessly deep": (b'{"a":' * 100_000, 400, "recursion limit"),
    "half a character": (CALL % b'{"a":"\\ud800"}', 400, "Parse error"),
    "a list of messages": (b'[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]', 400, "Validation error"),
    "no method": (b'{"jsonrpc":"2.0","id":1}', 400, "Validation error"),
    "far too much": (b"x" * (1 << 21), 413, ""),
    "another method": (b'{"jsonrpc":"2.0","id":1,"method":"resources/list"}', 200, "Method not found"),
    "deep arguments": (CALL % (b'{"a":' * 100 + b"1" + b"}" * 100), 200, "Extra inputs are not permitted"),
    "arguments that are none": (CALL % b"[]", 200, "Invalid request parameters"),
}


@pytest.mark.parametrize("case", ODD)
async def test_what_is_no_call_is_answered_as_such(site: Site, case: str) -> None:
    body, status, words = ODD[case]
    await site.box()
    async with site.gateway() as socket:
        answer = await posted(socket, body)
        assert (answer.status_code, words in answer.text) == (status, True), answer.text[:500]
        assert (await posted(socket, CALL % b"{}")).json()["result"]["isError"] is False


async def test_a_request_that_is_no_json_or_wants_none_back_is_refused(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket:
        for headers in ({"Content-Type": "text/plain"}, {"Accept": "text/html"}):
            assert (await posted(socket, CALL % b"{}", **headers)).status_code in (400, 406, 415)


async def test_of_very_many_wrong_arguments_not_each_is_told(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, tools_of(socket) as client:
        said = await client.call_tool("ask_people", {f"a{n}": n for n in range(10_000)})
    assert said.is_error and "with 10000 arguments" in text_of(said)


async def test_long_requests_count_for_more_and_too_long_ones_are_refused(site: Site) -> None:
    await site.box()
    await site.box("s2", "t-2")
    long = CALL % b'{"question": "%b"}' % (b"x" * 400_000)
    async with site.gateway() as socket:
        statuses = [200]
        while statuses[-1] == 200 and len(statuses) < 100:
            statuses.append((await posted(socket, long)).status_code)
        assert (statuses[1], statuses[-1]) == (200, 429)
        assert (await posted(socket, long, "t-2")).status_code == 200
        assert (await posted(socket, CALL % b'{"question": "%b"}' % (b"x" * BODY_BYTES), "t-2")).status_code == 413


async def test_what_was_sent_counts_though_its_sender_hung_up(site: Site) -> None:
    await site.box()
    body = CALL % b'{"question": "%b"}' % (b"x" * 400_000)
    head = (
        b"POST /tools/mcp HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer t-1\r\nContent-Type: application/json\r\n"
    )
    head += b"Accept: application/json\r\nContent-Length: %d\r\n\r\n" % (len(body) + 1)
    async with site.gateway() as socket:
        assert (await posted(socket, CALL % b"{}")).status_code == 200

        async def cut() -> None:
            _, writer = await asyncio.open_unix_connection(socket)
            writer.write(head + body)
            await writer.drain()
            await until(lambda: not unread(writer.get_extra_info("socket").fileno()))
            writer.close()

        await asyncio.gather(*(cut() for _ in range(20)))
        statuses = {(await posted(socket, CALL % b"{}")).status_code for _ in range(5)}
        assert 429 in statuses


def unread(sending: int) -> int:
    """How many bytes of a connection the other end has not read yet."""
    return int(struct.unpack("i", fcntl.ioctl(sending, termios.TIOCOUTQ, bytes(4)))[0])


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
    pace = Allowance(CALLS_AT_ONCE, CALLS_PER_SECOND)
    assert all(pace.allows("s1", 0.0) for _ in range(int(CALLS_AT_ONCE)))
    assert not pace.allows("s1", 0.0)
    assert pace.allows("s2", 0.0)
    assert not pace.allows("s1", 0.5 / CALLS_PER_SECOND)
    assert pace.allows("s1", 1.1 / CALLS_PER_SECOND)
    assert not pace.allows("s1", 1.2 / CALLS_PER_SECOND)
