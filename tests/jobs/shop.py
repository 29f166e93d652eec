"""A workshop for the tests of operations: the real record, queue and boxes (without isolation), and a clock to move.

Where a provider has to fail at a certain moment, `Interrupted` stands before the real one.
"""

import asyncio
import inspect
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from jobs import commands as c
from jobs.commands import Choice, Submit
from jobs.events import Event, Prompt
from jobs.github import Forge
from jobs.inbox import Inbox
from jobs.queue import Queue
from jobs.session import Session, Status
from jobs.settings import JobSettings
from jobs.store import Store
from jobs.wiring import Workshop, ask_for, fit_for, suit_for
from sandbox.provider import BoxState, Temporary
from sandbox.unisolated import UnisolatedProvider
from tests.leash import end_with_us
from tests.logs import ADA, PLACE

SECONDS = 20.0
ROCKET = "acme/rocket"
ON_ROCKET = Choice(ROCKET, "main")


class Interrupted:
    """A real part that does what a test has planned first, `before["create"]` and so on, or `after`; it may raise."""

    def __init__(self, real: object) -> None:
        self._real = real
        self.before: dict[str, Callable[[], Awaitable[None]]] = {}
        self.after: dict[str, Callable[[], Awaitable[None]]] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def call(*args: Any, **more: Any) -> Any:
            if name in self.before:
                await self.before[name]()
            done = await found(*args, **more)
            if name in self.after:
                await self.after[name]()
            return done

        return call


@dataclass
class Clock:
    """The time of now, moved by `ahead` seconds."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Bench:
    """A workshop and what a test does with it."""

    shop: Workshop
    clock: Clock
    sid: str = "s0123456789abcdef"
    asked: int = field(default=0)

    @property
    def provider(self) -> Interrupted:
        assert isinstance(self.shop.provider, Interrupted)
        return self.shop.provider

    def loses_the_reply(self, method: str) -> None:
        """From now on the provider's method does it, and nobody hears that it did."""

        async def lose() -> None:
            raise Temporary("no answer came", 2.0)

        self.provider.after[method] = lose

    def fails(self, method: str, trouble: Exception | None) -> None:
        """From now on the provider's method fails so; None: it works again."""

        async def fail() -> None:
            assert trouble is not None
            raise trouble

        self.provider.before.pop(method, None)
        if trouble is not None:
            self.provider.before[method] = fail

    async def ask(self, choice: Choice = ON_ROCKET, agent: str = "rehearsal") -> Session:
        self.asked += 1
        prompt = Prompt(id=f"T1:C1:{self.asked}", author=ADA, text="Fix the fuel test", received_at=self.clock())
        return await self.do(Submit(self.sid, PLACE, prompt, choice, agent))

    async def do(self, command: c.Command) -> Session:
        return await self.shop.inbox.handle(self.sid, command)

    async def session(self) -> Session:
        session = await self.shop.store.load(self.sid)
        assert session is not None
        return session

    async def events(self) -> list[Event]:
        return await self.shop.store.events(self.sid)

    async def state(self, box: str) -> BoxState:
        return (await self.shop.provider.status(box)).state

    async def until(self, status: Status) -> Session:
        """Wait until the session is so."""
        async with asyncio.timeout(SECONDS):
            while (session := await self.session()).status is not status:
                await asyncio.sleep(0.02)
        return session


@asynccontextmanager
async def bench(store: Store, redis_url: str, **environment: str) -> AsyncIterator[Bench]:
    """A workshop in a folder of its own; every box is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    end_with_us(folder)
    told = {
        "SHIPMATE_DATA_DIR": str(folder), "SHIPMATE_GATEWAY_DIR": str(folder / "gateway"), "REDIS_URL": redis_url,
        "SHIPMATE_BOXES_DIR": str(folder / "boxes"), "SHIPMATE_AGENTS_DIR": str(folder / "agents"),
        "SHIPMATE_UNISOLATED": "1", "SHIPMATE_REPOSITORIES": ROCKET,
    }  # fmt: skip
    settings = JobSettings.from_env(told | environment)
    real = UnisolatedProvider(settings.boxes_dir, gateway=settings.gateway_dir, agents=settings.agents_dir)
    clock, queue = Clock(), Queue(redis_url)
    ask, fit, suit = partial(ask_for, queue, settings), partial(fit_for, settings), partial(suit_for, store, settings)
    inbox = Inbox(store, ask, settings.rules, clock, fit, suit)
    token = settings.github_token.get_secret_value() if settings.github_token else "none"
    forge = Forge(settings.github_api_url, token)
    try:
        yield Bench(Workshop(settings, store, inbox, queue, Interrupted(real), forge, clock), clock)
    finally:
        for box in await real.list():
            await real.discard(box.name)
        await queue.close()
        shutil.rmtree(folder)
