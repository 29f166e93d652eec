"""One request to the forge's REST API: who asks, about what, and the answers in GitHub's form.

`forge_api.py` and `forge_app.py` write their handlers against `Asked`; `answering` makes an aiohttp handler of one,
with GitHub's error bodies, its rate-limit headers, and the faults that tests ask for.
"""

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from bot.playground.forge import Forge
from bot.playground.forge_access import Access, AppIdentity
from bot.playground.forge_json import DOCUMENTATION, Json, Shapes
from bot.playground.forge_records import PullRequest, Refusal, Repository

RATE_LIMIT = 5000
PAGE_SIZE = 30
PAGE_SIZE_MOST = 100
RATE_LIMITED = "API rate limit exceeded"


class Asked:
    """A request, with the forge that it is for. Its properties raise the Refusal that GitHub would answer with."""

    def __init__(self, forge: Forge, request: web.Request) -> None:
        self.forge = forge
        self.request = request
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        self._token = token.strip() if scheme.lower() in ("token", "bearer") else ""

    @property
    def shapes(self) -> Shapes:
        """How records look at the forge's address."""
        return self.forge.shapes

    @property
    def access(self) -> Access | None:
        """Who asks; None: anybody. A token that is not good is refused."""
        if not self._token:
            return None
        access = self.forge.credentials.of(self._token)
        if access is None:
            raise Refusal(401, "Bad credentials")
        return access

    @property
    def known(self) -> Access:
        """Who asks; anybody is not enough."""
        access = self.access
        if access is None:
            raise Refusal(401, "Requires authentication")
        return access

    @property
    def app(self) -> AppIdentity:
        """The app that asks, by its JWT."""
        return self.forge.credentials.app_of(self._token)

    @property
    def repository(self) -> Repository:
        """The repository that is asked about, if the asker may see it."""
        access = self.access
        found = self.forge.repository(f"{self.request.match_info['owner']}/{self.request.match_info['name']}")
        if found.private and (access is None or not access.covers(found.full_name)):
            raise Refusal(404, "Not Found")
        return found

    @property
    def writable(self) -> Repository:
        """The repository that is asked about, if the asker may change it."""
        access = self.known
        found = self.repository
        if not access.may_push or not access.covers(found.full_name):
            raise Refusal(403, "Resource not accessible by integration")
        return found

    @property
    def pull(self) -> PullRequest:
        """The pull request that is asked about."""
        return self.repository.pull(int(self.request.match_info["number"]))

    async def sent(self) -> object:
        """The JSON that was sent; {} if nothing was."""
        try:
            value: object = json.loads(await self.request.read() or b"{}")
        except ValueError as wrong:
            raise Refusal(400, "Problems parsing JSON") from wrong
        return value

    async def body(self) -> Json:
        """The JSON object that was sent."""
        found = await self.sent()
        if not isinstance(found, dict):
            raise Refusal(400, "Body should be a JSON object")
        return found

    def page_of(self, rows: Sequence[Any]) -> web.Response:
        """The asked page of a list, with links to the next and the last one."""
        query = self.request.query
        size = min(_positive(query.get("per_page"), PAGE_SIZE), PAGE_SIZE_MOST)
        page = _positive(query.get("page"), 1)
        last = max(1, -(-len(rows) // size))
        here = self.forge.base_url.rstrip("/") + self.request.path
        addresses = [
            f'<{here}?{self.request.url.update_query(page=number, per_page=size).query_string}>; rel="{name}"'
            for name, number in (("next", page + 1), ("last", last))
            if page < last
        ]
        headers = {"Link": ", ".join(addresses)} if addresses else {}
        return web.json_response(list(rows[(page - 1) * size : page * size]), headers=headers)


Handler = Callable[[Asked], Awaitable[web.Response]]


def answering(forge: Forge, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """An aiohttp handler that calls `handler` and puts refusals into GitHub's words."""

    async def answer(request: web.Request) -> web.StreamResponse:
        left = RATE_LIMIT - 1
        try:
            _fault(forge)
            response = await handler(Asked(forge, request))
        except Refusal as refused:
            response = refusal(refused)
            left = 0 if refused.message.startswith(RATE_LIMITED) else left
        response.headers["X-RateLimit-Limit"] = str(RATE_LIMIT)
        response.headers["X-RateLimit-Remaining"] = str(left)
        response.headers["X-RateLimit-Reset"] = str(int(time.time()) + 60)
        return response

    return answer


def refusal(refused: Refusal) -> web.Response:
    """GitHub's error body."""
    shape: Json = {"message": refused.message, "documentation_url": DOCUMENTATION, "status": str(refused.status)}
    if refused.errors:
        shape["errors"] = list(refused.errors)
    return web.json_response(shape, status=refused.status)


def _fault(forge: Forge) -> None:
    """The faults of the API alone; each is over once it was met."""
    if forge.faults.fail_next > 0:
        forge.faults.fail_next -= 1
        raise Refusal(500, "Server Error")
    if forge.faults.rate_limit_next > 0:
        forge.faults.rate_limit_next -= 1
        raise Refusal(403, RATE_LIMITED + " for user ID 1.")


def _positive(text: str | None, default: int) -> int:
    return int(text) if text and text.isdigit() and int(text) > 0 else default
