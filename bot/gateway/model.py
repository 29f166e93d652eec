"""The model gateway: an agent's requests go on to the model provider with the real key, and the answer streams back.

`server.py` mounts it at `/model/UPSTREAM/`. A box has no key of its own: what it sends as one ends here. A request is
held until it is passed on, for it must be known which model it asks (`model_asked.py`) and whether it may
(`model_account.py`); an answer goes back piece by piece, and what it took is counted when it has ended. The first
request of a turn with tools is reported, and so is the first byte of the first answer.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from bot.gateway.access import GRANT
from bot.gateway.aside import Aside
from bot.gateway.model_account import Accounts, NotAllowed, payer
from bot.gateway.model_asked import (
    Room,
    Share,
    TooMuch,
    Unclear,
    is_left_running,
    model_of,
    names_more_models,
    offers_tools,
)
from bot.gateway.model_onward import Refused, headers_of, target
from bot.gateway.model_reports import ModelReports
from bot.gateway.model_trouble import Troubles, status_within
from bot.gateway.model_under_way import Expected
from bot.gateway.model_upstreams import Upstream
from bot.gateway.model_usage import Meter
from bot.gateway.model_wire import Protocol, downward
from bot.gateway.pace import Allowance
from bot.metrics import Metrics
from jobs.records import Grant
from jobs.session import Session

log = logging.getLogger(__name__)
CONNECT_SECONDS = 10.0
ASKED_PER_SECOND = 20.0  # of one box: what a provider lets us ask is for all of them
REFUSED_BY_PROVIDER = {
    401: "{title} does not accept our key (401). Whoever runs Shipmate has to set {setting} anew.",
    402: "{title} says that our account has no credit left (402). Whoever runs Shipmate has to see to it.",
    403: "{title} does not let our key do this (403). Whoever runs Shipmate has to see to {setting}.",
}
OUR_OWN = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")  # aiohttp adds none of these by itself


class Patience(NamedTuple):
    """How long a provider may be in trouble before people are told, how long it may say nothing, and how long an agent
    may take nothing of an answer: what is held for it meanwhile is room that others lack. `at_once`: how many requests
    a box may make at once; after them it has some each second."""

    told_seconds: float = 10.0
    silent_seconds: float = 600.0
    stuck_seconds: float = 300.0
    at_once: float = 600.0


PATIENCE = Patience()


@dataclass(frozen=True)
class _Asked:
    """One request, as it goes on."""

    grant: Grant
    upstream: Upstream
    method: str
    url: URL
    headers: CIMultiDict[str]
    body: bytes
    model: str
    tools: bool
    session: asyncio.Task[Session | None] | None  # None: nothing is to be paid for it
    expected: Expected


class ModelProxy:
    """`upstreams`: by name."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        accounts: Accounts,
        reports: ModelReports,
        troubles: Troubles,
        metrics: Metrics,
        room: Room,
        patience: Patience,
    ) -> None:
        self._upstreams, self._accounts, self._reports, self._troubles = upstreams, accounts, reports, troubles
        self._metrics, self._room, self._patience = metrics, room, patience
        self._aside, self._calls = Aside(), Allowance(patience.at_once, ASKED_PER_SECOND)
        self._http: aiohttp.ClientSession | None = None

    @property
    def routes(self) -> list[web.RouteDef]:
        """The proxy's addresses."""
        return [web.route("*", "/model/{upstream}/{path:.*}", self._answer)]

    async def start(self) -> None:
        """Open the connections' pool."""
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=self._patience.silent_seconds
            ),
            auto_decompress=False,
            skip_auto_headers=OUR_OWN,
        )

    async def close(self) -> None:
        """Hang up on all providers."""
        self._troubles.close()
        await self._aside.close()
        if self._http is not None:
            await self._http.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        upstream, grant = self._upstreams.get(request.match_info["upstream"]), request[GRANT]
        if upstream is None:
            return web.json_response({"error": "there is no such model provider here"}, status=404)
        try:
            with self._room.share(grant.box) as share:
                if not self._calls.allows(grant.box, time.monotonic()):
                    raise Refused(429, "This box asks its model far too often. Try again in a moment.")
                url, headers = target(request, upstream), headers_of(request, upstream)
                asked = await self._look_at(request, upstream, url, headers, await _body(request, share))
                with asked.expected:
                    return await self._pass_on(request, asked)
        except TooMuch as much:
            refused = Refused(503 if much.passing else 413, str(much))
        except Unclear as unclear:
            refused = Refused(400, str(unclear))
        except NotAllowed as not_allowed:
            refused = Refused(not_allowed.status, str(not_allowed))
        except Refused as other:
            refused = other
        log.warning("refused %s to box %s: %s", request.match_info["path"][:200], grant.box, refused)
        self._metrics.model_answered(upstream.name, f"refused {refused.status}")
        more = {"Retry-After": "2"} if refused.status in (429, 503) else {}
        error = upstream.protocol.error(refused.status, str(refused))
        return web.json_response(error, status=refused.status, headers=more)

    async def _look_at(
        self, request: web.Request, upstream: Upstream, url: URL, headers: CIMultiDict[str], body: bytes
    ) -> _Asked:
        """The request, if it may be passed on. Its session is looked up meanwhile: only a budget waits for that."""
        path, protocol, grant = request.match_info["path"], upstream.protocol, request[GRANT]
        readable = "Content-Encoding" not in request.headers
        tools = readable and await offers_tools(body)
        if path == "responses" and not readable:
            raise Refused(415, "Requests that are packed are not passed on here. Send it without Content-Encoding.")
        if path == "responses" and await is_left_running(body):
            raise Refused(400, "Requests in the background are not passed on. Leave `background` out.")
        costs = protocol.costs(request.method, path)
        session = asyncio.create_task(self._session(grant, tools)) if costs else None
        model, expected = await _model_of(protocol, path, body if readable and costs else b""), Expected()
        if session is not None:
            session.add_done_callback(_looked_at)
            self._accounts.limits.check(upstream.name, model)
            if self._accounts.limits.must_know_model and await names_more_models(body):
                raise Refused(400, "Name one model and no others to fall back to: this workspace has limits.")
            if self._accounts.limits.budget:
                expected = await self._accounts.expect(grant, await session, model, len(body))
        return _Asked(grant, upstream, request.method, url, headers, body, model, tools, session, expected)

    async def _session(self, grant: Grant, tools: bool) -> Session | None:
        """Whose request it is; that the agent is at work is told when it is known to be news."""
        session = await self._accounts.session(grant)
        if tools and session is not None and session.turn is not None and not session.turn.model_asked:
            self._reports.asked(grant)
        return session

    async def _pass_on(self, request: web.Request, asked: _Asked) -> web.StreamResponse:
        assert self._http is not None, "start() comes first"
        upstream, began = asked.upstream, time.monotonic()
        body, heard = asked.body if request.body_exists else None, False
        try:
            going = self._http.request(asked.method, asked.url, headers=asked.headers, data=body, allow_redirects=False)
            async with going as said:
                if said.status < 200 or 300 <= said.status < 400:
                    what = "a redirect" if said.status >= 300 else "no answer to such a request"
                    raise Refused(502, f"{upstream.title} answered with {what}: check {upstream.url_setting}.")
                heard = True
                self._heard(asked, said.status)
                return await self._stream_back(request, asked, said, began)
        except TimeoutError:
            self._troubles.silent(asked.grant)
            raise Refused(504, f"{upstream.title} did not answer in time. Try again.") from None
        except aiohttp.ClientError as failed:
            log.warning("%s cannot be reached: %r", upstream.title, failed)
            self._troubles.silent(asked.grant)
            hint = f"{upstream.title} cannot be reached from the Shipmate server just now. Try again, or check"
            raise Refused(502, f"{hint} {upstream.url_setting}.") from None
        except asyncio.CancelledError:
            if not heard:  # the agent hung up; what it asked is being read at the provider, and paid for
                self._spent(asked, Meter(upstream.protocol.name, streamed=True, sent=len(asked.body)))
            raise

    def _heard(self, asked: _Asked, status: int) -> None:
        upstream = asked.upstream
        self._metrics.model_answered(upstream.name, str(status))
        if asked.session is not None and status >= 400:  # of others it is not known before they begin
            self._troubles.answered(asked.grant, status)
        if status in REFUSED_BY_PROVIDER:
            said = REFUSED_BY_PROVIDER[status].format(title=upstream.title, setting=upstream.setting or "its key")
            self._reports.refused(asked.grant, f"{said} Then reply here and I will go on.")

    async def _stream_back(
        self,
        request: web.Request,
        asked: _Asked,
        said: aiohttp.ClientResponse,
        began: float,
    ) -> web.StreamResponse:
        """The provider's answer, piece by piece as it comes. If it is cut, ours is cut as well: the agent must see it.
        What it took is counted however it ends."""
        answer = web.StreamResponse(status=said.status, headers=CIMultiDict(downward(said.headers.items())))
        if said.content_length is not None:
            answer.content_length = said.content_length
        streamed = said.content_type == "text/event-stream"
        packed = said.headers.get("Content-Encoding", "")
        meter = Meter(asked.upstream.protocol.name, streamed=streamed, sent=len(asked.body), packed=packed)
        status = said.status
        try:
            await answer.prepare(request)
            pieces = said.content.iter_any()
            async for piece in pieces:
                status = status_within(status, piece)
                self._begins(asked, status, began)
                meter.look(piece)
                await answer.write(piece)
                break
            async for piece in pieces:
                meter.look(piece)
                async with asyncio.timeout(self._patience.stuck_seconds):
                    await answer.write(piece)
            await answer.write_eof()
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as cut:
            log.warning("a model's answer was cut: %r", cut)
            if request.transport is not None:
                request.transport.abort()
        finally:
            if status < 400:
                self._spent(asked, meter)
        return answer

    def _begins(self, asked: _Asked, status: int, began: float) -> None:
        self._metrics.model_began(asked.upstream.name, time.monotonic() - began)
        if asked.session is not None:
            self._troubles.answered(asked.grant, status)
        if asked.tools and status < 400:
            self._reports.began(asked.grant, time.time())

    def _spent(self, asked: _Asked, meter: Meter) -> None:
        if asked.session is not None:
            counting = self._count(asked, asked.session, meter, asked.expected.until_counted())
            self._aside.do("count what a model took", counting)

    async def _count(
        self, asked: _Asked, session: Awaitable[Session | None], meter: Meter, over: Callable[[], None]
    ) -> None:
        try:
            spent, told = meter.spent()
            await self._accounts.count(payer(asked.grant, await session), asked.model, spent, told)
        finally:
            over()


async def _body(request: web.Request, share: Share) -> bytes:
    try:
        return await share.read(request)
    except TimeoutError:
        raise Refused(408, "The request took too long to come. Send it again.") from None


def _looked_at(session: "asyncio.Task[Session | None]") -> None:
    """A request that is refused meanwhile never asks for it."""
    if not session.cancelled():
        session.exception()


async def _model_of(protocol: Protocol, path: str, body: bytes) -> str:
    """The model that is asked, by the path or by the body."""
    if protocol.model is not None:
        named = protocol.model.fullmatch(path)
        return named[1] if named is not None else ""
    return await model_of(body)
