"""The client's life: tokens, Slack being away, sockets that break, and the end."""

import asyncio

import pytest

from bot.slack.app import SlackRefused
from tests.playground.workspaces import DEV, SECRET
from tests.slack.scene import Scene, until
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene

WRONG = {"SLACK_BOT_TOKEN": ("bot_token", "xoxb-wrong"), "SLACK_APP_TOKEN": ("app_token", "xapp-1-A0-1-wrong")}


@pytest.mark.parametrize("setting", WRONG)
async def test_a_wrong_token_is_told_at_once_by_the_name_of_its_setting(scene: Scene, setting: str) -> None:
    field, token = WRONG[setting]
    client = scene.new_client(None, None, **{field: token})
    with pytest.raises(SlackRefused, match=rf"refused {setting} \(.+\)\. Copy it again"):
        await client.start()


async def test_slack_being_away_at_the_start_delays_words_and_nothing_else(scene: Scene) -> None:
    await scene.served.faults(down=True)
    client = scene.new_client()
    await client.start()
    try:
        assert not await client.connected()
        await scene.served.faults(down=False)
        await until(client.connected, bool, seconds=15)
        ts = await scene.says()
        await scene.card(ts)
    finally:
        await client.close()


async def test_a_slack_that_says_when_it_has_room_is_asked_again_then(scene: Scene) -> None:
    await scene.served.faults(rate_limit=2, methods=["auth.test"])
    client = scene.new_client()
    await client.start()
    try:
        await until(client.connected, bool, seconds=5)
    finally:
        await client.close()


async def test_a_client_is_connected_once_events_can_reach_it(scene: Scene) -> None:
    assert not await scene.new_client().connected()
    async with scene.listening() as client:
        await until(client.connected, bool)


@pytest.mark.parametrize("how", ["cut", "refresh_requested", "link_disabled"])
async def test_a_socket_that_goes_is_opened_again(office: Scene, how: str) -> None:
    await office.served.faults(disconnect=how)
    ts = await office.posts()
    async with asyncio.timeout(20):
        await office.served.workspace.deliveries.settled()
    assert len(await office.prompts(ts)) == 1


async def test_a_client_that_was_just_begun_ends_at_once(scene: Scene) -> None:
    for _ in range(10):
        client = scene.new_client()
        await client.start()
        async with asyncio.timeout(3):
            await client.close()


async def test_everybody_may_look_at_public_sessions_and_members_at_private_ones(office: Scene) -> None:
    client = office.new_client()
    await client.start()
    public = await office.session(await office.says())
    private = await office.session(await office.says(channel=SECRET), SECRET)
    assert public is not None and private is not None
    ada, grace = "U0ADA", "U0GRACE"
    try:
        assert [await client.may_view(public.place, who) for who in (ada, grace, "")] == [True] * 3
        assert [await client.may_view(private.place, who) for who in (ada, grace, "")] == [True, False, False]
        elsewhere = private.place.model_copy(update={"channel": "C0NOWHERE"})
        assert not await client.may_view(elsewhere, ada)
    finally:
        await client.close()
    assert public.place.channel == DEV
