"""A file that an agent attached, over the web: for whom its session is, or who has its link; shown, and never run."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.web.admission import Admission
from bot.web.files import FilePages
from bot.web.links import ViewLinks
from bot.web.pages import ViewPages
from jobs import commands_tools as t
from jobs.events import Place
from jobs.shelf import Shelf
from jobs.store import Store
from tests.browser import browsing, visit
from tests.logs import GRACE, PLACE, SID, Log

DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000100000001080600000" + "01f15c4890000000d49444154789c63606060f80f0001040100"
    "5fe5c34b0000000049454e44ae426082"
)
PRIVATE = PLACE.model_copy(update={"private": True})


@dataclass
class Site:
    """The pages on a record and a shelf, and who is a member of private places."""

    store: Store
    shelf: Shelf
    members: set[str] = field(default_factory=set)
    url: str = ""

    @property
    def links(self) -> ViewLinks:
        return ViewLinks("secret", self.url, time.time)

    async def may_view(self, _place: Place, viewer: str) -> bool:
        return viewer in self.members

    async def keep(self, name: str, kind: str, data: bytes, place: Place = PLACE) -> Log:
        """A session whose agent attached this as f1."""
        log = Log(place).ask().boot().ready().work().do(t.AskPeople(1, "Tabs or <b>spaces</b>?", ("tabs", "spaces")))
        log.do(t.AnswerQuestion("q1", "spaces", GRACE)).do(t.AskPeople(1, "Which port?"))
        log.do(t.WantFile(1, name, "After")).do(t.AttachFile(1, "f1", name, kind, len(data), "d"))
        assert log.session is not None
        await self.store.append(SID, log.events, log.session, expected=0)
        path = self.shelf.path(SID, "f1")
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        return log


@pytest.fixture
async def site(store: Store, tmp_path: Path) -> AsyncIterator[Site]:
    found = Site(store, Shelf(tmp_path / "files"))
    admission = Admission(store, ViewLinks("secret", "", time.time), found.may_view)
    app = web.Application()
    app.add_routes([*ViewPages(store, admission).routes, *FilePages(admission, found.shelf).routes])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


async def get(url: str) -> tuple[int, bytes, dict[str, str]]:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return answer.status, await answer.read(), dict(answer.headers)


async def test_who_has_its_link_sees_a_picture(site: Site) -> None:
    await site.keep("shot.png", "image/png", DOT)
    status, data, headers = await get(site.links.file(SID, "f1"))
    assert (status, data, headers["Content-Type"]) == (200, DOT, "image/png")
    assert headers["Content-Disposition"] == "inline; filename*=UTF-8''shot.png"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/javascript", "application/pdf", ""])
async def test_nothing_but_ordinary_pictures_is_shown(site: Site, kind: str) -> None:
    await site.keep('a"\r\nb<é>.html', kind, b"<script>alert(1)</script>")
    status, _, headers = await get(site.links.file(SID, "f1"))
    assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
    assert headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''a%22%0D%0Ab%3C%C3%A9%3E.html")
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_a_link_that_was_changed_or_is_for_another_file_opens_nothing(site: Site) -> None:
    await site.keep("shot.png", "image/png", DOT)
    good = site.links.file(SID, "f1")
    for bad in (good[:-1] + "0", good.replace("f1", "f2"), good.replace(SID, "sother"), good.split("?")[0], good + "é"):
        assert (await get(bad))[0] == 403
    assert (await get(site.links.file(SID, "f2")))[0] == 404
    site.shelf.path(SID, "f1").unlink()
    assert (await get(good))[0] == 404


async def test_in_a_private_place_only_members_see_it(site: Site) -> None:
    await site.keep("shot.png", "image/png", DOT, PRIVATE)
    mine = site.links.personal(SID, "U1").replace("?", "/file/f1?")
    assert [(await get(url))[0] for url in (site.links.file(SID, "f1"), mine)] == [403, 403]
    site.members.add("U1")
    assert (await get(mine))[0] == 200


async def test_the_page_shows_pictures_and_questions(site: Site) -> None:
    await site.keep("shot.png", "image/png", DOT)
    async with browsing() as browser, visit(browser, site.links.public(SID, time.time())) as page:
        image = page.locator(".shared img")
        await image.scroll_into_view_if_needed()
        await page.wait_for_function("document.querySelector('.shared img').naturalWidth === 1")
        words = await page.inner_text("main")
    assert "Tabs or <b>spaces</b>?\n\nspaces answered by Grace" in words
    assert "Which port?\n\nAnswer in the thread" in words
