"""The command, its form and the Home tab: a session without a mention, and signs that one will be asked for."""

import asyncio
import time
from typing import Any

from bot.playground import workspace_people as people
from bot.playground.workspace_records import Delivery
from bot.slack.courtesies import NOT_KNOWN, OUTSIDER
from bot.slack.front_blocks import REPOSITORY, TASK
from bot.slack.signals import Signals
from jobs.hindsight import Hindsight
from jobs.inbox import session_id
from jobs.store_scripts import PREFIX
from tests.playground.workspaces import DEV, MENTION
from tests.slack.scene import Json, Scene, until
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene

ADA, GRACE = people.ADA.id, people.GRACE.id
WORDS = "fix the fuel test"


def all_shown(office: Scene, who: str = ADA, kind: str = "modal") -> list[Json]:
    """What the app has shown to somebody, the newest last."""
    views = office.served.workspace.views._views.values()
    return [view for user, view in views if user == who and view["type"] == kind]


async def shown(office: Scene, who: str = ADA, kind: str = "modal", after: int = 0) -> Json:
    """The newest thing that the app has shown to somebody, who had seen so many before."""

    async def newer() -> list[Json]:
        return all_shown(office, who, kind)[after:]

    return (await until(newer, bool))[-1]


async def does(office: Scene, what: str, who: str = ADA, **given: Any) -> Json:
    """What a person does at a page; the answer, which must be none of an error."""
    status, answer = await office.served.post_json(f"/playground/{what}", {"token": office.served.token(who), **given})
    assert status == 200, answer
    return dict(answer)


async def opens_form(office: Scene, text: str = "", who: str = ADA, channel: str = DEV) -> Json:
    seen = len(all_shown(office, who))
    await does(office, "command", who, channel=channel, command="/shipmate", text=text)
    return await shown(office, who, after=seen)


def filled(repository: str = "acme/rocket", task: str = WORDS) -> Json:
    return {REPOSITORY: {REPOSITORY: repository}, TASK: {TASK: task}}


async def the_sessions(office: Scene) -> list[str]:
    return await office.store.all_sessions()


async def test_the_command_opens_a_form_that_knows_what_its_words_say(office: Scene) -> None:
    view = await opens_form(office, "mend the docs of acme/site")
    select, task, _ = view["blocks"]
    assert select["element"]["initial_option"]["value"] == "acme/site"
    assert [option["value"] for option in select["element"]["options"]] == ["acme/rocket", "acme/site"]
    assert task["element"]["initial_value"] == "mend the docs of acme/site"


async def test_a_form_guesses_no_repository_but_the_one_that_this_person_asked_about_last(office: Scene) -> None:
    async def chosen() -> str:
        element = (await opens_form(office, WORDS))["blocks"][0]["element"]
        return str(element.get("initial_option", element["placeholder"]).get("value", ""))

    assert await chosen() == ""
    await office.says(f"{MENTION} mend the docs of acme/site")
    assert await chosen() == "acme/site"


async def test_a_form_that_is_sent_is_a_message_in_the_persons_name_and_a_session_in_its_thread(office: Scene) -> None:
    view = await opens_form(office)
    assert "errors" not in await does(
        office, "submit", view_id=view["id"], values=filled(task="fix <!channel> & *all*")
    )
    (sid,) = await until(lambda: the_sessions(office), bool)
    session = await office.store.load(sid)
    assert session is not None
    assert (session.repository, session.opened_by.id, session.place.channel) == ("acme/rocket", ADA, DEV)
    ts = session.place.thread
    assert sid == session_id(people.TEAM, DEV, ts)
    message = office.served.workspace.state.message(DEV, ts)
    assert f"<@{ADA}>" in str(message.blocks) and "<!channel>" not in str(message.blocks)
    assert (await office.card(ts)).words
    await office.says("and the docs", ts, by=office.served.grace)
    session = await office.store.load(sid)
    assert session is not None and [prompt.text for prompt in session.queue] == [
        "fix <!channel> & *all*",
        "and the docs",
    ]


async def test_a_form_that_is_delivered_again_is_one_message_and_one_session(office: Scene) -> None:
    view = await opens_form(office)
    sent = office.served.workspace.views.filled_in(ADA, view["id"], filled())
    payload = {
        "type": "view_submission",
        "user": {"id": ADA, "team_id": people.TEAM},
        "team": {"id": people.TEAM},
        "view": sent,
        "token": office.served.workspace.tokens.verification,
    }
    deliveries = [Delivery(id=f"Ia{n}", type="interactive", payload=payload) for n in range(3)]
    answers = await asyncio.gather(*(office.served.workspace.deliveries.ask(delivery) for delivery in deliveries))
    assert all(answer is not None and "errors" not in answer for answer in answers)
    (sid,) = await until(lambda: the_sessions(office), bool)
    session = await office.store.load(sid)
    assert session is not None and len(session.seen) == 1
    history = await office.served.ada.conversations_history(channel=DEV)
    assert ["asks for work" in message["text"] for message in history["messages"]].count(True) == 1


async def test_what_is_wrong_with_a_form_is_said_in_it_and_changes_nothing(office: Scene) -> None:
    view = await opens_form(office)
    await office.served.ada.conversations_kick(channel=DEV, user=people.BOT.id)
    answer = await does(office, "submit", view_id=view["id"], values=filled())
    assert "/invite @shipmate" in answer["errors"][TASK]
    assert await the_sessions(office) == []
    await office.served.ada.conversations_invite(channel=DEV, users=people.BOT.id)
    assert "errors" not in await does(office, "submit", view_id=view["id"], values=filled())
    assert len(await the_sessions(office)) == 1


async def test_where_slack_gives_no_clear_answer_to_a_form_it_is_said_what_to_look_for(office: Scene) -> None:
    view = await opens_form(office)
    await office.served.faults(fail_after=1, methods=["chat.postMessage"])
    answer = await does(office, "submit", view_id=view["id"], values=filled())
    assert answer["errors"][TASK].startswith("Slack gave no clear answer. Look into the channel")


async def test_without_a_repository_there_is_no_form_and_who_asks_hears_why(scene: Scene) -> None:
    scene.enabled = ()
    async with scene.listening():
        await does(scene, "command", ADA, channel=DEV, command="/shipmate", text="fix it")
        await scene.whispered(ADA, "SHIPMATE_REPOSITORIES is empty. Whoever runs me can set it.")


async def test_typing_wishes_for_a_box_of_what_is_chosen_once(office: Scene) -> None:
    view = await opens_form(office)
    for end in range(1, len(WORDS)):
        values = filled("acme/site", WORDS[:end])
        await does(office, "type", view_id=view["id"], values=values, action_id=TASK)
    wished = await until(lambda: seen(office), bool)
    assert {repository for repository, _ in wished} == {"acme/site"} and len(wished) == 1


async def seen(office: Scene) -> list[tuple[str, str]]:
    return list(office.warmed)


async def test_people_who_talk_beside_a_session_that_sleeps_wish_for_its_box(office: Scene) -> None:
    ts = await office.says()
    office.warmed.clear()
    await office.says("(aside) lunch?", ts, by=office.served.grace)
    assert await until(lambda: seen(office), bool) == [
        ("acme/rocket", "people talk in the thread of a session that sleeps")
    ]


async def test_the_home_tab_has_the_persons_own_sessions_and_a_way_to_the_form(office: Scene) -> None:
    ts = await office.says()
    await does(office, "open-app", tab="home")
    home = await shown(office, kind="home")
    words = str(home["blocks"])
    assert "acme/rocket" in words and "Waiting for a box" in words and ts.replace(".", "") in words
    await (await office.work(ts).begin()).end()
    await office.work(ts).publish()
    await does(office, "open-app", tab="home")
    pull = "Ready  ·  <https://forge.test/acme/rocket/pull/7|Pull request #7 open>"
    home = await until(lambda: shown(office, kind="home"), lambda home: pull in str(home["blocks"]))
    await does(office, "open-app", GRACE, tab="home")
    assert "Nothing yet" in str((await shown(office, GRACE, "home"))["blocks"])
    await does(office, "press-home", view_id=home["id"], action_id="shipmate_new")
    view = await shown(office)
    await does(office, "submit", view_id=view["id"], values=filled())
    found = await until(lambda: the_sessions(office), lambda sids: len(sids) == 2)
    places = [(await office.store.load(sid)).place for sid in found]  # type: ignore[union-attr]
    assert [place.private for place in places if place.channel != DEV] == [True]


async def test_an_outsiders_home_tab_has_nothing_of_the_workspaces(office: Scene) -> None:
    await office.says()
    await Hindsight(office.store).renew(time.time())
    await office.served.olga.conversations_open(users=people.BOT.id)
    await does(office, "open-app", people.OUTSIDER.id, tab="home")
    home = await shown(office, people.OUTSIDER.id, "home")
    assert [block["text"]["text"] for block in home["blocks"]] == [OUTSIDER]
    assert "somebody opened the app" not in [why for _, why in office.warmed]


async def test_whom_slack_does_not_tell_apart_from_an_outsider_is_shown_nothing_and_told_to_come_back(
    office: Scene,
) -> None:
    async def home(who: str, words: str) -> None:
        await does(office, "open-app", who, tab="home")
        await until(lambda: shown(office, who, kind="home"), lambda view: words in str(view["blocks"]))

    await office.says()
    await Hindsight(office.store).renew(time.time())
    await office.served.faults(fail=99, methods=["users.info"])
    await home(GRACE, NOT_KNOWN)
    assert "Last 30 days" not in str((await shown(office, GRACE, "home"))["blocks"])
    await office.store._redis.delete(f"{PREFIX}fact:slack:person:{people.TEAM}:{ADA}")
    await home(ADA, "Last 30 days")  # it is known here what Slack said of her
    await office.served.faults(fail=0)
    await home(GRACE, "Last 30 days")


async def test_the_home_tab_says_what_became_of_everybodys_sessions_once_that_is_counted(office: Scene) -> None:
    await office.says()
    await does(office, "open-app", tab="home")
    assert "Last 30 days" not in str((await shown(office, kind="home"))["blocks"])
    await Hindsight(office.store).renew(time.time())
    await does(office, "open-app", GRACE, tab="home")
    words = "Last 30 days: 1 session, 0 with a pull request, 0 merged (0%)"
    assert words in str((await shown(office, GRACE, kind="home"))["blocks"])


async def test_the_command_works_over_signed_http(scene: Scene) -> None:
    async with scene.at_addresses():
        view = await opens_form(scene)
        await does(scene, "submit", view_id=view["id"], values=filled())
        assert len(await the_sessions(scene)) == 1


async def test_a_wish_that_fails_breaks_nothing_and_the_last_one_of_a_moment_counts() -> None:
    wished: list[str] = []

    async def fails(repository: str, _reason: str) -> None:
        wished.append(repository)
        raise OSError("no Redis")

    now = [0.0]
    signals = Signals(fails, lambda: now[0], pause_seconds=0.0)
    for repository in ("a/a", "b/b", "c/c"):
        signals.soon("ada", repository, "typing")
    signals.soon("ada", "", "typing")
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while signals._waiting:
            await asyncio.sleep(0)
    signals.soon("ada", "c/c", "it was said a moment ago")
    assert wished == ["c/c"] and not signals._waiting
    now[0] = 60.0
    signals.soon("ada", "c/c", "it is news again")
    await signals.close()
