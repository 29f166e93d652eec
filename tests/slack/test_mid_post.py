"""A web process that dies while Slack has a post of its and has not answered."""

import asyncio
import json

from tests.playground.workspaces import PARTNERS
from tests.slack.scene import Scene, until
from tests.slack.scene import scene as scene


async def posting(scene: Scene, ts: str) -> bool:
    kept = await scene.store.posts(scene.sid(ts))
    return any(value.startswith("{") and json.loads(value)["state"] == "posting" for value in kept.values())


async def test_a_post_that_slack_had_before_its_caller_died_is_awaited_and_not_made_again(scene: Scene) -> None:
    async with scene.listening():
        await scene.served.faults(slow=2.0, methods=["chat.postMessage"])
        ts = await scene.posts()
        await until(lambda: posting(scene, ts), bool)
        later = asyncio.create_task(scene.served.bot.chat_postMessage(channel=PARTNERS, text="I come after it"))
    assert await scene.ours(ts) == [], "it is still on its way"
    await scene.served.faults(slow=0, methods=[])
    async with scene.listening(arrive_seconds=4.0):
        await scene.card(ts)
        await scene.says("stop", ts)
        await scene.all_shown()
        await later
        assert len(await scene.ours(ts)) == 1


async def test_a_post_that_never_came_to_slack_is_made_after_a_while(scene: Scene) -> None:
    async with scene.listening():
        await scene.served.faults(slow=0.3, fail=1, methods=["chat.postMessage"])
        ts = await scene.posts()
        await until(lambda: posting(scene, ts), bool)
    async with scene.listening(arrive_seconds=0.5):
        await scene.card(ts)
        await scene.says("stop", ts)
        await scene.all_shown()
        assert len(await scene.ours(ts)) == 1
