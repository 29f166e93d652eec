"""The agent's questions in a thread: asked once, answered once by anybody, however the answer comes."""

import pytest

from bot.playground import workspace_people as people
from bot.slack.courtesies import NO_QUESTION, OUTSIDER
from jobs import commands as c
from jobs import commands_tools as t
from jobs.asked import Inquiry
from tests.playground.workspaces import DEV, MENTION, PARTNERS
from tests.slack.deliveries import forged, press_again
from tests.slack.scene import Scene, Work, until
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene

ADA, GRACE, OLGA = people.ADA.id, people.GRACE.id, people.OUTSIDER.id
OPTIONS = ("tabs", "spaces")


async def asking(office: Scene, options: tuple[str, ...] = OPTIONS, channel: str = DEV) -> tuple[str, Work]:
    """A thread whose agent has just asked."""
    ts = await office.says(channel=channel)
    work = await office.work(ts, channel).begin()
    await work.do(t.AskPeople(1, "Tabs or spaces?", options))
    return ts, work


async def inquiry(office: Scene, ts: str) -> Inquiry:
    session = await office.session(ts)
    assert session is not None
    return session.inquiries[-1]


async def test_a_question_names_whose_turn_asks_and_its_buttons_answer_it_for_anybody(office: Scene) -> None:
    ts, _ = await asking(office)
    question = await office.shown(ts, f"<@{ADA}> Tabs or spaces?", "reply here in your own words")
    assert question.buttons == ("answer:0", "answer:1")
    assert (await office.presses("answer:1", question, by=GRACE))[0] == 200
    answered = await office.shown(ts, "› spaces", "answered by Grace Hopper")
    assert (answered.ts, answered.buttons) == (question.ts, ())
    assert office.whispers(GRACE) == []


async def test_slack_shows_that_a_person_is_waited_for(office: Scene) -> None:
    ts, work = await asking(office)

    async def status() -> str:
        return office.status(ts)

    await until(status, lambda shown: shown == "suspended")
    await work.do(t.AnswerQuestion("q1", "spaces", people_author()))
    await until(status, lambda shown: shown == "processing")


async def test_a_second_press_hears_whose_answer_counts(office: Scene) -> None:
    ts, work = await asking(office)
    question = await office.shown(ts, "Tabs or spaces?")
    await work.do(t.AnswerQuestion("q1", "spaces", people_author()))
    await press_again(office, question, "answer:0", f"{office.sid(ts)}:q1:0")
    await office.whispered(GRACE, "Ada has answered this already: spaces")
    assert (await inquiry(office, ts)).answer == "spaces"


def people_author() -> t.Author:
    return t.Author(id=ADA, name="Ada", email="ada@acme.test")


@pytest.mark.parametrize(
    ("options", "said", "answer"),
    [(OPTIONS, "Spaces.", "spaces"), (OPTIONS, "neither: two of each", "neither: two of each"), ((), "8080", "8080")]
    + [(("Go on", "Cancel"), "cancel!", "Cancel"), ((), "Perfect, thanks!", "Perfect, thanks!")],
)
async def test_the_next_reply_is_the_answer(office: Scene, options: tuple[str, ...], said: str, answer: str) -> None:
    ts, _ = await asking(office, options)
    await office.says(said, ts, by=office.served.grace)
    await office.shown(ts, f"› {answer}", "answered by Grace Hopper")
    assert await office.texts(ts) == ["fix the fuel test in acme/rocket"], "it is no prompt"


async def test_a_reply_that_is_delivered_again_and_again_is_one_answer_and_no_prompt(office: Scene) -> None:
    ts, work = await asking(office)
    await office.served.faults(duplicate=2)
    await office.says("spaces", ts)
    await work.do(t.TakeAnswer("q1"))
    await work.end()
    assert (await inquiry(office, ts)).answer == "spaces"
    assert len(await office.texts(ts)) == 1


async def test_a_mention_is_a_new_request_while_a_question_is_open(office: Scene) -> None:
    ts, _ = await asking(office)
    await office.says(f"{MENTION} and the docs", ts)
    assert (await inquiry(office, ts)).open
    assert await office.queue(ts) == ["and the docs"]


async def test_the_reply_after_an_answer_is_a_prompt_again(office: Scene) -> None:
    ts, _ = await asking(office)
    await office.says("spaces", ts)
    await office.says("and the docs", ts)
    assert await office.queue(ts) == ["and the docs"]


async def test_a_press_when_the_turn_is_over_brings_the_agent_the_answer_as_a_prompt(office: Scene) -> None:
    ts, work = await asking(office)
    question = await office.shown(ts, "Tabs or spaces?")
    await work.end(commits=0)
    assert (await office.presses("answer:1", question, by=GRACE))[0] == 200
    (_, prompt) = await office.prompts(ts)
    assert (prompt.author.id, prompt.text.splitlines()[0]) == (GRACE, "spaces")
    await office.shown(ts, "spaces", "asked by Grace Hopper")


async def test_nobody_answers_what_a_stopped_turn_had_asked(office: Scene) -> None:
    ts, work = await asking(office)
    question = await office.shown(ts, "Tabs or spaces?")
    await work.do(c.Stop(people_author()))
    await work.end("stopped", commits=0)
    assert (await office.shown(ts, "nobody has to answer")).ts == question.ts
    await press_again(office, question, "answer:0", f"{office.sid(ts)}:q1:0")
    await office.whispered(GRACE, NO_QUESTION)


async def test_an_outsider_answers_nothing(office: Scene) -> None:
    ts, _ = await asking(office, channel=PARTNERS)
    question = await office.shown(ts, "Tabs or spaces?", channel=PARTNERS)
    await office.says("spaces", ts, PARTNERS, by=office.served.olga)
    await office.presses("answer:0", question, by=OLGA, channel=PARTNERS)
    session = await office.session(ts, PARTNERS)
    assert session is not None and session.inquiries[-1].open and len(session.seen) == 1
    await office.whispered(OLGA, OUTSIDER)


async def test_a_forged_answer_changes_nothing(office: Scene) -> None:
    ts, _ = await asking(office)
    other, _ = await asking(office)
    question = await office.shown(ts, "Tabs or spaces?")
    for value in ("{sid}:q1:2", "{sid}:q1:99", "{sid}:q9:0", "snone:q1:0", "{other}:q1:0", "q1:0", ""):
        known = value.format(sid=office.sid(ts), other=office.sid(other))
        button = forged(question, "answer:0", known, user={"id": GRACE, "team_id": people.TEAM})
        assert await office.served.workspace.deliveries.ask(button) is not None
    assert (await inquiry(office, ts)).open and (await inquiry(office, other)).open


async def test_a_question_is_posted_once_by_clients_that_die_and_come_again(scene: Scene) -> None:
    async with scene.listening():
        ts, _ = await asking(scene)
        await scene.shown(ts, "Tabs or spaces?")
    async with scene.listening():
        await scene.says("tabs", ts)
        await scene.shown(ts, "answered by Ada Lovelace")
    assert len([said for said in await scene.ours(ts) if "Tabs or spaces?" in said.words]) == 1
