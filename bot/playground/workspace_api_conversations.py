"""The methods about channels and what stands in them: `conversations.*`."""

import re

from bot.playground import workspace_places as places
from bot.playground import workspace_shapes as shapes
from bot.playground.workspace_asked import HISTORY, READ, SCOPES, Asked, Method
from bot.playground.workspace_limits import TIER_2, TIER_3, TIER_4
from bot.playground.workspace_records import Channel, Json, Message, Refusal

KINDS = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}


def _info(asked: Asked) -> Json:
    found = asked.channel()
    asked.require(f"{SCOPES[found.kind]}:read")
    shape = shapes.channel(found, asked.me)
    if not asked.arguments.flag("include_num_members"):
        shape.pop("num_members", None)
    return {"channel": shape}


def _list(asked: Asked) -> Json:
    names = asked.arguments.words("types") or ["public_channel"]
    if any(name not in KINDS for name in names):
        raise Refusal("invalid_types")
    kinds = {KINDS[name] for name in names}
    for kind in kinds:
        asked.require(f"{SCOPES[kind]}:read")
    bare = asked.arguments.flag("exclude_archived")
    rows = [c for c in asked.workspace.state.channels_of(asked.me) if c.kind in kinds and not (bare and c.archived)]
    page, metadata = asked.page_of(rows)
    return {"channels": [shapes.channel(found, asked.me) for found in page], "response_metadata": metadata}


def _members(asked: Asked) -> Json:
    found = asked.channel()
    asked.require(f"{SCOPES[found.kind]}:read")
    page, metadata = asked.page_of(found.members)
    return {"members": page, "response_metadata": metadata}


def _history(asked: Asked) -> Json:
    found = asked.readable_channel()
    rows = _between(asked, asked.workspace.state.history(found.id))[::-1]
    page, metadata = asked.page_of(rows, most=999)
    more = bool(metadata["next_cursor"])
    return {"messages": _shapes(asked, page), "has_more": more, "pin_count": 0, "response_metadata": metadata}


def _replies(asked: Asked) -> Json:
    found = asked.readable_channel()
    state, ts = asked.workspace.state, asked.arguments.needed("ts")
    if not state.has_message(found.id, ts):
        raise Refusal("thread_not_found")
    root = state.message(found.id, ts)
    rows = [root] if root.is_reply else [root, *_between(asked, state.replies(found.id, ts))]
    page, metadata = asked.page_of(rows, default=1000)
    more = bool(metadata["next_cursor"])
    return {"messages": _shapes(asked, page), "has_more": more, "response_metadata": metadata}


def _between(asked: Asked, messages: list[Message]) -> list[Message]:
    """Those of the asked time."""
    oldest, latest = asked.arguments.text("oldest"), asked.arguments.text("latest")
    for name, ts in (("oldest", oldest), ("latest", latest)):
        if ts and not re.fullmatch(r"\d{1,10}(\.\d{1,6})?", ts):
            raise Refusal(f"invalid_ts_{name}")
    inclusive = asked.arguments.flag("inclusive")
    after, before = float(oldest or 0), float(latest or "inf")
    edges = (after, before) if inclusive else ()
    return [m for m in messages if after < float(m.ts) < before or float(m.ts) in edges]


def _shapes(asked: Asked, messages: list[Message]) -> list[Json]:
    metadata = asked.arguments.flag("include_all_metadata")
    return [shapes.message(asked.workspace.state, message, metadata=metadata) for message in messages]


def _changed(asked: Asked, found: Channel) -> Json:
    return {"channel": shapes.channel(found, asked.me)}


def _join(asked: Asked) -> Json:
    return _changed(asked, places.join(asked.workspace, asked.me, asked.channel()))


def _leave(asked: Asked) -> Json:
    places.leave(asked.workspace, asked.me, asked.channel())
    return {}


def _open(asked: Asked) -> Json:
    if asked.arguments.has("channel"):
        return _changed(asked, asked.channel())
    found, known = places.open_direct(asked.workspace, asked.me, asked.arguments.words("users"))
    shape = shapes.channel(found, asked.me) if asked.arguments.flag("return_im") else {"id": found.id}
    return {"channel": shape} | ({"no_op": True, "already_open": True} if known else {})


def _create(asked: Asked) -> Json:
    name, private = asked.arguments.text("name"), asked.arguments.flag("is_private")
    asked.require("groups:write" if private else "channels:manage")
    return _changed(asked, places.create(asked.workspace, asked.me, name, private=private))


def _invite(asked: Asked) -> Json:
    return _changed(asked, places.invite(asked.workspace, asked.me, asked.channel(), asked.arguments.words("users")))


def _kick(asked: Asked) -> Json:
    places.kick(asked.workspace, asked.me, asked.channel(), asked.arguments.needed("user"))
    return {}


def _archive(asked: Asked) -> Json:
    places.archive(asked.workspace, asked.me, asked.channel())
    return {}


_WRITE = ("channels:manage", "groups:write", "im:write", "mpim:write")
METHODS = {
    "conversations.info": Method(_info, READ, TIER_3),
    "conversations.list": Method(_list, READ, TIER_2),
    "conversations.members": Method(_members, READ, TIER_4),
    "conversations.history": Method(_history, HISTORY, TIER_3),
    "conversations.replies": Method(_replies, HISTORY, TIER_3),
    "conversations.join": Method(_join, ("channels:join",), TIER_3),
    "conversations.leave": Method(_leave, _WRITE, TIER_3),
    "conversations.open": Method(_open, ("im:write", "mpim:write"), TIER_3),
    "conversations.create": Method(_create, _WRITE, TIER_2),
    "conversations.invite": Method(_invite, _WRITE, TIER_3),
    "conversations.kick": Method(_kick, _WRITE, TIER_3),
    "conversations.archive": Method(_archive, _WRITE, TIER_2),
}
