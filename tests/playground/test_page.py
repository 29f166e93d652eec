"""The workspace's page in a real browser, with the real workspace behind it and an app on its socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession, ClientWebSocketResponse, web
from playwright.async_api import Browser, Locator, Page, Route, expect

from bot.playground.page import STATIC, page_routes
from bot.playground.workspace import Workspace
from bot.playground.workspace_routes import workspace_routes
from tests.browser import PATIENCE_MS, browsing, visit

ADA, GRACE, BOT = "U0ADA", "U0GRACE", "U0SHIPMATE"
DEV, GENERAL, SECRET = "C0DEV", "C0GENERAL", "G0SECRET"
HOSTILE = '<img src=x onerror="document.title=\'1\'"><script>document.title="1"</script>'

expect.set_options(timeout=PATIENCE_MS)
pytestmark = pytest.mark.asyncio(loop_scope="module")  # one browser for all; a window and a workspace for each


@dataclass
class Served:
    """A workspace that listens, and an app that is connected to it: what it hears is in `heard`."""

    workspace: Workspace
    url: str
    http: ClientSession
    heard: list[dict[str, Any]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def token(self, who: str) -> str:
        return self.workspace.tokens.bot if who == BOT else self.workspace.tokens.people[who]

    async def call(self, who: str, method: str, **args: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token(who)}"}
        async with self.http.post(f"{self.url}/api/{method}", json=args, headers=headers) as answer:
            body: dict[str, Any] = await answer.json()
        assert body["ok"], (method, body)
        return body

    async def say(self, who: str, text: str, channel: str = DEV, **more: Any) -> str:
        ts: str = (await self.call(who, "chat.postMessage", channel=channel, text=text, **more))["ts"]
        return ts

    async def last(self, channel: str = DEV) -> dict[str, Any]:
        found: dict[str, Any] = (await self.call(ADA, "conversations.history", channel=channel, limit=1))["messages"][0]
        return found

    async def hears(self, kind: str) -> dict[str, Any]:
        """The first payload of this type that the app gets, or has got."""
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while True:
                for payload in self.heard:
                    if kind in (payload["type"], payload.get("event", {}).get("type")):
                        return payload
                self.news.clear()
                await self.news.wait()

    async def listen(self, socket: ClientWebSocketResponse) -> None:
        async for said in socket:
            envelope = json.loads(said.data)
            if "envelope_id" in envelope:
                await socket.send_json({"envelope_id": envelope["envelope_id"]})
                self.heard.append(envelope["payload"])
                self.news.set()


@pytest_asyncio.fixture(loop_scope="module")
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    workspace = await Workspace.open(tmp_path)
    workspace.faults.unlimited = True
    app = web.Application()
    app.add_routes([*workspace_routes(workspace), *page_routes()])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    keys = workspace.describe(url)
    async with ClientSession() as http:
        found = Served(workspace, url, http)
        app_token = {"Authorization": f"Bearer {keys['SLACK_APP_TOKEN']}"}
        async with http.post(f"{url}/api/apps.connections.open", headers=app_token) as answer:
            address = (await answer.json())["url"]
        async with http.ws_connect(address) as socket:
            listening = asyncio.create_task(found.listen(socket))
            yield found
            listening.cancel()
    await runner.cleanup()
    await workspace.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as found:
        yield found


@asynccontextmanager
async def window(
    browser: Browser, served: Served, who: str = "Ada", at: str = "", **context: Any
) -> AsyncIterator[Page]:
    """The page in the hands of somebody."""
    async with visit(browser, f"{served.url}/{at}", **context) as page:
        await expect(page.get_by_role("radio", name="Ada")).to_have_attribute("aria-checked", "true")
        if who != "Ada":
            await page.get_by_role("radio", name=who).click()
        await expect(page.get_by_role("radio", name=who)).to_have_attribute("aria-checked", "true")
        yield page


def composer(page: Page) -> Locator:
    return page.get_by_role("main").get_by_role("combobox", name="Write a message")


def messages(page: Page) -> Locator:
    return page.get_by_role("main").get_by_role("article")


def thread(page: Page) -> Locator:
    return page.get_by_role("complementary", name="Thread")


async def test_two_people_converse_and_see_each_other_at_once(served: Served, browser: Browser) -> None:
    async with window(browser, served) as ada, window(browser, served, "Grace") as grace:
        await expect(composer(grace)).to_have_attribute("placeholder", "Message #dev as Grace")
        await composer(grace).fill("I am still writing")
        await composer(ada).fill("The build is *red* :eyes:")
        await composer(ada).press("Enter")
        await expect(messages(grace)).to_have_count(1)
        await expect(messages(grace).locator(".author")).to_have_text("Ada Lovelace")
        await expect(messages(grace).locator("strong")).to_have_text("red")
        await expect(messages(grace)).to_contain_text("👀")
        await expect(composer(grace)).to_have_value("I am still writing")
        await composer(grace).press("Enter")
        await expect(messages(ada)).to_have_count(2)
        await expect(messages(ada).nth(1).locator(".author")).to_have_text("Grace Hopper")
        await composer(ada).fill("one")
        await composer(ada).press("Shift+Enter")
        await composer(ada).press_sequentially("two")
        await composer(ada).press("Enter")
        await expect(messages(ada)).to_have_count(3)
        assert (await served.last())["text"] == "one\ntwo"


async def test_a_mention_is_completed_and_reaches_the_bot(served: Served, browser: Browser) -> None:
    async with window(browser, served) as page:
        await composer(page).press_sequentially("Hello @gr")
        options = page.get_by_role("main").get_by_role("option")
        await expect(options).to_have_count(1)
        await composer(page).press("Escape")
        await expect(options).to_have_count(0)
        await composer(page).fill("")
        await composer(page).press_sequentially("@")
        await expect(options.first).to_contain_text("shipmate")
        await composer(page).press("ArrowDown")
        await expect(options.nth(1)).to_have_attribute("aria-selected", "true")
        await composer(page).press("ArrowUp")
        await composer(page).press("Enter")
        await expect(composer(page)).to_have_value("@shipmate ")
        await composer(page).press_sequentially("fix the failing test in <b>, see https://acme.example/?a=1&b=2.")
        await composer(page).press("Enter")
        await expect(messages(page).locator(".mention")).to_have_text("@shipmate")
        heard = await served.hears("app_mention")
        said = f"<@{BOT}> fix the failing test in &lt;b&gt;, see <https://acme.example/?a=1&amp;b=2>."
        assert heard["event"]["text"] == said
        await expect(messages(page)).to_contain_text(
            "@shipmate fix the failing test in <b>, see https://acme.example/?a=1&b=2."
        )
        link = messages(page).get_by_role("link")
        await expect(link).to_have_attribute("href", "https://acme.example/?a=1&b=2")


async def test_a_name_that_was_typed_by_hand_is_a_mention_too(served: Served, browser: Browser) -> None:
    async with window(browser, served) as page:
        await page.get_by_role("button", name="Write @shipmate fix the failing test").click()
        await expect(composer(page)).to_have_value("@shipmate fix the failing test")
        await composer(page).press("Enter")
        await served.hears("app_mention")
        await expect(messages(page).locator(".mention")).to_have_text("@shipmate")


async def test_people_edit_and_delete_what_is_their_own(served: Served, browser: Browser) -> None:
    await served.say(GRACE, "Grace's words")
    await served.say(ADA, f"<@{BOT}> fix tset &amp; more")
    async with window(browser, served) as page:
        hers, mine = messages(page).nth(0), messages(page).nth(1)
        await hers.hover()
        await expect(hers.get_by_role("button", name="Reply in a thread")).to_be_visible()
        await expect(hers.get_by_role("button", name="Edit")).to_have_count(0)
        await mine.hover()
        await mine.get_by_role("button", name="Edit").click()
        editor = page.get_by_role("combobox", name="Edit the message")
        await expect(editor).to_be_focused()
        await expect(editor).to_have_value("@shipmate fix tset & more")
        await editor.fill("@shipmate fix the test & more")
        await served.say(GRACE, "meanwhile")
        await expect(messages(page)).to_have_count(3)
        await expect(editor).to_have_value("@shipmate fix the test & more")
        await editor.press("Enter")
        await expect(mine).to_contain_text("fix the test & more (edited)")
        assert (await served.call(ADA, "conversations.history", channel=DEV))["messages"][1][
            "text"
        ] == f"<@{BOT}> fix the test &amp; more"
        await mine.hover()
        await mine.get_by_role("button", name="Delete").click()
        await page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
        await expect(messages(page)).to_have_count(2)


async def test_a_thread_opens_beside_the_channel_and_is_counted_there(served: Served, browser: Browser) -> None:
    root = await served.say(ADA, "Who looks at it?")
    async with window(browser, served) as page, window(browser, served, "Grace") as grace:
        await messages(page).hover()
        await messages(page).get_by_role("button", name="Reply in a thread").click()
        reply = thread(page).get_by_role("combobox", name="Reply in the thread")
        await expect(reply).to_be_focused()
        await reply.fill("I do")
        await reply.press("Enter")
        await expect(thread(page).get_by_role("article")).to_have_count(2)
        await expect(thread(page).get_by_role("separator")).to_have_text("1 reply")
        await expect(messages(page)).to_have_count(1)
        await expect(messages(grace).get_by_role("button", name="1 reply")).to_contain_text("Last reply today at")
        await messages(grace).get_by_role("button", name="1 reply").click()
        await expect(thread(grace).get_by_role("article").nth(1)).to_contain_text("I do")
        second = await served.say(GRACE, "Good", thread_ts=root)
        await expect(messages(page).get_by_role("button", name="2 replies")).to_be_visible()
        await served.call(GRACE, "chat.delete", channel=DEV, ts=second)
        await expect(messages(page).get_by_role("button", name="1 reply")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(thread(page)).to_be_hidden()


async def test_a_button_reaches_the_app_and_its_answer_is_seen(served: Served, browser: Browser) -> None:
    root = await served.say(ADA, f"<@{BOT}> make it faster")
    buttons = [
        button("acme/rocket", "choose_repository:0", "acme/rocket"),
        button("acme/docs", "choose_repository:1", "acme/docs"),
    ]
    asked = [section("Which repository is it?"), {"type": "actions", "elements": buttons}]
    ts = await served.say(BOT, "Which?", thread_ts=root, blocks=asked)
    async with window(browser, served, at=f"#/dev/{root}") as page:
        await thread(page).get_by_role("button", name="acme/docs").click()
        pressed = await served.hears("block_actions")
        assert pressed["user"]["id"] == ADA
        assert pressed["actions"][0]["value"] == "acme/docs"
        await served.call(
            BOT, "chat.update", channel=DEV, ts=ts, text="docs", blocks=[section("Repository: *acme/docs*")]
        )
        await expect(thread(page).get_by_role("button", name="acme/docs")).to_have_count(0)
        await expect(thread(page).locator("strong")).to_have_text("acme/docs")


async def test_a_view_button_is_a_link_that_opens_elsewhere(served: Served, browser: Browser) -> None:
    view = button("View", "view", "s1") | {"url": "http://127.0.0.1:9/view/s1"}
    bad = button("Odd", "odd", "s1") | {"url": "javascript:document.title=1"}
    await served.say(BOT, "card", blocks=[{"type": "actions", "elements": [view, bad]}])
    async with window(browser, served) as page:
        link = messages(page).get_by_role("link", name="View")
        await expect(link).to_have_attribute("href", "http://127.0.0.1:9/view/s1")
        await expect(link).to_have_attribute("rel", "noopener noreferrer")
        await expect(messages(page).get_by_role("link", name="Odd")).to_have_count(0)


async def test_what_an_agent_is_doing_is_said_and_can_be_stopped(served: Served, browser: Browser) -> None:
    root = await served.say(ADA, f"<@{BOT}> fix it")
    where = {"channel_id": DEV, "thread_ts": root}
    async with window(browser, served, at=f"#/dev/{root}") as page:
        await served.call(BOT, "agents.sessions.setStatus", **where, status="processing", title="Fix it")
        status = thread(page).get_by_role("status")
        await expect(status).to_contain_text("shipmate is working…")
        await status.get_by_role("button", name="Stop").click()
        stopped = await served.hears("agent_session_stopped")
        assert stopped["event"]["thread_ts"] == root
        await served.call(BOT, "agents.sessions.setStatus", **where, status="active")
        await expect(status).to_be_hidden()
        await served.call(BOT, "assistant.threads.setStatus", **where, status="is working on it…")
        await expect(status).to_contain_text("shipmate is working on it…")
        await served.say(BOT, "Done.", thread_ts=root)
        await expect(status).to_be_hidden()


async def test_a_whisper_is_seen_by_one_person_only(served: Served, browser: Browser) -> None:
    root = await served.say(ADA, "Hello")
    async with (
        window(browser, served, at=f"#/dev/{root}") as ada,
        window(browser, served, "Grace", f"#/dev/{root}") as grace,
    ):
        await served.call(BOT, "chat.postEphemeral", channel=DEV, user=ADA, thread_ts=root, text="Only for you")
        await served.say(BOT, "For all", thread_ts=root)
        await expect(thread(ada).get_by_role("article").nth(1)).to_contain_text("Only visible to you")
        await expect(thread(grace).get_by_role("article").nth(1)).to_contain_text("For all")
        await expect(grace.get_by_text("Only for you")).to_have_count(0)


async def test_an_answer_that_comes_late_undoes_nothing_that_was_told_meanwhile(
    served: Served, browser: Browser
) -> None:
    root = await served.say(ADA, "Hello")
    first = await served.say(GRACE, "one", thread_ts=root)
    async with window(browser, served) as page:
        answered, told = asyncio.Event(), asyncio.Event()

        async def late(route: Route) -> None:
            answer = await route.fetch()
            answered.set()
            await told.wait()
            await route.fulfill(response=answer)

        await page.route("**/api/conversations.replies", late)
        await messages(page).get_by_role("button", name="1 reply").click()
        await answered.wait()
        await served.say(GRACE, "two", thread_ts=root)
        await served.call(GRACE, "chat.update", channel=DEV, ts=first, text="uno")
        replies = thread(page).get_by_role("article")
        await expect(replies.locator(".words")).to_have_text(["Hello", "uno (edited)", "two"])
        async with page.expect_response("**/api/conversations.replies"):
            told.set()
        await expect(messages(page).get_by_role("button", name="2 replies")).to_be_visible()
        await served.say(GRACE, "three", thread_ts=root)
        await expect(replies.locator(".words")).to_have_text(["Hello", "uno (edited)", "two", "three"])


async def test_people_react_and_take_it_back(served: Served, browser: Browser) -> None:
    ts = await served.say(GRACE, "It is green again")
    await served.call(GRACE, "reactions.add", channel=DEV, timestamp=ts, name="tada")
    async with window(browser, served) as page:
        chip = messages(page).get_by_role("button", name="🎉")
        await expect(chip).to_have_text("🎉1")
        await chip.click()
        await expect(chip).to_have_text("🎉2")
        await expect(chip).to_have_attribute("aria-pressed", "true")
        await chip.click()
        await expect(chip).to_have_text("🎉1")
        await messages(page).hover()
        await messages(page).get_by_role("button", name="Add a reaction").click()
        await page.get_by_role("group", name="Choose a reaction").get_by_role("button", name="rocket").click()
        await expect(messages(page).get_by_role("button", name="🚀")).to_have_text("🚀1")


async def test_a_file_is_sent_shown_and_read_back(served: Served, browser: Browser) -> None:
    async with window(browser, served) as page:
        await (
            page.get_by_role("main")
            .locator("input[type=file]")
            .set_input_files({"name": "log <b>.txt", "mimeType": "text/plain", "buffer": b"assert 2 == 3"})
        )
        await expect(page.locator(".chip")).to_contain_text("log <b>.txt · 13 B")
        await composer(page).fill("the log")
        await composer(page).press("Enter")
        await expect(messages(page)).to_contain_text("the log")
        card = messages(page).get_by_role("button", name="log <b>.txt")
        async with page.expect_download() as downloading:
            await card.click()
        downloaded = await downloading.value
        assert (await downloaded.path()).read_bytes() == b"assert 2 == 3"


async def test_news_take_neither_the_place_nor_the_draft_of_a_reader(served: Served, browser: Browser) -> None:
    for number in range(30):
        await served.say(GRACE if number % 2 else ADA, f"message {number}")
    async with window(browser, served) as page:
        log = page.get_by_role("log", name="Messages of the channel")
        await expect(messages(page).last).to_be_in_viewport()
        await composer(page).fill("half a thought")
        await log.evaluate("list => list.scrollTo(0, 700)")
        seen = messages(page).filter(has_text="message 14")
        await expect(seen).to_be_in_viewport()
        before = await seen.bounding_box()
        ts = await served.say(GRACE, "news")
        await expect(page.get_by_role("button", name="New messages below")).to_be_visible()
        first = (await served.call(ADA, "conversations.history", channel=DEV, limit=100))["messages"][-1]["ts"]
        await served.call(ADA, "chat.update", channel=DEV, ts=first, text="taller\nthan\nit\nwas")
        await expect(messages(page).first).to_contain_text("taller")
        after = await seen.bounding_box()
        assert before is not None and after is not None
        assert abs(before["y"] - after["y"]) < 2
        await expect(composer(page)).to_have_value("half a thought")
        await page.get_by_role("button", name="New messages below").click()
        await expect(page.locator(f"[data-ts='{ts}']")).to_be_in_viewport()
        last = await served.say(GRACE, "and more")
        await expect(page.locator(f"[data-ts='{last}']")).to_be_in_viewport()


async def test_drafts_and_people_are_kept_over_a_reload(served: Served, browser: Browser) -> None:
    async with window(browser, served, "Grace") as page:
        await composer(page).fill("later")
        await page.get_by_role("button", name="general", exact=True).click()
        await expect(composer(page)).to_have_value("")
        await page.reload()
        await expect(page.get_by_role("radio", name="Grace")).to_have_attribute("aria-checked", "true")
        await expect(composer(page)).to_have_attribute("placeholder", "Message #general as Grace")
        await page.get_by_role("button", name="dev", exact=True).click()
        await expect(composer(page)).to_have_value("later")
        await page.get_by_role("radio", name="Ada").click()
        await expect(composer(page)).to_have_value("")


async def test_a_private_channel_is_there_for_its_members_and_the_unread_are_counted(
    served: Served, browser: Browser
) -> None:
    async with window(browser, served) as page:
        places = page.get_by_role("navigation", name="Channels")
        await expect(places.get_by_role("button", name="secret-plans")).to_contain_text("(private)")
        await served.say(GRACE, "Lunch?", channel=GENERAL)
        await served.say(GRACE, "Now?", channel=GENERAL)
        await expect(places.get_by_role("button", name="general")).to_contain_text("2")
        await places.get_by_role("button", name="general").click()
        await expect(messages(page)).to_have_count(2)
        await expect(places.locator(".unread")).to_have_count(0)
        await page.get_by_role("radio", name="Grace").click()
        await expect(composer(page)).to_have_attribute("placeholder", "Message #general as Grace")
        await expect(places.get_by_role("button", name="secret-plans")).to_have_count(0)


async def test_a_page_that_was_cut_off_says_so_and_catches_up(served: Served, browser: Browser) -> None:
    async with window(browser, served) as page:
        await page.context.set_offline(True)
        await composer(page).fill("lost?")
        await composer(page).press("Enter")
        await expect(page.get_by_role("alert").filter(has_text="Not sent")).to_be_visible()
        await expect(composer(page)).to_have_value("lost?")
        await page.context.set_offline(False)
        await composer(page).press("Enter")
        await expect(messages(page)).to_have_count(1)


async def test_words_written_fast_are_sent_in_their_order(served: Served, browser: Browser) -> None:
    async with window(browser, served) as page:
        for number in range(8):
            await composer(page).press_sequentially(f"number {number}")
            await composer(page).press("Enter")
        await expect(messages(page)).to_have_count(8)
        await expect(messages(page).locator(".words")).to_have_text([f"number {number}" for number in range(8)])


async def test_trouble_is_made_by_a_form(served: Served, browser: Browser) -> None:
    async with window(browser, served) as page:
        await page.get_by_role("button", name="Make trouble").click()
        form = page.get_by_role("dialog", name="Make trouble")
        await form.get_by_label("Calls answered with 429").fill("3")
        await form.get_by_label("No agent sessions").check()
        await form.get_by_role("button", name="Make it so").click()
        await expect(form).to_be_hidden()
        assert served.workspace.faults.rate_limit == 3
        assert served.workspace.faults.no_agent_sessions


async def test_every_kind_of_block_is_shown(served: Served, browser: Browser) -> None:
    plain = {"type": "plain_text", "text": "Report :ship:"}
    rich = [
        {"type": "text", "text": "said ", "style": {"bold": True}},
        {"type": "user", "user_id": ADA},
        {"type": "link", "url": "https://a.test/", "text": "there"},
        {"type": "link", "url": "javascript:x", "text": "not there"},
    ]
    tasks = [
        {"task_id": "1", "title": "Read", "status": "complete"},
        {"task_id": "2", "title": "Mend", "status": "in_progress"},
    ]
    kit = [
        {"type": "header", "text": plain},
        {"type": "section", "text": mrkdwn("*one* <https://a.test/|two>"), "accessory": button("Open", "open", "1")},
        {"type": "section", "fields": [mrkdwn("left"), mrkdwn("right")]},
        {"type": "divider"},
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": rich}]},
        {"type": "markdown", "text": "# Head\n\n- **a**\n- `b`\n\n```\nc\n```\n[d](https://d.test/)"},
        {"type": "plan", "title": "Plan", "tasks": tasks},
        {"type": "context", "elements": [mrkdwn("_small_")]},
    ]
    await served.say(BOT, "kit", blocks=kit)
    async with window(browser, served) as page:
        shown = messages(page)
        await expect(shown.get_by_role("heading", level=3).first).to_have_text("Report 🚢")
        await expect(shown.get_by_role("button", name="Open")).to_be_visible()
        await expect(shown.locator(".fields > div")).to_have_text(["left", "right"])
        await expect(shown.locator(".rich")).to_have_text("said @adatherenot there")
        addresses = await shown.locator("a").evaluate_all("links => links.map(link => link.href)")
        assert addresses == ["https://a.test/", "https://a.test/", "https://d.test/"]
        await expect(shown.locator(".prose li")).to_have_text(["a", "b"])
        await expect(shown.locator(".prose pre")).to_have_text("c")
        await expect(shown.locator(".task.complete")).to_have_text("Readdone")
        await expect(shown.locator(".context em")).to_have_text("small")


@pytest.mark.parametrize("width", [1280, 400])
async def test_nothing_is_wider_than_the_window(served: Served, browser: Browser, width: int) -> None:
    long = "x" * 400
    root = await served.say(ADA, f"{long} `{long}` https://acme.example/{long}\n```{long}```")
    await served.say(
        BOT, "card", thread_ts=root, blocks=[section(f"*{long}*"), {"type": "context", "elements": [mrkdwn(long)]}]
    )
    async with window(browser, served, viewport={"width": width, "height": 700}) as page:
        await messages(page).get_by_role("button", name="1 reply").click()
        await expect(thread(page).get_by_role("article")).to_have_count(2)
        wide = """() => [...document.querySelectorAll("html, .scroller, .message, .composer, .bar")]
            .filter(node => node.scrollWidth > node.clientWidth + 1).map(node => node.className)"""
        assert await page.evaluate(wide) == []


async def test_on_a_narrow_window_channels_and_threads_come_and_go(served: Served, browser: Browser) -> None:
    await served.say(ADA, "Hello")
    async with window(browser, served, viewport={"width": 400, "height": 700}) as page:
        places = page.get_by_role("navigation", name="Channels")
        await expect(places).to_be_hidden()
        await page.get_by_role("button", name="Channels", exact=True).click()
        await places.get_by_role("button", name="general").click()
        await expect(places).to_be_hidden()
        await expect(page.get_by_role("heading", level=1)).to_have_text("#general")
        await page.go_back()
        await messages(page).focus()
        await messages(page).get_by_role("button", name="Reply in a thread").press("Enter")
        await expect(thread(page)).to_be_visible()
        await expect(composer(page)).to_be_hidden()
        await page.get_by_role("button", name="Back to the channel").click()
        await expect(composer(page)).to_be_visible()
        await page.get_by_role("button", name="Channels", exact=True).click()
        await page.get_by_role("radio", name="Grace").click()
        await expect(composer(page)).to_have_attribute("placeholder", "Message #dev as Grace")
        await expect(places).to_be_hidden()


HOSTILE_BLOCKS: list[list[dict[str, Any]]] = [
    [],
    [{"type": "section", "text": {"type": "mrkdwn", "text": HOSTILE}}],
    [{"type": "section", "text": {"type": "plain_text", "text": HOSTILE}}],
    [{"type": "header", "text": {"type": "plain_text", "text": HOSTILE}}],
    [{"type": "context", "elements": [{"type": "mrkdwn", "text": HOSTILE}]}],
    [{"type": "markdown", "text": f"# {HOSTILE}\n[a](javascript:document.title=1)"}],
    [
        {
            "type": "rich_text",
            "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": HOSTILE}]}],
        }
    ],
]


async def test_what_strangers_write_is_shown_as_text(served: Served, browser: Browser) -> None:
    for blocks in HOSTILE_BLOCKS:
        await served.say(BOT, HOSTILE, blocks=blocks)
    await served.say(GRACE, f"{HOSTILE} <javascript:document.title=1|press me> <data:text/html,x> [a](javascript:b)")
    async with window(browser, served) as page:
        await expect(messages(page)).to_have_count(len(HOSTILE_BLOCKS) + 1)
        for said in await messages(page).all():
            await expect(said).to_contain_text(HOSTILE)
        assert await page.locator(".rows img, .rows script, .rows iframe, .rows a").count() == 0
        await expect(messages(page).last).to_contain_text("<javascript:document.title=1|press me>")
        assert await page.title() != "1"


MRKDWN = [
    ("*bold* _it_ ~gone~ `code`", "<strong>bold</strong> <em>it</em> <s>gone</s> <code>code</code>"),
    ("*bold _both_*", "<strong>bold <em>both</em></strong>"),
    ("2*3*4 snake_case_word a~b~c", "2*3*4 snake_case_word a~b~c"),
    ("* not * _ not _ ** __", "* not * _ not _ ** __"),
    ("`*x*` `<b>` `&lt;b&gt;`", "<code>*x*</code> <code>&lt;b&gt;</code> <code>&lt;b&gt;</code>"),
    ("a\nb", "a<br>b"),
    ("&gt; quoted\n&gt; more\nnot", "<blockquote>quoted<br>more</blockquote>not"),
    ("```\nx *y* <@U0ADA>\n```after", "<pre>x *y* @U0ADA</pre>after"),
    ("``` open", "``` open"),
    (":tada: :no_such_thing: 10:30:45", "🎉 :no_such_thing: 10:30:45"),
    ("&amp;lt; &lt;b&gt;", "&amp;lt; &lt;b&gt;"),
    ("<@U0GRACE> <@U0NOBODY|x>", '<span class="mention">@grace</span> <span class="mention">@x</span>'),
    ("<!here> <!date^1^{date}^x|noon>", '<span class="mention">@here</span> noon'),
    ("<javascript:x|y> <JavaScript:x>", "&lt;javascript:x|y&gt; &lt;JavaScript:x&gt;"),
    ("<https://a.test/?x=1&amp;y=2|a&amp;b>", '<a href="https://a.test/?x=1&amp;y=2">a&amp;b</a>'),
    ("(https://a.test/b).", '(<a href="https://a.test/b">https://a.test/b</a>).'),
    ("&lt;https://a.test/b&gt;", '&lt;<a href="https://a.test/b">https://a.test/b</a>&gt;'),
    ('<https://a.test/"onclick=x|y>', '<a href="https://a.test/%22onclick=x">y</a>'),
    ("<>< <@> <#> <!> <|x>", "&lt;&gt;&lt; &lt;@&gt; &lt;#&gt; &lt;!&gt; &lt;|x&gt;"),
    ("*" * 3000, "*" * 3000),
    ("*a" * 2000, None),
]


async def test_mrkdwn_is_read_as_slack_reads_it(served: Served, browser: Browser) -> None:
    script = """async (texts) => {
        const { mrkdwn } = await import("/static/workspace/mrkdwn.js");
        const names = { U0GRACE: "grace", U0ADA: "ada" };
        const world = { me: "U0ADA", nameOf: (id) => names[id], channelOf: () => undefined, goTo: () => {} };
        return texts.map((text) => {
            const box = document.createElement("div");
            box.append(...mrkdwn(text, world));
            for (const link of box.querySelectorAll("a")) ["rel", "target"].map((name) => link.removeAttribute(name));
            return box.innerHTML;
        });
    }"""
    async with window(browser, served) as page:
        made = await page.evaluate(script, [text for text, _ in MRKDWN])
    assert [html for html, (_, wanted) in zip(made, MRKDWN, strict=True) if wanted is not None] == [
        wanted for _, wanted in MRKDWN if wanted is not None
    ]


async def test_the_page_takes_nothing_from_elsewhere(served: Served) -> None:
    for path in ("/", "/static/workspace.css", "/static/workspace.js", "/static/workspace/dom.js"):
        async with served.http.get(served.url + path) as answer:
            assert answer.status == 200
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
    for path in ("/static/forge.css", "/static/workspace/nothing.js", "/static/workspace/../../page.py"):
        async with served.http.get(served.url + path) as answer:
            assert answer.status == 404
    scripts = [STATIC / "workspace.js", *(STATIC / "workspace").glob("*.js")]
    assert not [file.name for file in scripts if "innerHTML" in file.read_text() or "https://" in file.read_text()]


def section(words: str) -> dict[str, Any]:
    return {"type": "section", "text": mrkdwn(words)}


def mrkdwn(words: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": words, "verbatim": True}


def button(label: str, action: str, value: str) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": label}, "action_id": action, "value": value}
