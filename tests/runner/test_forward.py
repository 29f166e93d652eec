"""The gateway's address in the box: what passes, what is added, what does not pass."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.runner.boxes import RunningBox
from tests.runner.gateway import StandIn


@pytest.fixture
async def address(box: RunningBox, gateway: StandIn) -> str:
    await box.start()
    await gateway.frame("ready")
    return await box.address()


async def talk(address: str, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send bytes as they are."""
    reader, writer = await asyncio.open_connection(*address.removeprefix("http://").split(":"))
    writer.write(request)
    return reader, writer


async def status_of(address: str, request: bytes) -> bytes:
    reader, writer = await talk(address, request)
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    return line.split()[1]


async def test_the_token_is_put_in_and_the_agents_own_credentials_are_left_out(address: str, gateway: StandIn):
    mine = {"Authorization": "Bearer mine", "x-api-key": "mine", "User-Agent": "agent/1", "X-Other": "kept"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{address}/model/v1?a=b", data=b"hello", headers=mine) as got,
    ):
        assert (got.status, await got.read(), got.headers["X-Answered"]) == (200, b"hello", "yes")
    [(line, headers, body)] = gateway.asked
    assert (line, body) == ("POST /model/v1?a=b", b"hello")
    assert headers["Authorization"] == "Bearer token"
    assert "x-api-key" not in {name.lower() for name in headers}
    assert (headers["X-Other"], headers["X-Forwarded-Agent"]) == ("kept", "agent/1")


async def test_an_answer_comes_piece_by_piece(address: str, gateway: StandIn):
    async with aiohttp.ClientSession() as http, http.post(f"{address}/model/slow", data=b"x") as got:
        assert await got.content.readany() == b"first words, "
        gateway.release.set()
        assert await got.content.read() == b"last words"


async def test_a_body_in_chunks_arrives_whole(address: str, gateway: StandIn):
    async def chunks() -> AsyncIterator[bytes]:
        for number in range(50):
            yield b"%d," % number * 1000

    async with aiohttp.ClientSession() as http, http.post(f"{address}/tools/echo", data=chunks()) as got:
        echoed = await got.read()
    assert echoed == b"".join([b"%d," % number * 1000 for number in range(50)]) == gateway.asked[0][2]


async def test_a_client_that_waits_to_be_told_to_go_on_is_told(address: str, gateway: StandIn):
    head = b"POST /model/sized HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    reader, writer = await talk(address, head)
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"hello")
    answer = await asyncio.wait_for(reader.readuntil(b"hello"), 5)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()


async def test_a_connection_serves_one_request_after_the_other(address: str, gateway: StandIn):
    one = b"POST /model/sized HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
    reader, writer = await talk(address, one + b"abc")
    await asyncio.wait_for(reader.readuntil(b"abc"), 5)
    writer.write(one + b"def")
    await asyncio.wait_for(reader.readuntil(b"def"), 5)
    writer.close()
    assert [body for _, _, body in gateway.asked] == [b"abc", b"def"]


FORBIDDEN = [
    "/link/attach", "/link/down?epoch=1&after=0", "/", "/git/../link/attach", "/git/%2e%2e/link/up", "//link/up",
    "/git/..%2flink/up", "/model/.%2E/link/up", "/git/a\\..\\link", "/gitlink", "http://gateway/link/up", "/tools/./x",
]  # fmt: skip


@pytest.mark.parametrize("target", FORBIDDEN)
async def test_nothing_but_what_is_the_agents_own_passes(address: str, gateway: StandIn, target: str):
    attached = len(gateway.attached)
    assert (
        await status_of(address, f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()) == b"404"
    )
    assert (gateway.asked, len(gateway.attached)) == ([], attached)


BAD = [
    (b"nonsense\r\n\r\n", b"400"),
    (b"POST /model/x HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
    (b"POST /model/x HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
    (b"POST /model/x HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", b"400"),
    (b"POST /model/x HTTP/1.1\r\nName with space : x\r\n\r\n", b"400"),
    (b"POST /model/x HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
]


@pytest.mark.parametrize(("request_", "status"), BAD)
async def test_what_is_not_http_is_refused(address: str, gateway: StandIn, request_: bytes, status: bytes):
    assert await status_of(address, request_) == status
    assert gateway.asked == []


async def test_a_tool_that_is_called_while_the_gateway_restarts_waits_for_it(address: str, gateway: StandIn):
    await gateway.stop()
    async with aiohttp.ClientSession() as http:
        calling = asyncio.create_task(http.post(f"{address}/tools/mcp", data=b"{}"))
        async with http.get(f"{address}/model/x") as got:
            assert got.status == 502, "others hear at once"
        assert not calling.done()
        await gateway.start("web-2.sock")
        assert (await calling).status == 200


async def test_a_gateway_that_is_away_is_told_at_once(address: str, gateway: StandIn):
    await gateway.stop()
    async with aiohttp.ClientSession() as http, http.get(f"{address}/model/x") as got:
        assert (got.status, got.headers["Retry-After"]) == (502, "1")
    await gateway.start("web-2.sock")
    async with aiohttp.ClientSession() as http, http.get(f"{address}/model/x") as got:
        assert got.status == 200
