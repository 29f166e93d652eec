"""Several sessions in one thread: each with its own card, Stop and Steer, and replies that find the right one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.playground import workspace_people as people
from bot.playground.workspace_records import Delivery
from bot.slack.courtesies import NOTHING_HERE
from bot.slack.intake import understand
from bot.slack.meanings import Ignored, Meaning, Refused, SteerAsked, Steered, StopAllAsked, StopAsked, ViewAsked
from jobs import commands_family as f
from jobs import commands_tools as t
from jobs.children import hand_over
from jobs.events import Author, Prompt, PromptEdited, PromptWithdrawn
from jobs.session import Session
from tests.playground.workspaces import DEV
from tests.slack.scene import Scene, Work, until
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene
from tests.slack.test_intake import ME, pressed

ADA, GRACE, OLGA = people.ADA.id, people.GRACE.id, people.OUTSIDER.id
FIRST, SECOND = "s1111111111111111", "s2222222222222222"
NAMED = Author(id=ADA, name=people.ADA.real_name, email=people.ADA.email)


class Family:
    """A thread whose session is at work and has started two others, in Ada's name."""

    def __init__(self, office: Scene, thread: str) -> None:
        self.office, self.thread, self.root = office, thread, office.work(thread)

    async def child(self, sid: str = FIRST) -> Session:
        found = await self.office.store.load(sid)
        assert found is not None
        return found

    async def waiting(self, sid: str = FIRST) -> list[str]:
        return [prompt.text for prompt in (await self.child(sid)).queue]

    async def starts(self, sid: str, task: str) -> None:
        prompt = Prompt(id=f"{sid}:task", author=NAMED, text=task, received_at=1.0)
        spawn = f.SpawnChild(sid, self.root.sid, "acme/site", "trunk", "rehearsal", "", prompt, True)
        await hand_over(self.office.inbox, await self.root.do(spawn))

    async def card(self, prompt: str) -> Any:
        seen = await until(
            lambda: self.office.ours(self.thread), lambda all_said: any(said.card == prompt for said in all_said)
        )
        return next(said for said in seen if said.card == prompt)


@pytest.fixture
async def family(office: Scene) -> Family:
    thread = await office.says()
    found = Family(office, thread)
    await found.root.begin()
    await found.starts(FIRST, "Paint the pad")
    await found.starts(SECOND, "Sweep the pad")
    return found


async def test_each_has_a_card_of_its_own_and_a_line_on_the_first_ones(family: Family) -> None:
    card = await family.card(f"{FIRST}:task")
    for words in ("Paint the pad", "session *#1*", "for Ada Lovelace", "acme/site"):
        assert words in card.words
    assert card.buttons == ("stop_session", "steer", "view")
    await family.office.shown(family.thread, "▸ *#1* acme/site: Paint the pad", "▸ *#2* acme/site: Sweep the pad")
    await family.root.do(f.TakeChildReport(FIRST, 9, "done", "Painted.", 4, "https://forge.test/acme/site/pull/4"))
    await family.office.shown(family.thread, "✓ *#1*", "<https://forge.test/acme/site/pull/4|Pull request #4>")


async def test_a_reply_goes_to_the_session_that_a_person_opened_unless_it_names_another(family: Family) -> None:
    office, thread = family.office, family.thread
    await office.says("and the docs", thread)
    await office.says("#1 use tabs", thread, by=office.served.grace)
    await office.says("#2: use spaces", thread)
    await office.says("#7 is the ticket for it", thread)
    await office.says("#1", thread)
    assert await office.queue(thread) == ["and the docs", "#7 is the ticket for it", "#1"]
    assert await family.waiting(FIRST) == ["Paint the pad", "use tabs"]
    assert await family.waiting(SECOND) == ["Sweep the pad", "use spaces"]
    assert (await family.child(FIRST)).queue[-1].author.id == GRACE


async def test_what_was_said_to_one_of_them_can_be_edited_and_deleted(family: Family) -> None:
    office, thread = family.office, family.thread
    edited = await office.says("#1 use tabs", thread)
    deleted = await office.says("#1 and be quick", thread)
    await office.served.ada.chat_update(channel=DEV, ts=edited, text="#1 use spaces")
    await office.served.ada.chat_delete(channel=DEV, ts=deleted)
    await office.delivered()
    assert await family.waiting() == ["Paint the pad", "use spaces"]
    events = await office.store.events(FIRST)
    assert {type(event) for event in events[-2:]} == {PromptEdited, PromptWithdrawn}
    assert not any(isinstance(event, PromptEdited) for event in await office.store.events(family.root.sid))


async def test_one_of_them_is_stopped_by_its_button_or_by_its_number(family: Family) -> None:
    office, thread = family.office, family.thread
    await office.says("#1 use tabs", thread)
    await office.presses("stop_session", await family.card(f"{FIRST}:task"), by=GRACE)
    assert await family.waiting(FIRST) == ["use tabs"], "a button stops what its card is about"
    await office.says("#2 stop", thread)
    assert await family.waiting(SECOND) == []
    session = await office.session(thread)
    assert session is not None and session.turn is not None and session.turn.stop_asked is None
    card = await office.shown(thread, "Sweep the pad", "Withdrawn: stopped by Ada Lovelace before it began")
    assert card.buttons == ("steer", "view")


async def test_all_of_them_are_stopped_by_whoever_takes_the_offer(family: Family) -> None:
    office, thread = family.office, family.thread
    await office.says("stop", thread, by=office.served.grace)
    offer = await office.shown(thread, f"<@{GRACE}> The 2 sessions that it started go on.")
    assert await family.waiting(FIRST) == ["Paint the pad"], "they go on unless somebody says otherwise"
    await office.presses("stop_children", offer)
    await hand_over(office.inbox, await family.root.do(f.FinishHanding("nobody", "")))
    assert (await family.waiting(FIRST), await family.waiting(SECOND)) == ([], [])
    after = await office.shown(thread, "Ada Lovelace stopped what this session had started, too.")
    assert (after.ts, after.buttons) == (offer.ts, ())


async def test_words_from_the_form_become_a_prompt_of_that_session(family: Family) -> None:
    office = family.office
    view = await steer(family, GRACE)
    assert view["title"]["text"] == "Steer session #1" and "Paint the pad" in view["blocks"][0]["text"]["text"]
    status, _ = await submit(office, view, GRACE, "use tabs")
    assert status == 200
    assert await family.waiting() == ["Paint the pad", "use tabs"]
    prompt = (await family.child()).queue[-1]
    assert prompt.author.id == GRACE
    card = await family.card(prompt.id)
    assert "asked by Grace Hopper" in card.words
    await office.presses("stop_session", card)
    assert await family.waiting() == ["Paint the pad"]


async def test_the_word_stop_in_the_form_stops_it(family: Family) -> None:
    await submit(family.office, await steer(family, ADA), ADA, "Stop!")
    assert await family.waiting() == []


async def test_a_form_that_cannot_be_shown_is_made_up_for_in_words(family: Family) -> None:
    office = family.office
    await office.served.faults(fail=1, methods=["views.open"])
    await office.presses("steer", await family.card(f"{FIRST}:task"), by=GRACE)
    await office.whispered(GRACE, "Reply here with `#1` and your words instead.")


async def test_a_button_of_another_threads_session_does_nothing(family: Family) -> None:
    office = family.office
    elsewhere = await office.says(channel=DEV)
    for action in ("stop_session", "steer", "stop_children"):
        await forge_press(office, action, f"{FIRST} {FIRST}:task" if action == "stop_session" else FIRST, elsewhere)
    assert await family.waiting() == ["Paint the pad"]
    assert NOTHING_HERE in office.whispers(GRACE)


async def test_nobody_from_outside_steers_or_stops_one(family: Family) -> None:
    office = family.office
    for action, value in (("stop_session", f"{FIRST} {FIRST}:task"), ("stop_children", family.root.sid)):
        await forge_press(office, action, value, family.thread, user=OLGA, team="T0OTHER")
    assert await family.waiting() == ["Paint the pad"]
    assert all(child.stop_by is None for child in (await family.root.do(f.FinishHanding("nobody", ""))).children)


async def test_a_question_of_one_of_them_is_answered_by_a_reply_with_its_number(family: Family) -> None:
    office, thread = family.office, family.thread
    work = await Work(office.inbox, FIRST).begin()
    await work.do(t.AskPeople(1, "Which colour?", ()))
    await office.shown(thread, "*#1*", "Which colour?", "beginning with `#1`")
    await office.says("#1 red", thread, by=office.served.grace)
    (asked,) = (await family.child()).inquiries
    assert (asked.answer, asked.by and asked.by.id) == ("red", GRACE)
    assert await family.waiting() == []


async def test_the_status_of_the_thread_is_that_of_the_first_session(family: Family) -> None:
    office, thread = family.office, family.thread
    work = await Work(office.inbox, FIRST).begin()
    await family.root.end(commits=0)
    await until(lambda: _status(office, thread), lambda status: status == "processing")
    await work.end(commits=0)
    for sid in (FIRST, SECOND):
        await family.root.do(f.TakeChildReport(sid, 30, "done", "", None, ""))
    await until(lambda: _status(office, thread), lambda status: status == "active")


async def _status(office: Scene, thread: str) -> str:
    return office.status(thread)


async def steer(family: Family, who: str) -> dict[str, Any]:
    """Press Steer on the first one's card; the form that comes."""
    office = family.office
    before = set(office.served.workspace.views._views)
    await office.presses("steer", await family.card(f"{FIRST}:task"), by=who)

    async def shown() -> list[str]:
        return [key for key in office.served.workspace.views._views if key not in before]

    (key,) = await until(shown, bool)
    user, view = office.served.workspace.views._views[key]
    assert user == who
    return view


async def submit(office: Scene, view: dict[str, Any], who: str, words: str) -> tuple[int, Any]:
    filled = {"token": office.served.token(who), "view_id": view["id"], "values": {"steer_words": {"words": words}}}
    return await office.served.post_json("/playground/submit", filled)


async def forge_press(
    office: Scene, action: str, value: str, thread: str, user: str = GRACE, team: str = people.TEAM
) -> None:
    """A press as Slack would deliver it, with a value of our choice."""
    body = pressed(action, value, user={"id": user, "team_id": team}, channel={"id": DEV}, trigger_id="1.x")
    body["container"] = {"thread_ts": thread}
    delivery = Delivery(id=f"Ia0{action}{thread}", type="interactive", payload=body)
    assert await office.served.workspace.deliveries.ask(delivery) is not None


WHERE = ("T1", "C1", "1.000001", "U01ADA")


def sent(value: object = "use tabs", data: str = f"{FIRST} C1 1.000001", **fields: Any) -> dict[str, Any]:
    view = {"id": "V1", "callback_id": "steered", "private_metadata": data}
    state = {"values": {"steer_words": {"words": {"value": value}}}}
    user = {"id": "U01ADA", "team_id": "T1"}
    return {"type": "view_submission", "user": user, "view": view | {"state": state}} | fields


MEANT: list[tuple[str, dict[str, Any], Meaning | type[Meaning]]] = [
    ("steer", pressed("steer", FIRST, trigger_id="1.x"), SteerAsked(*WHERE, FIRST, "1.x")),
    ("steer without a trigger", pressed("steer", FIRST), Ignored),
    ("steer of nobody", pressed("steer", "s1", trigger_id="1.x"), Ignored),
    ("stop one", pressed("stop_session", f"{FIRST} p1"), StopAsked(*WHERE, "p1", session=FIRST)),
    ("stop one without its prompt", pressed("stop_session", FIRST), Ignored),
    ("stop all", pressed("stop_children", FIRST), StopAllAsked(*WHERE, FIRST)),
    ("look at one", pressed("view_private", FIRST), ViewAsked(*WHERE, FIRST)),
    ("stop a report", pressed("stop", f"{FIRST}:12"), StopAsked(*WHERE, f"{FIRST}:12")),
    ("stop a prompt of another channel", pressed("stop", "T1:C2:1.000001"), Ignored),
    ("sent", sent(), Steered(*WHERE, FIRST, "use tabs", "form-V1")),
    ("sent from outside", sent(user={"id": "U9", "team_id": "T9"}), Refused("T1", "C1", "1.000001", "U9", True)),
    ("sent empty", sent("  "), Ignored),
    ("sent without words", sent(None), Ignored),
    ("sent a list", sent(["use tabs"]), Ignored),
    ("sent without a place", sent(data=FIRST), Ignored),
    ("sent without a session", sent(data=""), Ignored),
    ("another form", sent(view={"id": "V1", "callback_id": "other"}), Ignored),
    ("no form", sent(view=None), Ignored),
]


@pytest.mark.parametrize(("body", "meaning"), [row[1:] for row in MEANT], ids=[row[0] for row in MEANT])
def test_a_payload_means_this(body: dict[str, Any], meaning: Meaning | type[Meaning]) -> None:
    found = understand(body, ME)
    assert isinstance(found, meaning) if isinstance(meaning, type) else found == meaning


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.text(max_size=20) | st.sampled_from([FIRST, "steered", "C1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "state", "values", "x"]), inner),
    max_leaves=10,
)


@given(ANYTHING, ANYTHING)
def test_no_form_is_too_odd_to_be_understood(view: Any, user: Any) -> None:
    assert understand({"type": "view_submission", "view": view, "user": user}, ME)
