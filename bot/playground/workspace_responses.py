"""The `response_url` of a pressed button: the app answers there without a token, five times within half an hour.

`workspace_page.py` gives one with each press, `workspace_routes.py` mounts `Responses.take`. Kept in memory only.
"""

import secrets
from dataclasses import dataclass

from aiohttp import web

from bot.playground import workspace_people as people
from bot.playground.workspace import Workspace
from bot.playground.workspace_api_chat import named
from bot.playground.workspace_arguments import Arguments, from_json
from bot.playground.workspace_blocks import checked
from bot.playground.workspace_records import Json, Message, Refusal

USES, SECONDS = 5, 1_800.0
KEPT = 500


@dataclass
class _Pressed:
    """What was pressed, by whom, and how often it may still be answered. `alone`: only the person sees the message."""

    message: Message
    user: str
    alone: bool
    until: float
    left: int = USES


class Responses:
    """All addresses that are good."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._pressed: dict[str, _Pressed] = {}

    def address(self, message: Message, user: str, *, alone: bool) -> str:
        """A fresh address for this press."""
        key = secrets.token_urlsafe(18)
        self._pressed[key] = _Pressed(message, user, alone, self._workspace.clock() + SECONDS)
        while len(self._pressed) > KEPT:
            del self._pressed[next(iter(self._pressed))]
        return f"{self._workspace.state.base_url}/response/{key}"

    async def take(self, request: web.Request) -> web.Response:
        """POST /response/{key}: a message of JSON, with `replace_original`, `delete_original` or `response_type`."""
        try:
            pressed = self._good(request.match_info["key"])
            said = from_json(await request.read())
            if not isinstance(said, dict):
                raise Refusal("json_not_object")
            self._answer(pressed, Arguments(said))
        except Refusal as refused:
            status = 404 if refused.error in ("used_url", "expired_url") else 400
            return web.json_response({"ok": False, "error": refused.error, **refused.more}, status=status)
        pressed.left -= 1
        return web.json_response({"ok": True})

    def _good(self, key: str) -> _Pressed:
        pressed = self._pressed.get(key)
        if pressed is None or pressed.until < self._workspace.clock():
            raise Refusal("expired_url")
        if pressed.left <= 0:
            raise Refusal("used_url")
        return pressed

    def _answer(self, pressed: _Pressed, said: Arguments) -> None:
        message, workspace = pressed.message, self._workspace
        if said.flag("delete_original"):
            if not pressed.alone:
                workspace.delete(people.BOT.id, message.channel, message.ts)
            return
        parts = self._parts(said)
        if said.flag("replace_original") and not pressed.alone:
            workspace.edit(people.BOT.id, message.channel, message.ts, **parts)
            return
        answer = Message(
            channel=message.channel,
            ts="",
            user=people.BOT.id,
            bot_id=people.BOT.bot_id,
            thread_ts=said.text("thread_ts"),
            **parts,
        )
        if said.text("response_type") == "in_channel":
            workspace.post(answer)
        else:
            workspace.whisper(answer, pressed.user)

    def _parts(self, said: Arguments) -> Json:
        blocks = checked(said.structure("blocks"))
        if not (said.text("text").strip() or blocks):
            raise Refusal("no_text")
        return {"text": said.text("text"), "blocks": named(blocks or ())}
