"""How the workspace's records look to a client of Slack. Pure; `workspace_events.py` and the Web API use it."""

import zlib
from urllib.parse import quote

from bot.playground import workspace_people as people
from bot.playground.workspace_records import Account, AgentSession, Channel, File, Json, Message
from bot.playground.workspace_state import State


def account(who: Account, *, email: bool = True) -> Json:
    """A `user` object. `email`: whether the asker may see addresses."""
    profile: Json = {
        "real_name": who.real_name,
        "real_name_normalized": who.real_name,
        "display_name": who.name,
        "display_name_normalized": who.name,
        "first_name": who.real_name.partition(" ")[0],
        "last_name": who.real_name.partition(" ")[2],
        "title": "",
        "avatar_hash": "g" + format(zlib.crc32(who.id.encode()), "011x"),
        "team": who.team,
    }
    if who.is_bot:
        profile |= {"bot_id": who.bot_id, "api_app_id": who.app_id}
    elif email:
        profile["email"] = who.email
    found: Json = {
        "id": who.id,
        "team_id": who.team,
        "name": who.name,
        "deleted": False,
        "color": format(zlib.crc32(who.id.encode()) & 0xFFFFFF, "06x"),
        "real_name": who.real_name,
        "tz": "Etc/UTC",
        "tz_label": "Coordinated Universal Time",
        "tz_offset": 0,
        "profile": profile,
        "is_admin": who == people.ADA,
        "is_owner": who == people.ADA,
        "is_bot": who.is_bot,
        "is_app_user": False,
        "updated": 0,
    }
    return found | ({"is_stranger": True} if who.stranger else {})


def bot(who: Account) -> Json:
    """A `bot` object."""
    return {
        "id": who.bot_id,
        "deleted": False,
        "name": who.name,
        "updated": 0,
        "app_id": who.app_id,
        "user_id": who.id,
        "icons": {},
    }


def channel(found: Channel, viewer: str) -> Json:
    """A `channel` object, as `viewer` sees it."""
    base: Json = {
        "id": found.id,
        "created": int(found.created),
        "is_archived": found.archived,
        "is_im": found.kind == "im",
        "is_org_shared": False,
        "context_team_id": people.TEAM,
        "updated": int(found.created * 1000),
    }
    if found.kind == "im":
        other = next((member for member in found.members if member != viewer), viewer)
        return base | {"user": other, "is_user_deleted": False, "priority": 0}
    return base | {
        "name": found.name,
        "name_normalized": found.name,
        "is_channel": found.kind == "channel",
        "is_group": found.kind == "group",
        "is_mpim": found.kind == "mpim",
        "is_private": found.private,
        "is_general": found.name == "general",
        "is_shared": found.shared,
        "is_ext_shared": found.shared,
        "is_member": viewer in found.members,
        "creator": found.creator,
        "topic": {"value": found.topic, "creator": found.creator, "last_set": int(found.created)},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "num_members": len(found.members),
    }


def message(state: State, found: Message, *, metadata: bool = False, replies: bool = True) -> Json:
    """A `message` object. `metadata`: with the words for machines; `replies`: with what is known of its thread."""
    shape: Json = {"type": "message", "user": found.user, "ts": found.ts, "text": found.text}
    who = state.accounts.get(found.user)
    if who is not None:
        shape["team"] = who.team
        if who.stranger:
            shape |= {"user_team": who.team, "source_team": who.team}
    if found.subtype:
        shape["subtype"] = found.subtype
    if found.bot_id and who is not None:
        profile = bot(who) | {"team_id": who.team}
        shape |= {"bot_id": found.bot_id, "app_id": who.app_id, "bot_profile": profile}
    shape |= _given(found)
    if found.files:
        shape |= {
            "files": [file(state, state.files[each]) for each in found.files if each in state.files],
            "upload": True,
        }
    if metadata and found.metadata is not None:
        shape["metadata"] = found.metadata
    return shape | _thread(state, found, replies)


def _given(found: Message) -> Json:
    """The parts that a message has or has not."""
    parts: Json = {}
    if found.client_msg_id:
        parts["client_msg_id"] = found.client_msg_id
    if found.blocks:
        parts["blocks"] = list(found.blocks)
    if found.attachments:
        parts["attachments"] = list(found.attachments)
    if found.edited is not None:
        parts["edited"] = {"user": found.edited.user, "ts": found.edited.ts}
    if found.reactions:
        rows = [{"name": r.name, "users": list(r.users), "count": len(r.users)} for r in found.reactions]
        parts["reactions"] = rows
    return parts


def _thread(state: State, found: Message, replies: bool) -> Json:
    if found.is_reply:
        parent = state.message(found.channel, found.root) if state.has_message(found.channel, found.root) else None
        return {"thread_ts": found.root} | ({"parent_user_id": parent.user} if parent else {})
    answers = state.replies(found.channel, found.ts) if replies else []
    if not answers:
        return {}
    users = list(dict.fromkeys(answer.user for answer in answers))
    return {
        "thread_ts": found.ts,
        "reply_count": len(answers),
        "reply_users_count": len(users),
        "latest_reply": answers[-1].ts,
        "reply_users": users[:5],
        "is_locked": False,
        "subscribed": False,
    }


def file(state: State, found: File) -> Json:
    """A `file` object."""
    path = f"{state.base_url}/files-pri/{people.TEAM}-{found.id}"
    kind = found.name.rpartition(".")[2].lower() if "." in found.name else "text"
    return {
        "id": found.id,
        "created": int(found.created),
        "timestamp": int(found.created),
        "name": found.name,
        "title": found.title,
        "mimetype": found.mimetype,
        "filetype": kind,
        "pretty_type": kind.upper(),
        "user": found.user,
        "user_team": people.TEAM,
        "size": found.size,
        "mode": "hosted",
        "is_external": False,
        "is_public": True,
        "url_private": f"{path}/{quote(found.name)}",
        "url_private_download": f"{path}/download/{quote(found.name)}",
        "channels": list(found.channels),
        "file_access": "visible",
    }


def session(found: AgentSession) -> Json:
    """What an agent says of its work in a thread, for pages."""
    return {
        "channel": found.channel,
        "thread_ts": found.thread_ts,
        "status": found.status,
        "title": found.title,
        "initiator": found.initiator,
    }
