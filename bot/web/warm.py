"""POST /api/warm: a page where somebody begins to type says so, and a box of that repository is made ready.

`bot/app.py` adds its route. Who may look at a session's page may also say this, with the same signed link's fields.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aiohttp import web

from bot.web.links import BadLink, ViewLinks
from jobs.events import Place
from jobs.session import Session

BODY_BYTES = 4_000
FIELDS = ("expires", "viewer", "signature")


class Record(Protocol):
    """What of the record is needed here: `jobs.store.Store` has it."""

    async def load(self, sid: str) -> Session | None:
        """The session, if there is one."""


class WarmPage:
    """`warm_up` is given a repository and why; `may_view` says whether somebody may look at a private place now."""

    def __init__(
        self,
        record: Record,
        links: ViewLinks,
        may_view: Callable[[Place, str], Awaitable[bool]],
        warm_up: Callable[[str, str], Awaitable[bool]],
    ) -> None:
        self._record, self._links, self._may_view, self._warm_up = record, links, may_view, warm_up

    @property
    def routes(self) -> list[web.RouteDef]:
        """Its address."""
        return [web.post("/api/warm", self.warm)]

    async def warm(self, request: web.Request) -> web.Response:
        """The body: `{"session", "expires", "viewer", "signature"}`, the last three as in the page's address.

        202 `{"begun": whether it was news}`; 400 for a body that is none, 403 for a link that does not hold.
        """
        said = await _body(request)
        if said is None:
            return _answer(400, error="the body must be a JSON object with session, expires, viewer and signature")
        sid = said.get("session", "")
        try:
            viewer = self._links.viewer(sid, {name: said.get(name, "") for name in FIELDS})
        except BadLink as bad:
            return _answer(403, error=str(bad))
        session = await self._record.load(sid)
        if session is None or session.repository is None:
            return _answer(404, error="There is no such session, or it has no repository yet.")
        if session.place.private and not (viewer and await self._may_view(session.place, viewer)):
            return _answer(403, error="This session is private.")
        return _answer(202, begun=await self._warm_up(session.repository, f"somebody types at the page of {sid}"))


async def _body(request: web.Request) -> Mapping[str, str] | None:
    if request.content_length is None or request.content_length > BODY_BYTES:
        return None
    try:
        found = json.loads(await request.read())
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        return None
    return found


def _answer(status: int, **body: object) -> web.Response:
    return web.json_response(body, status=status, headers={"Cache-Control": "no-store"})
