"""Who may pass: each request's token becomes its box's `Grant`, once, before any handler runs.

`server.py` puts `Access.check` before all routes. Handlers read `request[GRANT]` and raise `Refusal` for what they do
not follow; it is answered and logged here, with the ids of session and box. What a stranger is told is constant.
"""

import json
import logging
import math
from collections.abc import Awaitable, Callable

from aiohttp import web

from jobs.inbox import hash_token
from jobs.log import about
from jobs.records import Grant

log = logging.getLogger(__name__)
GRANT = web.RequestKey("grant", Grant)
TOKEN = web.RequestKey("token", str)  # the hash of the token that the request came with
BUILD_MAY = ("/git/", "/egress")
WARM_MAY = ("/link/warm", "/git/", "/model/priming/", "/tools/", "/egress")  # of the tools: which there are
UP = "/link/up"
UNKNOWN = "unknown token"
SERVING_MOST = 10_000
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refusal(Exception):
    """A request that is not followed: what is answered, as `{"error": …}`. `n`: the frame that is meant, if one is;
    `seconds`: for a 503, not to come again before those have passed."""

    def __init__(self, status: int, error: str, n: int | None = None, seconds: float | None = None) -> None:
        super().__init__(error)
        self.status, self.error, self.n, self.seconds = status, error, n, seconds

    def answer(self) -> web.Response:
        """The refusal on the wire (docs/wire.md)."""
        body: dict[str, object] = {"error": self.error}
        if self.n is not None:
            body["n"] = self.n
        headers = {}
        if self.status == 503:
            headers["Retry-After"] = str(math.ceil(self.seconds or 1))
        if self.seconds is not None:
            body["seconds"] = round(self.seconds, 3)
        return web.Response(status=self.status, text=json.dumps(body), content_type="application/json", headers=headers)


class Access:
    """`granted` looks up the hash of a token; `behind` names the box at the other end of a connection, if it can.

    What a token allows once it serves a session changes no more, until it is revoked. So who has served is remembered
    where the record looks at the token again as it takes in what came (`UP`): that is one question less for each word.
    """

    def __init__(
        self, granted: Callable[[str], Awaitable[Grant | None]], behind: Callable[[web.Request], str] = lambda _: ""
    ) -> None:
        self._granted, self._behind = granted, behind
        self._serving: dict[str, Grant] = {}  # by the hash of the token, the newest last

    async def grant_of(self, request: web.Request) -> Grant | None:
        """What this request's token stands for at this moment (for `UP`: or stood for); None once it was revoked."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.isascii():
            return None
        known = request[TOKEN] = hash_token(token.strip())
        if request.path == UP and known in self._serving:
            return self._serving[known]
        grant = await self._granted(known)
        if grant is not None and grant.purpose == "serve":
            self._remember(known, grant)
        return grant

    def _remember(self, token: str, grant: Grant) -> None:
        self._serving.pop(token, None)
        if len(self._serving) >= SERVING_MOST:
            del self._serving[next(iter(self._serving))]
        self._serving[token] = grant

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The middleware."""
        grant = await self.grant_of(request)
        if grant is None:
            box = self._behind(request) or "unknown"
            with about(box=box):
                log.warning("refused %s %s to box %s: no box has this token", request.method, request.path[:200], box)
            return Refusal(401, UNKNOWN).answer()
        return await self.admit(request, grant, handler)

    async def admit(self, request: web.Request, grant: Grant, handler: Handler) -> web.StreamResponse:
        """Answer a request whose token stands for this, as far as that goes."""
        with about(session=grant.session, box=grant.box):
            try:
                if grant.purpose == "warm" and not request.path.startswith(WARM_MAY):
                    raise Refusal(403, "this box serves nobody yet")
                if grant.purpose == "build" and not request.path.startswith(BUILD_MAY):
                    raise Refusal(403, "this box may use git and the way out only")
                request[GRANT] = grant
                return await handler(request)
            except Refusal as refused:
                refusal = await self._refusal(request, refused)
                box = self._behind(request) or grant.box
                log.warning("refused %s %s to box %s: %s", request.method, request.path[:200], box, refusal)
                return refusal.answer()

    async def _refusal(self, request: web.Request, why: Refusal) -> Refusal:
        """As it is, but to a box whose token does not stand any more, and who was only remembered."""
        token = request[TOKEN]
        if token not in self._serving or await self._granted(token) is not None:
            return why
        self._serving.pop(token, None)
        return Refusal(401, UNKNOWN)
