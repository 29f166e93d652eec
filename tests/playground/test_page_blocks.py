"""What the workspace's page makes of messages: Block Kit, mrkdwn, and words that would like to be more than words."""

from typing import Any

import pytest
from playwright.async_api import Browser, expect

from bot.playground.page import STATIC
from tests.playground.windows import (
    ADA,
    BOT,
    DEV,
    GRACE,
    HOSTILE,
    Served,
    button,
    messages,
    mrkdwn,
    section,
    thread,
    window,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one browser for all; a window and a workspace for each


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


async def test_a_form_that_the_app_shows_is_filled_in_and_sent(served: Served, browser: Browser) -> None:
    await served.say(BOT, "card", blocks=[{"type": "actions", "elements": [button("Steer", "steer", "s1")]}])
    field = {"type": "plain_text_input", "action_id": "words", "multiline": True}
    label = {"type": "plain_text", "text": "What should it do?"}
    form = {
        "type": "modal",
        "callback_id": "steered",
        "private_metadata": "s1",
        "title": {"type": "plain_text", "text": "Steer session #1"},
        "blocks": [section("It works on *this*"), {"type": "input", "block_id": "b", "label": label, "element": field}],
    }
    async with window(browser, served) as page:
        await messages(page).get_by_role("button", name="Steer").click()
        pressed = await served.hears("block_actions")
        await served.call(BOT, "views.open", trigger_id=pressed["trigger_id"], view=form)
        dialog = page.get_by_role("dialog", name="Steer session #1")
        await expect(dialog).to_contain_text("It works on this")
        await dialog.get_by_label("What should it do?").fill(f"use tabs {HOSTILE}")
        await dialog.get_by_role("button", name="Send").click()
        sent = await served.hears("view_submission")
        assert sent["user"]["id"] == ADA
        assert sent["view"]["private_metadata"] == "s1"
        assert sent["view"]["state"]["values"]["b"]["words"]["value"] == f"use tabs {HOSTILE}"
        await expect(dialog).to_have_count(0)
