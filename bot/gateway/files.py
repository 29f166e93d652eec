"""Files on their way between people and a box: what an agent attaches comes up, what came with a prompt goes down.

`server.py` mounts it. What a box sends was asked for before (`tools_people.py`), is bounded and kept under a name of
ours; what it fetches belongs to the prompt that it works on.
"""

import logging
import mimetypes
from collections.abc import AsyncIterator

from aiohttp import web

from bot.gateway.access import GRANT, Refusal
from bot.gateway.link_up import number
from bot.outside import NotThere, Outside
from jobs.asked import FILE_BYTES_MOST
from jobs.commands import Refused
from jobs.commands_tools import AttachFile, RefuseFile
from jobs.inbox import Inbox
from jobs.records import Grant
from jobs.session import Session
from jobs.shelf import Shelf, TooLarge, clean_name
from jobs.store import Store

log = logging.getLogger(__name__)
REASON_CHARS = 500
ATTACHMENT_BYTES = 20 << 20
NOT_WANTED = "nobody waits for this file"
TOO_LARGE = f"It has more than {FILE_BYTES_MOST >> 20} MB."
EMPTY = "It is empty."


class Files:
    """The two addresses, under `/link/`: only the runner reaches them."""

    def __init__(self, store: Store, inbox: Inbox, shelf: Shelf, outside: Outside) -> None:
        self._store, self._inbox, self._shelf, self._outside = store, inbox, shelf, outside

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where a file comes up, and where an attachment is fetched."""
        return [
            web.post("/link/file", self._take),
            web.get("/link/attachment", self._give, allow_head=False),
        ]

    async def _session(self, grant: Grant) -> Session:
        session = await self._store.load(grant.session)
        if session is None or session.generation != grant.generation:
            raise Refusal(409, "stale generation")
        return session

    async def _take(self, request: web.Request) -> web.Response:
        """A file that was asked for, or (with `refused`) why it cannot be had."""
        grant = request[GRANT]
        session = await self._session(grant)
        wanted = next((file for file in session.wanted_files if file.id == request.query.get("id")), None)
        if wanted is None:
            raise Refusal(404, NOT_WANTED)
        refused = request.query.get("refused")
        if refused is not None:
            await self._refuse(grant, wanted.id, " ".join(refused.split())[:REASON_CHARS])
            return web.json_response({"kept": False})
        try:
            kept = await self._shelf.keep(grant.session, wanted.id, request.content.iter_any(), FILE_BYTES_MOST)
        except TooLarge:
            await self._refuse(grant, wanted.id, TOO_LARGE)
            raise Refusal(413, TOO_LARGE) from None
        if not kept.bytes:
            await self._forget(grant, wanted.id)
            await self._refuse(grant, wanted.id, EMPTY)
            raise Refusal(400, EMPTY)
        name = clean_name(wanted.path)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        url = self._outside.file_url(session, wanted.id)
        attached = AttachFile(grant.generation, wanted.id, name, kind, kept.bytes, kept.digest, url)
        try:
            after = await self._inbox.handle(grant.session, attached)
        except Refused as late:
            await self._forget(grant, wanted.id)
            raise Refusal(404, str(late)) from None
        taken = any(file.id == wanted.id for file in after.files)
        if not taken:  # the very same was attached before
            self._shelf.path(grant.session, wanted.id).unlink(missing_ok=True)
        return web.json_response({"kept": taken})

    async def _forget(self, grant: Grant, file_id: str) -> None:
        """Let go of what came, unless it is attached: a runner that hears no answer sends the file once more."""
        session = await self._store.load(grant.session)
        if session is None or all(file.id != file_id for file in session.files):
            self._shelf.path(grant.session, file_id).unlink(missing_ok=True)

    async def _refuse(self, grant: Grant, file_id: str, reason: str) -> None:
        await self._inbox.handle(grant.session, RefuseFile(file_id, reason or "It could not be read."))

    async def _give(self, request: web.Request) -> web.StreamResponse:
        """Attachment number `n` of the prompt of `turn`, piece by piece as it comes from the client."""
        grant = request[GRANT]
        session = await self._session(grant)
        turn, n = number(request.query, "turn"), number(request.query, "n")
        if session.turn is None or session.turn.number != turn:
            raise Refusal(404, "this turn is over")
        if n >= len(session.turn.prompt.attachments):
            raise Refusal(404, "the prompt has no such attachment")
        file = session.turn.prompt.attachments[n]
        try:
            async with self._outside.fetch(session.place, file) as pieces:
                return await _pass_on(request, pieces)
        except NotThere as missing:
            log.info("an attachment cannot be had: %s", missing)
            raise Refusal(422, str(missing)) from None


async def _pass_on(request: web.Request, pieces: AsyncIterator[bytes]) -> web.StreamResponse:
    """Chunked; cut where more comes than a box may get, so that it does not take a part for the whole."""
    first = await anext(pieces, b"")
    answer = web.StreamResponse(headers={"Content-Type": "application/octet-stream", "Cache-Control": "no-store"})
    answer.enable_chunked_encoding()
    await answer.prepare(request)
    passed = len(first)
    await answer.write(first)
    try:
        async for piece in pieces:
            passed += len(piece)
            if passed > ATTACHMENT_BYTES:
                raise NotThere("it is too large")
            await answer.write(piece)
        await answer.write_eof()
    except (NotThere, ConnectionError, TimeoutError) as cut:
        log.warning("an attachment was cut: %s", cut)
        if request.transport is not None:
            request.transport.abort()
    return answer
