"""What people do with the app beside messages: its slash command, its forms, its Home tab.

`workspace_routes.py` mounts it. Each is delivered as Slack does, once, and waited for; the errors of a form that was
sent go back to the page.
"""

import secrets
from typing import Literal

from aiohttp import web

from bot.playground import workspace_people as people
from bot.playground.workspace import Workspace
from bot.playground.workspace_arguments import Arguments
from bot.playground.workspace_asked import caller_of
from bot.playground.workspace_posted import arguments, refused_answer
from bot.playground.workspace_records import Account, Delivery, Json, Refusal
from bot.playground.workspace_views import missing

TABS = ("home", "messages")
Kind = Literal["interactive", "slash_commands"]


class Forms:
    """The page's own addresses for them."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def command(self, request: web.Request) -> web.Response:
        """POST {token, channel, command, text}: a person types a slash command of the app's."""
        try:
            said, who = await self._caller(request)
            channel = self._workspace.state.open_for(who.id, said.needed("channel"))
            command = said.needed("command")
            if command not in self._workspace.manifest.commands:
                raise Refusal("unknown_command")
        except Refusal as refused:
            return refused_answer(refused)
        payload: Json = {
            "token": self._workspace.tokens.verification,
            "team_id": people.TEAM,
            "team_domain": people.DOMAIN,
            "channel_id": channel.id,
            "channel_name": channel.name or "directmessage",
            "user_id": who.id,
            "user_name": who.name,
            "command": command,
            "text": said.text("text"),
            "api_app_id": people.APP,
            "is_enterprise_install": "false",
            "response_url": "",
            "trigger_id": self._workspace.views.trigger(who.id),
        }
        return await self._delivered("slash_commands", payload)

    async def submit(self, request: web.Request) -> web.Response:
        """POST {token, view_id, values}: a person sends a form. `errors`, by block: it stays open."""
        try:
            said, who = await self._caller(request)
            view = self._workspace.views.filled_in(who.id, said.needed("view_id"), said.structure("values"))
            if missing(view):
                raise Refusal("missing_field")
        except Refusal as refused:
            return refused_answer(refused)
        payload = self._of("view_submission", who) | {"view": view, "response_urls": []}
        answer = await self._ask("interactive", payload)
        if answer is None:
            return refused_answer(Refusal("no_answer"))
        if answer.get("response_action") == "errors":
            return web.json_response({"ok": True, "errors": answer.get("errors", {})})
        self._workspace.views.close(view["id"])
        return web.json_response({"ok": True})

    async def type(self, request: web.Request) -> web.Response:
        """POST {token, view_id, values, action_id}: a person changes a field that wants to hear of it."""
        try:
            said, who = await self._caller(request)
            view = self._workspace.views.filled_in(who.id, said.needed("view_id"), said.structure("values"))
            action = _changed(view, said.needed("action_id"), self._workspace.now_ts())
        except Refusal as refused:
            return refused_answer(refused)
        container = {"type": "view", "view_id": view["id"]}
        payload = self._of("block_actions", who) | {"view": view, "container": container, "actions": [action]}
        return await self._delivered("interactive", payload)

    async def press(self, request: web.Request) -> web.Response:
        """POST {token, view_id, action_id}: a person presses a button of a Home tab."""
        try:
            said, who = await self._caller(request)
            view = self._workspace.views.shown(who.id, said.needed("view_id"))
            pressed = _button(view, said.needed("action_id")) | {"action_ts": self._workspace.now_ts()}
        except Refusal as refused:
            return refused_answer(refused)
        container = {"type": "view", "view_id": view["id"]}
        payload = self._of("block_actions", who) | {"view": view, "container": container, "actions": [pressed]}
        return await self._delivered("interactive", payload)

    async def open_app(self, request: web.Request) -> web.Response:
        """POST {token, tab}: a person looks at the app: at its `home` tab, or at the `messages` with it."""
        try:
            said, who = await self._caller(request)
            if (tab := said.needed("tab")) not in TABS:
                raise Refusal("invalid_arguments")
        except Refusal as refused:
            return refused_answer(refused)
        self._workspace.opened(who, tab)
        return web.json_response({"ok": True})

    async def _caller(self, request: web.Request) -> tuple[Arguments, Account]:
        said = await arguments(request)
        return said, caller_of(self._workspace, said.text("token")).account

    def _of(self, kind: str, who: Account) -> Json:
        return {
            "type": kind,
            "user": {"id": who.id, "username": who.name, "name": who.name, "team_id": who.team},
            "team": {"id": people.TEAM, "domain": people.DOMAIN},
            "api_app_id": people.APP,
            "token": self._workspace.tokens.verification,
            "trigger_id": self._workspace.views.trigger(who.id),
            "is_enterprise_install": False,
            "enterprise": None,
        }

    async def _ask(self, kind: Kind, payload: Json) -> Json | None:
        delivery = Delivery(id="Ia0" + secrets.token_hex(5).upper(), type=kind, payload=payload)
        return await self._workspace.deliveries.ask(delivery)

    async def _delivered(self, kind: Kind, payload: Json) -> web.Response:
        if await self._ask(kind, payload) is None:
            return refused_answer(Refusal("no_answer"))
        return web.json_response({"ok": True})


def _changed(view: Json, action_id: str, action_ts: str) -> Json:
    """What is told of the field that was changed. Refuses with no_such_field."""
    for block in (block for block in view["blocks"] if block.get("type") == "input" and block.get("dispatch_action")):
        element = block["element"]
        if element["action_id"] == action_id:
            state: Json = view["state"]["values"][block["block_id"]][action_id]
            return state | {"action_id": action_id, "block_id": block["block_id"], "action_ts": action_ts}
    raise Refusal("no_such_field")


def _button(view: Json, action_id: str) -> Json:
    """The pressed element. Refuses with no_such_button."""
    for block in (block for block in view["blocks"] if block.get("type") == "actions"):
        for element in block["elements"]:
            if element.get("action_id") == action_id:
                return {**element, "block_id": block.get("block_id", "actions")}
    raise Refusal("no_such_button")
