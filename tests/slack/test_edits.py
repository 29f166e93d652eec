"""What people change or delete after they have said it, in whatever order it comes."""

from bot.playground import workspace_people as people
from jobs.events import PromptEdited
from tests.playground.workspaces import DEV, MENTION
from tests.slack.deliveries import held_back
from tests.slack.scene import TASK, Scene
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene

ADA = people.ADA.id
WORDS = "fix the fuel test in acme/rocket"


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


async def test_an_edit_is_followed_once(office: Scene) -> None:
    ts = await office.says()
    await office.served.faults(duplicate=1)
    await office.served.ada.chat_update(channel=DEV, ts=ts, text=f"{MENTION} fix acme/site")
    await office.delivered()
    edits = [e for e in await office.store.events(office.sid(ts)) if isinstance(e, PromptEdited)]
    assert [edit.text for edit in edits] == ["fix acme/site"]
