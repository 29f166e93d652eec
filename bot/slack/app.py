"""Slack, wired: one Bolt app, its listeners and its relay, over a socket or as signed HTTP routes.

`bot/app.py` builds a `SlackClient`, adds its routes to the web process and runs it. That Slack cannot be reached delays
words, never work: the client goes on trying. A token that Slack does not know is told at once, with what to do.
"""

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Callable
from typing import Protocol

import aiohttp
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.below import DeskRecord, Door, Repositories
from bot.slack.calls import Calls, Counted, Later, SlackError, Unsure
from bot.slack.config import SlackConfig
from bot.slack.desk import Desk
from bot.slack.listeners import listen
from bot.slack.meanings import CLIENT, Me
from bot.slack.people import Directory
from bot.slack.relay import Bells, Relay
from bot.slack.signals import Signals, WarmUp, nobody_warms
from bot.web.links import ViewLinks
from jobs.events import Place

log = logging.getLogger(__name__)
RETRY_SECONDS = 2.0
RETRY_MOST_SECONDS = 10.0  # until then nobody hears what people say
SOCKET_CHECKS = 3
WRONG_TOKEN = (
    "invalid_auth",
    "not_authed",
    "account_inactive",
    "token_revoked",
    "token_expired",
    "not_allowed_token_type",
)


class SlackRefused(Exception):
    """Slack does not know our token; the message says which setting to mend."""


class Record(Bells, DeskRecord, Protocol):
    """What the client needs of the record: `jobs.store.Store` has it."""


class SlackClient:
    """Slack as a client of the jobs floor. `routes` for the web process; `start` and `close` around its life."""

    def __init__(
        self,
        config: SlackConfig,
        *,
        inbox: Door,
        store: Record,
        repositories: Repositories,
        links: ViewLinks,
        warm_up: WarmUp = nobody_warms,
        clock: Callable[[], float] = time.time,
        counted: Counted = lambda _method, _answer: None,
    ) -> None:
        self._config = config
        self._web = AsyncWebClient(
            token=config.bot_token,
            base_url=config.api_url,
            timeout=int(config.call_seconds),
            retry_handlers=[],  # a post must not be repeated unseen
        )
        workspace = hashlib.sha256(config.bot_token.encode()).hexdigest()[:12]
        calls = Calls(self._web, store, clock, workspace, counted)
        self._calls = calls
        self._people = Directory(calls, store, config)
        self._me: Me | None = None
        self._socket: AsyncSocketModeHandler | None = None
        self._running: asyncio.Task[None] | None = None
        self._relay = Relay(store, calls, links.public, config, clock)
        self._signals = Signals(warm_up, clock)
        desk = Desk(config, inbox, store, calls, self._people, repositories, links.personal, self._signals, clock)
        self.app = self._bolt()
        listen(self.app, desk, self._who)

    def _bolt(self) -> AsyncApp:
        async def authorize() -> AuthorizeResult:  # not a method: Bolt takes `self` for an argument of its own
            return await self._authorized()

        return AsyncApp(
            name="shipmate",
            signing_secret=self._config.signing_secret,
            client=AsyncWebClient(base_url=self._config.api_url, timeout=int(self._config.call_seconds)),
            authorize=authorize,
            request_verification_enabled=True,
        )

    async def _authorized(self) -> AuthorizeResult:
        """Who we are in the workspace. An error here must not be one of Slack's: Bolt would acknowledge the event."""
        me = await self._who()
        return AuthorizeResult(
            enterprise_id=None, team_id=me.team, bot_user_id=me.user, bot_id=me.bot, bot_token=self._config.bot_token
        )

    async def _who(self) -> Me:
        if self._me is None:
            try:
                self._me = await self._calls.who_am_i()
            except SlackError as trouble:
                raise RuntimeError(f"Slack does not say who we are: {trouble}") from trouble
        return self._me

    # -- the web process's part ------------------------------------------------------------------------------------

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where Slack delivers over signed HTTP; none in Socket Mode, and none without a secret to check it by."""
        if self._config.socket_mode or not self._config.signing_secret:
            return []
        return [web.post("/slack/events", self._receive), web.post("/slack/actions", self._receive)]

    async def _receive(self, request: web.Request) -> web.Response:
        if not await self._is_signed(request):  # Bolt would look as well, once it has read what anybody may send
            return web.Response(status=401, text="This is not signed by Slack.\n")
        return await to_aiohttp_response(await self.app.async_dispatch(await to_bolt_request(request)))

    async def _is_signed(self, request: web.Request) -> bool:
        at, signature = (request.headers.get(f"X-Slack-{name}", "") for name in ("Request-Timestamp", "Signature"))
        if not (at.isdecimal() and len(at) < 12 and signature.isascii()):
            return False
        body = (await request.read()).decode("utf-8", "replace")
        return SignatureVerifier(self._config.signing_secret).is_valid(body, at, signature)

    async def may_view(self, place: Place, viewer: str) -> bool:
        """Whether this person may look at sessions of this place now: everybody at public ones, members at others."""
        if place.client != CLIENT or not place.private:
            return True
        return bool(viewer) and await self._people.is_member(place.channel, viewer)

    async def connected(self) -> bool:
        """Whether events reach us now: we know who we are and, in Socket Mode, a socket is open."""
        if self._me is None or not self._config.socket_mode:
            return self._me is not None
        return self._socket is not None and bool(await self._socket.client.is_connected())

    async def start(self) -> None:
        """Begin; returns at once if Slack cannot be reached, and goes on trying. Raises `SlackRefused`."""
        self._web.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._config.call_seconds))
        try:
            await self._identify()
        except SlackRefused:
            await self._web.session.close()
            raise
        except SlackError as trouble:
            log.warning("Slack cannot be reached (%s); trying again", trouble)
        self._running = asyncio.create_task(self._run(), name="slack")

    async def close(self) -> None:
        """End; whatever is not said yet is said by the next start."""
        await self._signals.close()
        while self._running is not None and not self._running.done():
            self._running.cancel()
            await asyncio.wait({self._running}, timeout=RETRY_SECONDS)
        if self._web.session is not None:
            await self._web.session.close()

    async def _run(self) -> None:
        me = await self._identified()
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._relay.run(me.team))
                    if self._config.socket_mode:
                        group.create_task(self._stay_connected())
            except Exception:
                log.exception("the Slack client stumbled; it begins again")
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                await self._hang_up()

    async def _identified(self) -> Me:
        delay = RETRY_SECONDS
        while True:
            try:
                return await self._identify()
            except Later as later:  # Slack is there, and said when
                log.warning("Slack has no room for us yet: %s", later)
                await asyncio.sleep(min(later.seconds, RETRY_MOST_SECONDS))
                continue
            except SlackError as trouble:
                log.warning("Slack cannot be reached (%s); again in %.0f s", trouble, delay)
            except SlackRefused as refused:
                log.error("%s", refused)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_MOST_SECONDS)

    async def _identify(self) -> Me:
        if self._me is not None:
            return self._me
        try:
            me = await self._calls.who_am_i()
            if self._config.socket_mode:
                await self._try_app_token()
        except SlackError as refused:
            if refused.error not in WRONG_TOKEN:
                raise
            setting = "SLACK_APP_TOKEN" if refused.method == "apps.connections.open" else "SLACK_BOT_TOKEN"
            raise SlackRefused(
                f"Slack refused {setting} ({refused.error}). Copy it again from the app's settings; "
                "`shipmate doctor` checks all of them."
            ) from None
        self._me = me
        return me

    # -- the socket ------------------------------------------------------------------------------------------------

    async def _try_app_token(self) -> None:
        try:
            await self._web.apps_connections_open(app_token=self._config.app_token)
        except SlackApiError as refused:
            data = refused.response.data if isinstance(refused.response.data, dict) else {}
            raise SlackError("apps.connections.open", str(data.get("error", "no answer"))) from None
        except (TimeoutError, aiohttp.ClientError, OSError) as broken:
            raise Unsure("apps.connections.open", type(broken).__name__) from broken

    async def _stay_connected(self) -> None:
        """Keep one socket open. The library reconnects by itself; should it not, it is replaced."""
        while True:
            self._socket = AsyncSocketModeHandler(self.app, self._config.app_token)
            connecting = asyncio.create_task(self._socket.connect_async())  # type: ignore[no-untyped-call]
            misses = 0
            while misses < SOCKET_CHECKS:
                await asyncio.sleep(self._config.socket_seconds)
                misses = 0 if await self._socket.client.is_connected() else misses + 1
            log.warning("the socket to Slack is gone; opening another one")
            connecting.cancel()
            await self._hang_up()

    async def _hang_up(self) -> None:
        if self._socket is not None:
            socket, self._socket = self._socket, None
            with contextlib.suppress(Exception):
                await socket.close_async()  # type: ignore[no-untyped-call]
