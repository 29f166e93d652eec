"""Which events a change in the workspace causes, and the envelope that carries one. Pure; `workspace.py` sends them.

An event is caused once and delivered to the app if the app is subscribed to it and its bot is in the channel.
"""

from dataclasses import dataclass

from bot.playground import workspace_people as people
from bot.playground import workspace_shapes as shapes
from bot.playground.workspace_records import Channel, Json, Message
from bot.playground.workspace_state import State

SUBSCRIPTIONS = {"channel": "message.channels", "group": "message.groups", "im": "message.im", "mpim": "message.mpim"}
DELETED = "This message was deleted."


@dataclass(frozen=True)
class Happening:
    """An event, and the subscription that it comes under."""

    subscription: str
    event: Json

    @property
    def is_mention(self) -> bool:
        """Whether it says that somebody named us."""
        return self.subscription == "app_mention"

    @property
    def is_post(self) -> bool:
        """Whether it says that a message was written."""
        return self.event["type"] == "message" and self.event.get("subtype") in (None, "file_share")


def posted(state: State, message: Message, now_ts: str) -> list[Happening]:
    """Somebody wrote a message."""
    channel = state.channels[message.channel]
    shape = shapes.message(state, message, replies=False) | {"channel": channel.id, "event_ts": message.ts}
    found = [Happening(SUBSCRIPTIONS[channel.kind], shape | {"channel_type": channel.kind})]
    named = f"<@{people.BOT.id}>" in message.text or f"<@{people.BOT.id}|" in message.text
    if named and channel.kind != "im" and message.user != people.BOT.id:
        without = {name: value for name, value in shape.items() if name not in ("subtype", "upload")}
        found.insert(0, Happening("app_mention", without | {"type": "app_mention"}))
    if message.is_reply and state.has_message(channel.id, message.root):
        root = state.message(channel.id, message.root)
        before = shapes.message(state, root, replies=False)
        found.append(_changed(channel, shapes.message(state, root), before, now_ts))
    return found


def app_opened(user: str, channel: str, tab: str, now_ts: str) -> Happening:
    """Somebody looks at a tab of the app; `channel` is their conversation with it."""
    event = {"type": "app_home_opened", "user": user, "channel": channel, "tab": tab, "event_ts": now_ts}
    return Happening("app_home_opened", event)


def changed(state: State, after: Message, before: Message, now_ts: str) -> list[Happening]:
    """A message is another one now. A message that was deleted but heads a thread has become a tombstone."""
    channel = state.channels[after.channel]
    shape_before = shapes.message(state, before)
    return [_changed(channel, shapes.message(state, after), shape_before, now_ts)]


def _changed(channel: Channel, after: Json, before: Json, now_ts: str) -> Happening:
    event = {
        "type": "message",
        "subtype": "message_changed",
        "message": after,
        "previous_message": before,
        "channel": channel.id,
        "hidden": True,
        "ts": now_ts,
        "event_ts": now_ts,
        "channel_type": channel.kind,
    }
    return Happening(SUBSCRIPTIONS[channel.kind], event)


def deleted(state: State, before: Message, now_ts: str) -> list[Happening]:
    """A message is gone."""
    channel = state.channels[before.channel]
    event = {
        "type": "message",
        "subtype": "message_deleted",
        "deleted_ts": before.ts,
        "previous_message": shapes.message(state, before),
        "channel": channel.id,
        "hidden": True,
        "ts": now_ts,
        "event_ts": now_ts,
        "channel_type": channel.kind,
    }
    return [Happening(SUBSCRIPTIONS[channel.kind], event)]


def tombstone(before: Message) -> Message:
    """What stays of a deleted message that others answered."""
    gone = {"text": DELETED, "user": "USLACKBOT", "bot_id": "", "subtype": "tombstone", "client_msg_id": ""}
    empty = {"blocks": (), "attachments": (), "files": (), "reactions": (), "edited": None, "metadata": None}
    return before.model_copy(update={**gone, **empty})


def reacted(message: Message, user: str, name: str, added: bool, now_ts: str) -> list[Happening]:
    """Somebody put an emoji under a message, or took it away."""
    kind = "reaction_added" if added else "reaction_removed"
    event = {
        "type": kind,
        "user": user,
        "reaction": name,
        "item": {"type": "message", "channel": message.channel, "ts": message.ts},
        "item_user": message.user,
        "event_ts": now_ts,
    }
    return [Happening(kind, event)]


def member(channel: Channel, user: str, joined: bool, now_ts: str) -> list[Happening]:
    """Somebody came into a channel, or left it."""
    kind = "member_joined_channel" if joined else "member_left_channel"
    letter = "C" if channel.kind == "channel" else "G"
    event = {"type": kind, "user": user, "channel": channel.id, "channel_type": letter, "team": people.TEAM}
    return [Happening(kind, event | {"event_ts": now_ts})]


def stopped(channel: Channel, thread_ts: str, user: str, now_ts: str) -> list[Happening]:
    """Somebody pressed Slack's own Stop of an agent's session."""
    event = {
        "type": "agent_session_stopped",
        "channel": channel.id,
        "thread_ts": thread_ts,
        "user": user,
        "streaming_message_ts": [],
        "event_ts": now_ts,
    }
    return [Happening("agent_session_stopped", event)]


def envelope(event: Json, channel: Channel, event_id: str, verification: str, now: float) -> Json:
    """What carries an event: the body over HTTP, the `payload` over a socket."""
    authorization = {
        "enterprise_id": None,
        "team_id": people.TEAM,
        "user_id": people.BOT.id,
        "is_bot": True,
        "is_enterprise_install": False,
    }
    return {
        "token": verification,
        "team_id": people.TEAM,
        "context_team_id": people.TEAM,
        "context_enterprise_id": None,
        "api_app_id": people.APP,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(now),
        "event_context": f"4-{event_id}",
        "authorizations": [authorization],
        "is_ext_shared_channel": channel.shared,
    }
