"""The gateway as a process sees it: start, close, take over."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.gateway.conftest import Site, one_box


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
