"""People meet on the workspace's page, in a real browser: what one does, the other sees."""

import re

import pytest
from playwright.async_api import Browser, expect

from tests.playground.windows import ADA, BOT, DEV, GRACE, Served, composer, messages, thread, window

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one browser for all; a window and a workspace for each


async def test_two_people_converse_and_see_each_other_at_once(served: Served, browser: Browser) -> None:
    async with window(browser, served) as ada, window(browser, served, "Grace") as grace:
        await expect(composer(grace)).to_have_attribute("placeholder", "Message #dev as Grace")
        await expect(grace.get_by_role("main").locator("header").first).to_have_text(re.compile(r"members$"))
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
