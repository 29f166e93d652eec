"""Files that come up a link because an agent attaches them, and those that a runner fetches for a prompt."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.gateway.files import ATTACHMENT_BYTES
from bot.outside import NotThere, Outside
from jobs import commands_tools as t
from jobs.asked import FILE_BYTES_MOST
from jobs.events import Attachment, FileAttached, FileRefused, Place
from tests.gateway.conftest import Box, Site, ended, one_box
from tests.gateway.tools_client import text_of, tools_of
from tests.waiting import until

PICTURE = b"\x89PNG\r\n\x1a\n"
FILES = (Attachment(name="a.png", url="in one"), Attachment(name="b", url="gone"), Attachment(name="c", url="endless"))


@asynccontextmanager
async def fetch(_place: Place, file: Attachment) -> AsyncIterator[AsyncIterator[bytes]]:
    """A client with three files: one in pieces, one that is gone, and one without an end."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"
        while file.url == "endless":
            yield b"x" * (1 << 20)

    if file.url == "gone":
        raise NotThere("it was deleted")
    yield pieces()


@asynccontextmanager
async def at_work(site: Site, **settings: str) -> AsyncIterator[tuple[Path, Box]]:
    """A box in the middle of a turn whose prompt came with files."""
    site.outside = Outside(lambda session, file: f"https://ship.test/{session.id}/{file}", fetch)
    await site.ask("s1", 1, files=FILES)
    await site.box()
    async with site.gateway(**settings) as socket, one_box(socket) as box:
        await box.get_ready()
        yield socket, box


def kept(site: Site, file: str = "f1") -> Path:
    return site.folder / "data/files/s1" / file


async def wanted(site: Site, path: str = "out/../shot\u202e.png") -> None:
    await site.inbox.handle("s1", t.WantFile(1, path, "After"))


async def test_the_agent_attaches_a_file_and_the_runner_sends_it(site: Site) -> None:
    async with at_work(site) as (socket, box), tools_of(socket) as agent, box.down() as down:
        calling = asyncio.create_task(agent.call_tool("attach", {"path": "shot.png", "title": "After"}))
        line = await down.next()
        while line is not None and line["kind"] != "file_wanted":
            line = await down.next()
        assert line is not None and (line["id"], line["path"]) == ("f1", "shot.png")
        assert (await box.post("/link/file?id=f1", PICTURE)).body == {"kept": True}
        result = await calling
        assert not result.is_error and "people see it in the thread" in text_of(result)
    (attached,) = await site.log("s1", FileAttached)
    assert attached.model_dump(exclude={"at", "seq", "kind"}) == {
        "id": "f1", "name": "shot.png", "title": "After", "mimetype": "image/png", "bytes": len(PICTURE),
        "digest": hashlib.sha256(PICTURE).hexdigest(), "url": "https://ship.test/s1/f1",
    }  # fmt: skip
    assert kept(site).read_bytes() == PICTURE


async def test_a_file_that_the_box_cannot_read_is_refused_to_the_agent_with_the_reason(site: Site) -> None:
    async with at_work(site) as (socket, box), tools_of(socket) as agent:
        calling = asyncio.create_task(agent.call_tool("attach", {"path": "none"}))
        await site.until("s1", lambda session: session.wanted_files)
        assert (await box.post("/link/file?id=f1&refused=There+is%0Ano+file.", b"")).status == 200
        result = await calling
        assert result.is_error and text_of(result) == "none was not attached: There is no file."
    assert not kept(site).exists()


async def test_nothing_is_kept_that_nobody_waits_for(site: Site) -> None:
    async with at_work(site) as (_, box):
        assert (await box.post("/link/file?id=f1", PICTURE)).status == 404
        await wanted(site)
        assert (await box.post("/link/file?id=f9", PICTURE)).status == 404
        assert (await box.post("/link/file?id=../../x", PICTURE)).status == 404
        assert (await box.post("/link/file", PICTURE)).status == 404
        assert (await box.post("/link/file?id=f1", PICTURE)).status == 200
        assert (await box.post("/link/file?id=f1", b"other")).status == 404
        await wanted(site, "again.png")
        await box.up(ended(2))
        assert (await box.post("/link/file?id=f2", PICTURE)).status == 404
    (attached,) = await site.log("s1", FileAttached)
    assert attached.name == "shot.png"
    assert [path.name for path in kept(site).parent.iterdir()] == ["f1"]


async def test_the_very_same_file_is_attached_once(site: Site) -> None:
    async with at_work(site) as (_, box):
        for n in (1, 2):
            await wanted(site)
            assert (await box.post(f"/link/file?id=f{n}", PICTURE)).body == {"kept": n == 1}
    assert [path.name for path in kept(site).parent.iterdir()] == ["f1"]


@pytest.mark.parametrize(("size", "status"), [(0, 400), (FILE_BYTES_MOST, 200), (FILE_BYTES_MOST + 1, 413)])
async def test_a_file_has_something_in_it_and_not_too_much(site: Site, size: int, status: int) -> None:
    async with at_work(site) as (_, box):
        await wanted(site)
        assert (await box.post("/link/file?id=f1", b"x" * size)).status == status
    assert len(await site.log("s1", FileRefused)) == (status != 200)
    left = [path.stat().st_size for path in kept(site).parent.glob("*")]
    assert left == ([size] if status == 200 else [])


async def test_a_sender_that_hangs_up_leaves_nothing_and_may_try_again(site: Site) -> None:
    async with at_work(site) as (socket, box):
        await wanted(site)
        reader, writer = await asyncio.open_unix_connection(socket)
        head = ("POST /link/file?id=f1 HTTP/1.1", "Host: gateway", "Authorization: Bearer t-1", "Content-Length: 99")
        writer.write("\r\n".join((*head, "", "half")).encode())
        await writer.drain()
        writer.close()
        await reader.read()
        assert (await box.post("/link/file?id=f1", PICTURE)).status == 200
    assert [path.name for path in kept(site).parent.iterdir()] == ["f1"]


async def test_a_file_that_is_sent_once_more_before_the_first_is_heard_stays(site: Site) -> None:
    async with at_work(site) as (socket, box):
        await wanted(site)
        reader, writer = await asyncio.open_unix_connection(socket)
        length = f"Content-Length: {len(PICTURE)}"
        head = ("POST /link/file?id=f1 HTTP/1.1", "Host: gateway", "Authorization: Bearer t-1", length)
        writer.write("\r\n".join((*head, "", "")).encode() + PICTURE[:1])
        await until(lambda: any(kept(site).parent.glob(".*")))
        assert (await box.post("/link/file?id=f1", PICTURE)).status == 200
        writer.write(PICTURE[1:])
        assert b" 404 " in await reader.readline()
        writer.close()
    assert kept(site).read_bytes() == PICTURE


# -- what came with a prompt -----------------------------------------------------------------------------------------


async def get(socket: Path, query: str, token: str = "t-1") -> tuple[int, Any]:
    connector = aiohttp.UnixConnector(str(socket))
    async with aiohttp.ClientSession(connector=connector) as http:
        headers = {"Authorization": f"Bearer {token}"}
        async with http.get(f"http://gateway/link/attachment?{query}", headers=headers) as answer:
            return answer.status, await (answer.json() if answer.status != 200 else answer.read())


async def test_what_came_with_the_prompt_is_passed_on_as_it_comes(site: Site) -> None:
    async with at_work(site) as (socket, _):
        assert await get(socket, "turn=1&n=0") == (200, b"one two")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("turn=2&n=0", 404),
        ("turn=1&n=3", 404),
        ("turn=1&n=-1", 400),
        ("n=0", 400),
        ("turn=1", 400),
        ("turn=x&n=0", 400),
    ],
)
async def test_only_what_came_with_the_prompt_of_this_turn_is_there(site: Site, query: str, status: int) -> None:
    async with at_work(site) as (socket, _):
        assert (await get(socket, query))[0] == status


async def test_why_a_file_cannot_be_had_is_told(site: Site) -> None:
    async with at_work(site) as (socket, _):
        assert await get(socket, "turn=1&n=1") == (422, {"error": "it was deleted"})


async def test_what_is_too_much_is_cut_so_that_nobody_takes_it_for_the_whole(site: Site) -> None:
    async with at_work(site) as (socket, _):
        with pytest.raises(aiohttp.ClientError):
            await get(socket, "turn=1&n=2")
    assert ATTACHMENT_BYTES == 20 << 20


async def test_a_box_reaches_the_files_of_its_own_session_only(site: Site) -> None:
    async with at_work(site) as (socket, _):
        await site.box("s2", "t-2")
        assert (await get(socket, "turn=1&n=0", "t-2"))[0] == 404
        assert (await get(socket, "turn=1&n=0", "stranger"))[0] == 401
