"""All addresses of the forge under `/forge`, for the playground's application; and the switch for its faults.

`POST /forge/_faults` takes a JSON object with the fields of `Faults`, `GET` shows them: for tests whose forge is
another process. It listens on loopback only, as all of the playground does.
"""

import asyncio
import dataclasses
from pathlib import Path

from aiohttp import web

from bot.playground.forge import PREFIX, Forge
from bot.playground.forge_api import api_routes
from bot.playground.forge_git import GitServer
from bot.playground.forge_pages import Pages
from bot.playground.forge_records import Refusal

STATIC = Path(__file__).parent / "static"


def forge_routes(forge: Forge) -> list[web.RouteDef]:
    """Pages, REST API and git, each behind the faults of the forge."""
    git, pages = GitServer(forge), Pages(forge)
    repository = PREFIX + "/{owner}/{name}"
    pull = repository + "/pull/{number:\\d+}"
    routes = [
        *api_routes(forge),
        web.get(PREFIX, _to_home),
        web.get(PREFIX + "/", pages.home),
        web.get(PREFIX + "/webhooks", pages.webhooks),
        web.get(PREFIX + "/static/forge.css", _style),
        *(route for suffix in (".git", "") for route in _git_routes(git, PREFIX + "/{owner}/{name:[^/]+?}" + suffix)),
        web.get(pull, pages.pull),
        web.post(pull, pages.act),
        web.get(repository + "/commit/{sha:[0-9a-f]{7,40}}", pages.commit),
        web.get(repository, pages.repository),
    ]
    switch = Switch(forge)
    faults = [web.get(PREFIX + "/_faults", switch.show), web.post(PREFIX + "/_faults", switch.set)]
    return [*faults, *(_guarded(forge, route) for route in routes)]


def _git_routes(git: GitServer, path: str) -> list[web.RouteDef]:
    return [
        web.get(path + "/info/refs", git.advertise),
        web.post(path + "/git-upload-pack", git.upload_pack),
        web.post(path + "/git-receive-pack", git.receive_pack),
    ]


class Switch:
    """Shows and sets the faults."""

    def __init__(self, forge: Forge) -> None:
        self._forge = forge

    async def show(self, request: web.Request) -> web.Response:
        """GET: the faults as they are."""
        return web.json_response(dataclasses.asdict(self._forge.faults))

    async def set(self, request: web.Request) -> web.Response:
        """POST: change those that are named. JSON only, which another site's page cannot send unasked."""
        wish = await request.json() if request.content_type == "application/json" else None
        known = {field.name: field.type for field in dataclasses.fields(self._forge.faults)}
        if not isinstance(wish, dict) or any(name not in known for name in wish):
            raise web.HTTPBadRequest(text=f"Send a JSON object with some of {', '.join(known)}.\n")
        if not all(isinstance(value, int | float) for value in wish.values()):
            raise web.HTTPBadRequest(text="Every fault is a number, true or false.\n")
        for name, value in wish.items():
            setattr(self._forge.faults, name, value)
        return await self.show(request)


def _guarded(forge: Forge, route: web.RouteDef) -> web.RouteDef:
    """The route, behind the faults that concern everything; refusals that got this far are told in plain words."""
    handler = route.handler
    assert callable(handler), "every route of the forge has a handler"

    async def guarded(request: web.Request) -> web.StreamResponse:
        if forge.faults.slow:
            await asyncio.sleep(forge.faults.slow)
        if forge.faults.down:
            raise web.HTTPServiceUnavailable(text="The forge is down.\n")
        try:
            answer: web.StreamResponse = await handler(request)
        except Refusal as refused:
            return web.Response(status=refused.status, text=refused.message + "\n")
        return answer

    return web.RouteDef(route.method, route.path, guarded, route.kwargs)


async def _to_home(request: web.Request) -> web.Response:
    raise web.HTTPFound(PREFIX + "/")


async def _style(request: web.Request) -> web.StreamResponse:
    return web.FileResponse(STATIC / "forge.css")
