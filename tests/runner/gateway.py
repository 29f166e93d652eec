"""A small real gateway: docs/wire.md over a unix socket, git by http-backend, and knobs to behave badly.

It keeps what the contract says a gateway keeps: the down events, the stored frames (each checked as production checks
it), one epoch. A fault is put on a route and is used up by one request.
"""

import asyncio
import contextlib
import json
import os
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from jobs.frames import frame_from_wire

BEAT_SECONDS = 0.2
PATIENCE = 20.0
CUT, CUT_AFTER, HANG, DUPLICATE, REPLACED = "cut", "cut after", "hang", "duplicate", "replaced"
STALE = "stale generation"
Frame = dict[str, Any]


class StandIn:
    """One gateway. `frames` are those that it stored, `told` every frame as it came, the refused ones too."""

    def __init__(self, folder: Path, repositories: Path, token: str = "token") -> None:
        self.folder, self._repositories, self.token = folder, repositories, token
        self.down: list[dict[str, Any]] = []
        self.frames: list[Frame] = []
        self.told: list[Frame] = []
        self.faults: dict[str, deque[Any]] = defaultdict(deque)
        self.asked: list[tuple[str, dict[str, str], bytes]] = []  # what came for /model/ and /tools/
        self.attached: list[dict[str, Any]] = []
        self.sent: dict[str, tuple[bytes, str]] = {}  # files that came up: the bytes, or why not
        self.attachments: list[bytes] = []
        self.waited: list[dict[str, Any]] = []  # what warm boxes said of themselves
        self.claim: dict[str, Any] | None = None
        self.git_refusals: deque[tuple[str, int]] = deque()  # (service, status)
        self.refuses: Callable[[Frame], bool] = lambda _frame: False
        self.revoked = self.silent = False
        self.epoch = self.beaten = 0
        self.beats = True
        self.busy = 0.0  # the next who attaches or waits is told to come again after so many seconds
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self.release = asyncio.Event()  # lets hung requests and the slow model go on

    async def start(self, name: str = "web-1.sock") -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/link/attach", self._attach)
        app.router.add_get("/link/down", self._down)
        app.router.add_post("/link/up", self._up)
        app.router.add_post("/link/warm", self._warm)
        app.router.add_post("/link/file", self._file)
        app.router.add_get("/link/attachment", self._attachment)
        app.router.add_route("*", "/git/{path:.*}", self._git)
        app.router.add_route("*", "/model/{path:.*}", self._model)
        app.router.add_route("*", "/tools/{path:.*}", self._model)
        self._runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        self.folder.mkdir(parents=True, exist_ok=True)
        await web.UnixSite(self._runner, str(self.folder / name)).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # What the test says and asks

    async def prompt(self, text: str, turn: int = 1, **fields: Any) -> None:
        event = {"kind": "prompt_delivered", "turn": turn, "prompt_id": f"p{turn}", "again": False, "text": text}
        event |= {"author": ADA, "co_authors": [], "others": [], "seconds": 60} | fields
        await self.say_down(event)

    async def say_down(self, event: dict[str, Any]) -> None:
        self.down.append({"seq": 10 * (len(self.down) + 1), **event})
        await self._ring()

    async def stop_turn(self, turn: int = 1) -> None:
        await self.say_down({"kind": "stop_requested", "turn": turn})

    async def wait(self, condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """Wait until the condition holds; its value."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)
        return condition()

    async def frame(self, kind: str, seconds: float = PATIENCE, **fields: Any) -> Frame:
        """Wait for a stored frame with these fields."""
        return (await self.wait(lambda: self.of(kind, **fields), seconds))[0]

    def of(self, kind: str, **fields: Any) -> list[Frame]:
        return [f for f in self.frames if f["kind"] == kind and all(f.get(k) == v for k, v in fields.items())]

    def text(self, turn: int = 1) -> str:
        return "".join(frame["text"] for frame in self.of("text", turn=turn))

    async def _ring(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # What the runner sees

    async def _fault(self, request: web.Request, route: str) -> Any:
        """Behave badly if the test says so. Returns a fault that comes later in the request."""
        if request.headers.get("Authorization") != f"Bearer {self.token}" or self.revoked:
            raise web.HTTPUnauthorized(text='{"error": "unknown token"}')
        if self.silent:
            await asyncio.sleep(3600)
        fault = self.faults[route].popleft() if self.faults[route] else None
        await self._ring()
        if isinstance(fault, int):
            raise _Status(fault)
        if fault == STALE:
            raise _Status(409, STALE)
        if fault == CUT:
            _cut(request)
        elif fault == HANG:
            await self.release.wait()
        return fault

    async def _attach(self, request: web.Request) -> web.Response:
        said = json.loads(await request.read())
        fault = await self._fault(request, "attach")
        busy, self.busy = self.busy, 0.0
        if busy:
            return web.json_response({"error": "not now", "seconds": busy}, status=503)
        self.attached.append(said)
        self.epoch += 1
        await self._ring()
        if fault == CUT_AFTER:
            _cut(request)
        return web.json_response({"epoch": self.epoch, "acked": len(self.frames)})

    async def take(self, **claim: Any) -> None:
        """Let a session take the warm box that waits, or will."""
        self.claim = {"kind": "claimed", "generation": 1, "branch": "shipmate/s1", **claim}
        await self._ring()

    async def _warm(self, request: web.Request) -> web.StreamResponse:
        said = json.loads(await request.read())
        fault = await self._fault(request, "warm")
        busy, self.busy = self.busy, 0.0
        if busy:
            return web.json_response({"error": "not now", "seconds": busy}, status=503)
        self.waited.append(said)
        await self._ring()
        response = web.StreamResponse()
        await response.prepare(request)
        while self.claim is None:
            await response.write(b'{"kind":"beat"}\n')
            if fault == CUT_AFTER:
                _cut(request)
            with contextlib.suppress(TimeoutError):
                await self.wait(lambda: self.claim, BEAT_SECONDS)
            if self.revoked:
                return response
        await response.write(json.dumps(self.claim).encode() + b"\n")
        return response

    async def _down(self, request: web.Request) -> web.StreamResponse:
        fault = await self._fault(request, "down")
        epoch, sent = int(request.query["epoch"]), int(request.query["after"])
        if epoch != self.epoch:
            return web.json_response({"error": "stale epoch"}, status=409)
        response = web.StreamResponse()
        await response.prepare(request)
        if fault == REPLACED:
            await response.write(b'{"kind":"replaced"}\n')
            await self.release.wait()
        while True:
            for event in self._after(sent):
                line = json.dumps(event).encode() + b"\n"
                await response.write(line + line if fault == DUPLICATE else line)
                sent = event["seq"]
                if fault == CUT_AFTER:
                    _cut(request)
            if self.beats:
                await response.write(b'{"kind":"beat"}\n')
                self.beaten += 1
            with contextlib.suppress(TimeoutError):
                await self.wait(partial(self._after, sent), BEAT_SECONDS)

    def _after(self, seq: int) -> list[dict[str, Any]]:
        return [event for event in self.down if event["seq"] > seq]

    async def _up(self, request: web.Request) -> web.Response:
        said = json.loads(await request.read())
        fault = await self._fault(request, "up")
        if said["epoch"] != self.epoch:
            return web.json_response({"error": "stale epoch"}, status=409)
        assert len(said["frames"]) <= 256
        self.told += said["frames"]
        for frame in said["frames"]:
            if self.refuses(frame):
                return web.json_response({"error": "not like this", "n": frame["n"]}, status=400)
            assert frame["n"] <= len(self.frames) + 1, "a gap"
            frame_from_wire(frame)
            if frame["n"] > len(self.frames):
                self.frames.append(frame)
        await self._ring()
        if fault == CUT_AFTER:
            _cut(request)
        return web.json_response({"acked": len(self.frames)})

    async def _file(self, request: web.Request) -> web.Response:
        body = await request.read()
        fault = await self._fault(request, "file")
        self.sent[request.query["id"]] = (body, request.query.get("refused", ""))
        await self._ring()
        if fault == CUT_AFTER:
            _cut(request)
        return web.json_response({"kept": True})

    async def _attachment(self, request: web.Request) -> web.StreamResponse:
        fault = await self._fault(request, "attachment")
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(self.attachments[int(request.query["n"])])
        if fault == CUT_AFTER:
            _cut(request)
        return response

    async def _model(self, request: web.Request) -> web.StreamResponse:
        await self._fault(request, "model")
        body = await request.read()
        self.asked.append((request.method + " " + request.path_qs, dict(request.headers), body))
        await self._ring()
        response = web.StreamResponse(headers={"X-Answered": "yes"})
        if "sized" in request.path:
            response.content_length = len(body)
        await response.prepare(request)
        if "slow" in request.path:
            await response.write(b"first words, ")
            await self.release.wait()
            await response.write(b"last words")
        else:
            await response.write(body)
        return response

    async def _git(self, request: web.Request) -> web.StreamResponse:
        """git http-backend, as a CGI program."""
        await self._fault(request, "git")
        service = "push" if "receive-pack" in request.path_qs else "fetch"
        if self.git_refusals and self.git_refusals[0][0] == service:
            raise _Status(self.git_refusals.popleft()[1])
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self._repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": request.method,
            "PATH_INFO": request.path.removeprefix("/git"),
            "QUERY_STRING": request.query_string,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "box",
        }
        pipe = asyncio.subprocess.PIPE
        backend = await asyncio.create_subprocess_exec("git", "http-backend", stdin=pipe, stdout=pipe, env=env)
        try:
            out, _ = await backend.communicate(await request.read())
        finally:  # a box that is killed in the middle of it
            if backend.returncode is None:
                backend.kill()
                await backend.wait()
        head, _, body = out.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200 OK").split()[0])
        return web.Response(status=status, headers=headers, body=body)


class _Status(web.HTTPException):
    """An answer with nothing but a status."""

    def __init__(self, status: int, why: str = "not now") -> None:
        self.status_code = status
        super().__init__(text=json.dumps({"error": why}))


def _cut(request: web.Request) -> None:
    """Hang up without an answer."""
    assert request.transport is not None
    request.transport.abort()
    raise asyncio.CancelledError


ADA = {"id": "U1", "name": "Ada Lovelace", "email": "ada@acme.example"}
GRACE = {"id": "U2", "name": "Grace Hopper", "email": "grace@acme.example"}
