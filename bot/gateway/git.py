"""git for the boxes: a smart-HTTP server over mirrors of the forge, so that no box needs a credential.

`server.py` mounts the routes behind `access.py`. A fetch is served by git from a mirror that is brought up to date
first; a push is read here, judged in `receive.py`, and answered in git's own protocol, so that the person sees why.
Every other failure is a sentence too (`declined.py`).
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from bot.gateway import pktline
from bot.gateway.access import GRANT
from bot.gateway.backend import HostGit, TooMuch, feed
from bot.gateway.declined import Declined
from bot.gateway.git_body import CHUNK, unpacked
from bot.gateway.mirrors import Mirrors
from bot.gateway.push_rules import USUAL, Limits
from bot.gateway.receive import People, Receiver
from bot.gateway.upstream import Upstream
from jobs.records import Grant
from jobs.settings import JobSettings

log = logging.getLogger(__name__)
UPLOAD, RECEIVE = "git-upload-pack", "git-receive-pack"
PURPOSES = {UPLOAD: ("build", "warm", "serve"), RECEIVE: ("serve",)}
# A delete is no capability of ours, but a client that believes so sends it, and is told why not in our words.
CAPABILITIES = (
    "report-status",
    "delete-refs",
    "side-band-64k",
    "quiet",
    "ofs-delta",
    "object-format=sha1",
    "agent=shipmate",
)
NO_CACHE = {"Cache-Control": "no-cache, max-age=0, must-revalidate"}
WANTS_BYTES = 64 << 20
REQUEST_SECONDS = 1_200.0
AT_ONCE = 8  # requests of one box
DIFFS_AT_ONCE = 2  # of all boxes: each may keep a core busy
DIFF_BYTES = 1 << 20  # nobody is shown more
HEAD_PIECE = 4 << 10
Handler = Callable[[web.Request, Grant], Awaitable[web.StreamResponse]]


class GitGateway:
    """`token` mints the credential for a repository, `people` tells who takes part in a session.

    `refused` is told the rule of every push that was refused.
    """

    def __init__(
        self,
        settings: JobSettings,
        token: Callable[[str], Awaitable[str]],
        people: People,
        refused: Callable[[str], None],
        limits: Limits = USUAL,
    ) -> None:
        folder = settings.data_dir / "git"
        self._git = HostGit(folder, settings.search_path)
        upstream = Upstream(settings.github_url, token)
        self._mirrors = Mirrors(folder / "mirrors", self._git, upstream)
        self._receiver = Receiver(self._git, self._mirrors, upstream, folder / "quarantine", people, refused, limits)
        # A pack up to twice too large is still heard to its end, and then refused in words.
        self._most_bytes = 2 * limits.pack
        self._busy: Counter[str] = Counter()
        self._diffs = asyncio.Semaphore(DIFFS_AT_ONCE)

    @property
    def routes(self) -> list[web.RouteDef]:
        """For the gateway's application, behind the middleware that sets the grant."""
        repository = "/git/{owner}/{name}.git/"
        return [
            web.get(repository + "info/refs", self._answering(self._advertise)),
            web.post(repository + UPLOAD, self._answering(self._upload_pack)),
            web.post(repository + RECEIVE, self._answering(self._receive_pack)),
        ]

    async def fetch_ahead(self, repository: str) -> None:
        """Bring a repository up to date that a box will ask for in a moment. What is wrong is told when it asks."""
        with contextlib.suppress(Declined):
            await self._mirrors.fresh(repository)

    async def diff(self, repository: str, base: str, branch: str) -> str:
        """What a branch changes, against where it left another one: a summary, then the patch. Or why it is not to be
        had, in a sentence."""
        try:
            mirror = await self._mirrors.fresh(repository)
            async with self._diffs:
                ran = await self._git.run(
                    "--git-dir", str(mirror), "diff", "--no-color", "--no-ext-diff", "--no-textconv", "--stat",
                    "--patch", f"refs/heads/{base}...refs/heads/{branch}", "--", limited=True,
                )  # fmt: skip
        except Declined as declined:
            return declined.sentence
        except (TimeoutError, TooMuch):
            return "The changes are too large to be shown here."
        return ran.out[:DIFF_BYTES].decode("utf-8", "replace") if ran.code == 0 else "The branch is not on the forge."

    def _answering(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            grant = request[GRANT]
            try:
                with self._turn_of(grant):
                    return await handler(request, grant)
            except Declined as declined:
                log.warning("%s %s: %s", request.method, request.path, declined.sentence)
                return declined.answer()
            except TimeoutError:
                return Declined(503, "git took too long; try again.").answer()
            except TooMuch:
                return Declined(500, "This repository has more branches and tags than the gateway can list.").answer()
            except ConnectionError as gone:
                log.info("%s %s: the client has gone: %s", request.method, request.path, gone)
                return Declined(400, "The request ended early.").answer()

        return answer

    @contextmanager
    def _turn_of(self, grant: Grant) -> Iterator[None]:
        """No box keeps the service busy for itself."""
        if self._busy[grant.box] >= AT_ONCE:
            raise Declined(503, f"This box has {AT_ONCE} git requests under way already; try again in a moment.")
        self._busy[grant.box] += 1
        try:
            yield
        finally:
            self._busy[grant.box] -= 1
            if not self._busy[grant.box]:
                del self._busy[grant.box]

    async def _advertise(self, request: web.Request, grant: Grant) -> web.StreamResponse:
        """What there is to fetch, or what a push would meet: as the forge has it now."""
        service = request.query.get("service", "")
        if service not in PURPOSES:
            raise Declined(403, "The gateway speaks git's smart protocol only; use a newer git.")
        _admit(request, grant, service)
        mirror = await self._mirrors.fresh(grant.repository)
        if service == RECEIVE:
            body = pktline.advertisement(service, await self._mirrors.refs(mirror), CAPABILITIES)
        else:
            body = await self._upload_refs(request, mirror)
        return _whole(body, f"application/x-{service}-advertisement")

    async def _upload_refs(self, request: web.Request, mirror: Path) -> bytes:
        protocol = _protocol(request)
        ran = await self._git.run("upload-pack", "--stateless-rpc", "--advertise-refs", str(mirror), env=protocol)
        if ran.code:
            raise Declined(500, "The mirror of this repository cannot be read.")
        # Protocol 2 begins with its capabilities, the older ones with the service's name.
        named = b"" if "version=2" in protocol.get("GIT_PROTOCOL", "") else pktline.service_name(UPLOAD)
        return named + ran.out

    async def _upload_pack(self, request: web.Request, grant: Grant) -> web.StreamResponse:
        """A fetch, streamed as git makes it. Nothing is answered before git has said something, or has ended well."""
        _admit(request, grant, UPLOAD)
        mirror = await self._mirrors.known(grant.repository)
        content_type = f"application/x-{UPLOAD}-result"
        async with (
            asyncio.timeout(REQUEST_SECONDS),
            self._git.child("upload-pack", "--stateless-rpc", str(mirror), env=_protocol(request)) as child,
        ):
            assert child.stdout is not None, "its stdout is a pipe"
            feeding = asyncio.create_task(feed(child, unpacked(request, WANTS_BYTES)))
            try:
                first = await child.stdout.read(CHUNK)
                second = await child.stdout.read(CHUNK)
                if not second:
                    if await child.wait() and not first:
                        await feeding  # what was wrong with the request is the better sentence
                        raise Declined(500, "git could not serve this fetch.")
                    return _whole(first, content_type)
                return await _streamed(request, child, (first, second), content_type)
            finally:
                feeding.cancel()
                with contextlib.suppress(asyncio.CancelledError, Declined, ConnectionError):
                    await feeding

    async def _receive_pack(self, request: web.Request, grant: Grant) -> web.StreamResponse:
        """A push."""
        _admit(request, grant, RECEIVE)
        content_type = f"application/x-{RECEIVE}-result"
        pieces = unpacked(request, self._most_bytes)
        try:
            asked = await _asked(pieces)
        except pktline.Malformed as wrong:
            raise Declined(400, f"This is not a push: {wrong}.") from wrong
        if not asked.commands:  # a client's probe before it sends much
            return _whole(b"", content_type)
        async with asyncio.timeout(REQUEST_SECONDS):
            outcome = await self._receiver.receive(grant, asked, _joined(asked.rest, pieces))
        report = pktline.report(outcome.refused, outcome.unpacked, outcome.words, asked.capabilities)
        return _whole(report, content_type)


def _admit(request: web.Request, grant: Grant, service: str) -> None:
    named = f"{request.match_info['owner']}/{request.match_info['name']}"
    if named.lower() != grant.repository.lower():
        raise Declined(404, f"Repository not found: this box works on {grant.repository} only.")
    if grant.purpose not in PURPOSES[service] or (service == RECEIVE and not grant.branch):
        raise Declined(403, "This box may not push." if service == RECEIVE else "This box may not fetch.")


def _protocol(request: web.Request) -> dict[str, str]:
    """The client's wish for a protocol, if it is one that git knows."""
    asked = request.headers.get("Git-Protocol", "").split(":")
    wishes = [wish for wish in asked if wish in ("version=0", "version=1", "version=2")]
    return {"GIT_PROTOCOL": ":".join(wishes)} if wishes else {}


def _whole(body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, content_type=content_type, headers=NO_CACHE)


async def _streamed(
    request: web.Request, child: asyncio.subprocess.Process, begun: tuple[bytes, ...], content_type: str
) -> web.StreamResponse:
    """The rest of git's output behind what it has said. If git fails, the answer is cut, so that the client sees it."""
    assert child.stdout is not None, "its stdout is a pipe"
    answer = web.StreamResponse(headers={"Content-Type": content_type, **NO_CACHE})
    await answer.prepare(request)
    for piece in begun:
        await answer.write(piece)
    while piece := await child.stdout.read(CHUNK):
        await answer.write(piece)
    if await child.wait() and request.transport is not None:
        request.transport.close()
    else:
        await answer.write_eof()
    return answer


async def _asked(pieces: AsyncIterator[bytes]) -> pktline.Asked:
    """What a push asks for: the beginning of its body. It is not read anew for each few bytes that come."""
    begun, due = b"", 0
    async for piece in pieces:
        begun += piece
        if len(begun) < due:
            continue
        due = 2 * len(begun) + HEAD_PIECE
        asked = pktline.asked(begun)
        if asked is not None:
            return asked
    asked = pktline.asked(begun)
    if asked is None:
        raise pktline.Malformed("it ended too early")
    return asked


async def _joined(begun: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if begun:
        yield begun
    async for piece in pieces:
        yield piece
