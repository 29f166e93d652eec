"""What a page is told while it is open: `GET /playground/live?token=…&cursor=…`, as server-sent events.

Every change that the person may see comes once, in order, as one JSON object with `n`, its number (also the event's
`id`). A page begins with the `cursor` of `/playground/bootstrap`, or of the last event that it had (a browser's own
`Last-Event-ID` counts too), so a reconnect loses nothing. `type` is one of:

- `message`: `channel`, `message` as it is now; `root` too, the thread's first message, if `message` is a reply
- `deleted`: `channel`, `ts`, `root` (the ts of the thread; the same as `ts` for what was no reply)
- `channel`: `channel`, a place that is new or changed; `left`: `channel`, an id: the person is not there any more
- `session`: `session` of an agent: `channel`, `thread_ts`, `status` (processing: show Stop), `title`, `initiator`
- `status`: `channel`, `thread_ts`, `status`, a line that fades at `until` (seconds since the epoch), or "" to clear it
- `title`: `channel`, `thread_ts`, `title`; `prompts`: `channel`, `thread_ts`, `title`, `prompts` [{title, message}]
- `whisper`: `channel`, `message` that only this person sees
- `view`: `view`, a form that the app shows to this person
- `reset`: the cursor is too old; begin again with `bootstrap`
"""

import asyncio
import json

from aiohttp import web

from bot.playground import workspace_shapes as shapes
from bot.playground.workspace import Workspace
from bot.playground.workspace_asked import caller_of
from bot.playground.workspace_journal import Entry
from bot.playground.workspace_records import AgentSession, Json, Message, Refusal

QUIET_SECONDS = 15.0
IN_A_CHANNEL = ("status", "title", "prompts")
TO_ONE = ("view", "left")


def seen_by(workspace: Workspace, viewer: str, entry: Entry) -> Json | None:
    """An entry of the journal as this person's page is told of it; None: it is not for them."""
    value = entry.value
    match entry.kind:
        case "message":
            return _message(workspace, viewer, value["channel"], value["ts"])
        case "deleted" if _sees(workspace, viewer, value["channel"]):
            return {"type": "deleted", **value}
        case "channel" if _sees(workspace, viewer, value["id"]):
            return {"type": "channel", "channel": shapes.channel(workspace.state.channels[value["id"]], viewer)}
        case "session" if _sees(workspace, viewer, value["channel"]):
            return {"type": "session", "session": shapes.session(AgentSession.model_validate(value))}
        case kind if kind in IN_A_CHANNEL and _sees(workspace, viewer, value["channel"]):
            return {"type": kind, **value}
        case "whisper" if value["user"] == viewer:
            message = Message.model_validate(value["message"])
            return {"type": "whisper", "channel": message.channel, "message": whispered(workspace, message)}
        case kind if kind in TO_ONE and value["user"] == viewer:
            return {"type": kind, **{name: each for name, each in value.items() if name != "user"}}
    return None


def whispered(workspace: Workspace, message: Message) -> Json:
    """A message that only one person sees."""
    return shapes.message(workspace.state, message, replies=False) | {"is_ephemeral": True}


def _message(workspace: Workspace, viewer: str, channel: str, ts: str) -> Json | None:
    state = workspace.state
    if not _sees(workspace, viewer, channel) or not state.has_message(channel, ts):
        return None
    message = state.message(channel, ts)
    told: Json = {"type": "message", "channel": channel, "message": shapes.message(state, message)}
    if message.is_reply and state.has_message(channel, message.root):
        told["root"] = shapes.message(state, state.message(channel, message.root))
    return told


def _sees(workspace: Workspace, viewer: str, channel: str) -> bool:
    found = workspace.state.channels.get(channel)
    return found is not None and workspace.state.sees(viewer, found)


class Live:
    """The stream."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """GET /playground/live."""
        try:
            viewer = caller_of(self._workspace, request.query.get("token", "")).account.id
        except Refusal as refused:
            raise web.HTTPUnauthorized(text=refused.error + "\n") from None
        given = request.headers.get("Last-Event-ID") or request.query.get("cursor", "")
        cursor = int(given) if given.isdigit() else self._workspace.journal.number
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await answer.prepare(request)
        try:
            await answer.write(b"retry: 500\n\n")
            await self._tell(answer, viewer, cursor)
        except ConnectionError:
            pass  # the page is closed
        return answer

    async def _tell(self, answer: web.StreamResponse, viewer: str, cursor: int) -> None:
        journal = self._workspace.journal
        while True:
            entries = journal.since(cursor)
            if entries is None:
                cursor = journal.number
                await answer.write(_event(cursor, {"type": "reset"}))
                continue
            for entry in entries:
                cursor = entry.n
                told = seen_by(self._workspace, viewer, entry)
                if told is not None:
                    await answer.write(_event(cursor, told))
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    await journal.grown(cursor)
            except TimeoutError:
                await answer.write(b": still here\n\n")


def _event(n: int, told: Json) -> bytes:
    return f"id: {n}\ndata: {json.dumps(told | {'n': n})}\n\n".encode()
