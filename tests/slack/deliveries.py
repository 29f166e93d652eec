"""Deliveries as Slack seldom makes them: held back and given out of order, pressed again, forged."""

from typing import Any

from bot.playground import workspace_people as people
from bot.playground.workspace_records import Delivery
from tests.playground.workspaces import DEV
from tests.slack.scene import Scene

GRACE = people.GRACE.id


async def held_back(scene: Scene) -> dict[str, Delivery]:
    """What was to be told so far, by type, subtype and ts; none of it is on its way."""
    found = [delivery.payload["event"] for delivery in scene.served.workspace.state.pending.values()]
    names = [":".join((e["type"], e.get("subtype") or "", e.get("ts", ""))) for e in found]
    return dict(zip(names, scene.served.workspace.state.pending.values(), strict=True))


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
