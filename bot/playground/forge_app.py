"""GitHub App endpoints of the forge: an app proves itself by a JWT and gets a token for an hour.

Listed in `forge_api.py`. There is one installation, on all repositories.
"""

from aiohttp import web

from bot.playground.forge_access import INSTALLATION_ID, AppIdentity
from bot.playground.forge_json import Json, when
from bot.playground.forge_records import Refusal
from bot.playground.forge_request import Asked, Handler

PERMISSIONS = {
    "contents": "write", "metadata": "read", "pull_requests": "write", "issues": "write", "checks": "read",
    "statuses": "read",
}  # fmt: skip
EVENTS = [
    "pull_request", "pull_request_review", "pull_request_review_comment", "push", "issue_comment",
    "check_run", "check_suite", "status",
]  # fmt: skip


async def get_app(asked: Asked) -> web.Response:
    """GET /app: the app itself."""
    app = asked.app
    shape = {
        "id": app.app_id,
        "slug": app.slug,
        "name": app.slug,
        "owner": asked.shapes.user("acme"),
        "permissions": PERMISSIONS,
        "events": EVENTS,
        "html_url": f"{asked.forge.url}/",
    }
    return web.json_response(shape)


async def list_installations(asked: Asked) -> web.Response:
    """GET /app/installations: the one that there is."""
    return asked.page_of([_installation(asked, asked.app)])


async def get_installation(asked: Asked) -> web.Response:
    """GET /app/installations/{id}."""
    return web.json_response(_installation(asked, _installed(asked)))


async def get_repository_installation(asked: Asked) -> web.Response:
    """GET /repos/{owner}/{name}/installation. An app sees private repositories, too."""
    app = asked.app
    asked.forge.repository(f"{asked.request.match_info['owner']}/{asked.request.match_info['name']}")
    return web.json_response(_installation(asked, app))


async def create_token(asked: Asked) -> web.Response:
    """POST /app/installations/{id}/access_tokens: for all repositories, or for those named."""
    app, wish = _installed(asked), await asked.body()
    repositories = None
    if wish.get("repositories"):
        names = [f"acme/{name}" if "/" not in str(name) else str(name) for name in wish["repositories"]]
        try:
            repositories = [asked.forge.repository(name).full_name for name in names]
        except Refusal as unknown:
            raise Refusal(
                422,
                "There is at least one repository that does not exist or is not accessible to the parent installation.",
            ) from unknown
    permissions = wish.get("permissions") or PERMISSIONS
    if any(name not in PERMISSIONS for name in permissions):
        raise Refusal(422, "The permissions requested are not granted to this installation.")
    token, ends = asked.forge.credentials.mint(app, repositories, {"contents": "read", **permissions})
    scope = "selected" if repositories else "all"
    shape = {"token": token, "expires_at": when(ends), "permissions": permissions, "repository_selection": scope}
    return web.json_response(shape, status=201)


def _installed(asked: Asked) -> AppIdentity:
    app = asked.app
    if asked.request.match_info["installation"] != str(INSTALLATION_ID):
        raise Refusal(404, "Not Found")
    return app


def _installation(asked: Asked, app: AppIdentity) -> Json:
    url = f"{asked.forge.api_url}/app/installations/{INSTALLATION_ID}"
    return {
        "id": INSTALLATION_ID,
        "app_id": app.app_id,
        "app_slug": app.slug,
        "account": asked.shapes.user("acme"),
        "target_type": "Organization",
        "repository_selection": "all",
        "permissions": PERMISSIONS,
        "events": EVENTS,
        "access_tokens_url": f"{url}/access_tokens",
        "repositories_url": f"{asked.forge.api_url}/installation/repositories",
        "suspended_at": None,
    }


APP_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/app", get_app),
    ("GET", "/app/installations", list_installations),
    ("GET", "/app/installations/{installation:\\d+}", get_installation),
    ("POST", "/app/installations/{installation:\\d+}/access_tokens", create_token),
    ("GET", "/repos/{owner}/{name}/installation", get_repository_installation),
)
