"""One thread: a card for each turn, edited in place, an ending that names the person; and whatever Slack does to it."""

import asyncio
import dataclasses
import time
from typing import Any

import pytest

from bot.playground import workspace_people as people
from bot.slack.block_kit import Message
from bot.slack.calls import Calls
from bot.slack.posts import Draft, Due, Posted
from bot.slack.writer import LEASE_SECONDS, UNKNOWN, Lease, Writer
from jobs.commands import ReviewPullRequest
from jobs.commands_reviews import CommentOnLines
from jobs.events import DiffLines
from jobs.store_scripts import BELL, PREFIX, UNSHOWN
from tests.playground.workspaces import BOT, DEV
from tests.slack.scene import Scene, until
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene

ADA = people.ADA.id


async def test_a_turn_is_one_card_edited_in_place_and_one_ending_that_names_the_person(office: Scene) -> None:
    ts = await office.says()
    card = await office.card(ts)
    assert "Waiting for a box" in card.words
    work = await office.work(ts).begin()
    await work.says_what()
    await office.shown(ts, "I will fix the rounding of tanks.", "Working")
    await work.steps("Read rocket/fuel.py")
    await office.shown(ts, "› Read rocket/fuel.py")
    await (await work.end()).publish()
    await office.all_shown()
    done, ending = await office.ours(ts)
    assert (done.ts, done.card, done.buttons) == (card.ts, card.card, ("view",))
    assert "*Done*" in done.words
    assert ending.text.startswith(f"<@{ADA}> Done. <https://forge.test/acme/rocket/pull/7|Pull request #7>")
    stamps = await office.store.stamps(office.sid(ts))
    assert stamps["received"] <= stamps["durable"] <= stamps["first_words"]


async def test_a_follow_up_has_a_card_of_its_own(office: Scene) -> None:
    ts = await office.says()
    work = await office.work(ts).begin()
    reply = await office.says("and the docs", ts)
    assert "Waiting its turn (1 ahead)" in (await office.card(reply, ts)).words
    await work.end(commits=0)
    await (await work.take_up()).end(commits=0)
    await office.all_shown()
    assert [said.card.rpartition(":")[2] for said in await office.ours(ts)] == [ts, reply, "1", "2"]


async def test_a_pull_request_that_takes_long_is_told_in_the_same_ending(office: Scene) -> None:
    ts = await office.says()
    work = await (await office.work(ts).begin()).end()
    first = await office.shown(ts, f"<@{ADA}> Done.", "the pull request is on its way")
    await work.publish()
    second = await office.shown(ts, "Pull request #7")
    assert first.ts == second.ts
    await office.all_shown()
    assert len(await office.ours(ts)) == 2


# -- answers that are lost -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["fail", "fail_after"])
async def test_a_post_without_a_clear_answer_stands_there_once(scene: Scene, fault: str) -> None:
    await scene.served.faults(**{fault: 2, "methods": ["chat.postMessage"]})
    async with scene.listening():
        ts = await scene.says()
        await (await scene.work(ts).begin()).end(commits=0)
        await scene.all_shown()
        assert [said.card.rpartition(":")[2] for said in await scene.ours(ts)] == [ts, "1"]
        assert "*Done*" in (await scene.card(ts)).words


async def test_an_answer_that_comes_too_late_is_no_second_post(scene: Scene) -> None:
    async with scene.listening(call_seconds=1.0):
        ts = await scene.says()
        await scene.card(ts)
        await scene.served.faults(slow=1.3, methods=["chat.postMessage"])
        await (await scene.work(ts).begin()).end(commits=0)
        await scene.shown(ts, f"<@{ADA}> Done.")
        await scene.served.faults(slow=0.0)
        await scene.all_shown()
        assert len(await scene.ours(ts)) == 2


async def test_another_client_finds_what_a_dead_one_has_posted(scene: Scene) -> None:
    async with scene.listening():
        ts = await scene.says()
        await scene.card(ts)
    sid = scene.sid(ts)
    for card in await scene.store.posts(sid):
        if card.startswith(people.TEAM):
            await scene.store.save_post(sid, card, '{"state": "posting"}')  # as if it died before the answer
    await (await scene.work(ts).begin()).end(commits=0)
    async with scene.listening():
        await scene.all_shown()
        assert len(await scene.ours(ts)) == 2
        assert "*Done*" in (await scene.card(ts)).words


# -- what people and Slack do to a thread ----------------------------------------------------------------------------


async def test_a_card_that_somebody_deleted_is_let_go_and_the_rest_is_said(office: Scene) -> None:
    ts = await office.says()
    card = await office.card(ts)
    office.served.workspace.delete(BOT, DEV, card.ts)
    await (await office.work(ts).begin()).end(commits=0)
    ending = await office.shown(ts, f"<@{ADA}> Done.")
    await office.all_shown()
    assert [said.ts for said in await office.ours(ts)] == [ending.ts]


async def test_a_thread_whose_first_message_is_deleted_goes_on(office: Scene) -> None:
    ts = await office.says()
    work = await office.work(ts).begin()
    await office.card(ts)
    await office.served.ada.chat_delete(channel=DEV, ts=ts)
    await office.shown(ts, "was deleted")
    await work.end(commits=0)
    await office.shown(ts, f"<@{ADA}> Done.")
    await office.all_shown()


async def archive(scene: Scene, ts: str) -> None:
    await scene.served.ada.conversations_archive(channel=DEV)


async def kick(scene: Scene, ts: str) -> None:
    await scene.served.ada.conversations_kick(channel=DEV, user=BOT)


async def delete_all(scene: Scene, ts: str) -> None:
    for said in await scene.ours(ts):
        scene.served.workspace.delete(BOT, DEV, said.ts)
    await scene.served.ada.chat_delete(channel=DEV, ts=ts)


@pytest.mark.parametrize("gone", [archive, kick, delete_all])
async def test_where_nothing_can_be_said_the_work_goes_on_and_slack_is_left_in_peace(office: Scene, gone: Any) -> None:
    ts = await office.says()
    work = await office.work(ts).begin()
    await office.card(ts)
    await gone(office, ts)
    await (await work.end()).publish()
    await office.all_shown()
    session = await office.session(ts)
    assert session is not None and session.pull_request is not None
    await office.served.faults(fail=99)
    await work.do(ReviewPullRequest(7, "approved", "grace"))
    await office.all_shown()
    assert office.served.workspace.faults.fail == 99


async def test_a_review_with_twenty_comments_is_one_message_that_grows(office: Scene) -> None:
    ts = await office.says()
    work = await (await (await office.work(ts).begin()).end()).publish()
    await office.all_shown()
    before = len(await office.ours(ts))
    for n in range(1, 21):
        where = DiffLines(path="rocket/fuel.py", last=n)
        await work.do(CommentOnLines(7, 100 + n, "grace", where, f"Comment {n} <!channel>", review=11))
        if n == 3:
            await office.shown(ts, "was commented on by grace.", "line 1*")
            await work.do(ReviewPullRequest(7, "changes_requested", "grace", "Nearly.", review=11))
    said = await office.shown(ts, "needs changes, says grace.", "Nearly.", "line 1*", "Comment 20 &lt;!channel&gt;")
    await office.all_shown()
    assert len(await office.ours(ts)) == before + 1 and said.words.count("Comment ") == 20


async def test_who_is_invited_again_and_asked_again_speaks_again(office: Scene) -> None:
    ts = await office.says()
    await office.card(ts)
    await kick(office, ts)
    await (await office.work(ts).begin()).end(commits=0)
    await office.all_shown()
    await office.served.ada.conversations_invite(channel=DEV, users=BOT)
    await office.says("are you there?", ts)
    await office.shown(ts, f"<@{ADA}> Done.")
    await office.shown(ts, "are you there?")


async def test_what_slack_refuses_for_its_form_is_said_in_plain_words(office: Scene) -> None:
    ts = await office.says()
    session = await office.session(ts)
    assert session is not None
    too_long = Message("The words.", ({"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3_001}},))
    draft = Draft("notice:9", 0.0, too_long, too_long.digest, too_long.digest)
    calls = Calls(office.served.bot, office.store, time.time, "test", lambda _method, _answer: None)
    lease = Lease(office.store, "sother", "us")
    writer = Writer("sother", lease, office.store, calls, office.config, time.time, lambda card, value: None)
    await writer.write(session.place, Due(draft, None, urgent=True))
    posted = Posted.model_validate_json((await office.store.posts("sother"))["notice:9"])
    (said,) = [said for said in await office.ours(ts) if said.card == "notice:9"]
    assert (said.text, said.raw["blocks"]) == ("The words.", [])
    assert (posted.state, posted.ts, posted.digest) == ("posted", said.ts, too_long.digest)


async def test_what_slack_refuses_is_tried_again_only_much_later(
    office: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = office.served.workspace.manifest
    office.served.workspace.manifest = dataclasses.replace(
        manifest, scopes=tuple(scope for scope in manifest.scopes if scope != "chat:write")
    )
    ts = await office.says()
    work = await office.work(ts).begin()
    for number in range(20):
        await work.steps(f"Read {number}")
    await work.end(commits=0)
    await until(lambda: asyncio.sleep(0, caplog.messages), lambda seen: sum("missing_scope" in m for m in seen) >= 2)
    await asyncio.wait_for(_several_sweeps(office), 5)
    refused = [message for message in caplog.messages if "Slack refused" in message]
    assert len(refused) == 2, "one for the card, one for the ending"
    assert await office.store.unshown() == [office.sid(ts)]


async def test_one_message_over_which_slack_always_breaks_keeps_no_other_waiting(office: Scene) -> None:
    await office.served.faults(poison=["fix the fuel test"])
    ts = await office.says()
    await (await office.work(ts).begin()).end(commits=0)
    await office.shown(ts, f"<@{ADA}> Done.")
    assert len(await office.ours(ts)) == 1
    await office.served.faults(poison=[])
    reply = await office.says("and the docs", ts)
    await office.card(reply, ts)


async def test_one_message_that_does_not_arrive_keeps_no_other_waiting(scene: Scene) -> None:
    async with scene.listening():
        ts = await scene.says()
        card = await scene.card(ts)
    scene.served.workspace.delete(BOT, DEV, card.ts)
    timed_out = Posted(state="posting", at=time.time())
    await scene.store.save_post(scene.sid(ts), card.card, timed_out.model_dump_json())
    await (await scene.work(ts).begin()).end(commits=0)
    async with scene.listening(arrive_seconds=60.0):
        await scene.shown(ts, f"<@{ADA}> Done.")
        assert len(await scene.ours(ts)) == 1, "it may still come, and is not said twice"


async def _several_sweeps(office: Scene) -> None:
    """Bells for as many looks as there would be tries."""
    for _ in range(10):
        await office.store._redis.publish(BELL, (await office.store.unshown())[0])
        await asyncio.sleep(office.config.sweep_seconds)


async def test_a_thread_that_is_taken_over_during_an_edit_ends_up_right(office: Scene) -> None:
    ts = await office.says()
    card, sid = await office.card(ts), office.sid(ts)
    await office.served.faults(slow=0.4, methods=["chat.update"])
    work = await office.work(ts).begin()
    lease, renewed = f"{PREFIX}lease:thread:{sid}", LEASE_SECONDS * 1000
    await until(lambda: office.store._redis.pttl(lease), lambda left: 0 < left < renewed - 100)  # no more than an edit
    await office.store._redis.delete(lease)
    assert await office.store.lease(f"thread:{sid}", "somebody else", 1.0)

    async def digest() -> str:
        return Posted.model_validate_json((await office.store.posts(sid))[card.card]).digest

    await until(digest, lambda seen: seen == UNKNOWN)
    await office.served.faults(slow=0.0)
    await work.end(commits=0)
    await office.all_shown()
    assert "*Done*" in (await office.card(ts)).words


async def test_what_can_wait_for_the_next_edit_is_noted_without_the_right_to_write(scene: Scene) -> None:
    async with scene.listening(edit_seconds=60.0):
        ts = await scene.says()
        work = await (await scene.work(ts).begin()).says_what()
        await scene.shown(ts, "I will fix the rounding of tanks.", "Working")
        sid = scene.sid(ts)
        await until(lambda: scene.store.lease(f"thread:{sid}", "somebody else", 30.0), bool)
        began = time.time()
        await work.steps("Read rocket/fuel.py")
        await until(lambda: scene.store._redis.zscore(UNSHOWN, sid), lambda said: float(said or 0) > began)
