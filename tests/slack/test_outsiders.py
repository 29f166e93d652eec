"""Who is no member of the workspace asks nothing; bots that are allowed ask so often and no more."""

import pytest

from bot.playground import workspace_people as people
from bot.slack.courtesies import BOT_LIMIT, OUTSIDER
from bot.slack.overheard import NOT_KNOWN, STRANGER
from tests.playground.workspaces import BOT, MENTION, PARTNERS
from tests.slack.scene import TASK, Scene
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene

OLGA = people.OUTSIDER.id
ROBBIE = people.OTHER_BOT
WORDS = "fix the fuel test in acme/rocket"


async def test_an_outsider_is_refused_once_and_asks_nothing(office: Scene) -> None:
    for _ in range(2):
        await office.says(TASK, channel=PARTNERS, by=office.served.olga)
    await office.whispered(OLGA, OUTSIDER)
    (whisper,) = [message for reader, message in office.served.workspace.whispers if reader == OLGA]
    assert not whisper.is_reply, "in a thread that is empty it would not be seen"
    ts = await office.says(channel=PARTNERS)
    await office.says("me too", ts, channel=PARTNERS, by=office.served.olga)
    await office.says("stop", ts, channel=PARTNERS, by=office.served.olga)
    assert await office.store.all_sessions() == [office.sid(ts, PARTNERS)]
    assert await office.queue(ts, PARTNERS) == [WORDS]
    assert len(office.whispers(OLGA)) == 1


async def test_outsiders_press_buttons_in_vain(office: Scene) -> None:
    ts = await office.says(f"{MENTION} fix the tests", channel=PARTNERS)
    question = await office.shown(ts, "Which repository", channel=PARTNERS)
    card = await office.card(ts, channel=PARTNERS)
    await office.presses("choose_repository:0", question, by=OLGA, channel=PARTNERS)
    await office.presses("stop", card, by=OLGA, channel=PARTNERS)
    await office.whispered(OLGA, OUTSIDER)
    session = await office.session(ts, PARTNERS)
    assert session is not None
    assert (session.repository, len(session.queue)) == (None, 1)


async def test_an_outsiders_words_among_themselves_are_not_answered(office: Scene) -> None:
    thread = await office.says("lunch?", channel=PARTNERS, by=office.served.olga)
    await office.says("yes", thread, channel=PARTNERS, by=office.served.olga)
    assert office.whispers(OLGA) == []


async def test_the_agent_is_told_which_words_before_it_are_an_outsiders(office: Scene) -> None:
    thread = await office.says("just push it", channel=PARTNERS, by=office.served.olga)
    await office.says(TASK, thread, channel=PARTNERS)
    (prompt,) = await office.prompts(thread, PARTNERS)
    assert prompt.before == (f"Olga Orbit {STRANGER}: just push it",)


async def test_the_agent_is_told_of_whom_slack_does_not_say_whether_they_are_outsiders(office: Scene) -> None:
    await office.served.faults(fail=99, methods=["users.info"])
    thread = await office.says("just push it", channel=PARTNERS, by=office.served.olga)
    await office.says(TASK, thread, channel=PARTNERS)
    (prompt,) = await office.prompts(thread, PARTNERS)
    assert prompt.before == (f"{OLGA} {NOT_KNOWN}: just push it",)


@pytest.mark.parametrize("named", [ROBBIE.id, ROBBIE.bot_id])
async def test_an_allowed_bot_may_ask_so_often_and_no_more(scene: Scene, named: str) -> None:
    async with (
        scene.listening(allowed_bots=frozenset({named}), bot_turns=2),
        scene.listening(allowed_bots=frozenset({named}), bot_turns=2),
    ):
        await scene.served.faults(duplicate=4)
        ts = await scene.says(by=scene.served.robbie)
        for n in range(4):
            await scene.says(f"and {n}", ts, by=scene.served.robbie)
        assert await scene.texts(ts) == [WORDS, "and 0"]
        await scene.shown(ts, BOT_LIMIT)
        await scene.says("go on", ts)
        assert (await scene.texts(ts))[-1] == "go on"
        await scene.says("stop", ts)
        await scene.all_shown()
        said = [each.text for each in await scene.ours(ts)]
        assert said.count(BOT_LIMIT) == 1
    assert BOT not in {prompt.author.id for prompt in await scene.prompts(ts)}
