"""The page of the workspace: one HTML file with its style and scripts, for people who play Slack in a browser.

`server.py` mounts it beside the workspace, which the page talks to as any client does: through the Web API, with the
token of the person that somebody chose to be. Nothing comes from elsewhere, and the policy header forbids it.
"""

from pathlib import Path

from aiohttp import web

HERE = Path(__file__).parent
PAGE = HERE / "templates" / "workspace.html"
STATIC = HERE / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def page_routes() -> list[web.RouteDef]:
    """GET / and what it asks for under /static/."""
    return [
        web.get("/", _page),
        web.get("/static/{name:workspace\\.(?:css|js)}", _static),
        web.get("/static/{name:workspace/[a-z]+\\.js}", _static),
    ]


async def _page(request: web.Request) -> web.StreamResponse:
    return web.FileResponse(PAGE, headers=HEADERS)


async def _static(request: web.Request) -> web.StreamResponse:
    file = STATIC / request.match_info["name"]
    if not file.is_file():
        raise web.HTTPNotFound(text="There is no such file.\n")
    return web.FileResponse(file, headers=HEADERS)
