"""The gateway for boxes elsewhere: on the port of the pages, for their tokens alone, and with no more to be seen."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.app import listen
from bot.gateway import public
from bot.gateway.access import Access
from bot.gateway.requests import Requests
from bot.gateway.server import Gateway
from bot.ports import free_port
from bot.settings import BotSettings
from jobs.inbox import hash_token
from jobs.records import Grant
from sandbox.runner.dial import Dialer
from tests.gateway.conftest import NO_FORGE, REPOSITORY, Box, Site

FAR = Grant("s1", "modal-s1-1", 1, REPOSITORY, "serve", "shipmate/s1")
ADDRESSES = [
    ("POST", "/link/attach"), ("GET", "/link/down"), ("POST", "/link/up"), ("POST", "/link/warm"),
    ("POST", "/link/file"), ("GET", "/link/attachment"), ("GET", "/git/acme/rocket.git/info/refs"),
    ("POST", "/git/acme/rocket.git/git-upload-pack"),
    ("POST", "/model/openai/responses"), ("POST", "/model/priming/openai/responses"), ("POST", "/tools/mcp"),
    ("POST", "/egress"),
]  # fmt: skip


@asynccontextmanager
async def listening(site: Site, *routes: web.RouteDef) -> AsyncIterator[str]:
    """A web process with boxes on Modal; its address."""
    environment = site.environment | {
        "SHIPMATE_GATEWAY_DIR": str(site.folder / "a"), "SHIPMATE_PORT": str(free_port()), "SHIPMATE_PLACE": "modal",
        "SHIPMATE_PUBLIC_URL": "https://shipmate.example",
    }  # fmt: skip
    settings = BotSettings.from_env(environment)
    gateway = Gateway(settings, site.store, site.inbox, NO_FORGE, site.metrics)
    async with AsyncExitStack() as opened:
        await gateway.start()
        opened.push_async_callback(gateway.close)
        await listen(settings, routes, gateway.public_routes, opened)
        opened.callback(gateway.leave)
        yield f"http://127.0.0.1:{settings.port}"


class PublicBox(Box):
    """A box with a TCP address to go to instead of a socket."""

    def __init__(self, http: aiohttp.ClientSession, token: str, url: str) -> None:
        super().__init__(_At(http, url), token)  # type: ignore[arg-type]


class _At:
    """A client for which `http://gateway` is somewhere else."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, url

    def __getattr__(self, method: str) -> object:
        asked = getattr(self._http, method)
        return lambda url, **more: asked(url.replace("http://gateway", self._url), **more)


@pytest.fixture
async def url(site: Site) -> AsyncIterator[str]:
    async with listening(site, web.get("/health", _well), web.post("/slack/events", _well)) as found:
        yield found


async def _well(_request: web.Request) -> web.Response:
    return web.json_response({"ok": True})


async def ask(url: str, method: str, path: str, token: str = "") -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as http, http.request(method, url + path, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_a_box_elsewhere_talks_as_one_on_this_machine_does(site: Site, url: str) -> None:
    await site.box()
    await site.store.grant(hash_token("t-far"), FAR)
    async with aiohttp.ClientSession() as http:
        box = PublicBox(http, "t-far", url)
        await box.get_ready()
        async with box.down() as down:
            assert (await down.next() or {})["kind"] == "prompt_delivered"


async def test_the_runners_own_dialler_reaches_it(site: Site, url: str) -> None:
    await site.box()
    await site.store.grant(hash_token("t-far"), FAR)
    wire = await Dialer(url, "t-far").open()
    head, pieces = await wire.ask("POST", "/link/attach", b'{"wire": 1, "generation": 1, "after": 0, "frame": 0}')
    said = b"".join([piece async for piece in pieces])
    wire.close()
    assert "200" in head.start and b'"epoch": 1' in said


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
async def test_a_stranger_is_told_the_same_wherever_he_knocks(site: Site, url: str, method: str, path: str) -> None:
    await site.box(token="t-near")
    said = {await ask(url, method, path, token) for token in ("", "wrong", "t-near")}
    assert said == {(401, '{"error": "unknown token"}')}


async def test_nothing_else_is_to_be_seen(site: Site, url: str) -> None:
    await site.store.grant(hash_token("t-far"), FAR)
    assert set(public.ROOTS) == {root for root in public.ROOTS if any(path.startswith(root) for _, path in ADDRESSES)}
    for path in ("/", "/link/elsewhere", "/tools/", "/git/acme/rocket.git/HEAD", "/metrics", "/view/s1"):
        assert (await ask(url, "GET", path, "t-far"))[0] in (404, 405), path


async def test_a_token_opens_no_more_than_on_this_machine(site: Site, url: str) -> None:
    await site.store.grant(hash_token("t-build"), FAR._replace(purpose="build"))
    assert await ask(url, "POST", "/tools/mcp", "t-build") == (
        403, '{"error": "this box may use git and the way out only"}',
    )  # fmt: skip
    await site.store.revoke(FAR.box)
    assert (await ask(url, "POST", "/tools/mcp", "t-build"))[0] == 401


async def test_one_box_has_only_so_many_requests_under_way(site: Site, short_folder: Path) -> None:
    await site.store.grant(hash_token("t-far"), FAR)
    await site.store.grant(hash_token("t-other"), FAR._replace(box="modal-s2-1"))
    inside, go = asyncio.Semaphore(0), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        inside.release()
        await go.wait()
        return web.Response()

    async def plainly(request: web.Request, handler: public.Handler) -> web.StreamResponse:
        return await handler(request)

    door = public.PublicDoor(Access(site.store.granted), plainly, Requests(), most=2)
    async with listening(site, *door.routes([web.post("/link/slow", slow)])) as url:
        asked = [asyncio.create_task(ask(url, "POST", "/link/slow", "t-far")) for _ in range(2)]
        for _ in asked:
            await inside.acquire()
        assert (await ask(url, "POST", "/link/slow", "t-far"))[0] == 503
        other = asyncio.create_task(ask(url, "POST", "/link/slow", "t-other"))
        await inside.acquire()
        go.set()
        assert [status for status, _ in await asyncio.gather(*asked, other)] == [200, 200, 200]
        assert (await ask(url, "POST", "/link/slow", "t-far"))[0] == 200


async def test_what_slack_asks_is_done_though_it_hangs_up_and_what_a_box_asks_is_not(site: Site) -> None:
    inside, go, ended = asyncio.Semaphore(0), asyncio.Event(), asyncio.Queue[str]()

    async def slow(request: web.Request) -> web.Response:
        inside.release()
        try:
            await go.wait()
        except asyncio.CancelledError:
            ended.put_nowait(f"{request.path} was cut")
            raise
        ended.put_nowait(f"{request.path} was done")
        return web.Response()

    async with listening(site, web.post("/slack/slow", slow), web.post("/link/slow", slow)) as url:
        for path in ("/slack/slow", "/link/slow"):
            asking = asyncio.create_task(ask(url, "POST", path))
            await inside.acquire()
            asking.cancel()
            await asyncio.wait({asking})
        async with asyncio.timeout(10):
            assert await ended.get() == "/link/slow was cut"
            go.set()
            assert await ended.get() == "/slack/slow was done"


async def test_a_proxy_is_told_not_to_keep_what_a_box_is_told_and_git_gets_its_bodies_as_they_are(site: Site) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    packed = gzip.compress(b"words")
    echoing = listening(site, web.post("/git/echo", echo), web.post("/slack/echo", echo))
    async with echoing as url, aiohttp.ClientSession() as http:
        for path, told in (("/git/echo", "no"), ("/slack/echo", None)):
            async with http.post(url + path, data=packed, headers={"Content-Encoding": "gzip"}) as answer:
                assert (answer.headers.get("X-Accel-Buffering"), await answer.read()) == (told, packed)


@pytest.mark.parametrize(
    "address", ["http://shipmate.example", "http://10.0.0.1:80", "ftp://127.0.0.1", "127.0.0.1:80"]
)
def test_a_runner_tells_its_token_to_nobody_in_the_clear(address: str) -> None:
    with pytest.raises(ValueError, match="must begin with unix: or https://"):
        Dialer(address, "token")
