"""The workspace's page as a window: where its reader is, what he has begun, how narrow it is, what comes late."""

import asyncio

import pytest
from playwright.async_api import Browser, Route, expect

from tests.playground.windows import (
    ADA,
    BOT,
    DEV,
    GENERAL,
    GRACE,
    Served,
    composer,
    messages,
    mrkdwn,
    section,
    thread,
    window,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one browser for all; a window and a workspace for each


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


async def test_a_long_message_is_folded_until_somebody_wants_all_of_it(served: Served, browser: Browser) -> None:
    await served.say(GRACE, "\n".join(f"line {n}" for n in range(100)))
    async with window(browser, served) as page:
        words = messages(page).locator(".words")
        folded = await words.bounding_box()
        await messages(page).get_by_role("button", name="Show all").click()
        less = messages(page).get_by_role("button", name="Show less")
        await expect(less).to_be_focused()
        whole = await words.bounding_box()
        assert folded is not None and whole is not None
        assert folded["height"] < 300 < 2_000 < whole["height"]


async def test_who_mentions_an_app_that_is_not_there_is_told(served: Served, browser: Browser) -> None:
    async with window(browser, served, at="#/general") as page:
        await composer(page).fill("@shipmate hello")
        await composer(page).press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("shipmate is not in #general, so it does not hear this.")


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
