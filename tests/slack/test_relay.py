"""Many threads, several processes: nothing twice, nothing forgotten, and never more than Slack allows."""

import asyncio
import time

from bot.playground import workspace_people as people
from jobs.commands import Choice, Submit
from jobs.events import Author, Place, Prompt
from jobs.store_scripts import BELL
from tests.playground.workspaces import BOT, DEV, SECRET
from tests.slack.scene import TASK, Scene, Work, until
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene
from tests.waiting import until as once

ADA = people.ADA.id


async def test_two_clients_on_one_record_post_everything_once(scene: Scene) -> None:
    async with scene.listening(), scene.listening(), scene.listening():
        threads = [await scene.says(channel=channel) for channel in (DEV, SECRET) for _ in range(2)]
        places = list(zip((DEV, DEV, SECRET, SECRET), threads, strict=True))

        async def story(channel: str, ts: str) -> None:
            work = await scene.work(ts, channel).begin()
            for number in range(5):
                await work.steps(f"Read {number}")
            await work.end(commits=0)

        await asyncio.gather(*(story(channel, ts) for channel, ts in places))
        await scene.all_shown()
        for channel, ts in places:
            cards = [said.card.rpartition(":")[2] for said in await scene.ours(ts, channel)]
            assert cards == [ts, "1"]
            assert "*Done*" in (await scene.card(ts, channel=channel)).words


async def test_a_client_that_begins_again_says_what_is_missing_and_nothing_twice(scene: Scene) -> None:
    async with scene.listening():
        ts = await scene.says()
        await scene.card(ts)
    await (await (await scene.work(ts).begin()).end()).publish()
    async with scene.listening():
        await scene.shown(ts, f"<@{ADA}> Done.", "Pull request #7")
        await scene.all_shown()
    before = [(said.ts, said.raw["edited"]) for said in await scene.ours(ts)]
    async with scene.listening():
        other = await scene.says()
        await scene.card(other)
    assert [(said.ts, said.raw["edited"]) for said in await scene.ours(ts)] == before
    assert len(before) == 2


async def test_a_session_that_came_to_rest_while_slack_was_away_is_told_nevertheless(office: Scene) -> None:
    ts = await office.says()
    await office.card(ts)
    await office.served.faults(down=True)
    await (await (await office.work(ts).begin()).end()).publish()
    session = await office.session(ts)
    assert session is not None and session.pull_request is not None
    assert await office.store.unshown() == [session.id]
    await office.served.faults(down=False)
    await office.shown(ts, f"<@{ADA}> Done.", "Pull request #7")
    await office.all_shown()
    assert len(await office.ours(ts)) == 2


async def test_bells_that_are_missed_are_made_up_for(office: Scene) -> None:
    ts = await office.says()
    await office.card(ts)
    await office.store._do("CLIENT", "KILL", "TYPE", "pubsub")
    await (await office.work(ts).begin()).end(commits=0)
    await office.shown(ts, f"<@{ADA}> Done.")


async def test_a_session_of_another_client_is_left_alone(office: Scene) -> None:
    ts = await office.says()
    session = await office.session(ts)
    assert session is not None
    other = office.new_client()
    assert await other._relay._catch_up("sunknown") is None
    await office.card(ts)


async def test_a_session_that_has_no_thread_here_is_looked_at_once(scene: Scene) -> None:
    place = Place(client="elsewhere", team="T", channel="C", thread="1")
    prompt = Prompt(id="p", author=Author(id="A", name="Ada", email="ada@acme.example"), text="hello")
    await scene.inbox.handle("s1", Submit("s1", place, prompt, Choice("acme/rocket", "main"), "rehearsal"))
    async with scene.listening() as client:
        relay = client._relay
        await once(lambda: relay._elsewhere == {"s1"})
        await scene.store._redis.publish(BELL, "s1")
        ts = await scene.says()
        await scene.card(ts)
        assert "s1" not in {*relay._threads, *relay._rung}
        assert "s1" in await scene.store.unshown()


async def test_all_clients_wait_as_long_as_slack_says(scene: Scene) -> None:
    async with scene.listening(), scene.listening():
        await scene.served.faults(rate_limit=2, retry_after=1, methods=["chat.postMessage"])
        began = time.monotonic()
        ts = await scene.says()
        await scene.card(ts)
        assert scene.served.workspace.faults.rate_limit == 0
        assert time.monotonic() - began >= 1.9  # once for each 429, which one alone of them got
    assert len(await scene.ours(ts)) == 1


async def test_twenty_busy_threads_stay_within_what_slack_allows(office: Scene) -> None:
    places: list[tuple[str, str]] = []
    for number in range(7):
        made = (await office.served.ada.conversations_create(name=f"team-{number}"))["channel"]["id"]
        await office.served.ada.conversations_invite(channel=made, users=BOT)
        places += [(made, await office.says(TASK, channel=made)) for _ in range(3)][: 20 - len(places)]
    works: list[Work] = [await office.work(ts, channel).begin() for channel, ts in places]
    for channel, ts in places:
        await office.card(ts, channel=channel)
    end = time.monotonic() + 4.0
    while time.monotonic() < end:
        for number, work in enumerate(works):
            await work.steps(f"Read {number}")
    calls = office.served.workspace.limits._calls
    assert 4 <= len(calls[f"{people.APP}:chat.update"]) <= 25
    assert [key async for key in office.store._redis.scan_iter(match="*pause*")] == [], "Slack never had to say 429"
    assert len(places) == 20


async def test_urgent_words_go_before_progress(office: Scene) -> None:
    ts = await office.says()
    work = await office.work(ts).begin()
    for number in range(40):
        await work.steps(f"Read {number}")
    await work.says_what("I will say this at once.")
    began = time.monotonic()
    await office.shown(ts, "I will say this at once.")
    assert time.monotonic() - began < 2.5
    await until(office.store.unshown, lambda sids: sids == [office.sid(ts)])
