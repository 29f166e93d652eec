"""What our code adds on Modal: `modal_create_overhead` and `modal_exec_overhead`, against Modal's own client by hand.

Both talk to the same stand-in, the one through `ModalProvider` with a ledger in Redis, the other with the same calls of
the library alone; what the stand-in itself takes is in both, so the difference is ours.
"""

import contextlib
import math
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import modal
from modal.stream_type import StreamType

from jobs.store import Store
from sandbox import control
from sandbox.modal import ModalProvider
from sandbox.modal_entry import ASK, ENTRYPOINT, opening
from sandbox.modal_place import ModalPlace, memory, outbound
from sandbox.provider import BoxSpec
from tests.bench.measure import Row, interleaved, milliseconds, row
from tests.jobs.servers import Server
from tests.modal.places import GATEWAY, GREETING, plain
from tests.modal_cloud.client import TOKEN, ModalCloud

ROUNDS = 100
PATIENCE = 30.0
ANSWER = '{"code":0,"stdout_bytes":0,"stderr_bytes":0,"truncated":false,"timed_out":false}\n'
LINE = repr(GREETING).replace("'", '"').replace("None", "null").encode() + b"\n"


class ByHand:
    """The same account with Modal's library alone."""

    def __init__(self, place: ModalPlace, client: modal.Client, app: modal.App, image: modal.Image) -> None:
        self._place, self._client, self._app, self._image = place, client, app, image
        self._made = 0

    async def create(self) -> modal.Sandbox:
        """What `Maker` asks Modal for, and nothing around it."""
        self._made += 1
        spec = BoxSpec(f"hand-{self._made}", LINE)
        networks, names = outbound(self._place)
        sandbox = await modal.Sandbox.create.aio(
            *ENTRYPOINT, app=self._app, name=spec.name, tags={"name": spec.name}, image=self._image,
            timeout=math.ceil(self._place.box_seconds), workdir="/", cpu=self._place.cores, memory=memory(spec.limits),
            outbound_cidr_allowlist=networks, outbound_domain_allowlist=names,
            experimental_options={"enable_exit_snapshot": True}, client=self._client,
        )  # fmt: skip
        sandbox.stdin.write(opening(b"", b"") + LINE)
        await sandbox.stdin.drain.aio()
        return sandbox

    @staticmethod
    async def execute(sandbox: modal.Sandbox) -> None:
        """What `modal_asking` asks Modal for, and nothing around it."""
        process = await sandbox.exec.aio(*ASK, text=False, timeout=95, workdir="/", stderr=StreamType.DEVNULL)
        process.stdin.write(control.request(("true",), b"", 60.0, 4096, None))
        await process.stdin.drain.aio()
        async for _ in process.stdout:
            return


@asynccontextmanager
async def both() -> AsyncIterator[tuple[ModalProvider, ByHand]]:
    """The provider and the library, each warm, at one stand-in on paper."""
    async with contextlib.AsyncExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="shipmate-bench-")))
        cloud = opened.enter_context(ModalCloud.started(folder / "modal", "paper"))
        await cloud.script(".*", stdout=ANSWER)
        server = await opened.enter_async_context(Server.running(folder))
        store = await Store.open(server.url, archive=folder / "archive")
        opened.push_async_callback(store.close)
        place = ModalPlace(*TOKEN, GATEWAY, server_url=cloud.url)
        ours = await opened.enter_async_context(ModalProvider(place, store.ledger, base=plain))
        await ours.prepare()
        client, app = await ours._account.open()
        yield ours, ByHand(place, client, app, await ours._maker.base())


async def create_overhead(rounds: int = ROUNDS) -> list[Row]:
    """A box made, from the spec until its runner has its greeting."""
    began, made = time.time(), 0
    async with both() as (provider, hand):

        async def ours() -> float:
            nonlocal made
            made += 1
            start = time.perf_counter()
            await provider.create(BoxSpec(f"box-{made}", LINE))
            return milliseconds(time.perf_counter() - start)

        async def bare() -> float:
            start = time.perf_counter()
            await hand.create()
            return milliseconds(time.perf_counter() - start)

        times = await interleaved(rounds, ours, bare)
    return [_added("modal_create_overhead", *times, began, "a box made and greeted")]


async def exec_overhead(rounds: int = ROUNDS) -> list[Row]:
    """A command in a live box, from the call until its result."""
    began = time.time()
    async with both() as (provider, hand):
        await provider.create(BoxSpec("box", LINE))
        sandbox = await hand.create()

        async def ours() -> float:
            start = time.perf_counter()
            await provider.exec("box", ("true",), limit=4096)
            return milliseconds(time.perf_counter() - start)

        async def bare() -> float:
            start = time.perf_counter()
            await hand.execute(sandbox)
            return milliseconds(time.perf_counter() - start)

        times = await interleaved(rounds, ours, bare)
    return [_added("modal_exec_overhead", *times, began, "a command in a live box")]


def _added(name: str, ours: list[float], bare: list[float], began: float, what: str) -> Row:
    """What ours took longer, round by round; `ratio` is of the whole."""
    added = [mine - by_hand for mine, by_hand in zip(ours, bare, strict=True)]
    whole: Any = row(name, ours, bare, began, "")
    note = f"{what}: what our code adds to Modal's client by hand (bare), which is in both; aim ≤ 50 p95"
    return row(name, added, bare, began, note, ratio=whole.ratio)
