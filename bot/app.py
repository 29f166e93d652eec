"""The one wiring file of the faces: what the web process is made of.

`bot/web_command.py` calls `run_web` with settings; here, and nowhere else, clients, pages and the gateway meet the
floors below.
"""

import asyncio
import gc
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

from aiohttp import web

from bot.ahead import Door, LookAhead
from bot.gateway.public import finish, unbuffered
from bot.gateway.server import Gateway
from bot.github import GitHubEvents
from bot.metrics import Metrics, MetricsPage
from bot.outside import NOWHERE, Outside
from bot.program import CannotStart, record_answers, told_to_end
from bot.settings import BotSettings, view_secret
from bot.slack.app import SlackClient, SlackRefused
from bot.slack.below import Repositories
from bot.slack.calls import Counted
from bot.slack.config import SlackConfig
from bot.slack.downloads import Downloads
from bot.web.admission import Admission
from bot.web.files import FilePages
from bot.web.links import ViewLinks
from bot.web.pages import ViewPages
from bot.web.warm import WarmPage
from jobs import census, repos
from jobs.events import Place
from jobs.session import Session
from jobs.shelf import Shelf
from jobs.warm import warm_up, watch
from jobs.wiring import Workshop, workshop

log = logging.getLogger(__name__)
SHUTDOWN_SECONDS = 2.0
BACKLOG = 4096  # after a restart thousands of boxes dial in the same second; who finds no room dials again later


async def run_web(settings: BotSettings) -> None:
    """The web process: Slack, pages, webhooks and the gateway, until it is told to end."""
    await record_answers(settings.jobs)
    async with told_to_end() as ending, workshop(settings.jobs) as shop, AsyncExitStack() as opened:
        metrics = Metrics()
        links = ViewLinks(view_secret(settings.jobs.data_dir), settings.url, shop.clock)
        gateway = Gateway(settings, shop.store, shop.inbox, shop.forge, metrics, outside=outside(settings, links))
        await gateway.start()
        opened.push_async_callback(gateway.close)
        door = LookAhead(shop.inbox, gateway.expect, partial(warm_up, shop), partial(watch, shop))
        opened.push_async_callback(door.close)
        slack = slack_client(settings, shop, door, links, metrics.slack_called)
        routes = [*web_routes(settings, shop, links, slack), *metrics_routes(settings, shop, metrics)]
        await listen(settings, routes, gateway.public_routes if settings.jobs.far_places else (), opened)
        opened.callback(gateway.leave)
        if slack is not None:
            try:
                await slack.start()
            except SlackRefused as refused:
                raise CannotStart(str(refused)) from refused
            opened.push_async_callback(slack.close)
        opened.callback(asyncio.create_task(_keep_what_is_loaded(gateway)).cancel)
        log.info("the web process is ready at %s", settings.url)
        await ending.wait()


async def _keep_what_is_loaded(gateway: Gateway) -> None:
    """The collector of garbage goes through none of it again: that held up everything for 60 ms now and then."""
    await gateway.loaded()
    gc.freeze()


def outside(settings: BotSettings, links: ViewLinks) -> Outside:
    """What the gateway is told of people's side."""

    def file_url(session: Session, file_id: str) -> str:
        return "" if session.place.private else links.file(session.id, file_id)

    fetch = NOWHERE.fetch if settings.slack_bot_token is None else Downloads(slack_config(settings)).fetch
    return Outside(file_url, fetch)


def web_routes(
    settings: BotSettings, shop: Workshop, links: ViewLinks, slack: SlackClient | None
) -> list[web.RouteDef]:
    """What people, Slack and the forge reach."""
    may_view = slack.may_view if slack else _only_public
    admission, shelf = Admission(shop.store, links, may_view), Shelf(settings.jobs.files_dir)
    pages, files = ViewPages(shop.store, admission), FilePages(admission, shelf)
    warm = WarmPage(shop.store, links, may_view, partial(warm_up, shop))
    routes = [*pages.routes, *files.routes, *warm.routes, web.get("/health", partial(health, shop, slack))]
    if slack is not None:
        routes += slack.routes
    if settings.github_webhook_secret is not None:
        secret = settings.github_webhook_secret.get_secret_value()
        routes += GitHubEvents(secret, shop.inbox, shop.store, shop.forge.notes).routes
    return routes


def metrics_routes(settings: BotSettings, shop: Workshop, metrics: Metrics) -> list[web.RouteDef]:
    """What Prometheus reaches: with its token, or without one if nobody but this machine can reach us."""
    token = settings.metrics_token.get_secret_value() if settings.metrics_token is not None else None
    if token is None and not settings.only_here:
        log.info("metrics are off: SHIPMATE_METRICS_TOKEN is not set, and others than this machine can reach us")
        return []
    return MetricsPage(metrics, partial(census.take, shop), token).routes


async def listen(
    settings: BotSettings,
    routes: Sequence[web.AbstractRouteDef],
    for_boxes: Sequence[web.AbstractRouteDef],
    opened: AsyncExitStack,
) -> None:
    """Serve people and, where there are boxes elsewhere, those: as the gateway's own socket does."""
    app = web.Application(middlewares=[finish] if for_boxes else [])
    app.add_routes([*routes, *for_boxes])
    if for_boxes:
        app.on_response_prepare.append(unbuffered)
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=SHUTDOWN_SECONDS,
        auto_decompress=not for_boxes,
        handler_cancellation=bool(for_boxes),
    )
    await runner.setup()
    opened.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG).start()


async def health(shop: Workshop, slack: SlackClient | None, _request: web.Request) -> web.Response:
    """GET /health: 200 when a prompt could be taken now, else 503 and what is missing."""
    missing = []
    try:
        async with asyncio.timeout(1.0):
            await shop.store.ping()
    except Exception:  # whatever it is, it is why no prompt can be taken
        missing.append("redis")
    if slack is not None and not await slack.connected():
        missing.append("slack")
    return web.json_response({"ok": not missing, "missing": missing}, status=503 if missing else 200)


def slack_client(
    settings: BotSettings, shop: Workshop, door: Door, links: ViewLinks, counted: Counted
) -> SlackClient | None:
    """The Slack client that the settings mean; None turns Slack off."""
    if settings.slack_bot_token is None:
        log.warning("SLACK_BOT_TOKEN is not set: Slack is off")
        return None
    enabled = shop.settings.repositories
    return SlackClient(
        slack_config(settings),
        inbox=door,
        store=shop.store,
        repositories=Repositories(
            choose=lambda text: repos.choose(text, enabled, shop.settings.github_url),
            base_branch=lambda name: repos.base_branch(name, enabled),
            enabled=tuple(repository.name for repository in enabled),
        ),
        links=links,
        warm_up=partial(warm_up, shop),
        clock=shop.clock,
        counted=counted,
    )


def slack_config(settings: BotSettings) -> SlackConfig:
    """What the Slack client is told."""
    assert settings.slack_bot_token is not None, "Slack is on"
    return SlackConfig(
        bot_token=settings.slack_bot_token.get_secret_value(),
        app_token=settings.slack_app_token.get_secret_value() if settings.slack_app_token else "",
        signing_secret=settings.slack_signing_secret.get_secret_value() if settings.slack_signing_secret else "",
        api_url=settings.slack_api_url,
        agent=settings.jobs.agent,
        files_dir=settings.jobs.files_dir,
        allowed_bots=frozenset(settings.allowed_bots),
    )


async def _only_public(place: Place, _viewer: str) -> bool:
    return not place.private
