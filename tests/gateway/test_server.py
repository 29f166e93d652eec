"""The gateway as a process sees it: start, close, take over."""

import asyncio
import io
import json
from pathlib import Path

import aiohttp
import pytest

from jobs.log import LINES_MOST
from tests.gateway.conftest import Site, boxes, one_box


async def test_a_closed_gateway_leaves_no_socket(site: Site) -> None:
    async with site.gateway() as socket:
        assert socket.exists()
    assert list(socket.parent.iterdir()) == []


async def test_an_open_stream_ends_when_its_gateway_closes(site: Site) -> None:
    await site.box()
    opened = site.gateway()
    socket = await opened.__aenter__()
    async with one_box(socket) as box:
        await box.get_ready()
        async with box.down() as down:
            assert (await down.next() or {})["kind"] == "prompt_delivered"
            closing = asyncio.create_task(opened.__aexit__(None, None, None))
            started = asyncio.get_running_loop().time()
            assert await down.next() is None
            assert asyncio.get_running_loop().time() - started < 0.5
            await closing
        with pytest.raises(aiohttp.ClientError):
            await box.attach()


async def test_a_gateway_clears_away_what_a_killed_one_left(site: Site, short_folder: Path) -> None:
    async with site.gateway() as socket:
        kept = socket.with_name("web-999999.sock")
        kept.hardlink_to(socket)  # the file of a process that goes without closing
    assert [path.name for path in socket.parent.iterdir()] == ["web-999999.sock"]
    async with site.gateway() as again:
        assert [path.name for path in again.parent.iterdir()] == [again.name]


async def test_what_is_not_there_is_not_found(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        for path in ("/link/elsewhere", "/model/google/v1/x", "/tools/x", "/"):
            assert (await box.post(path, {})).status == 404


async def test_bytes_that_are_no_http_are_a_line_in_the_log_and_cannot_fill_it(site: Site, logged: io.StringIO) -> None:
    async with site.gateway() as socket:
        for _ in range(LINES_MOST + 20):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            writer.write(b"GET / HTTP/1.1\r\nno header\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.0 400 ")
            writer.close()
    lines = [line for line in map(json.loads, logged.getvalue().splitlines()) if line["from"] == "aiohttp.server"]
    assert len(lines) == LINES_MOST
    assert lines[0]["said"].startswith("what came is no HTTP: 400, message: Invalid header token")
    assert "trouble" not in lines[0]


async def test_every_request_of_a_box_is_counted_and_every_open_stream(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, boxes(socket, "t-1", "unknown") as (box, stranger):
        await stranger.attach()
        await box.attach(wire=0)
        await box.get_ready()
        await box.post("/elsewhere", {})
        await box.post("/model/openai/nothing", {})
        async with box.down() as down:
            await down.next()
            assert counted(site)["shipmate_links_attached"] == 1
    said = counted(site)
    assert said["shipmate_links_attached"] == 0
    assert {name: count for name, count in said.items() if name.startswith("shipmate_gateway_requests_total")} == {
        'shipmate_gateway_requests_total{kind="link/attach",status="401"}': 1,
        'shipmate_gateway_requests_total{kind="link/attach",status="426"}': 1,
        'shipmate_gateway_requests_total{kind="link/attach",status="200"}': 1,
        'shipmate_gateway_requests_total{kind="link/up",status="200"}': 1,
        'shipmate_gateway_requests_total{kind="other",status="404"}': 1,
        'shipmate_gateway_requests_total{kind="model",status="404"}': 1,
        said_of_down(said): 1,
    }


def counted(site: Site) -> dict[str, float]:
    lines = [line for line in site.metrics.text(None).decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def said_of_down(said: dict[str, float]) -> str:
    """A stream that its runner left ends as it was answered, or as hung up."""
    (name,) = [name for name in said if 'kind="link/down"' in name and "requests_total" in name]
    return name
