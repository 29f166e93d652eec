"""What Slack shows beside a thread: at work, waiting for a person, at rest."""

import asyncio
from typing import Any

from tests.playground.workspaces import DEV, MENTION
from tests.slack.scene import Scene, until
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene


async def is_native(scene: Scene, ts: str, status: str) -> None:
    await until(lambda: asyncio.sleep(0, scene.status(ts)), lambda seen: seen == status)


def plain(scene: Scene, ts: str) -> dict[str, Any]:
    return scene.served.workspace.state.statuses.get((DEV, ts), {})


async def is_plain(scene: Scene, ts: str, words: str) -> dict[str, Any]:
    return await until(lambda: asyncio.sleep(0, plain(scene, ts)), lambda seen: seen.get("status") == words)


async def test_the_session_is_shown_at_work_waiting_and_at_rest(office: Scene) -> None:
    ts = await office.says(f"{MENTION} fix the tests")
    await is_native(office, ts, "suspended")
    await office.says("acme/rocket", ts)
    await is_native(office, ts, "processing")
    session = office.served.workspace.state.sessions[(DEV, ts)]
    assert (session.title, session.initiator) == ("fix the tests", "U0ADA")
    work = await office.work(ts).begin()
    await work.end(commits=0)
    await work.take_up()
    await work.end(commits=0)
    await is_native(office, ts, "active")


async def test_without_agent_sessions_the_plain_status_is_used_kept_alive_and_cleared(scene: Scene) -> None:
    await scene.served.faults(no_agent_sessions=True)
    async with scene.listening(status_seconds=0.3):
        ts = await scene.says()
        first = await is_plain(scene, ts, "is working on it…")
        await until(
            lambda: asyncio.sleep(0, plain(scene, ts)), lambda seen: seen.get("until", 0) > first["until"] + 0.2
        )  # fmt: skip
        await (await scene.work(ts).begin()).end(commits=0)
        await scene.all_shown()
        await is_plain(scene, ts, "")


async def test_a_plain_status_that_faded_with_a_message_of_ours_comes_back(scene: Scene) -> None:
    await scene.served.faults(no_agent_sessions=True)
    async with scene.listening():
        ts = await scene.says()
        await is_plain(scene, ts, "is working on it…")
        reply = await scene.says("and the docs", ts)
        await scene.card(reply, ts)
        await is_plain(scene, ts, "is working on it…")


async def test_a_status_that_cannot_be_set_costs_nothing_but_itself(scene: Scene) -> None:
    await scene.served.faults(fail=4, methods=["agents.sessions.setStatus"])
    async with scene.listening():
        ts = await scene.says()
        await scene.card(ts)
        await is_native(scene, ts, "processing")
        assert scene.served.workspace.faults.fail == 0
