"""Who somebody is and which places are private: asked of Slack in bounded time, and the safe answer without one."""

import time

from bot.playground import workspace_people as people
from tests.playground.workspaces import DEV, DM, PARTNERS, SECRET
from tests.slack.scene import VIEW, Scene
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene

ADA, GRACE = people.ADA.id, people.GRACE.id


async def test_a_slow_slack_delays_nobody_and_is_asked_again_later(scene: Scene) -> None:
    async with scene.listening(lookup_seconds=0.2, accept_seconds=2.0):
        await scene.served.faults(slow=1.0, methods=["users.info"])
        began = time.monotonic()
        ts = await scene.says()
        assert time.monotonic() - began < 0.9
        (prompt,) = await scene.prompts(ts)
        assert (prompt.author.name, prompt.author.email) == (ADA, f"{ADA}@users.noreply.shipmate.invalid")
        await scene.served.faults(slow=0.0)
        await scene.says(f"and the docs, as <@{GRACE}> said", ts)
        prompt = (await scene.prompts(ts))[-1]
        assert (prompt.author.email, prompt.text) == (people.ADA.email, "and the docs, as @Grace Hopper said")


async def test_a_person_is_asked_for_once(office: Scene) -> None:
    ts = await office.says()
    await office.served.faults(fail=9, methods=["users.info"])
    await office.says(f"do as <@{GRACE}> says", await office.says("lunch?"))  # not to us
    await office.says("and the docs", ts)
    assert [prompt.author.name for prompt in await office.prompts(ts)] == [people.ADA.real_name] * 2
    assert office.served.workspace.faults.fail == 9


async def test_a_place_of_which_slack_does_not_say_whether_it_is_private_is_private(scene: Scene) -> None:
    async with scene.listening():
        await scene.served.faults(drop_messages=1, fail=9, methods=["conversations.info"])
        ts = await scene.says()
        session = await scene.session(ts)
        assert session is not None and session.place.private
        card = await scene.card(ts)
        assert card.buttons == ("stop", "view_private")


async def test_in_a_public_channel_view_is_a_link(office: Scene) -> None:
    ts = await office.says()
    card = await office.card(ts)
    (button,) = [each for each in card.raw["blocks"][-1]["elements"] if each["action_id"] == "view"]
    assert button["url"].startswith(f"{VIEW}/view/{office.sid(ts)}?")
    assert (await office.presses("view", card, by=GRACE))[0] == 200
    assert office.whispers(GRACE) == []


async def test_in_a_private_channel_view_gives_its_members_a_link_of_their_own(office: Scene) -> None:
    ts = await office.says(channel=SECRET)
    card = await office.card(ts, channel=SECRET)
    assert VIEW not in str(card.raw)
    assert (await office.presses("view_private", card, channel=SECRET))[0] == 200
    link = await office.whispered(ADA, "Only for you")
    assert f"viewer={ADA}" in link and f"/view/{office.sid(ts, SECRET)}?" in link


async def test_a_direct_conversation_is_private(office: Scene) -> None:
    ts = await office.says("fix acme/rocket", channel=DM)
    assert (await office.card(ts, channel=DM)).buttons == ("stop", "view_private")


async def test_who_has_left_a_private_channel_gets_no_link(office: Scene) -> None:
    await office.served.ada.conversations_invite(channel=SECRET, users=GRACE)
    ts = await office.says(channel=SECRET)
    card = await office.card(ts, channel=SECRET)
    await office.served.faults(slow=0.3, methods=["conversations.members"])
    assert (await office.presses("view_private", card, by=GRACE, channel=SECRET))[0] == 200
    await office.served.ada.conversations_kick(channel=SECRET, user=GRACE)
    assert (await office.presses("view_private", card, channel=SECRET))[0] == 200
    await office.whispered(ADA, "Only for you")
    assert office.whispers(GRACE) == []


async def test_a_shared_channel_is_open_to_the_workspaces_own(office: Scene) -> None:
    ts = await office.says(channel=PARTNERS)
    session = await office.session(ts, PARTNERS)
    assert session is not None and not session.place.private
    assert (await office.card(ts, channel=PARTNERS)).buttons == ("stop", "view")
    assert await office.session(ts, DEV) is None
