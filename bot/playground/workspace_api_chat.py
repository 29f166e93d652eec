"""The methods that write: `chat.*` and `reactions.*`."""

import json
import re
import secrets

from bot.playground import workspace_blocks as blocks
from bot.playground import workspace_places as places
from bot.playground import workspace_shapes as shapes
from bot.playground.workspace_asked import Asked, Method
from bot.playground.workspace_limits import SPECIAL, TIER_2, TIER_3, TIER_4
from bot.playground.workspace_records import Channel, Json, Message, Refusal

CUT, UPDATE, METADATA = 40_000, 4_000, 8_000
REACTIONS = 50
_TS = re.compile(r"\d{10}\.\d{6}")
_EMOJI = re.compile(r"[a-z0-9_+'-]{1,100}(::skin-tone-[2-6])?")


def _post(asked: Asked) -> Json:
    draft = _draft(asked, _target(asked))
    posted = asked.workspace.post(draft)
    _clear_status(asked, posted)
    return {"channel": posted.channel, "ts": posted.ts, "message": _shape(asked, posted, metadata=True)}


def _target(asked: Asked) -> Channel:
    """The channel to write in; a person's id stands for the direct conversation with them."""
    name = asked.arguments.needed("channel")
    if name in asked.workspace.state.accounts:
        name = places.open_direct(asked.workspace, asked.me, [name])[0].id
    return asked.workspace.state.open_for(asked.me, name)


def _draft(asked: Asked, channel: Channel) -> Message:
    arguments = asked.arguments
    text, given = arguments.text("text"), blocks.checked(arguments.structure("blocks"))
    markdown, attachments = arguments.text("markdown_text"), _attachments(asked)
    if markdown and (text or given):
        raise Refusal("markdown_text_conflict")
    if len(markdown) > blocks.MARKDOWN:
        raise Refusal("msg_too_long")
    if not (text.strip() or given or attachments or markdown):
        raise Refusal("no_text")
    thread_ts, broadcast = arguments.text("thread_ts"), arguments.flag("reply_broadcast")
    if thread_ts and not _TS.fullmatch(thread_ts):
        raise Refusal("invalid_thread_ts")
    return Message(
        channel=channel.id,
        ts="",
        user=asked.me,
        text=(text or markdown)[:CUT],
        blocks=named(({"type": "markdown", "text": markdown},) if markdown else given or ()),
        attachments=attachments or (),
        thread_ts=thread_ts,
        broadcast=bool(thread_ts) and broadcast,
        subtype="thread_broadcast" if thread_ts and broadcast else "",
        bot_id=asked.caller.account.bot_id,
        metadata=_metadata(asked),
    )


def named(given: tuple[Json, ...]) -> tuple[Json, ...]:
    """The blocks, each with an id, and each interactive element with one too."""
    return tuple(_with_elements(block | {"block_id": block.get("block_id") or secrets.token_hex(3)}) for block in given)


def _with_elements(block: Json) -> Json:
    if block["type"] != "actions":
        return block
    named = [each | {"action_id": each.get("action_id") or secrets.token_hex(3)} for each in block["elements"]]
    return block | {"elements": named}


def _attachments(asked: Asked) -> tuple[Json, ...] | None:
    found = asked.arguments.structure("attachments")
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Refusal("invalid_attachments")
    return tuple(found)


def _metadata(asked: Asked) -> Json | None:
    found = asked.arguments.structure("metadata")
    if found is None:
        return None
    kind, payload = (found.get("event_type"), found.get("event_payload")) if isinstance(found, dict) else (None, None)
    if not isinstance(found, dict) or not isinstance(kind, str) or not kind or not isinstance(payload, dict):
        raise Refusal("invalid_metadata_format")
    if len(json.dumps(found)) > METADATA:
        raise Refusal("metadata_too_large")
    return found


def _clear_status(asked: Asked, posted: Message) -> None:
    """A status that the app set fades with its next message in the thread."""
    if asked.caller.is_app:
        asked.workspace.announce("status", {"channel": posted.channel, "thread_ts": posted.root, "status": ""})


def _shape(asked: Asked, message: Message, *, metadata: bool = False) -> Json:
    return shapes.message(asked.workspace.state, message, metadata=metadata)


def _update(asked: Asked) -> Json:
    arguments, channel = asked.arguments, asked.open_channel()
    text, given, attachments = arguments.text("text"), arguments.structure("blocks"), _attachments(asked)
    if not (text or given or attachments or arguments.has("markdown_text")):
        raise Refusal("no_text")
    if len(text) > UPDATE:
        raise Refusal("msg_too_long")
    changes: dict[str, object] = {}
    if arguments.has("text"):
        changes["text"] = text
    if (found := blocks.checked(given)) is not None:
        changes["blocks"] = named(found)
    if attachments is not None:
        changes["attachments"] = attachments
    if arguments.has("metadata"):
        changes["metadata"] = _metadata(asked)
    if markdown := arguments.text("markdown_text"):
        changes |= {"text": markdown, "blocks": named(({"type": "markdown", "text": markdown},))}
    after = asked.workspace.edit(asked.me, channel.id, arguments.needed("ts"), **changes)
    return {"channel": channel.id, "ts": after.ts, "text": after.text, "message": _shape(asked, after)}


def _delete(asked: Asked) -> Json:
    channel, ts = asked.channel(), asked.arguments.needed("ts")
    asked.workspace.delete(asked.me, channel.id, ts)
    return {"channel": channel.id, "ts": ts}


def _whisper(asked: Asked) -> Json:
    reader = asked.workspace.state.account(asked.arguments.needed("user"))
    return {"message_ts": asked.workspace.whisper(_draft(asked, asked.open_channel()), reader.id).ts}


def _permalink(asked: Asked) -> Json:
    channel = asked.channel()
    message = asked.message(channel, "message_ts")
    link = f"{asked.workspace.state.base_url}/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.is_reply:
        link += f"?thread_ts={message.root}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


def _emoji(asked: Asked) -> str:
    name = asked.arguments.needed("name").strip(":")
    if not _EMOJI.fullmatch(name):
        raise Refusal("invalid_name")
    return name


def _react(asked: Asked) -> Json:
    channel, name = asked.open_channel(), _emoji(asked)
    message = asked.message(channel)
    if len(message.reactions) >= REACTIONS and all(each.name != name for each in message.reactions):
        raise Refusal("too_many_reactions")
    asked.workspace.react(asked.me, channel.id, message.ts, name, add=True)
    return {}


def _unreact(asked: Asked) -> Json:
    channel, name = asked.open_channel(), _emoji(asked)
    asked.workspace.react(asked.me, channel.id, asked.message(channel).ts, name, add=False)
    return {}


def _reactions(asked: Asked) -> Json:
    channel = asked.channel()
    return {"type": "message", "channel": channel.id, "message": _shape(asked, asked.message(channel))}


METHODS = {
    "chat.postMessage": Method(_post, ("chat:write",), SPECIAL),
    "chat.update": Method(_update, ("chat:write",), TIER_3),
    "chat.delete": Method(_delete, ("chat:write",), TIER_3),
    "chat.postEphemeral": Method(_whisper, ("chat:write",), TIER_4),
    "chat.getPermalink": Method(_permalink, (), SPECIAL),
    "reactions.add": Method(_react, ("reactions:write",), TIER_3),
    "reactions.remove": Method(_unreact, ("reactions:write",), TIER_2),
    "reactions.get": Method(_reactions, ("reactions:read",), TIER_3),
}
