"""What people say becomes prompts, each once, in whatever order and however often Slack delivers it."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot.playground import workspace_people as people
from bot.playground.workspace_records import Delivery
from bot.slack.blocks import HELP
from bot.slack.courtesies import BOT_LIMIT, NOTHING_HERE, OUTSIDER, STOP_WHERE
from bot.slack.in_order import InOrder
from jobs.events import PromptEdited, PromptWithdrawn, StopRequested
from tests.playground.workspaces import BOT, DEV, DM, MENTION, PARTNERS
from tests.slack.scene import TASK, Scene, until
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene

ADA, GRACE, OLGA = people.ADA.id, people.GRACE.id, people.OUTSIDER.id
ROBBIE = people.OTHER_BOT
WORDS = "fix the fuel test in acme/rocket"

# -- one prompt for one message --------------------------------------------------------------------------------------

DELIVERIES: dict[str, dict[str, Any]] = {
    "as it should be": {},
    "everything twice": {"duplicate": 2},
    "the message before the mention": {"reorder": 2},
    "no mention": {"drop_mentions": 1},
    "no message": {"drop_messages": 1},
    "acknowledgements lost": {"drop_acks": 2},
    "late": {"delay": 0.1},
}


@pytest.mark.parametrize("case", DELIVERIES)
async def test_a_mention_is_one_prompt_however_it_is_delivered(office: Scene, case: str) -> None:
    await office.served.faults(**DELIVERIES[case])
    ts = await office.says()
    (prompt,) = await office.prompts(ts)
    assert (prompt.id, prompt.text, prompt.author.id) == (f"{people.TEAM}:{DEV}:{ts}", WORDS, ADA)
    assert (prompt.author.name, prompt.author.email) == (people.ADA.real_name, people.ADA.email)
    await office.card(ts)
    await office.says("stop", ts)
    await office.all_shown()
    assert len(await office.ours(ts)) == 1


async def test_the_session_remembers_where_it_was_asked_for(office: Scene) -> None:
    ts = await office.says()
    session = await office.session(ts)
    assert session is not None
    assert (session.place.channel, session.place.thread, session.place.private) == (DEV, ts, False)
    assert session.place.link == (await office.served.ada.chat_getPermalink(channel=DEV, message_ts=ts))["permalink"]
    stamps = await office.store.stamps(session.id)
    assert stamps["received"] <= stamps["durable"]


async def test_two_connections_that_get_one_message_at_once_make_one_prompt(scene: Scene) -> None:
    async with scene.listening(), scene.listening():
        for _ in range(5):
            ts = await scene.says()
            assert await scene.texts(ts) == [WORDS]


async def test_a_reply_of_anybody_is_a_prompt_without_a_mention(office: Scene) -> None:
    ts = await office.says()
    await office.says("and the README", ts, by=office.served.grace)
    assert [(p.text, p.author.id) for p in await office.prompts(ts)] == [(WORDS, ADA), ("and the README", GRACE)]
    await office.shown(ts, "Waiting its turn (1 ahead)", "asked by Grace Hopper")


async def test_a_mention_in_the_thread_of_a_session_joins_it(office: Scene) -> None:
    ts = await office.says()
    await office.says(f"{MENTION} and the docs of acme/site", ts, by=office.served.grace)
    assert await office.texts(ts) == [WORDS, "and the docs of acme/site"]
    session = await office.session(ts)
    assert session is not None and session.repository == "acme/rocket"


async def test_a_mention_late_in_a_thread_begins_a_session_with_what_is_said_from_there_on(office: Scene) -> None:
    root = await office.says("who can fix this?")
    await office.says("not me", root, by=office.served.grace)
    await office.says(TASK, root)
    await office.says("and quickly", root, by=office.served.grace)
    assert await office.texts(root) == [WORDS, "and quickly"]


async def test_what_people_said_before_the_mention_in_its_thread_goes_to_the_agent_with_it(office: Scene) -> None:
    root = await office.says("main is red: test_fuel", by=office.served.robbie)
    await office.says(f"<@{ADA}> can you\nlook?", root, by=office.served.grace)
    await office.says("how?", root)
    await office.says(TASK, root)
    await office.says(f"{MENTION} and quickly", root, by=office.served.grace)
    first, second = await office.prompts(root)
    assert first.before == (
        "robbie: main is red: test_fuel",
        "Grace Hopper: @Ada Lovelace can you look?",
        "Ada Lovelace: how?",
    )
    assert second.before == ()
    await office.shown(root, WORDS, "knows the 3 messages above")


async def test_of_a_long_thread_the_beginning_and_the_end_are_told(office: Scene) -> None:
    root = await office.says("why?")
    for n in range(12):
        await office.posts(f"{n} " + "x" * 1_000, root)
    await office.says(TASK, root)
    (prompt,) = await office.prompts(root)
    told = [line.split()[2] for line in prompt.before]
    assert told == ["why?", "6", "7", "8", "9", "10", "11"]


async def test_a_session_begins_without_what_slack_does_not_say_in_time(scene: Scene) -> None:
    async with scene.listening(lookup_seconds=0.2):
        root = await scene.says("who can fix this?")
        await scene.served.faults(slow=1.0, methods=["conversations.replies"])
        await scene.says(TASK, root)
        (prompt,) = await scene.prompts(root)
        assert (prompt.text, prompt.before) == (WORDS, ())


async def held_back(scene: Scene) -> dict[str, Delivery]:
    """What was to be told so far, by type, subtype and ts; none of it is on its way."""
    found = [delivery.payload["event"] for delivery in scene.served.workspace.state.pending.values()]
    names = [":".join((e["type"], e.get("subtype") or "", e.get("ts", ""))) for e in found]
    return dict(zip(names, scene.served.workspace.state.pending.values(), strict=True))


ORDERS = list(itertools.permutations(["app_mention", "message", "reply"]))


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
async def test_a_mention_and_a_reply_to_it_may_come_in_any_order(scene: Scene, order: tuple[str, ...]) -> None:
    async with scene.at_addresses():
        await scene.served.faults(reorder=99)
        ts = await scene.posts()
        reply = await scene.posts("quickly, please", ts)
        told = await held_back(scene)
        events = {"app_mention": f"app_mention::{ts}", "message": f"message::{ts}", "reply": f"message::{reply}"}
        for name in order:
            assert await scene.served.workspace.deliveries.ask(told[events[name]]) is not None
    assert await scene.texts(ts) == [WORDS, "quickly, please"]


async def test_a_mention_and_its_replies_at_the_same_moment_lose_nothing(scene: Scene) -> None:
    async with scene.listening(), scene.listening():
        for _ in range(8):
            ts = await scene.posts()
            await asyncio.gather(scene.posts("one", ts), scene.posts("two", ts, by=scene.served.grace))
            await scene.delivered()
            assert sorted(await scene.texts(ts)) == sorted([WORDS, "one", "two"])


async def test_who_spoke_first_is_first_even_if_slack_must_say_who_that_is(office: Scene) -> None:
    ts = await office.says()
    await office.served.faults(slow=0.3, methods=["users.info"])
    await office.posts("one", ts, by=office.served.grace)
    await office.posts("two", ts)
    await office.delivered()
    assert await office.texts(ts) == [WORDS, "one", "two"]


async def test_nobody_waits_for_long_for_who_came_first() -> None:
    in_order, ended, entered = InOrder(0.05), asyncio.Event(), asyncio.Event()

    async def takes_long() -> None:
        async with in_order.turn("a"):
            entered.set()
            await ended.wait()

    first = asyncio.create_task(takes_long())
    await entered.wait()
    async with in_order.turn("a"), in_order.turn("b"):
        assert not first.done()
    ended.set()
    await first


# -- what is no prompt -----------------------------------------------------------------------------------------------

NOT_FOR_US: dict[str, Callable[[Scene, str], Awaitable[Any]]] = {
    "an aside": lambda s, ts: s.says("(aside) he always asks for that", ts),
    "another aside": lambda s, ts: s.says("!aside lunch?", ts),
    "said to somebody else": lambda s, ts: s.says(f"<@{GRACE}> what do you think?", ts),
    "what another bot says": lambda s, ts: s.says("Build passed", ts, by=s.served.robbie),
    "another bot's mention": lambda s, ts: s.says(f"{MENTION} do it all again", ts, by=s.served.robbie),
    "our own words": lambda s, ts: s.says(f"{MENTION} I talk to myself", ts, by=s.served.bot),
    "said elsewhere": lambda s, ts: s.says("lunch?"),
    "said in another thread": lambda s, ts: _elsewhere(s),
}


async def _elsewhere(scene: Scene) -> None:
    await scene.says("yes", await scene.says("lunch?"))


@pytest.mark.parametrize("case", NOT_FOR_US)
async def test_what_is_not_for_us_is_left_alone(office: Scene, case: str) -> None:
    ts = await office.says()
    await NOT_FOR_US[case](office, ts)
    assert await office.store.all_sessions() == [office.sid(ts)]
    assert await office.texts(ts) == [WORDS]


@pytest.mark.parametrize("asked", [MENTION, f"{MENTION} Help!"])
async def test_an_empty_mention_or_the_word_is_helped_once(office: Scene, asked: str) -> None:
    await office.served.faults(duplicate=2)
    ts = await office.says(asked)
    (said,) = await until(lambda: office.ours(ts), bool)
    assert said.text == HELP.replace("&", "&amp;")
    assert await office.session(ts) is None


async def test_a_direct_message_needs_no_mention(office: Scene) -> None:
    ts = await office.says("fix the fuel test in acme/rocket", channel=DM)
    await office.says("quickly", ts, channel=DM)
    assert await office.texts(ts, DM) == [WORDS, "quickly"]
    session = await office.session(ts, DM)
    assert session is not None and session.place.private


# -- edits and deletions ---------------------------------------------------------------------------------------------


async def test_an_edit_of_a_prompt_that_waits_changes_it(office: Scene) -> None:
    ts = await office.says()
    await office.served.ada.chat_update(channel=DEV, ts=ts, text=f"{MENTION} fix the fuel test in acme/rocket gently")
    await office.delivered()
    assert await office.queue(ts) == ["fix the fuel test in acme/rocket gently"]
    await office.shown(ts, "gently", "edited")


async def test_a_deleted_prompt_that_waits_is_not_done(office: Scene) -> None:
    ts = await office.says()
    reply = await office.says("and the README", ts)
    await office.served.ada.chat_delete(channel=DEV, ts=reply)
    await office.delivered()
    assert await office.queue(ts) == [WORDS]
    await office.shown(ts, "Withdrawn: its message was deleted")


async def test_an_edit_that_leaves_nothing_or_an_aside_withdraws_the_prompt(office: Scene) -> None:
    ts = await office.says()
    one, other = await office.says("and the README", ts), await office.says("and the docs", ts)
    await office.served.ada.chat_update(channel=DEV, ts=one, text="(aside) and the README")
    await office.served.ada.chat_update(channel=DEV, ts=other, text=MENTION)
    await office.delivered()
    assert await office.queue(ts) == [WORDS]


async def test_edits_and_deletions_of_what_is_worked_on_are_noted_for_its_author(office: Scene) -> None:
    ts = await office.says()
    await office.work(ts).begin()
    await office.served.ada.chat_update(channel=DEV, ts=ts, text=f"{MENTION} rather the docs")
    await office.shown(ts, f"<@{ADA}>", "I had already begun", "Reply with the correction")
    await office.served.ada.chat_delete(channel=DEV, ts=ts)
    await office.shown(ts, f"<@{ADA}>", "was deleted", "press Stop")
    session = await office.session(ts)
    assert session is not None and session.turn is not None and session.turn.prompt.text == WORDS


async def test_an_edit_that_adds_a_mention_asks(office: Scene) -> None:
    ts = await office.says("somebody fix the fuel test in acme/rocket")
    await office.served.ada.chat_update(channel=DEV, ts=ts, text=TASK)
    await office.delivered()
    assert await office.texts(ts) == [WORDS]


async def test_edits_and_deletions_may_come_before_their_messages(scene: Scene) -> None:
    async with scene.at_addresses():
        await scene.served.faults(reorder=99)
        edited = await scene.posts()
        reply = await scene.posts("quickly", edited)
        deleted = await scene.posts()
        await scene.served.ada.chat_update(channel=DEV, ts=edited, text=f"{MENTION} fix acme/site")
        for text in ("slowly", "very slowly"):
            await scene.served.ada.chat_update(channel=DEV, ts=reply, text=text)
        await scene.served.ada.chat_delete(channel=DEV, ts=deleted)
        told = await held_back(scene)
        for name in sorted(told, key=lambda name: "message_" not in name):
            assert await scene.served.workspace.deliveries.ask(told[name]) is not None
    assert await scene.queue(edited) == ["fix acme/site", "very slowly"]
    assert await scene.session(deleted) is None


async def test_a_mention_that_a_second_edit_adds_asks_for_what_is_said_then(office: Scene) -> None:
    ts = await office.says("somebody fix the feul test")
    for text in ("somebody fix the fuel test", f"{MENTION} fix the fuel test of acme/rocket"):
        await office.served.ada.chat_update(channel=DEV, ts=ts, text=text)
        await office.delivered()
    assert await office.queue(ts) == ["fix the fuel test of acme/rocket"]


async def test_an_edit_while_slack_is_asked_who_somebody_is_counts(scene: Scene) -> None:
    await scene.served.faults(slow=0.3, methods=["users.info"])
    async with scene.listening(), scene.listening():
        kept, gone = await scene.posts(), await scene.posts()
        await scene.served.ada.chat_update(channel=DEV, ts=kept, text=f"{MENTION} fix acme/site")
        await scene.served.ada.chat_delete(channel=DEV, ts=gone)
        await scene.delivered()
    assert await scene.queue(kept) == ["fix acme/site"]
    assert await scene.queue(gone) == []


# -- stops -----------------------------------------------------------------------------------------------------------


async def stops(office: Scene, thread: str) -> list[str]:
    """Who asked the running turn to stop, each time."""
    events = await office.store.events(office.sid(thread))
    return [event.by.id for event in events if isinstance(event, StopRequested) and event.by]


async def press_native_stop(office: Scene, thread: str) -> None:
    said = {"token": office.served.token(GRACE), "channel": DEV, "thread_ts": thread}
    assert (await office.served.post_json("/playground/stop", said))[0] == 200
    await office.delivered()


async def press_stop(office: Scene, thread: str) -> None:
    assert (await office.presses("stop", await office.card(thread), by=GRACE))[0] == 200


STOPS: dict[str, Callable[[Scene, str], Awaitable[Any]]] = {
    "the word": lambda office, ts: office.says("Stop!", ts, by=office.served.grace),
    "the word, with a mention": lambda office, ts: office.says(f"{MENTION} stop", ts, by=office.served.grace),
    "the button": press_stop,
    "Slack's own": press_native_stop,
}


@pytest.mark.parametrize("way", STOPS)
async def test_anybody_stops_the_turn_in_any_way(office: Scene, way: str) -> None:
    ts = await office.says()
    await office.work(ts).begin()
    await until(lambda: asyncio.sleep(0, office.status(ts)), lambda status: status == "processing")
    await office.served.faults(duplicate=3)
    await STOPS[way](office, ts)
    assert await stops(office, ts) == [GRACE]
    card = await office.shown(ts, "Stopping, as Grace Hopper asked")
    assert "stop" not in card.buttons
    assert office.whispers(GRACE) == []
    assert await office.texts(ts) == [WORDS]


async def test_a_stop_that_is_delivered_again_spares_what_was_asked_since(office: Scene) -> None:
    ts = await office.says()
    await office.says("stop", ts)
    again = _last_event(office, "stop")
    assert await office.queue(ts) == []
    await office.says("do it after all", ts)
    assert await office.served.workspace.deliveries.ask(again) is not None
    assert await office.queue(ts) == ["do it after all"]
    assert office.whispers(ADA) == []


def _last_event(office: Scene, text: str) -> Delivery:
    """The delivery about the message with this text, as it was made."""
    entries = [e for e in office.served.workspace.journal.read() if e.kind == "delivery"]
    found = [e.value for e in entries if e.value["payload"]["event"].get("text") == text]
    return Delivery.model_validate(found[-1])


async def test_stop_withdraws_everything_that_waits_and_says_by_whom(office: Scene) -> None:
    ts = await office.says()
    await office.says("and the docs", ts)
    await office.says("stop", ts, by=office.served.grace)
    assert await office.queue(ts) == []
    await until(lambda: office.ours(ts), lambda said: [("stopped by Grace" in s.words) for s in said] == [True] * 2)


async def test_a_stop_with_nothing_to_stop_is_answered_to_its_author_alone(office: Scene) -> None:
    ts = await office.says()
    await (await office.work(ts).begin()).end(commits=0)
    await office.says("stop", ts, by=office.served.grace)
    await office.whispered(GRACE, "there is nothing left to stop")
    assert office.whispers(ADA) == []


async def test_people_may_say_stop_to_each_other(office: Scene) -> None:
    thread = await office.says("he sings again")
    await office.says("stop", thread)
    await office.says(f"{MENTION} stop", thread, by=office.served.grace)
    await office.whispered(GRACE, NOTHING_HERE)
    assert (office.whispers(ADA), await office.ours(thread)) == ([], [])


async def test_stop_said_to_a_whole_channel_begins_no_session_and_is_told_where_to_say_it(office: Scene) -> None:
    ts = await office.says(f"{MENTION} stop")
    assert (await office.shown(ts, STOP_WHERE)).buttons == ()
    assert await office.session(ts) is None


# -- buttons ---------------------------------------------------------------------------------------------------------


async def test_the_button_of_a_card_stops_its_prompt_and_no_other(office: Scene) -> None:
    ts = await office.says()
    reply = await office.says("and the docs", ts)
    card = await office.card(reply, ts)
    assert (await office.presses("stop", card))[0] == 200
    await press_again(office, card, "stop", card.card)
    assert await office.queue(ts) == [WORDS]
    withdrawn = [e for e in await office.store.events(office.sid(ts)) if isinstance(e, PromptWithdrawn)]
    assert len(withdrawn) == 1


async def test_the_repository_is_asked_for_and_chosen_once(office: Scene) -> None:
    ts = await office.says(f"{MENTION} fix the tests")
    question = await office.shown(ts, "Which repository")
    assert question.buttons == ("choose_repository:0", "choose_repository:1")
    assert (await office.presses("choose_repository:1", question, by=GRACE))[0] == 200
    await press_again(office, question, "choose_repository:1", "acme/site")
    session = await office.session(ts)
    assert session is not None and (session.repository, session.base_branch) == ("acme/site", "trunk")
    answered = await office.shown(ts, "Repository: *acme/site*, chosen by Grace Hopper")
    assert (answered.ts, answered.buttons) == (question.ts, ())
    assert office.whispers(GRACE) == []


async def test_the_repository_may_be_said_in_a_reply(office: Scene) -> None:
    ts = await office.says(f"{MENTION} fix the tests")
    await office.shown(ts, "Which repository")
    await office.says("acme/site", ts)
    session = await office.session(ts)
    assert session is not None and session.repository == "acme/site"
    await office.shown(ts, "Repository: *acme/site*")


def forged(said: Any, action: str, value: str, user: dict[str, str], channel: str = DEV) -> Delivery:
    """A pressed button that was never there."""
    payload = {
        "type": "block_actions",
        "user": user,
        "api_app_id": people.APP,
        "team": {"id": people.TEAM, "domain": "acme"},
        "channel": {"id": channel, "name": "dev"},
        "container": {"type": "message", "message_ts": said.ts, "channel_id": channel},
        "message": {"ts": said.ts, "thread_ts": said.raw["thread_ts"]},
        "actions": [{"action_id": action, "block_id": "b", "type": "button", "value": value, "action_ts": "1.0"}],
    }
    return Delivery(id="Ia0FORGED", type="interactive", payload=payload)


async def press_again(office: Scene, said: Any, action: str, value: str) -> None:
    """As somebody does whose screen is behind."""
    button = forged(said, action, value, user={"id": GRACE, "team_id": people.TEAM})
    assert await office.served.workspace.deliveries.ask(button) is not None


FORGED = {
    "a prompt of another workspace": ("stop", "T9:C9:1.1"),
    "a prompt that is not there": ("stop", f"{people.TEAM}:{DEV}:1.000001"),
    "a repository that is not enabled": ("choose_repository:0", "evil/repo"),
    "no repository": ("choose_repository:0", ""),
    "no action of ours": ("rm_rf", "/"),
}


@pytest.mark.parametrize("case", FORGED)
async def test_a_forged_button_changes_nothing(office: Scene, case: str) -> None:
    ts = await office.says(f"{MENTION} fix the tests")
    said = await office.shown(ts, "Which repository")
    before = await office.store.events(office.sid(ts))
    button = forged(said, *FORGED[case], user={"id": GRACE, "team_id": people.TEAM})
    assert await office.served.workspace.deliveries.ask(button) is not None
    assert await office.store.events(office.sid(ts)) == before


# -- outsiders and bots ----------------------------------------------------------------------------------------------


async def test_an_outsider_is_refused_once_and_asks_nothing(office: Scene) -> None:
    for _ in range(2):
        await office.says(TASK, channel=PARTNERS, by=office.served.olga)
    await office.whispered(OLGA, OUTSIDER)
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


async def test_files_come_with_their_prompt(office: Scene) -> None:
    await office.served.ada.files_upload_v2(
        channel=DEV, content="a,b\n", filename="numbers.csv", initial_comment=f"{MENTION} add these to acme/rocket"
    )
    await office.delivered()
    (sid,) = await office.store.all_sessions()
    session = await office.store.load(sid)
    assert session is not None
    assert [file.name for file in session.queue[0].attachments] == ["numbers.csv"]
    await office.shown(session.place.thread, "files: numbers.csv")


async def test_an_edit_is_followed_once(office: Scene) -> None:
    ts = await office.says()
    await office.served.faults(duplicate=1)
    await office.served.ada.chat_update(channel=DEV, ts=ts, text=f"{MENTION} fix acme/site")
    await office.delivered()
    edits = [e for e in await office.store.events(office.sid(ts)) if isinstance(e, PromptEdited)]
    assert [edit.text for edit in edits] == ["fix acme/site"]
