"""Gateways on the real record, and boxes that talk to them over the real socket."""

import asyncio
import io
import json
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.gateway.model import PATIENCE, Patience
from bot.gateway.server import Gateway
from bot.metrics import Metrics
from bot.outside import NOWHERE
from bot.settings import BotSettings
from jobs import commands as c
from jobs import log as jobs_log
from jobs.events import Attachment, Event, Prompt
from jobs.github import Forge
from jobs.inbox import Inbox, hash_token
from jobs.records import Grant
from jobs.session import Session
from jobs.store import Store
from jobs.wants import Operation
from tests.logs import ADA, HEAD, PLACE, RULES

Json = dict[str, Any]
REPOSITORY = "acme/rocket"
SOON = 5.0
NO_FORGE = Forge("http://127.0.0.1:9", "none")
TIP = "b" * 40


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for sockets whose paths stay short, whatever pytest's own is."""
    folder = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged, as our processes log it."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    jobs_log.configure([], stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


class Site:
    """One record, and any number of web processes' gateways on it."""

    def __init__(self, store: Store, folder: Path, more: Mapping[str, str] | None = None) -> None:
        self.store, self.folder = store, folder
        self.outside = NOWHERE
        self.hints: list[tuple[str, Operation]] = []
        self.inbox = Inbox(store, self._hint, RULES)
        self.metrics = Metrics()
        self.environment = {"SHIPMATE_DATA_DIR": str(folder / "data"), **(more or {})}

    async def _hint(self, session: Session, operation: Operation) -> None:
        """Nobody works on boxes here: the tests are the box."""
        self.hints.append((session.id, operation))

    @asynccontextmanager
    async def gateway(self, name: str = "a", patience: Patience = PATIENCE, **more: str) -> AsyncIterator["Path"]:
        """A gateway of its own; yields the path of its socket."""
        environment = self.environment | more | {"SHIPMATE_GATEWAY_DIR": str(self.folder / name)}
        settings = BotSettings.from_env(environment)
        gateway = Gateway(settings, self.store, self.inbox, NO_FORGE, self.metrics, patience, self.outside)
        await gateway.start()
        try:
            (path,) = (self.folder / name).glob("web-*.sock")
            yield path
        finally:
            await gateway.close()

    async def box(self, sid: str = "s1", token: str = "t-1") -> Grant:
        """A session that was asked for something, and whose box has just been made."""
        await self.ask(sid, 1)
        session = await self.inbox.handle(sid, c.BeginStart(0))
        await self.inbox.handle(sid, c.FinishStart(1, f"{sid}-1", "cold", None, True))
        return await self.grant(session, token)

    async def grant(self, session: Session, token: str, purpose: str = "serve") -> Grant:
        grant = Grant(
            session.id, f"{session.id}-{session.generation}", session.generation, REPOSITORY, purpose, session.branch
        )
        await self.store.grant(hash_token(token), grant)
        return grant

    async def ask(
        self, sid: str, n: int, text: str = "Fix the fuel test", files: tuple[Attachment, ...] = ()
    ) -> Session:
        prompt = Prompt(id=f"T1:C1:{n}", author=ADA, text=text, attachments=files, received_at=1.0)
        choice = c.Choice(REPOSITORY, "main")
        return await self.inbox.handle(sid, c.Submit(sid, PLACE, prompt, choice, "rehearsal"))

    async def log(self, sid: str, kind: type[Event] | None = None) -> list[Any]:
        """The log's events, of one kind if it is given."""
        events = await self.store.events(sid)
        return events if kind is None else [event for event in events if isinstance(event, kind)]

    async def until(self, sid: str, true_of: Any) -> Session:
        """The session once `true_of` it is true."""
        async with asyncio.timeout(SOON):
            while True:
                session = await self.store.load(sid)
                if session is not None and true_of(session):
                    return session
                await asyncio.sleep(0.01)


@pytest.fixture
async def site(store: Store, short_folder: Path) -> Site:
    return Site(store, short_folder)


class Answer:
    """What came back: the status, and the JSON if it was some."""

    def __init__(self, status: int, body: Json) -> None:
        self.status, self.body = status, body

    def __repr__(self) -> str:
        return f"{self.status} {self.body}"


class Down:
    """An open down stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.status = answer.status

    async def next(self, *, beats: bool = False) -> Json | None:
        """The next line, beats left out unless asked for; None at the stream's end."""
        async with asyncio.timeout(SOON):
            while line := await self._answer.content.readline():
                said: Json = json.loads(line)
                if beats or said["kind"] != "beat":
                    return said
        return None


class Box:
    """A box as the gateway sees it: somebody with a token who speaks the wire."""

    def __init__(self, http: aiohttp.ClientSession, token: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}
        self.epoch = 0

    async def post(self, path: str, body: object) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self._http.post(f"http://gateway{path}", data=data, headers=self._headers) as answer:
            said = await answer.json() if answer.content_type == "application/json" else {}
            return Answer(answer.status, said)

    async def attach(self, generation: int = 1, **more: Any) -> Answer:
        answer = await self.post("/link/attach", {"wire": 1, "generation": generation, "after": 0, "frame": 0, **more})
        self.epoch = answer.body.get("epoch", self.epoch)
        return answer

    async def up(self, *frames: Json, epoch: int | None = None) -> Answer:
        return await self.post("/link/up", {"epoch": self.epoch if epoch is None else epoch, "frames": list(frames)})

    @asynccontextmanager
    async def down(self, after: int = 0, epoch: int | None = None) -> AsyncIterator[Down]:
        query = f"epoch={self.epoch if epoch is None else epoch}&after={after}"
        async with self._http.get(f"http://gateway/link/down?{query}", headers=self._headers) as answer:
            yield Down(answer)

    async def get_ready(self) -> None:
        """Attach, and say that the agent is ready."""
        assert (await self.attach()).status == 200
        assert (await self.up(ready(1))).status == 200


@asynccontextmanager
async def boxes(socket: Path, *tokens: str) -> AsyncIterator[list[Box]]:
    """Boxes with these tokens, that reach the gateway at this socket."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SOON)
    connector = aiohttp.UnixConnector(str(socket), limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        yield [Box(http, token) for token in tokens]


@asynccontextmanager
async def one_box(socket: Path, token: str = "t-1") -> AsyncIterator[Box]:
    async with boxes(socket, token) as (box,):
        yield box


def frame(n: int, kind: str, **more: Any) -> Json:
    return {"n": n, "at": 1_000.0, "kind": kind, **more}


def ready(n: int) -> Json:
    return frame(n, "ready", conversation="c", resumed=False, head=HEAD, agent={"name": "a", "version": "1"})


def words(n: int, text: str = "hello") -> Json:
    return frame(n, "text", turn=1, text=text)


def step(n: int, title: str = "Read") -> Json:
    return frame(n, "step", turn=1, title=title, tool="read")


def ended(n: int, turn: int = 1) -> Json:
    return frame(n, "turn_ended", turn=turn, outcome="done", summary="Done.", head=TIP)


@asynccontextmanager
async def two_ways(site: Site) -> AsyncIterator[tuple[Box, Box]]:
    """The same box, as it is reached by two web processes."""
    async with AsyncExitStack() as running:
        first = await running.enter_async_context(site.gateway("first"))
        second = await running.enter_async_context(site.gateway("second"))
        box = await running.enter_async_context(one_box(first))
        yield box, await running.enter_async_context(one_box(second))
