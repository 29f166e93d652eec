"""All addresses of the workspace, for the playground's application: Web API, sockets, files, and what a page needs."""

from aiohttp import web

from bot.playground.workspace import Workspace
from bot.playground.workspace_api import WebApi
from bot.playground.workspace_api_files import FileServer
from bot.playground.workspace_forms import Forms
from bot.playground.workspace_live import Live
from bot.playground.workspace_page import Page
from bot.playground.workspace_responses import Responses


def workspace_routes(workspace: Workspace) -> list[web.RouteDef]:
    """Everything but the page itself."""
    files, responses = FileServer(workspace), Responses(workspace)
    page, forms = Page(workspace, responses), Forms(workspace)

    async def accept(request: web.Request) -> web.StreamResponse:
        if workspace.faults.down:
            raise web.HTTPServiceUnavailable(text="The workspace is down.\n")
        return await workspace.sockets.accept(request)

    return [
        web.route("*", "/api/{method}", WebApi(workspace).answer),
        web.get("/socket/{ticket}", accept),
        web.post("/response/{key}", responses.take),
        web.post("/upload/v1/{file}", files.take),
        web.get("/files-pri/{team}-{file}/{name}", files.give),
        web.get("/files-pri/{team}-{file}/{download:download}/{name}", files.give),
        web.get("/archives/{channel}/p{seconds:\\d{10}}{micros:\\d{6}}", _archives),
        web.get("/playground/bootstrap", page.bootstrap),
        web.get("/playground/live", Live(workspace).stream),
        web.post("/playground/press", page.press),
        web.post("/playground/submit", forms.submit),
        web.post("/playground/type", forms.type),
        web.post("/playground/press-home", forms.press),
        web.post("/playground/command", forms.command),
        web.post("/playground/open-app", forms.open_app),
        web.post("/playground/stop", page.stop),
        web.get("/playground/faults", page.show_faults),
        web.post("/playground/faults", page.set_faults),
        web.post("/playground/request-url", page.set_request_url),
    ]


async def _archives(request: web.Request) -> web.StreamResponse:
    """A permalink: the page, at that thread."""
    found = request.match_info
    thread = request.query.get("thread_ts", f"{found['seconds']}.{found['micros']}")
    raise web.HTTPFound(f"/#/{found['channel']}/{thread}")
