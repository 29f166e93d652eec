"""What the page needs beside the Web API: who there is, presses of buttons, the native Stop, the knobs.

`workspace_routes.py` mounts it. Everything that changes something is a POST of JSON, which another site's page cannot
send unasked. Answers have Slack's form: `ok`, or `error`.
"""

import secrets

from aiohttp import web

from bot.playground import workspace_agents as agents
from bot.playground import workspace_people as people
from bot.playground import workspace_shapes as shapes
from bot.playground.workspace import Workspace
from bot.playground.workspace_asked import caller_of
from bot.playground.workspace_posted import arguments, posted, refused_answer
from bot.playground.workspace_records import Account, Channel, Delivery, Json, Message, Refusal
from bot.playground.workspace_responses import Responses

INTERRUPTIONS = ("warning", "refresh_requested", "link_disabled", "cut")


class Page:
    """The page's own addresses under `/playground`."""

    def __init__(self, workspace: Workspace, responses: Responses) -> None:
        self._workspace = workspace
        self._responses = responses

    async def bootstrap(self, request: web.Request) -> web.Response:
        """GET: the people with their tokens, the channels, the bot, and the cursor to follow changes from."""
        workspace = self._workspace
        rows = [self._person(account) for account in (*people.PEOPLE, people.OUTSIDER)]
        return web.json_response(
            {
                "team": {"id": people.TEAM, "name": people.TEAM_NAME, "domain": people.DOMAIN},
                "bot": {"user_id": people.BOT.id, "bot_id": people.BOT.bot_id, "name": people.BOT.name},
                "people": rows,
                "channels": [self._channel(channel) for channel in workspace.state.channels.values()],
                "sessions": [shapes.session(session) for session in workspace.state.sessions.values()],
                "statuses": [s for s in workspace.state.statuses.values() if s.get("until", 0.0) > workspace.clock()],
                "cursor": workspace.journal.number,
            },
            headers={"Cache-Control": "no-store"},
        )

    def _person(self, who: Account) -> Json:
        return {
            "id": who.id,
            "name": who.name,
            "real_name": who.real_name,
            "email": who.email,
            "is_stranger": who.stranger,
            "token": self._workspace.tokens.people[who.id],
        }

    def _channel(self, channel: Channel) -> Json:
        return {
            "id": channel.id,
            "name": channel.name,
            "is_private": channel.private,
            "is_im": channel.kind == "im",
            "is_ext_shared": channel.shared,
            "is_archived": channel.archived,
            "topic": channel.topic,
            "members": list(channel.members),
        }

    async def press(self, request: web.Request) -> web.Response:
        """POST {token, channel, ts, action_id, value?}: a person presses a button of the app's."""
        try:
            said = await arguments(request)
            caller = caller_of(self._workspace, said.text("token"))
            channel = self._workspace.state.channel_for(caller.account.id, said.needed("channel"))
            message, alone = self._message(caller.account.id, channel, said.needed("ts"))
            block, element = _button(message, said.needed("action_id"), said.text("value"))
        except Refusal as refused:
            return refused_answer(refused)
        payload = self._pressed(caller.account, channel, message, alone) | {
            "actions": [_action(block, element, self._workspace.now_ts())]
        }
        delivery = Delivery(id="Ia0" + secrets.token_hex(5).upper(), type="interactive", payload=payload)
        if await self._workspace.deliveries.ask(delivery) is None:
            return refused_answer(Refusal("no_answer"))
        return web.json_response({"ok": True})

    def _message(self, viewer: str, channel: Channel, ts: str) -> tuple[Message, bool]:
        """The message, and whether it is one that the viewer alone sees."""
        for reader, whisper in self._workspace.whispers:
            if (reader, whisper.channel, whisper.ts) == (viewer, channel.id, ts):
                return whisper, True
        return self._workspace.state.message(channel.id, ts), False

    def _pressed(self, who: Account, channel: Channel, message: Message, alone: bool) -> Json:
        container: Json = {
            "type": "message",
            "message_ts": message.ts,
            "channel_id": channel.id,
            "is_ephemeral": alone,
        }
        if message.is_reply:
            container["thread_ts"] = message.root
        found: Json = {
            "type": "block_actions",
            "user": {"id": who.id, "username": who.name, "name": who.name, "team_id": who.team},
            "api_app_id": people.APP,
            "token": self._workspace.tokens.verification,
            "container": container,
            "response_url": self._responses.address(message, who.id, alone=alone),
            "trigger_id": self._workspace.views.trigger(who.id),
            "team": {"id": people.TEAM, "domain": people.DOMAIN},
            "enterprise": None,
            "is_enterprise_install": False,
            "channel": {"id": channel.id, "name": channel.name or "directmessage"},
            "state": {"values": {}},
        }
        return found | ({} if alone else {"message": shapes.message(self._workspace.state, message)})

    async def stop(self, request: web.Request) -> web.Response:
        """POST {token, channel, thread_ts}: a person presses the Stop that Slack shows while an agent is at work."""
        try:
            said = await arguments(request)
            caller = caller_of(self._workspace, said.text("token"))
            channel = self._workspace.state.open_for(caller.account.id, said.needed("channel"))
            agents.stop(self._workspace, caller.account.id, channel, said.needed("thread_ts"))
        except Refusal as refused:
            return refused_answer(refused)
        return web.json_response({"ok": True})

    async def show_faults(self, request: web.Request) -> web.Response:
        """GET: the knobs as they are."""
        return web.json_response({"ok": True, **self._workspace.faults.show()})

    async def set_faults(self, request: web.Request) -> web.Response:
        """POST some fields of `Faults`; `disconnect`: interrupt the sockets now, in one of Slack's ways, or `cut`."""
        workspace = self._workspace
        try:
            wish = await posted(request)
            how = wish.pop("disconnect", None)
            if how is not None and how not in INTERRUPTIONS:
                raise ValueError(f"disconnect: one of {', '.join(INTERRUPTIONS)}, please.")
            workspace.faults.set(wish)
        except (Refusal, ValueError) as wrong:
            return web.json_response({"ok": False, "error": str(wrong)}, status=400)
        if wish.get("reorder") == 0:
            workspace.deliveries.release()
        if how == "cut" or workspace.faults.down:
            workspace.sockets.cut()
        elif how is not None:
            await workspace.sockets.disconnect(str(how))
        return await self.show_faults(request)

    async def set_request_url(self, request: web.Request) -> web.Response:
        """POST {events, actions}: deliver as signed HTTP to these addresses from now on."""
        try:
            said = await arguments(request)
            await self._workspace.listen_at(said.needed("events"), said.needed("actions"))
        except (Refusal, ValueError) as wrong:
            return web.json_response({"ok": False, "error": str(wrong)}, status=400)
        return web.json_response({"ok": True})


def _button(message: Message, action_id: str, value: str) -> tuple[Json, Json]:
    """The pressed element and its block. Refuses with no_such_button."""
    for block in message.blocks:
        elements = block.get("elements", []) if block["type"] == "actions" else [block.get("accessory")]
        for element in elements:
            if not isinstance(element, dict) or element.get("action_id") != action_id:
                continue
            if value in ("", element.get("value")):
                return block, element
    raise Refusal("no_such_button")


def _action(block: Json, element: Json, action_ts: str) -> Json:
    kept = {name: element[name] for name in ("action_id", "value", "text", "style", "url", "type") if name in element}
    return kept | {"block_id": block["block_id"], "action_ts": action_ts}
