"""A box's request on its way to a provider: where it goes, and what is said on top of it.

`model.py` asks for each request. What a box sent as a key ends here, and the real one is put in.
"""

from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from bot.gateway.model_upstreams import Upstream
from bot.gateway.model_wire import query_upward, upward

QUERY_CHARS = 2_000


class Refused(Exception):
    """A request that is answered here, in the provider's own shape."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


def target(request: web.Request, upstream: Upstream) -> URL:
    """Where it goes. Raises Refused for what is none of a box's business there."""
    query, path = request.rel_url.raw_query_string, request.match_info["path"]
    if not upstream.protocol.allows(request.method, path) or len(query) > QUERY_CHARS:
        raise Refused(404, f"Shipmate's gateway does not pass {request.method} {path[:100]} on to {upstream.title}.")
    kept = query_upward(query)
    return URL(f"{upstream.url.rstrip('/')}/{path}" + (f"?{kept}" if kept else ""), encoded=True)


def headers_of(request: web.Request, upstream: Upstream) -> CIMultiDict[str]:
    """What goes up. Answers are asked for unpacked, for what they took is read in passing."""
    headers = CIMultiDict(upward(request.headers.items()))
    if upstream.key is not None:
        headers.add(*upstream.protocol.with_key(upstream.key.get_secret_value()))
    elif not upstream.keyless:
        said = f"No key for {upstream.title} is configured: whoever runs Shipmate has to set {upstream.setting}."
        raise Refused(401, said)
    headers.add("Accept-Encoding", "identity")
    headers.add("User-Agent", request.headers.get("X-Forwarded-Agent") or "shipmate")
    return headers
