"""The way to Modal: one client, one app, and the boxes that were looked up lately. `sandbox/modal.py` opens it.

Nothing here must be remembered: who starts again asks Modal again. Every call is bounded by a time of our own, for
some of the client's wait for ever. The library is loaded when it is needed: that takes half a second.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from sandbox.modal_errors import CONFLICT, NOT_FOUND, Doing, is_a, judged, told
from sandbox.modal_place import ModalPlace
from sandbox.modal_records import NAME, OURS

if TYPE_CHECKING:
    import modal

T = TypeVar("T")
LIST_SECONDS, AT_ONCE = 120.0, 50
HANDLES = 2000  # boxes whose handle is kept, so that a command in them costs one call instead of four
MODAL = "https://api.modal.com"
UNKNOWN = -1


class Account:
    """One client of one account, opened at the first call."""

    def __init__(self, place: ModalPlace) -> None:
        self._place = place
        self.seconds = place.call_seconds
        self._opening = asyncio.Lock()
        self._client: modal.Client | None = None
        self._app: modal.App | None = None
        self._handles: OrderedDict[str, modal.Sandbox] = OrderedDict()

    async def open(self) -> tuple[modal.Client, modal.App]:
        """The client and the app. Raises BoxError."""
        import modal
        from modal_proto import api_pb2

        async with bounded(self.seconds, Doing.OPEN), self._opening:  # nobody waits in line for longer than that
            if self._client is None:
                credentials = self._place.token_id, self._place.token_secret
                address = self._place.server_url or MODAL
                client = modal.Client(address, api_pb2.CLIENT_TYPE_CLIENT, credentials)
                self._client = await client.__aenter__()  # type: ignore[no-untyped-call]
            if self._app is None:
                self._app = await modal.App.lookup.aio(
                    self._place.app,
                    client=self._client,
                    environment_name=self._place.environment,
                    create_if_missing=True,
                )
            return self._client, self._app

    @contextlib.contextmanager
    def using_app(self) -> Iterator[None]:
        """Look the app up anew next time if Modal does not know it: an app that was stopped is not started again."""
        try:
            yield
        except Exception as failed:
            if is_a(failed, NOT_FOUND) or is_a(failed, CONFLICT):
                self._app = None
            raise

    async def image(self, id: str) -> modal.Image:
        """The image of a snapshot. Raises Missing if Modal has it no more: only this tells."""
        import modal

        client, app = await self.open()
        async with bounded(self.seconds, Doing.GROW):  # nothing is built: it is asked for, and nothing else is
            return await modal.Image.from_id(id, client=client).build.aio(app)

    async def close(self) -> None:
        """Hang up."""
        self._handles.clear()
        client, self._client, self._app = self._client, None, None
        if client is not None:
            await client.__aexit__(None, None, None)  # type: ignore[no-untyped-call]

    def remember(self, sandbox: modal.Sandbox) -> None:
        """Keep a handle for what comes next."""
        self._handles[sandbox.object_id] = sandbox
        while len(self._handles) > HANDLES:
            self._handles.popitem(last=False)

    def forget(self, id: str) -> None:
        """Look this one up anew next time."""
        self._handles.pop(id, None)

    async def sandbox(self, id: str, doing: Doing = Doing.USE) -> modal.Sandbox:
        """The sandbox with this id, which may have ended."""
        async with bounded(self.seconds, doing):
            return await self.handle(id)

    async def handle(self, id: str) -> modal.Sandbox:
        """As `sandbox`, without a limit of time, and with Modal's own errors: it may not know the box any more."""
        import modal

        if id not in self._handles:
            client, _ = await self.open()
            self.remember(await modal.Sandbox.from_id.aio(id, client=client))
        self._handles.move_to_end(id)
        return self._handles[id]

    async def named(self, name: str) -> modal.Sandbox | None:
        """The sandbox that runs under this name."""
        import modal

        client, _ = await self.open()
        try:
            async with asyncio.timeout(self.seconds):
                found = await modal.Sandbox.from_name.aio(
                    self._place.app, name, environment_name=self._place.environment, client=client
                )
        except Exception as failed:
            if is_a(failed, NOT_FOUND):
                return None
            raise judged(failed, Doing.READ) from failed
        self.remember(found)
        return found

    async def code(self, id: str) -> int | None:
        """How a box ended; None while it runs. A box that Modal does not know has ended, nobody knows how: UNKNOWN."""
        try:
            async with asyncio.timeout(self.seconds):
                return await (await self.handle(id)).poll.aio()
        except Exception as failed:
            if is_a(failed, NOT_FOUND):
                return UNKNOWN
            raise judged(failed, Doing.READ) from failed

    async def running(self) -> dict[str, modal.Sandbox]:
        """Every box of ours that runs, by id."""
        import modal

        client, app = await self.open()
        tags = {OURS: self._place.app}
        async with bounded(LIST_SECONDS, Doing.READ):
            with self.using_app():
                found = modal.Sandbox.list.aio(app_id=app.app_id, tags=tags, client=client)
                running = {sandbox.object_id: sandbox async for sandbox in found}
        if not running:
            self._app = None  # it may have been stopped, and boxes of another one of its name run by now
        return running

    def tags(self, name: str) -> dict[str, str]:
        """What tells a box of ours."""
        return {OURS: self._place.app, NAME: name}


@contextlib.asynccontextmanager
async def bounded(seconds: float, doing: Doing) -> AsyncIterator[None]:
    """A call to Modal: limited in time, its errors in the protocol's words."""
    with told(doing):
        async with asyncio.timeout(seconds):
            yield


async def many(doing: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What comes of all of these, some at a time. The first error is raised."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(each: Coroutine[Any, Any, T]) -> T:
        async with room:
            return await each

    return await asyncio.gather(*map(one, doing))
