"""What people say becomes prompts, each once, in whatever order and however often Slack delivers it."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.playground import workspace_people as people
from bot.slack.blocks import HELP
from bot.slack.in_order import InOrder
from tests.playground.workspaces import DEV, DM, MENTION
from tests.slack.deliveries import held_back
from tests.slack.scene import TASK, Scene, until
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene

ADA, GRACE = people.ADA.id, people.GRACE.id
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


async def test_whoever_asks_in_a_thread_whose_file_in_the_archive_is_broken_is_told_and_goes_on_elsewhere(
    office: Scene, archive: Path
) -> None:
    ts = (await office.served.ada.chat_postMessage(channel=DEV, text="the fuel test fails"))["ts"]
    archive.mkdir(exist_ok=True)
    (archive / f"{office.sid(ts)}.json.gz").write_bytes(b"broken")
    await office.says(TASK, ts)
    told = await office.whispered(ADA, "I cannot read what I know of this thread")
    assert f"`{office.sid(ts)}.json.gz`" in told and "Mention me in a new thread" in told
    assert await office.texts(await office.says()) == [WORDS]


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
    await office.says("(aside) not again", root)
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
    assert prompt.before[0].endswith("why? (then came 6 more, for which there was no room here)")


async def test_a_session_begins_without_what_slack_does_not_say_in_time(scene: Scene) -> None:
    async with scene.listening(lookup_seconds=0.2):
        root = await scene.says("who can fix this?")
        await scene.served.faults(slow=1.0, methods=["conversations.replies"])
        await scene.says(TASK, root)
        (prompt,) = await scene.prompts(root)
        assert (prompt.text, prompt.before) == (WORDS, ())


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
    "thanks": lambda s, ts: s.says("Great, thank you so much! :tada:", ts),
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


@pytest.mark.parametrize("asked", [MENTION, f"{MENTION} Help!", f"{MENTION} hello"])
async def test_an_empty_mention_or_the_word_is_helped_once(office: Scene, asked: str) -> None:
    await office.served.faults(duplicate=2)
    ts = await office.says(asked)
    (said,) = await until(lambda: office.ours(ts), bool)
    assert said.text == HELP.replace("&", "&amp;") + " I may work on `acme/rocket`, `acme/site`."
    assert await office.session(ts) is None


async def test_a_direct_message_needs_no_mention(office: Scene) -> None:
    ts = await office.says("fix the fuel test in acme/rocket", channel=DM)
    await office.says("quickly", ts, channel=DM)
    assert await office.texts(ts, DM) == [WORDS, "quickly"]
    session = await office.session(ts, DM)
    assert session is not None and session.place.private


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
