"""The agent's tools: an MCP server (streamable HTTP, one JSON answer to each POST, nothing kept between) for all boxes.

`server.py` mounts it at `/tools/mcp`. The protocol is the official SDK's; here is the way to it from aiohttp, the
check of arguments, and a pace for each session. What the tools do is in the tables `tools_….py`.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import ValidationError

from bot.gateway.access import GRANT
from bot.gateway.bells import Bells
from bot.gateway.pace import Allowance
from bot.gateway.tool import Answer, Call, Diff, Tool, ToolRefused
from bot.gateway.tools_children import CHILDREN_TOOLS
from bot.gateway.tools_people import PEOPLE_TOOLS
from bot.settings import BotSettings
from jobs.inbox import Inbox
from jobs.records import Grant
from jobs.store import Store

if TYPE_CHECKING:
    import mcp_types
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

log = logging.getLogger(__name__)
TOOLS: tuple[Tool, ...] = (*CHILDREN_TOOLS, *PEOPLE_TOOLS)
BODY_BYTES, ARGUMENTS_MOST = 512 << 10, 50
ANSWER_CHARS = 60_000
CALLS_AT_ONCE, CALLS_PER_SECOND = 60.0, 0.5
LOOPS_TOLD_PER_SECOND = 1 / 60  # of one session: a loop must not fill the log either
REQUESTS_AT_ONCE, REQUESTS_PER_SECOND = 300.0, 30.0  # a call is three of them, for an agent that shakes hands anew
BYTES_OF_ONE = 16 << 10  # so many bytes count as a request: all that comes is parsed where all others wait
IN_SCOPE = "shipmate.grant"
INSTRUCTIONS = "Tools of the service that runs this session. People see what you do with them in the thread."
LOOP = (
    f"Too many tool calls: a session may make {CALLS_AT_ONCE:.0f} at once and then one every "
    f"{1 / CALLS_PER_SECOND:.0f} seconds. Do not call in a loop to wait for something; end your turn instead."
)


class ToolServer:
    """Serves a table of tools. `start` and `close` are called once each."""

    def __init__(
        self,
        settings: BotSettings,
        store: Store,
        inbox: Inbox,
        bells: Bells,
        diff: Diff,
        tools: Sequence[Tool] = TOOLS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._store, self._inbox, self._clock = settings, store, inbox, clock
        self._tools: Mapping[str, Tool] = {tool.name: tool for tool in tools}
        self._bells, self._diff, self._leaving = bells, diff, asyncio.Event()
        self._calls = Allowance(CALLS_AT_ONCE, CALLS_PER_SECOND)
        self._loops_told = Allowance(1, LOOPS_TOLD_PER_SECOND)
        self._requests = Allowance(REQUESTS_AT_ONCE, REQUESTS_PER_SECOND)
        self._manager: asyncio.Future[StreamableHTTPSessionManager] = asyncio.get_running_loop().create_future()
        self._ending = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    @property
    def routes(self) -> list[web.RouteDef]:
        """The server's address. Only POST: nothing is kept that a stream could bring, or that could be deleted."""
        return [web.post("/tools/mcp", self._answer)]

    async def start(self) -> None:
        """Begin to make ready; whoever calls meanwhile waits for it."""
        self._serving = asyncio.create_task(self._serve())

    async def ready(self) -> None:
        """Return when it can answer, or never will."""
        await asyncio.wait([self._manager])

    def leave(self) -> None:
        """Let nobody wait any more: whoever does is told to call again."""
        self._leaving.set()

    async def close(self) -> None:
        """End what is under way."""
        self._ending.set()
        if self._serving is not None:
            await self._serving

    async def _serve(self) -> None:
        """The SDK's own tasks live in this one: they must end where they began."""
        try:
            manager = await asyncio.to_thread(self._made)
            async with manager.run():
                self._manager.set_result(manager)
                await self._ending.wait()
        except Exception as failed:
            log.exception("the agent's tools cannot be served")
            if not self._manager.done():
                self._manager.set_exception(failed)

    def _made(self) -> "StreamableHTTPSessionManager":
        """The SDK takes half a second to import, which only a gateway should spend, and no runner that dials wait."""
        from mcp.server.lowlevel import Server
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        logging.getLogger("mcp").setLevel(logging.ERROR)  # else it tells of every request, and of every odd one
        server: Server[Any] = Server(
            "shipmate", instructions=INSTRUCTIONS, on_list_tools=self._list, on_call_tool=self._call
        )
        return StreamableHTTPSessionManager(
            server, json_response=True, stateless=True, max_request_body_size=BODY_BYTES
        )

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """One request through the SDK, as an ASGI server would bring it."""
        if not self._requests.allows(request[GRANT].box, time.monotonic()):
            return web.json_response({"error": "too many requests"}, status=429, headers={"Retry-After": "1"})
        manager = await asyncio.shield(self._manager)
        exchange = Exchange(request)
        try:
            await manager.handle_request(exchange.scope, exchange.receive, exchange.send)
        finally:  # whoever hangs up before it is answered has sent it all the same
            self._requests.owed(request[GRANT].box, time.monotonic(), exchange.received / BYTES_OF_ONE)
        return exchange.answer()

    async def _list(self, _context: Any, _params: Any) -> "mcp_types.ListToolsResult":
        import mcp_types

        return mcp_types.ListToolsResult(
            tools=[
                mcp_types.Tool(
                    name=tool.name,
                    description=tool.description,
                    input_schema=tool.arguments.model_json_schema(),
                    annotations=mcp_types.ToolAnnotations(read_only_hint=tool.only_looks, open_world_hint=False),
                )
                for tool in self._tools.values()
            ]
        )

    async def _call(self, context: Any, params: "mcp_types.CallToolRequestParams") -> "mcp_types.CallToolResult":
        import mcp_types

        grant: Grant = context.request.scope[IN_SCOPE]
        try:
            said, wrong = await self._called(grant, params.name, params.arguments or {}), False
        except Looping:
            said, wrong = LOOP, True
            if self._loops_told.allows(grant.session, time.monotonic()):
                log.info("refused %s to box %s: too many calls", params.name[:100], grant.box)
        except ToolRefused as refused:
            said, wrong = str(refused), True
            log.info("refused %s to box %s: %s", params.name[:100], grant.box, refused)
        except Exception:  # a fault of ours: the agent must not hang on it
            log.exception("the tool %s failed", params.name[:100])
            said, wrong = f"{params.name[:100]} failed within Shipmate. Try once more; if it fails again, go on.", True
        text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False, indent=1)
        return mcp_types.CallToolResult(
            content=[mcp_types.TextContent(type="text", text=_bounded(text))], is_error=wrong
        )

    async def _called(self, grant: Grant, name: str, given: Mapping[str, Any]) -> Answer:
        if not self._calls.allows(grant.session, time.monotonic()):
            raise Looping
        tool = self._tools.get(name)
        if tool is None:
            raise ToolRefused(f"There is no tool {name[:100]!r} here. There are: {', '.join(self._tools) or 'none'}.")
        if len(given) > ARGUMENTS_MOST:  # each that is wrong would be told
            raise ToolRefused(f"{name} was called wrongly: with {len(given)} arguments. See its schema.")
        try:
            arguments = tool.arguments.model_validate(given)
        except ValidationError as wrong:
            raise ToolRefused(_what_is_wrong(name, wrong)) from None
        session = await self._store.load(grant.session)
        if session is None or session.generation != grant.generation:
            raise ToolRefused("This box is not its session's any more.")
        means = (self._store, self._inbox, self._settings, self._clock, self._bells, self._leaving, self._diff)
        call = Call(grant, session, *means)
        return await tool.handler(call, arguments)


class Looping(Exception):
    """A session that calls without end."""


class Exchange:
    """One of aiohttp's requests as ASGI sees it, and the answer that comes of it."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.received, self._status, self._body = 0, 500, bytearray()
        self._headers: dict[str, str] = {}
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.path,
            "raw_path": request.path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.lower(), value) for name, value in request.raw_headers],
            "client": None,
            "server": None,
            IN_SCOPE: request[GRANT],
        }

    async def receive(self) -> dict[str, Any]:
        """The body, piece by piece. Whoever hangs up cancels us, so nobody has to be told of that."""
        piece = await self._request.content.readany()
        self.received += len(piece)
        return {"type": "http.request", "body": piece, "more_body": not self._request.content.at_eof()}

    async def send(self, message: Mapping[str, Any]) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")

    def answer(self) -> web.Response:
        """What was sent."""
        self._headers.pop("content-length", None)
        return web.Response(status=self._status, headers=self._headers, body=bytes(self._body))


def _what_is_wrong(name: str, wrong: ValidationError) -> str:
    """Each argument that cannot be used and why, without what it holds."""
    faults = wrong.errors(include_url=False, include_context=False, include_input=False)
    said = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}"[:200] for fault in faults[:8])
    return f"{name} was called wrongly. {said}. Call it again with what its schema asks for."


def _bounded(text: str) -> str:
    return text if len(text) <= ANSWER_CHARS else text[:ANSWER_CHARS] + "\n… (cut: there is more)"
