"""How channels come about, and who is in them. `workspace_api_conversations.py` and tests call it; no HTTP in here."""

import re
import secrets
from collections.abc import Sequence

from bot.playground import workspace_events as events
from bot.playground.workspace import Workspace
from bot.playground.workspace_records import Channel, Refusal

_NAME = re.compile(r"[a-z0-9_-]{1,80}")
DIRECT = ("im", "mpim")


def create(workspace: Workspace, user: str, name: str, *, private: bool = False, shared: bool = False) -> Channel:
    """A new channel with its creator in it. Refuses: name_taken, invalid_name."""
    if not _NAME.fullmatch(name):
        raise Refusal("invalid_name" if name else "invalid_name_required")
    if any(channel.name == name for channel in workspace.state.channels.values()):
        raise Refusal("name_taken")
    channel = Channel(
        id=("G" if private else "C") + secrets.token_hex(5).upper(),
        name=name,
        kind="group" if private else "channel",
        creator=user,
        created=workspace.clock(),
        members=(user,),
        shared=shared,
    )
    workspace.keep(channel)
    return channel


def join(workspace: Workspace, user: str, channel: Channel) -> Channel:
    """Somebody comes into a public channel; being there already is no error."""
    if channel.kind != "channel":
        raise Refusal("method_not_supported_for_channel_type")
    if channel.archived:
        raise Refusal("is_archived")
    return channel if user in channel.members else _enter(workspace, channel, user)


def invite(workspace: Workspace, inviter: str, channel: Channel, users: Sequence[str]) -> Channel:
    """Somebody in a channel brings others into it."""
    _check(inviter, channel)
    if not users:
        raise Refusal("no_user")
    for user in users:
        if user == inviter:
            raise Refusal("cant_invite_self")
        if workspace.state.account(user).id in channel.members:
            raise Refusal("already_in_channel")
    for user in users:
        channel = _enter(workspace, channel, user)
    return channel


def kick(workspace: Workspace, kicker: str, channel: Channel, user: str) -> None:
    """Somebody in a channel puts another one out of it."""
    _check(kicker, channel)
    if user == kicker:
        raise Refusal("cant_kick_self")
    _leave(workspace, channel, user)


def leave(workspace: Workspace, user: str, channel: Channel) -> None:
    """Somebody goes out of a channel."""
    if channel.kind in DIRECT:
        raise Refusal("method_not_supported_for_channel_type")
    _leave(workspace, channel, user)


def archive(workspace: Workspace, user: str, channel: Channel) -> None:
    """Nobody can write in this channel any more."""
    if channel.archived:
        raise Refusal("already_archived")
    _check(user, channel)
    workspace.keep(channel.model_copy(update={"archived": True}))


def open_direct(workspace: Workspace, user: str, others: Sequence[str]) -> tuple[Channel, bool]:
    """The direct conversation with these, and whether there was one already. Refuses: user_not_found, ..."""
    if not others:
        raise Refusal("users_list_not_supplied")
    members = tuple(dict.fromkeys((user, *(workspace.state.account(other).id for other in others))))
    if len(members) > 9:
        raise Refusal("too_many_users")
    known = workspace.state.direct(members)
    if known is not None:
        return known, True
    single = len(members) <= 2
    names = sorted(workspace.state.account(member).name for member in members)
    channel = Channel(
        id=("D" if single else "G") + secrets.token_hex(5).upper(),
        name="" if single else f"mpdm-{'--'.join(names)}-1",
        kind="im" if single else "mpim",
        creator=user,
        created=workspace.clock(),
        members=members,
    )
    workspace.keep(channel)
    return channel, False


def _check(user: str, channel: Channel) -> None:
    if channel.kind in DIRECT:
        raise Refusal("method_not_supported_for_channel_type")
    if user not in channel.members:
        raise Refusal("not_in_channel")
    if channel.archived:
        raise Refusal("is_archived")


def _enter(workspace: Workspace, channel: Channel, user: str) -> Channel:
    after = channel.model_copy(update={"members": (*channel.members, user)})
    workspace.keep(after)
    workspace.tell(events.member(after, user, True, workspace.now_ts()), after)
    return after


def _leave(workspace: Workspace, channel: Channel, user: str) -> None:
    if user not in channel.members:
        raise Refusal("not_in_channel")
    after = channel.model_copy(update={"members": tuple(m for m in channel.members if m != user)})
    workspace.tell(events.member(channel, user, False, workspace.now_ts()), channel)
    workspace.keep(after)
    workspace.announce("left", {"channel": channel.id, "user": user})
