"""The page of a session, with the real record behind it and a real browser in front."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from playwright.async_api import Browser, expect

from bot.heading import to_words
from bot.phases import MOMENTS as MOMENT_WORDS
from bot.view import fold_view
from bot.web.admission import Admission
from bot.web.links import ViewLinks
from bot.web.markdown import PART, _parts, to_html
from bot.web.pages import ViewPages, family
from bot.web.sparing import Sparing
from bot.web.transcripts import Transcripts
from bot.web.views import Views
from jobs import commands as c
from jobs import commands_tools as t
from jobs import frames as f
from jobs.events import Event, Place
from jobs.moments import MOMENTS, RECEIVED
from jobs.store import Entry, Store
from tests.browser import PATIENCE_MS, browsing, visit
from tests.jobs import test_children as a_family
from tests.logs import GRACE, SID, Log, done
from tests.slack.stories import STORIES, working

SECRET = Place(client="slack", team="T1", channel="G1", thread="1.000001", private=True)
PORT_OF_ANY = 0
WORDS = (
    "Tanks were counted with `//`, which rounds **down**.\n\n- rounded up\n\n```python\nmath.ceil(fuel / tank)\n```\n"
)
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=1</script>'
LINKS = "[one](javascript:document.title=1) [two](data:text/html,x) ![three](https://evil.test/x.png) [four](https://fine.test/)"

expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Served:
    """The page on a port of its own; `members` may look at private places."""

    store: Store
    now: float = field(default_factory=time.time)
    members: set[str] = field(default_factory=set)
    url: str = ""
    kept: int = 0
    asked: int = 0  # how often: may somebody look?

    @property
    def links(self) -> ViewLinks:
        return ViewLinks("secret", self.url, lambda: self.now)

    async def may_view(self, place: Place, viewer: str) -> bool:
        self.asked += 1
        return viewer in self.members

    async def keep(self, log: Log, entries: Sequence[Entry] = ()) -> None:
        """Put what is new in the log, and more of its transcript, into the record."""
        assert log.session is not None
        fresh = log.events[self.kept :]
        await self.store.append(SID, fresh, log.session, expected=self.kept, transcript=entries)
        self.kept += len(fresh)
        self.now += 1.0  # the next link is another one: on a busy machine the page of this one is given again

    @property
    def address(self) -> str:
        return self.links.public(SID, self.now)


@pytest.fixture
async def served(store: Store) -> AsyncIterator[Served]:
    found = Served(store)
    app = web.Application()
    pages = ViewPages(store, Admission(store, ViewLinks("secret", "", lambda: found.now), found.may_view))
    app.add_routes(pages.routes)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", PORT_OF_ANY)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as found:
        yield found


def said(text: str, turn: int = 1) -> Entry:
    return Entry("", 1_000.0, turn, "text", {"text": text})


def tool(number: int, title: str, **more: Any) -> Entry:
    return Entry("", 1_000.0, 1, "tool", {"id": f"t{number}", "title": title, **more})


async def get(url: str) -> tuple[int, str]:
    async with ClientSession() as http, http.get(url) as answer:
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        return answer.status, await answer.text()


async def test_a_session_is_shown_with_its_people_words_steps_and_commits(served: Served, browser: Browser) -> None:
    log = working().ask(2, GRACE, "and the README").end(commits=2).publish()
    await served.keep(
        log,
        [
            said("Let me"),
            said(" look."),
            tool(1, "Read"),
            said(WORDS[:20]),
            said(WORDS[20:]),
            tool(1, "Read fuel.py"),
            tool(2, "Run"),
            tool(3, "Edit", diff=[{"path": "fuel.py", "old": "a\n", "new": "b\n"}], output="Well.", exit=1),
        ],
    )
    async with visit(browser, served.address) as page:
        await expect(page.get_by_role("heading", level=1)).to_have_text("I will fix the rounding of tanks.")
        await expect(page.get_by_role("list", name="People").get_by_role("listitem")).to_have_count(2)
        pull = page.get_by_role("link", name="Pull request #7")
        await expect(pull).to_have_attribute("href", "https://forge.test/acme/rocket/pull/7")
        first = page.locator("article").first
        await expect(first.locator(".who b")).to_have_text("Ada")
        await expect(first.locator(".badge")).to_have_text("Done")
        await expect(first.get_by_role("list", name="Plan").locator("li.completed")).to_have_text(
            "Find the bugcompleted"
        )
        await expect(first.locator(".prose p").first).to_have_text("Let me look.")
        await expect(first.locator(".prose strong")).to_have_text("down")
        await expect(first.locator(".prose pre")).to_have_text("math.ceil(fuel / tank)\n")
        await first.locator("summary").first.click()
        await expect(first.locator(".steps li")).to_contain_text(["Read fuel.py", "Run", "Edit exit code 1"])
        await first.get_by_text("Edit").click()
        await expect(first.get_by_label("What changed in fuel.py")).to_have_text("- a\n+ b\n")
        await expect(first.get_by_label("What came out")).to_have_text("Well.")
        await expect(first.locator(".commits .subject")).to_have_text(["Change 1", "Change 2"])
        await expect(page.locator("article").nth(1).locator(".who b")).to_have_text("Grace")


async def test_the_page_follows_a_session_and_leaves_what_was_opened_open(served: Served, browser: Browser) -> None:
    log = working()
    await served.keep(log, [tool(n, f"Step {n}") for n in range(40)])
    async with visit(browser, served.address, viewport={"width": 900, "height": 500}) as page:
        await expect(page.locator(".badge")).to_have_text("Working")
        await page.locator("summary").click()
        await expect(page.locator("details")).not_to_have_attribute("open", "")
        await served.keep(log.ask(2, GRACE, "and the README").end().publish(), [said(WORDS)])
        await expect(page.get_by_role("link", name="Pull request #7")).to_be_visible()
        await expect(page.locator("article").first.locator(".badge")).to_have_text("Done")
        assert await page.locator("article").first.locator(".took").text_content() != ""
        await expect(page.locator("article").first.locator(".prose li")).to_have_text("rounded up")
        await expect(page.locator("article")).to_have_count(2)
        await expect(page.locator("article").first.locator("details")).not_to_have_attribute("open", "")


async def test_a_part_that_did_not_change_stays_the_same_element(served: Served, browser: Browser) -> None:
    log = working().ask(2, GRACE, "and the README")
    await served.keep(log)
    async with visit(browser, served.address) as page:
        second = await page.locator("article").nth(1).element_handle()
        assert second is not None
        await served.keep(log.hear(f.Step(n=9, at=0, kind="step", turn=1, title="Run it", tool="execute")))
        await expect(page.locator("article").first.locator("details")).to_contain_text("Run it")
        assert await second.evaluate("part => part.isConnected")


async def test_words_of_strangers_are_only_words(served: Served, browser: Browser) -> None:
    log = Log().ask(text=HOSTILE).boot().ready().work()
    log.hear(f.Step(n=5, at=0, kind="step", turn=1, title=HOSTILE, tool="read"))
    log.end(error=HOSTILE, outcome="failed")
    await served.keep(
        log,
        [
            said(f"{HOSTILE}\n\n{LINKS}"),
            tool(1, HOSTILE, output=HOSTILE, diff=[{"path": HOSTILE, "old": "", "new": HOSTILE}]),
        ],
    )
    async with visit(browser, served.address) as page:
        await expect(page.locator(".prompt")).to_have_text(HOSTILE)
        await expect(page.locator(".steps li summary")).to_have_text(HOSTILE, use_inner_text=False)
        await expect(page.get_by_label("What came out")).to_have_text(HOSTILE)
        await expect(page.locator(".note.bad")).to_have_text(HOSTILE)
        await expect(page.locator(".prose")).to_contain_text(HOSTILE)
        assert await page.locator("main img, main script, main iframe").count() == 0
        addresses = await page.locator(".prose a[href]").evaluate_all("links => links.map(link => link.href)")
        assert addresses == ["https://evil.test/x.png", "https://fine.test/"]  # an image is only a link
        assert await page.title() != "1"


async def test_a_page_whose_link_ran_out_says_so_and_stands_still(served: Served, browser: Browser) -> None:
    await served.keep(working())
    async with visit(browser, served.address) as page:
        served.now += 60 * 86_400
        await expect(page.locator("#trouble")).to_contain_text("Press View in the thread")
        await expect(page.locator(".badge")).to_have_text("Working")


@pytest.mark.parametrize("story", STORIES)
async def test_every_story_has_a_page_and_a_fragment_of_it(served: Served, story: str) -> None:
    await served.keep(STORIES[story])
    status, page = await get(served.address)
    assert status == 200
    again, fragment = await get(served.address + "&fragment=1")
    assert again == 200
    assert fragment.startswith('<main id="session"')
    assert fragment.strip() in page
    assert "<link" not in fragment


async def test_a_private_session_is_shown_to_members_only(served: Served) -> None:
    await served.keep(Log(SECRET).ask())
    assert (await get(served.address))[0] == 403
    assert (await get(served.links.personal(SID, "U01ADA")))[0] == 403
    served.members.add("U01ADA")
    assert (await get(served.links.personal(SID, "U01ADA")))[0] == 200
    assert (await get(served.links.personal(SID, "U02GRACE")))[0] == 403


async def test_a_private_page_that_stays_open_does_not_ask_each_time_who_may_look(served: Served) -> None:
    await served.keep(Log(SECRET).ask())
    served.members.add("U01ADA")
    address = served.links.personal(SID, "U01ADA")
    for _ in range(20):
        assert (await get(address + "&fragment=1"))[0] == 200
    assert served.asked == 1
    served.members.clear()
    assert (await get(address))[0] == 403
    assert (await get(address + "&fragment=1"))[0] == 403


async def test_a_link_that_was_changed_or_is_too_old_is_refused_in_words(served: Served) -> None:
    await served.keep(done())
    status, page = await get(served.address[:-1] + "x")
    assert status == 403
    assert "Press View in the thread" in page
    address = served.address
    served.now += 60 * 86_400
    assert (await get(address))[0] == 403


async def test_the_moments_of_a_session_are_told_in_their_order(served: Served) -> None:
    await served.keep(done())
    for name, at in {"received": 100.0, "delivered": 100.25, "synced": 102.0, "of-a-newer-release": 103.0}.items():
        await served.store.stamp(SID, name, at)
    _, page = await get(served.address)
    told = page[page.index("When what happened") :]
    places = [told.index(words) for words in ("Message received", "Prompt handed to the agent", "Repository in step")]
    assert places == sorted(places)
    assert "0.25 s" in told and "2.00 s" in told and "of-a-newer-release" not in told
    assert "Box started from the repository&#39;s image." in told


def test_every_moment_has_words() -> None:
    assert MOMENT_WORDS.keys() == {RECEIVED, *MOMENTS}


async def test_a_session_that_is_not_there_is_said_to_be_missing_and_one_that_is_broken_to_be_so(
    served: Served, archive: Path
) -> None:
    status, page = await get(served.links.public("snothing", served.now))
    assert status == 404
    assert "There is no such session" in page
    archive.mkdir()
    (archive / "snothing.json.gz").write_bytes(b"broken")
    status, page = await get(served.links.public("snothing", served.now))
    assert status == 503
    assert "This session cannot be read" in page and "snothing.json.gz" in page


async def test_the_page_is_read_from_its_top_to_its_end_as_the_thread_is(served: Served) -> None:
    log = working().do(t.AskPeople(1, "Which port?")).do(t.AnswerQuestion("q1", "four", GRACE)).do(t.TakeAnswer("q1"))
    log.end().publish().do(c.ClosePullRequest(7, True, "grace")).ask(2, GRACE, "and the README")
    log.work(2).do(t.AskPeople(1, "Which colour?"))
    await served.keep(log)
    _, page = await get(served.address)
    told = page[page.index("<article") :]
    in_order = ("Fix the", "Which port?", "four", "was merged", "and the README", "Which colour?")
    assert [told.index(words) for words in in_order] == sorted(told.index(words) for words in in_order)


async def test_a_question_for_a_repository_is_shown_with_its_answer(served: Served) -> None:
    log = Log().ask(repository=None)
    await served.keep(log)
    assert "Two fit." in (await get(served.address))[1]
    await served.keep(log.do(c.ChooseRepository("acme/site", "main", GRACE)))
    fresh = f"{served.address}&fragment=1"  # the whole page is remembered for a moment if it took long
    assert "chosen by Grace" in (await get(fresh))[1]


async def test_what_the_model_cost_and_what_is_asked_for_it_are_shown(served: Served) -> None:
    await served.keep(STORIES["cost"])
    _, text = await get(served.address)
    assert text.count("$0.42") == 2, "of the turn, and of the whole session"


async def test_a_review_is_shown_with_its_comments_in_the_order_of_their_lines(served: Served) -> None:
    await served.keep(STORIES["reviewed"])
    _, page = await get(served.address)
    in_order = ("ada dismissed", "Nearly.", "<b>README.md</b>", "Say so here.", "<b>rocket/fuel.py, lines 10-12</b>",
                '<span class="quiet">edited</span>', "<code>return int(fuel // tank)</code>", "Round up.")  # fmt: skip
    assert [page.index(words) for words in in_order] == sorted(page.index(words) for words in in_order)
    assert "Round <em>up</em>" not in page and "Oh." not in page


async def test_checks_lead_to_what_they_say(served: Served) -> None:
    await served.keep(STORIES["checks_failed"])
    _, page = await get(served.address)
    assert "failed: ci/build. Passed now: lint. Reply here and I will see to it." in page
    assert '<a href="https://ci.test/3?a=1&amp;b=2" target="_blank" rel="noopener noreferrer nofollow">ci/' in page


async def test_a_question_for_money_is_shown_until_it_is_answered(served: Served) -> None:
    await served.keep(STORIES["budget_paused"])
    _, text = await get(served.address)
    assert "Used $4.80 for the model. Go on with $5 more? Answer in the thread." in text
    assert "Paused: its budget is used up" in text


@pytest.mark.parametrize("name", ["session.css", "session.js"])
async def test_style_and_script_are_files_of_our_own(served: Served, name: str) -> None:
    async with ClientSession() as http, http.get(f"{served.url}/view/static/{name}") as answer:
        assert answer.status == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    async with ClientSession() as http, http.get(f"{served.url}/view/static/../pages.py") as answer:
        assert answer.status != 200


@pytest.mark.parametrize(
    ("words", "html"),
    [
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
        ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
        ("[x](ftp://y)", "<a>x</a>"),
        ("![x](https://y/z.png)", '!<a href="https://y/z.png"'),
        ("[x](https://y)", 'target="_blank"'),
        ("|a|b|\n|-|-|\n|1|2|", "<td>2</td>"),
        ("|a" * 500 + "\n" + "|-" * 500 + "\n|" * 500, "<p>|a|a"),  # a quarter of a million cells
    ],
)
def test_an_agents_markdown_is_harmless(words: str, html: str) -> None:
    made = to_html(words)
    assert html in made
    assert "<img" not in made


def test_a_long_text_is_read_in_parts_and_more_at_its_end_changes_the_last_one_only() -> None:
    text = "".join(f"Paragraph *{n}* of many words.\n\n" for n in range(2_000))
    parts = list(_parts(text))
    assert all(len(part) <= PART for part in parts)
    assert "".join(parts) == text
    assert list(_parts(text + "And more."))[: len(parts) - 1] == parts[:-1]
    assert to_html(text).count("<p>Paragraph <em>") == 2_000


@pytest.mark.parametrize("line", ["x = '*a*'\n", "x = '*a*'\n\n", "x" * 300])
def test_code_that_is_longer_than_a_part_stays_code(line: str) -> None:
    made = to_html(f"See:\n\n~~~~python\n{line * 1_000}\n~~~~\n\n*Well.*")
    assert made.count("<em>") == 1
    assert made.replace("</code></pre>", "").count('<pre><code class="language-python">') == made.count("</pre>") > 1


async def test_a_page_that_takes_long_is_made_once_for_all_who_look_and_not_again_at_once() -> None:
    made, now = [], [0.0]

    async def slow() -> str:
        await asyncio.sleep(0)
        now[0] += 0.5
        made.append(now[0])
        return f"page {len(made)}"

    sparing = Sparing(lambda: now[0])
    assert await asyncio.gather(*(sparing.page("s1", slow) for _ in range(5))) == ["page 1"] * 5
    now[0] += 2.4
    assert await sparing.page("s1", slow) == "page 1"
    assert await sparing.page("s2", slow) == "page 2"
    assert await sparing.page("s1", slow) == "page 3"
    assert len(made) == 3


async def test_a_page_that_is_open_reads_of_the_log_only_what_is_new(served: Served) -> None:
    class Counting:
        asked: list[int] = []

        async def events(self, sid: str, after: int = 0, most: int | None = None) -> list[Event]:
            self.asked.append(after)
            return await served.store.events(sid, after, most)

    log = working()
    await served.keep(log)
    views = Views(Counting())
    first = await views.of(SID)
    assert await views.of(SID) == first
    await served.keep(log.end())
    assert await views.of(SID) == fold_view(await served.store.events(SID))
    assert Counting.asked == [0, first.session.seq, first.session.seq]


async def test_a_page_that_is_open_reads_of_the_transcript_only_what_is_new(served: Served) -> None:
    class Counting:
        asked: list[str] = []

        async def transcript(self, sid: str, after: str = "0-0", limit: int = 1000) -> list[Entry]:
            self.asked.append(after)
            return await served.store.transcript(sid, after, limit)

    def said(*numbers: int) -> list[Entry]:
        return [Entry("", 1_000.0, 1, "text", {"kind": "text", "text": f"{n} "}) for n in numbers]

    log = working()
    await served.keep(log, said(*range(250)))
    transcripts = Transcripts(Counting(), most=252)
    first = await transcripts.of(SID)
    assert [entry.body["text"] for entry in first] == [f"{n} " for n in range(250)]
    await served.keep(log.end(), said(250))
    assert await transcripts.of(SID) == await served.store.transcript(SID)
    assert Counting.asked == ["0-0", first[99].id, first[199].id, first[-1].id]
    await served.keep(log.ask(2), said(251, 252))
    assert [entry.body["text"] for entry in await transcripts.of(SID)] == [f"{n} " for n in range(1, 253)]


def test_a_heading_has_the_words_of_markdown_without_its_signs() -> None:
    assert to_words("I will **fix** `a < b` in [fuel.py](https://x.test)\nnow.") == "I will fix a < b in fuel.py now."


async def test_sessions_that_it_started_are_listed_and_linked(served: Served) -> None:
    log = a_family.two_levels().do(a_family.f.TakeChildReport("c1", 12, *a_family.ENDED))
    await served.keep(log)
    _, text = await get(served.address)
    assert 'href="https://forge.test/acme/pad/pull/7"' in text and "Paint the pad" in text
    assert "/view/c1?expires=" in text and "/view/c2?expires=" in text


async def test_a_report_of_another_session_is_nobodys_words(served: Served) -> None:
    await served.keep(a_family.reported().end(commits=0).do(a_family.reporting()))
    _, page = await get(served.address)
    assert page.count('<p class="who"><b>Ada</b>') == 1
    assert '<b>Report of #1</b> <span class="quiet">for Ada</span>' in page


def test_a_session_that_was_started_links_to_the_one_that_a_person_opened() -> None:
    session = a_family.of(a_family.child())
    assert family(session, lambda sid: f"to {sid}") == {"number": 1, "root": f"to {SID}", "children": []}
