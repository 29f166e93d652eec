"""The forge's repositories over git smart HTTP: fetch for whoever may read, push with a token that may write.

Mounted by `forge_routes`. Answers `git upload-pack` and `git receive-pack --stateless-rpc` themselves, so that all it
needs is git. Bodies may be chunked and gzip'd, whether or not aiohttp has unpacked them already. A push is answered
only after the forge has taken it in (pull requests moved, webhooks on their way).
"""

import asyncio
import base64
import binascii
import contextlib
import logging
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from bot.playground import forge_pulls
from bot.playground.forge import Forge
from bot.playground.forge_access import Access
from bot.playground.forge_records import Refusal

log = logging.getLogger(__name__)
SERVICES = ("git-upload-pack", "git-receive-pack")
CHUNK = 1 << 16
GZIP_MAGIC = b"\x1f\x8b"
DECLINE = "#!/bin/sh\necho 'This forge declines every push just now.' >&2\nexit 1\n"
NO_CACHE = {"Cache-Control": "no-cache, max-age=0, must-revalidate"}


class GitServer:
    """Serves one forge's repositories."""

    def __init__(self, forge: Forge) -> None:
        self._forge = forge

    async def advertise(self, request: web.Request) -> web.StreamResponse:
        """GET info/refs: what there is to fetch, or what a push would meet."""
        service = request.query.get("service", "")
        if service not in SERVICES:
            raise web.HTTPForbidden(text="Please upgrade your git client.\n")
        repository, _ = self._admit(request, service)
        protocol = request.headers.get("Git-Protocol", "")
        args = (service.removeprefix("git-"), "--stateless-rpc", "--advertise-refs", str(repository))
        refs = await self._forge.git.run(*args, env=_protocol(protocol))
        # Protocol 2 begins with its capabilities; the older ones with the service's name. A push is never protocol 2.
        if "version=2" not in protocol or service == "git-receive-pack":
            name = f"# service={service}\n"
            refs = f"{len(name) + 4:04x}{name}0000".encode() + refs
        return web.Response(body=refs, content_type=f"application/x-{service}-advertisement", headers=NO_CACHE)

    async def upload_pack(self, request: web.Request) -> web.StreamResponse:
        """POST git-upload-pack: a fetch, streamed as git makes it."""
        repository, _ = self._admit(request, "git-upload-pack")
        process = await self._start("upload-pack", repository, request)
        assert process.stdout is not None, "its stdout is a pipe"
        feeding = asyncio.create_task(_feed(request, process))
        try:
            first = await process.stdout.read(CHUNK)
            if not first and await process.wait():
                raise web.HTTPInternalServerError(text="git upload-pack failed\n")
            answer = web.StreamResponse(headers={"Content-Type": "application/x-git-upload-pack-result", **NO_CACHE})
            await answer.prepare(request)
            while first:
                await answer.write(first)
                first = await process.stdout.read(CHUNK)
            await answer.write_eof()
            return answer
        finally:
            await _end(process, feeding)

    async def receive_pack(self, request: web.Request) -> web.StreamResponse:
        """POST git-receive-pack: a push. Goes on to its end even when the client has gone."""
        repository, access = self._admit(request, "git-receive-pack")
        assert access is not None, "nobody is admitted to push without a token"
        return await asyncio.shield(asyncio.create_task(self._receive(request, repository, access)))

    async def _receive(self, request: web.Request, repository: Path, access: Access) -> web.Response:
        name = _name(request)
        async with self._forge.lock(name):
            before = await self._forge.bare(name).branches()
            process = await self._start("receive-pack", repository, request, *self._hooks())
            assert process.stdout is not None, "its stdout is a pipe"
            feeding = asyncio.create_task(_feed(request, process))
            try:
                said = await process.stdout.read()
                code = await process.wait()
            finally:
                await _end(process, feeding)
            await forge_pulls.pushed(self._forge, name, before, access.login)
        if code and not said:
            raise web.HTTPInternalServerError(text="git receive-pack failed\n")
        return web.Response(body=said, content_type="application/x-git-receive-pack-result", headers=NO_CACHE)

    def _admit(self, request: web.Request, service: str) -> tuple[Path, Access | None]:
        """(where the repository lies, who asks). Raises the HTTP error that GitHub answers with."""
        token, name = _token(request), _name(request)
        access = self._forge.credentials.of(token) if token is not None else None
        if token is not None and access is None:
            raise _unauthorized("Invalid username or token. Password authentication is not supported.\n")
        try:
            known = self._forge.repository(name)
            hidden = known.private and (access is None or not access.covers(known.full_name))
        except Refusal:
            known, hidden = None, True
        if known is None or hidden or (service == "git-receive-pack" and access is None):
            if access is None:
                raise _unauthorized("Repository not found, or a token is needed.\n")
            raise web.HTTPNotFound(text="Repository not found.\n")
        writable = access is not None and access.may_push and access.covers(known.full_name)
        if service == "git-receive-pack" and access is not None and not writable:
            raise web.HTTPForbidden(text=f"Permission to {known.full_name}.git denied to {access.login}.\n")
        return self._forge.bare(name).path, access

    def _hooks(self) -> tuple[str, ...]:
        """With the fault `reject_pushes`, a real hook that declines."""
        if not self._forge.faults.reject_pushes:
            return ()
        folder = self._forge.state / "declining-hooks"
        folder.mkdir(exist_ok=True)
        hook = folder / "pre-receive"
        hook.write_text(DECLINE)
        hook.chmod(0o700)
        return ("-c", f"core.hooksPath={folder}")

    async def _start(
        self, service: str, repository: Path, request: web.Request, *options: str
    ) -> asyncio.subprocess.Process:
        git, pipe = self._forge.git, asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            git.program, *options, service, "--stateless-rpc", str(repository),
            stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL,
            env=git.env(_protocol(request.headers.get("Git-Protocol", ""))),
        )  # fmt: skip


async def _feed(request: web.Request, process: asyncio.subprocess.Process) -> None:
    """The request's body into git; git's early end, and the client's, end it."""
    assert process.stdin is not None, "its stdin is a pipe"
    try:
        async for chunk in _body(request):
            process.stdin.write(chunk)
            await process.stdin.drain()
    except (ConnectionError, web.HTTPException, zlib.error, OSError) as broken:
        log.info("the body of a git request ended early: %s", broken)
    finally:
        process.stdin.close()


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    """The body, unpacked. aiohttp may have done so and left the header, hence the look at the first bytes."""
    unpack = None
    first = True
    async for chunk in request.content.iter_chunked(CHUNK):
        if first and chunk.startswith(GZIP_MAGIC) and "gzip" in request.headers.get("Content-Encoding", ""):
            unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
        first = False
        yield unpack.decompress(chunk) if unpack else chunk
    if unpack:
        yield unpack.flush()


async def _end(process: asyncio.subprocess.Process, feeding: asyncio.Task[None]) -> None:
    """Nothing is left behind. Looked at before it is killed: a kill just after its end loses the exit code."""
    feeding.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await feeding
    if process.returncode is None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.2)
    if process.returncode is None:
        process.kill()
        await process.wait()


def _protocol(asked: str) -> dict[str, str]:
    """The client's wish for a protocol, if it is one that git knows."""
    wishes = [wish for wish in asked.split(":") if wish in ("version=0", "version=1", "version=2")]
    return {"GIT_PROTOCOL": ":".join(wishes)} if wishes else {}


def _name(request: web.Request) -> str:
    return f"{request.match_info['owner']}/{request.match_info['name']}"


def _token(request: web.Request) -> str | None:
    """The password of Basic authorization, which is the token; None when nothing was sent."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return value or None
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return password if password not in ("", "x-oauth-basic") else user


def _unauthorized(text: str) -> web.HTTPUnauthorized:
    return web.HTTPUnauthorized(text=text, headers={"WWW-Authenticate": 'Basic realm="GitHub"'})
