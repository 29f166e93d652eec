"""Slack's Web API over the workspace: `ANY /api/{method}`. Every answer is 200 with `ok`, but for 429 and faults.

The methods themselves are in `workspace_api_*.py`, as tables. `workspace_routes.py` mounts `WebApi.answer`.
"""

import asyncio

from aiohttp import web

from bot.playground import (
    workspace_api_agents,
    workspace_api_chat,
    workspace_api_conversations,
    workspace_api_files,
    workspace_api_people,
    workspace_api_views,
)
from bot.playground.workspace import Workspace
from bot.playground.workspace_arguments import Arguments, arguments
from bot.playground.workspace_asked import Asked, Caller, Method, caller_of
from bot.playground.workspace_records import Json, Refusal

METHODS: dict[str, Method] = {
    **workspace_api_people.METHODS,
    **workspace_api_conversations.METHODS,
    **workspace_api_chat.METHODS,
    **workspace_api_agents.METHODS,
    **workspace_api_files.METHODS,
    **workspace_api_views.METHODS,
}


class WebApi:
    """Answers calls."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def answer(self, request: web.Request) -> web.Response:
        """One call, by whatever verb."""
        name, scopes = request.match_info["method"], ""
        try:
            given = await arguments(request)
            caller = caller_of(self._workspace, token_of(request, given))
            scopes = ",".join(caller.scopes or ())
            answer = await self._as(caller, name, given)
        except Refusal as refused:
            answer = web.json_response({"ok": False, "error": refused.error, **refused.more})
        answer.headers["x-oauth-scopes"] = scopes
        return answer

    async def _as(self, caller: Caller, name: str, given: Arguments) -> web.Response:
        method = METHODS.get(name)
        if method is None:
            raise Refusal("unknown_method", {"req_method": name})
        asked = Asked(self._workspace, caller, given)
        if not caller.is_app:
            return web.json_response(_done(asked, method))
        faults = self._workspace.faults
        met = faults.meets(name)
        if met and faults.slow:
            await asyncio.sleep(faults.slow)
        if faults.down or any(words in given.text("text") for words in faults.poison) or (met and faults.take("fail")):
            return web.Response(status=503, text="The workspace is down.\n")
        if met and faults.take("rate_limit"):
            return _limited(faults.retry_after)
        seconds = 0 if faults.unlimited else self._seconds_to_wait(asked, name, method)
        if seconds:
            return _limited(seconds)
        done = _done(asked, method)
        if met and faults.take("fail_after"):
            return web.Response(status=503, text="The workspace broke.\n")
        return web.json_response(done)

    def _seconds_to_wait(self, asked: Asked, name: str, method: Method) -> int:
        app, limits = asked.caller.account.app_id, self._workspace.limits
        if name == "chat.postMessage":
            return limits.wait_to_post(app, asked.arguments.text("channel"))
        return limits.wait(app, name, method.tier)


def _done(asked: Asked, method: Method) -> Json:
    if asked.caller.kind not in method.callers:
        raise Refusal("not_allowed_token_type")
    if method.scopes:
        asked.require(*method.scopes)
    return {"ok": True, **method.handler(asked)}


def _limited(seconds: int) -> web.Response:
    body = {"ok": False, "error": "ratelimited"}
    return web.json_response(body, status=429, headers={"Retry-After": str(seconds)})


def token_of(request: web.Request, given: Arguments) -> str:
    """The token of a request: of its header, else of its arguments."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else given.text("token")
