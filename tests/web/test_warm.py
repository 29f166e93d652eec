"""What a page may say when somebody types, with the real record behind it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, web

from bot.web.links import ViewLinks
from bot.web.warm import WarmPage
from jobs.events import Place
from jobs.store import Store
from tests.logs import SID, Log

SECRET = Place(client="slack", team="T1", channel="G1", thread="1.000001", private=True)
NOW = 1_000_000.0


class Served:
    """The address on a port of its own; `asked` are the repositories that were warmed up."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.links = ViewLinks("secret", "", lambda: NOW)
        self.asked: list[str] = []
        self.url = ""

    async def may_view(self, _place: Place, viewer: str) -> bool:
        return viewer == "U1"

    async def warm_up(self, repository: str, reason: str) -> bool:
        assert SID in reason
        self.asked.append(repository)
        return len(self.asked) == 1

    async def post(self, body: Any) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with ClientSession() as http, http.post(self.url + "/api/warm", data=data) as answer:
            return answer.status, await answer.json()

    def link(self, viewer: str = "") -> dict[str, str]:
        until = str(int(NOW + 60))
        signature = self.links._signature(SID, until, viewer)
        return {"session": SID, "expires": until, "viewer": viewer, "signature": signature}


@pytest.fixture
async def served(store: Store) -> AsyncIterator[Served]:
    found = Served(store)
    app = web.Application()
    app.add_routes(WarmPage(store, found.links, found.may_view, found.warm_up).routes)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


async def keep(store: Store, log: Log) -> None:
    assert log.session is not None
    await store.append(SID, log.events, log.session, expected=0)


async def test_whoever_may_look_at_a_page_may_say_that_somebody_types(served: Served, store: Store) -> None:
    await keep(store, Log().ask())
    assert await served.post(served.link()) == (202, {"begun": True})
    assert await served.post(served.link()) == (202, {"begun": False})
    assert served.asked == ["acme/rocket"] * 2


async def test_a_private_place_has_it_said_by_its_members_only(served: Served, store: Store) -> None:
    await keep(store, Log(place=SECRET).ask())
    assert (await served.post(served.link()))[0] == 403
    assert (await served.post(served.link("U2")))[0] == 403
    assert (await served.post(served.link("U1")))[0] == 202


async def test_without_a_repository_there_is_nothing_to_warm_up(served: Served, store: Store) -> None:
    assert (await served.post(served.link()))[0] == 404
    await keep(store, Log().ask(repository=None))
    assert (await served.post(served.link()))[0] == 404
    assert served.asked == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"[]", 400), (b'{"session": 1}', 400), (b"{" * 3000, 400), (b'"' + b"x" * 9000 + b'"', 400),
        ({}, 403), ({"session": SID, "expires": "9", "signature": "x"}, 403),
        ({"session": SID, "expires": "\ud800", "signature": "\ud800"}, 403),
    ],
)  # fmt: skip
async def test_what_is_no_signed_link_changes_nothing(served: Served, body: Any, status: int) -> None:
    assert (await served.post(body))[0] == status
    assert served.asked == []
