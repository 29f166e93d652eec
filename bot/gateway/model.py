"""The model gateway: an agent's requests go on to the model provider with the real key, and the answer streams back.

`server.py` mounts it at `/model/anthropic/` and `/model/openai/`. A box has no key of its own: what it sends as one
ends here. Bodies are passed on piece by piece and never kept. The first request of a turn with tools is reported.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import NamedTuple

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from pydantic import SecretStr
from yarl import URL

from bot.gateway.access import GRANT
from bot.gateway.model_wire import PROVIDERS, Provider, ToolsSeen, downward, upward
from bot.metrics import Metrics
from jobs.records import Grant

log = logging.getLogger(__name__)
BODY_BYTES = 64 << 20
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=600.0)
QUERY_CHARS = 2_000
TOO_LARGE = f"A request may have at most {BODY_BYTES >> 20} MB."
OUR_OWN = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")  # aiohttp adds none of these by itself


class Upstream(NamedTuple):
    """Where a provider is, and the key that it knows us by; None: nobody gave us one."""

    url: str
    key: SecretStr | None


class Refused(Exception):
    """A request that is answered here, in the provider's own shape."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


class ModelProxy:
    """`upstreams`: by provider. `report` is called at once, and must not wait, when a box asks with tools on offer."""

    def __init__(self, upstreams: dict[str, Upstream], report: Callable[[Grant], None], metrics: Metrics) -> None:
        self._upstreams, self._metrics = upstreams, metrics
        self._report = report
        self._http: aiohttp.ClientSession | None = None

    @property
    def routes(self) -> list[web.RouteDef]:
        """The proxy's addresses."""
        return [web.route("*", "/model/{provider}/{path:.*}", self._answer)]

    async def start(self) -> None:
        """Open the connections' pool."""
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=TIMEOUT,
            auto_decompress=False,
            skip_auto_headers=OUR_OWN,
        )

    async def close(self) -> None:
        """Hang up on all providers."""
        if self._http is not None:
            await self._http.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name, path = request.match_info["provider"], request.match_info["path"]
        provider = PROVIDERS.get(name)
        if provider is None or name not in self._upstreams:
            return web.json_response({"error": "there is no such model provider here"}, status=404)
        try:
            upstream = self._upstreams[name]
            url = _target(request, provider, upstream.url, path)
            headers = _headers(request, provider, upstream.key)
            return await self._pass_on(request, provider, url, headers)
        except Refused as refused:
            log.warning("refused %s to box %s: %s", path, request[GRANT].box, refused)
            self._metrics.model_answered(name, f"refused {refused.status}")
            return web.json_response(provider.error(refused.status, str(refused)), status=refused.status)

    async def _pass_on(
        self, request: web.Request, provider: Provider, url: URL, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        assert self._http is not None, "start() comes first"
        body = _Body(request, self._report) if request.body_exists else None
        name, began = request.match_info["provider"], time.monotonic()
        try:
            asked = self._http.request(request.method, url, headers=headers, data=body, allow_redirects=False)
            async with asked as said:
                if 300 <= said.status < 400:
                    raise Refused(502, f"{provider.title} answered with a redirect: check {provider.url_setting}.")
                self._metrics.model_answered(name, str(said.status))
                begins = partial(self._begins, name, began)
                return await _stream_back(request, said, begins)
        except TimeoutError:
            raise Refused(504, f"{provider.title} did not answer in time. Try again.") from None
        except aiohttp.ClientError as failed:
            if body is not None and body.too_large:
                raise Refused(413, TOO_LARGE) from None
            log.warning("%s cannot be reached: %r", provider.title, failed)
            hint = f"{provider.title} cannot be reached from the Shipmate server just now. Try again, or check"
            raise Refused(502, f"{hint} {provider.url_setting}.") from None

    def _begins(self, name: str, began: float) -> None:
        self._metrics.model_began(name, time.monotonic() - began)


class _Body:
    """A request's body as it comes, bounded, and looked at for tools in passing."""

    def __init__(self, request: web.Request, report: Callable[[Grant], None]) -> None:
        self._request, self._report = request, report
        self.too_large = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        request, tools, passed = self._request, ToolsSeen(), 0
        readable = request.content_type == "application/json" and "Content-Encoding" not in request.headers
        async for piece in request.content.iter_any():
            passed += len(piece)
            if passed > BODY_BYTES:
                self.too_large = True
                raise ValueError(TOO_LARGE)
            if readable and tools.look(piece):
                self._report(request[GRANT])
            yield piece


def _target(request: web.Request, provider: Provider, base: str, path: str) -> URL:
    query = request.rel_url.raw_query_string
    if not provider.allows(request.method, path) or len(query) > QUERY_CHARS:
        raise Refused(404, f"Shipmate's gateway does not pass {request.method} {path[:100]} on to {provider.title}.")
    if request.content_length is not None and request.content_length > BODY_BYTES:
        raise Refused(413, TOO_LARGE)
    return URL(f"{base.rstrip('/')}/{path}" + (f"?{query}" if query else ""), encoded=True)


def _headers(request: web.Request, provider: Provider, key: SecretStr | None) -> CIMultiDict[str]:
    if key is None:
        said = f"No key for {provider.title} is configured: whoever runs Shipmate has to set {provider.setting}."
        raise Refused(401, said)
    headers = CIMultiDict(upward(request.headers.items()))
    headers.add(*provider.with_key(key.get_secret_value()))
    headers.add("User-Agent", request.headers.get("X-Forwarded-Agent") or "shipmate")
    if request.content_length is not None and request.body_exists:
        headers.add("Content-Length", str(request.content_length))
    return headers


async def _stream_back(
    request: web.Request, said: aiohttp.ClientResponse, begins: Callable[[], None]
) -> web.StreamResponse:
    """The provider's answer, piece by piece as it comes. If it is cut, ours is cut as well: the agent must see it.

    `begins` is called when its first piece came.
    """
    answer = web.StreamResponse(status=said.status, headers=CIMultiDict(downward(said.headers.items())))
    if said.content_length is not None:
        answer.content_length = said.content_length
    await answer.prepare(request)
    try:
        pieces = said.content.iter_any()
        async for piece in pieces:
            begins()
            await answer.write(piece)
            break
        async for piece in pieces:
            await answer.write(piece)
        await answer.write_eof()
    except (TimeoutError, aiohttp.ClientError, ConnectionError) as cut:
        log.warning("a model's answer was cut: %r", cut)
        if request.transport is not None:
            request.transport.abort()
    return answer
