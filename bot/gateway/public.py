"""The gateway for boxes that are not on this machine: its routes on the port of the pages, with the same tokens.

`bot/app.py` adds `routes` only where boxes run elsewhere. The socket on this machine knows a box by the kernel; here
its token is all that there is, so nothing is looked at before that, a token opens nothing unless its box is elsewhere,
and a box has only so many requests under way at a time. Strangers are told the same, whatever they ask for.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from aiohttp import web

from bot.gateway.access import GRANT, Access, Handler, Refusal
from bot.gateway.door import CONNECTIONS_MOST
from bot.gateway.requests import Requests
from sandbox.side_by_side import HERE, place_of

log = logging.getLogger(__name__)
ROOTS = ("/link/", "/git/", "/model/", "/tools/", "/egress")
Around = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


class PublicDoor:
    """Lets boxes in from elsewhere. `around` is what the gateway does around each of its handlers.

    `most`: requests of one box that are under way at a time.
    """

    def __init__(self, access: Access, around: Around, requests: Requests, most: int = CONNECTIONS_MOST) -> None:
        self._access, self._around, self._requests, self._most = access, around, requests, most
        self._under_way: Counter[str] = Counter()

    def routes(self, of_the_gateway: Sequence[web.RouteDef]) -> list[web.RouteDef]:
        """The same addresses, for whoever has the token of a box elsewhere."""
        return [web.RouteDef(one.method, one.path, self._opened(one.handler), one.kwargs) for one in of_the_gateway]

    def _opened(self, handler: Handler) -> Handler:
        async def judged(request: web.Request) -> web.StreamResponse:
            grant = await self._access.grant_of(request)
            if grant is None or place_of(grant.box) == HERE:
                return Refusal(401, "unknown token").answer()
            return await self._access.admit(request, grant, counted)

        async def counted(request: web.Request) -> web.StreamResponse:
            with self._room(request[GRANT].box):
                await self._requests.keep(request[GRANT].box)
                return await handler(request)

        async def opened(request: web.Request) -> web.StreamResponse:
            return await self._around(request, judged)

        return opened

    @contextmanager
    def _room(self, box: str) -> Iterator[None]:
        if self._under_way[box] >= self._most:
            raise Refusal(503, "too many requests of this box at a time", seconds=1.0)
        self._under_way[box] += 1
        try:
            yield
        finally:
            self._under_way[box] -= 1
            if not self._under_way[box]:
                del self._under_way[box]


def is_of_a_box(request: web.Request) -> bool:
    """Whether a request on the port of the pages is meant for the gateway."""
    return request.path.startswith(ROOTS)


@web.middleware
async def finish(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What people, Slack and the forge ask for is done to its end even if they hang up; what a box asks for is not: an
    agent that hangs up ends its request at the model, too."""
    if is_of_a_box(request):
        return await handler(request)
    return await asyncio.shield(asyncio.ensure_future(handler(request)))


async def unbuffered(request: web.Request, answer: web.StreamResponse) -> None:
    """Tell a proxy before us to pass on what a box is told as it comes."""
    if is_of_a_box(request):
        answer.headers["X-Accel-Buffering"] = "no"
