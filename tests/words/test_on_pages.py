"""Whatever anybody says or is called, the page of a session shows it and does nothing else. A real browser reads it."""

import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from playwright.async_api import Page, expect

from bot.web.admission import Admission
from bot.web.links import ViewLinks
from bot.web.pages import ViewPages
from jobs.events import Place
from jobs.store import Store
from tests.browser import browsing, visit
from tests.logs import SID, Log
from tests.words import payloads
from tests.words.payloads import INNOCENT, OURS, PAYLOADS, UNSEEN

ALL = PAYLOADS | INNOCENT
# What a page of ours is made of; whatever else is in it came out of somebody's words.
ELEMENTS = [
    "main",
    "section",
    "article",
    "header",
    "footer",
    "div",
    "p",
    "span",
    "b",
    "i",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "li",
    "a",
    "code",
    "pre",
    "em",
    "strong",
    "time",
    "details",
    "summary",
    "blockquote",
    "hr",
    "br",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
]
LOOK = """elements => {
  const found = [...document.querySelectorAll("main, main *")];
  const odd = found.map(one => one.localName).filter(name => !elements.includes(name));
  const acts = found.flatMap(one => [...one.attributes].map(each => each.name))
    .filter(name => name.startsWith("on") || ["style", "srcdoc", "src", "action", "formaction"].includes(name));
  const links = [...document.querySelectorAll("main a[href]")].map(one => [one.href, one.rel]);
  return { odd, acts, links, text: document.querySelector("main").textContent, title: document.title };
}"""


async def nobody(_place: Place, _viewer: str) -> bool:
    return False


@pytest.fixture
async def address(store: Store) -> AsyncIterator[str]:
    """Where the page is of a session in which everything is somebody's mischief."""
    log = payloads.story("only words")
    entries = []
    for n, payload in enumerate(ALL.values(), 4):
        payloads.ask(log, payload, n)
        if n == 4:
            log.boot().ready()  # first, what was lost before is done again
        assert log.session is not None and log.session.turn is not None
        payloads.turn(log, payload, log.session.turn.number)
        entries += payloads.transcript(payload, log.session.turns)
    assert log.session is not None
    await store.append(SID, log.events, log.session, expected=0, transcript=entries)
    app = web.Application()
    app.add_routes(ViewPages(store, Admission(store, ViewLinks("secret", "", time.time), nobody)).routes)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield ViewLinks("secret", f"http://127.0.0.1:{runner.addresses[0][1]}", time.time).public(SID, time.time())
    await runner.cleanup()


async def held_to_words(page: Page) -> None:
    seen = await page.evaluate(LOOK, ELEMENTS)
    assert seen["odd"] == [] and seen["acts"] == []
    for href, rel in seen["links"]:
        assert href.startswith(("https://", "http://")), href
        assert href in OURS or "nofollow" in rel or "/view/stest/file/f" in href or href == f"{page.url}#newest"
    assert not UNSEEN.search(seen["text"])
    assert seen["title"].endswith("· Shipmate")


async def test_a_page_of_nothing_but_mischief_is_only_words(address: str) -> None:
    async with browsing() as browser, visit(browser, address) as page:
        await expect(page.locator("article")).to_have_count(len(ALL) + 3)
        await held_to_words(page)
        await expect(page.get_by_role("link", name="its thread")).to_have_attribute("href", OURS[1])
        prompts = await page.locator(".prompt").all_text_contents()
        for innocent in INNOCENT.values():
            assert innocent in prompts, "words that are only words are shown as they were written"
        await page.evaluate("look()")  # what follows a live session goes another way into the page
        await held_to_words(page)


async def test_a_page_that_asks_for_a_repository_and_one_that_refuses_are_only_words(store: Store) -> None:
    app = web.Application()
    app.add_routes(ViewPages(store, Admission(store, ViewLinks("secret", "", time.time), nobody)).routes)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    log: Log = payloads.asking("".join(PAYLOADS.values()))
    assert log.session is not None
    await store.append(SID, log.events, log.session, expected=0)
    async with browsing() as browser:
        async with visit(browser, ViewLinks("secret", url, time.time).public(SID, time.time())) as page:
            await expect(page.locator("[data-part=question]")).to_contain_text("Answer in the thread")
            await held_to_words(page)
        async with visit(browser, f"{url}/view/%3Cscript%3Ealert(1)%3C%2Fscript%3E?viewer=%3Cimg%20src=x%3E") as page:
            await expect(page.get_by_role("heading")).to_have_text("This link does not work")
            await held_to_words(page)
    await runner.cleanup()
