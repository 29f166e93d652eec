"""Warm boxes over the real socket and the real record: offered, taken by one session, told so by any web process."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from jobs import commands as c
from jobs.events import BoxLost, BoxStarted, PromptDelivered, StartBegan
from jobs.inbox import hash_token
from jobs.records import Grant, Offer
from jobs.session import Status
from tests.gateway.conftest import REPOSITORY, SOON, TIP, Box, Down, Json, Site, boxes, one_box, ready, words

FACTS: Json = {"wire": 1, "head": TIP, "primed": True, "ready_ms": 12, "agent": {"name": "rehearsal", "version": "1"}}
S = Status


async def make(site: Site, box: str, token: str, fit: str = "rehearsal") -> None:
    """What the worker that makes a warm box writes down."""
    await site.store.warm.make(Offer(box, REPOSITORY, fit, "img", True, "", ""))
    await site.store.grant(hash_token(token), Grant("", box, 0, REPOSITORY, "warm", ""))


class Warm:
    """A warm box with its link: `next` is the next line that is no beat."""

    def __init__(self, box: Box, down: Down) -> None:
        self.box, self.next = box, down.next


@asynccontextmanager
async def waiting(socket: Path, token: str) -> AsyncIterator[Warm]:
    """A warm box that waits at this socket."""
    connector = aiohttp.UnixConnector(str(socket), limit=0)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.post("http://gateway/link/warm", data=json.dumps(FACTS), headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
        down = Down(answer)
        assert await down.next(beats=True) == {"kind": "beat"}
        yield Warm(Box(http, token), down)


async def starts(site: Site, sid: str) -> list[tuple[str, str]]:
    return [(event.box, event.start) for event in await site.log(sid, BoxStarted)]


async def test_a_session_takes_a_box_that_waits_in_the_very_command_that_asks(site: Site) -> None:
    await make(site, "warm-1", "t-1")
    async with site.gateway() as socket, waiting(socket, "t-1") as warm:
        session = await site.ask("s1", 1)
        assert (session.status, session.box, session.start) == (S.CONNECTING, "warm-1", "warm")
        assert site.hints == [], "no job is on the path"
        claimed = await warm.next()
        assert claimed is not None
        assert (claimed["kind"], claimed["generation"], claimed["branch"]) == ("claimed", 1, "shipmate/s1")
        await warm.box.get_ready()
        assert [event.turn for event in await site.log("s1", PromptDelivered)] == [1]
    assert await site.store.warm.offers() == {}
    assert (await site.store.warm.claims())["warm-1"].sid == "s1"
    assert "box" in await site.store.stamps("s1")


async def test_of_many_mentions_at_once_each_box_serves_one(site: Site) -> None:
    for n in (1, 2, 3):
        await make(site, f"warm-{n}", f"t-{n}")
    async with site.gateway() as socket, waiting(socket, "t-1"), waiting(socket, "t-2"), waiting(socket, "t-3"):
        sessions = await asyncio.gather(*(site.ask(f"s{n}", 1) for n in range(12)))
    taken = [session.box for session in sessions if session.box]
    assert sorted(taken) == ["warm-1", "warm-2", "warm-3"]
    assert len([one for one in sessions if one.status is S.WAITING]) == 9
    assert len(site.hints) == 9


async def test_another_agents_or_repositorys_box_is_left_alone(site: Site) -> None:
    await make(site, "warm-1", "t-1", fit="opencode")
    async with site.gateway() as socket, waiting(socket, "t-1"):
        assert (await site.ask("s1", 1)).status is S.WAITING
        assert list(await site.store.warm.offers()) == ["warm-1"]


async def test_a_box_whose_link_is_gone_is_not_on_offer(site: Site) -> None:
    await make(site, "warm-1", "t-1")
    async with site.gateway() as socket:
        async with waiting(socket, "t-1"):
            assert list(await site.store.warm.offers()) == ["warm-1"]
        await none_on_offer(site)
        assert (await site.ask("s1", 1)).status is S.WAITING


async def none_on_offer(site: Site) -> None:
    """Wait until no box is."""
    async with asyncio.timeout(2 * SOON):
        while await site.store.warm.offers():
            await asyncio.sleep(0.02)


async def test_a_process_that_dies_leaves_an_offer_that_ends_by_itself(site: Site) -> None:
    await make(site, "warm-1", "t-1")
    offer = await site.store.warm.made("warm-1")
    assert offer is not None
    await site.store.warm.offer(offer._replace(token=hash_token("t-1")))
    assert list(await site.store.warm.offers()) == ["warm-1"]
    await none_on_offer(site)
    assert (await site.ask("s1", 1)).status is S.WAITING


async def test_a_box_that_was_taken_while_its_link_was_down_hears_it_from_the_next_process(site: Site) -> None:
    await make(site, "warm-1", "t-1")
    offer = await site.store.warm.made("warm-1")
    assert offer is not None
    await site.store.warm.offer(offer._replace(token=hash_token("t-1")))  # its process dies now
    assert (await site.ask("s1", 1)).box == "warm-1"
    async with site.gateway() as socket:
        connector = aiohttp.UnixConnector(str(socket))
        headers = {"Authorization": "Bearer t-1"}
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.post("http://gateway/link/warm", data=json.dumps(FACTS), headers=headers) as answer,
        ):
            claimed = await Down(answer).next()
        assert claimed is not None and claimed["generation"] == 1


async def test_one_that_never_answers_is_replaced_and_whatever_it_says_later_is_refused(site: Site) -> None:
    await make(site, "warm-1", "t-1")
    async with site.gateway() as socket, waiting(socket, "t-1") as warm:
        await site.ask("s1", 1)
        await site.inbox.handle("s1", c.LoseBox(1, "the warm box did not answer"))
        session = await site.inbox.handle("s1", c.BeginStart(1))
        assert (session.generation, session.lost_box) == (2, None)
        assert (await warm.box.attach(generation=1)).body == {"error": "stale generation"}
        assert (await warm.box.up(ready(1), words(2), epoch=1)).status == 409
    assert len(await site.log("s1", BoxLost)) == 1
    assert [event.box for event in await site.log("s1", StartBegan)] == ["warm-1", "s1-2"]


async def test_a_box_that_waits_may_fetch_and_be_primed_and_nothing_else(site: Site) -> None:
    await make(site, "warm-1", "t-1")
    async with site.gateway() as socket, one_box(socket) as box:
        for path in ("/link/attach", "/link/up", "/model/anthropic/v1/messages"):
            assert (await box.post(path, {})).status == 403, path


@pytest.mark.parametrize("facts", [b"{}", b"[]", b"no", json.dumps(FACTS | {"wire": 9}).encode(), b'"' * 9000])
async def test_what_is_no_warm_box_is_told_so(site: Site, facts: bytes) -> None:
    await make(site, "warm-1", "t-1")
    await site.box("s2", "t-2")
    async with site.gateway() as socket, boxes(socket, "t-1", "t-2", "t-3") as (warm, other, stranger):
        assert (await warm.post("/link/warm", facts)).status in (400, 413, 426)
        assert (await other.post("/link/warm", FACTS)).status == 403
        assert (await stranger.post("/link/warm", FACTS)).status == 401
    assert await site.store.warm.offers() == {}


async def test_two_links_of_one_box_are_one_offer_and_the_newer_one_brings_the_claim(site: Site) -> None:
    await make(site, "warm-1", "t-1")
    async with site.gateway() as socket, waiting(socket, "t-1") as older, waiting(socket, "t-1") as newer:
        assert await older.next() is None
        assert list(await site.store.warm.offers()) == ["warm-1"]
        await site.ask("s1", 1)
        claimed = await newer.next()
        assert claimed is not None and claimed["kind"] == "claimed"


async def test_revoked_its_link_ends_and_it_is_on_offer_no_more(site: Site) -> None:
    await make(site, "warm-1", "t-1")
    async with site.gateway() as socket, waiting(socket, "t-1") as warm:
        await site.store.revoke("warm-1")
        assert await warm.next() is None
        assert (await site.ask("s1", 1)).status is S.WAITING


async def test_a_closing_process_ends_the_links_that_it_holds(site: Site) -> None:
    await make(site, "warm-1", "t-1")
    async with site.gateway("a") as first, site.gateway("b") as second:
        async with waiting(first, "t-1"):
            pass
        async with waiting(second, "t-1"):
            session = await site.ask("s1", 1)
    assert session.box == "warm-1"


async def test_tools_are_listed_to_a_box_that_waits_and_none_is_called_for_it(site: Site) -> None:
    await make(site, "warm-1", "t-1")
    async with site.gateway() as socket:
        listed = await over_mcp(socket, "tools/list", {})
        assert listed["result"]["tools"]
        called = await over_mcp(socket, "tools/call", {"name": "list_sessions", "arguments": {}})
        assert called["result"]["isError"] is True
        assert "not its session's" in called["result"]["content"][0]["text"]


async def over_mcp(socket: Path, method: str, params: Json) -> Json:
    """One request to the tools, with the warm box's token; the answer."""
    headers = {
        "Authorization": "Bearer t-1", "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json", "MCP-Protocol-Version": "2025-06-18",
    }  # fmt: skip
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as http,
        http.post("http://gateway/tools/mcp", data=json.dumps(body), headers=headers) as answer,
    ):
        found: Json = await answer.json()
        return found
