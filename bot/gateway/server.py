"""The gateway's process side: one aiohttp app on a unix socket, with everything that a box may reach.

`bot/app.py` starts one in each web process. A box sees the folder of sockets and dials whichever lives, so several
processes serve the same boxes, and a new one takes over from an old one without anybody's help.
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from bot.gateway import sockets
from bot.gateway.access import Access, Handler
from bot.gateway.aside import Aside
from bot.gateway.bells import Bells
from bot.gateway.door import Door, Names, namespace_of_request
from bot.gateway.egress import EgressGateway
from bot.gateway.files import Files
from bot.gateway.git import GitGateway
from bot.gateway.link import Link
from bot.gateway.link_warm import WarmLink
from bot.gateway.lookout import Lookout
from bot.gateway.model import PATIENCE, ModelProxy, Patience
from bot.gateway.model_account import Accounts, Limits
from bot.gateway.model_asked import Room
from bot.gateway.model_priming import Priming
from bot.gateway.model_reports import ModelReports
from bot.gateway.model_trouble import Troubles
from bot.gateway.model_upstreams import upstreams
from bot.gateway.outward import Outward
from bot.gateway.public import PublicDoor
from bot.gateway.requests import Requests
from bot.gateway.tools import ToolServer
from bot.metrics import Metrics
from bot.outside import NOWHERE, Outside
from bot.settings import BotSettings
from jobs.events import Author
from jobs.github import Forge
from jobs.inbox import Inbox
from jobs.shelf import Shelf
from jobs.store import Store

log = logging.getLogger(__name__)
SHUTDOWN_SECONDS = 2.0
LINK = ("link/attachment", "link/attach", "link/down", "link/up", "link/warm", "link/file")  # the longer first
KINDS = (*LINK, "git", "model/priming", "model", "tools", "egress")


class Gateway:
    """What boxes reach. `start` and `close` are called once each. `public_routes`: for boxes on other machines."""

    def __init__(
        self,
        settings: BotSettings,
        store: Store,
        inbox: Inbox,
        forge: Forge,
        metrics: Metrics,
        patience: Patience = PATIENCE,
        outside: Outside = NOWHERE,
    ) -> None:
        self._folder, self._boxes_dir = settings.jobs.gateway_dir, settings.jobs.boxes_dir
        self._store, self._inbox, self._metrics = store, inbox, metrics
        self._aside, self._requests = Aside(), Requests()
        self._bells, self._claims = Bells(store.bells), Bells(store.warm.bells)
        access = Access(store.granted, Names(self._boxes_dir).behind)
        self._link = Link(store, inbox, self._bells, settings.jobs.rules)
        self._lookout = Lookout(store, self._link.streams)
        self._warm = WarmLink(store.warm, self._claims, settings.jobs.rules)
        self._model, priming = self._models(settings, patience)
        self._git = GitGateway(settings.jobs, forge.token, self._participants, metrics.push_refused)
        self._egress = _egress(settings, store, metrics)
        self._files = Files(store, inbox, Shelf(settings.jobs.files_dir), outside)
        self._tools = ToolServer(settings, store, inbox, self._bells, self._git.diff)
        metrics.watch_links(lambda: self._link.attached)
        self._app = web.Application(middlewares=[self._keep_pace, self._count, access.check])
        parts = (priming, self._link, self._warm, self._model, self._git, self._tools, self._egress, self._files)
        routes = [route for part in parts for route in part.routes]
        self._app.add_routes(routes)
        self.public_routes = PublicDoor(access, self._count, self._requests).routes(routes)
        self._runner = web.AppRunner(
            self._app,
            access_log=None,
            auto_decompress=False,  # git's bodies go on as they are
            handler_cancellation=True,  # an agent that hangs up ends its request at the model, too
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        self._door: Door | None = None
        self._path: Path | None = None

    async def start(self) -> None:
        """Listen. Raises OSError, or UnsafeFolder, if the folder of sockets cannot be used."""
        await asyncio.to_thread(sockets.prepare, self._folder)
        await self._model.start()
        await self._tools.start()
        await self._runner.setup()
        self._bells.start()
        self._claims.start()
        self._lookout.start()
        listening, self._path = sockets.listen(self._folder)
        assert self._runner.server is not None, "it is set up"
        self._door = Door(listening, self._runner.server, self._boxes_dir)
        self._door.open()
        log.info("boxes reach the gateway at %s", self._path)

    async def loaded(self) -> None:
        """Return when all that it needs is in memory: some of it comes after it listens."""
        await self._tools.ready()

    async def close(self) -> None:
        """Stop to listen and end every stream; runners dial another process, or wait for the next one."""
        if self._door is not None and self._path is not None:
            self._path.unlink(missing_ok=True)
            self._door.close()
        self.leave()
        await self._runner.cleanup()
        await self._bells.close()
        await self._claims.close()
        await self._lookout.close()
        await self._aside.close()
        await self._model.close()
        await self._tools.close()

    def leave(self) -> None:
        """End every stream, and begin no other."""
        self._link.close()
        self._tools.leave()
        self._warm.close()

    def expect(self, repository: str) -> None:
        """Begin to fetch a repository that a box will ask for in a moment."""
        self._aside.do("fetch ahead", self._git.fetch_ahead(repository))

    @web.middleware
    async def _keep_pace(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Before anything is asked for it: a box without a token, or with a wrong one, is a box as well."""
        box = namespace_of_request(request)
        if self._door is None or box == self._door.of_no_box:
            return await handler(request)
        await self._requests.keep(box)
        answer = await handler(request)
        if answer.status >= 400:
            self._requests.refused(box)
        return answer

    @web.middleware
    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        kind = next((kind for kind in KINDS if request.path.startswith(f"/{kind}")), "other")
        status = "hung up"
        try:
            answer = await handler(request)
            status = str(answer.status)
        except web.HTTPException as other:
            status = str(other.status)
            raise
        except Exception:
            status = "500"
            raise
        finally:
            self._metrics.gateway_answered(kind, status)
        return answer

    async def _participants(self, sid: str) -> Sequence[Author]:
        session = await self._store.load(sid)
        return session.participants if session is not None else ()

    def _models(self, settings: BotSettings, patience: Patience) -> tuple[ModelProxy, Priming]:
        """The way to models, and the one that stands in for them while an agent is primed."""
        known, room = upstreams(settings), Room()
        limits = Limits(settings.models, settings.model_prices, settings.budget)
        reports = ModelReports(self._store, self._inbox, self._aside)
        proxy = ModelProxy(
            known,
            Accounts(self._store, self._inbox, limits),
            reports,
            Troubles(reports.in_trouble, patience.told_seconds),
            self._metrics,
            room,
            patience,
        )
        return proxy, Priming({name: one.protocol for name, one in known.items()}, room)


def _egress(settings: BotSettings, store: Store, metrics: Metrics) -> EgressGateway:
    proxy = settings.egress_proxy.get_secret_value() if settings.egress_proxy is not None else ""
    lists = settings.egress_hosts, settings.egress_private
    return EgressGateway(*lists, store.egress.of, Outward(proxy), metrics.egress_answered)
