"""A workshop for the tests of images: real boxes, the real gateway, and the playground's forge to clone from."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.gateway.egress_rules import Target
from bot.gateway.mirrors import MARK
from bot.gateway.server import Gateway
from bot.metrics import Metrics
from bot.playground.forge import Forge as PlaygroundForge
from bot.settings import BotSettings
from jobs import image_log
from jobs.image_records import Image
from jobs.images import build_image
from jobs.operations import start_box
from jobs.session import Status
from jobs.store import Store
from tests.jobs.forge import change
from tests.jobs.shop import ROCKET, Bench, bench

RECIPE = ".devcontainer/devcontainer.json"
BUILD_SECONDS = 30.0


@asynccontextmanager
async def images_of(
    forge: PlaygroundForge, store: Store, redis_url: str, *near: Target, **environment: str
) -> AsyncIterator[Bench]:
    """A workshop whose boxes reach this forge through a gateway, and what is `near`."""
    told = {name: value for name, value in forge.describe(forge.base_url).items() if name != "GITHUB_WEBHOOK_SECRET"}
    async with bench(store, redis_url, SHIPMATE_SYNC_SECONDS="2", **told, **environment) as opened:
        shop = opened.shop
        settings = BotSettings(jobs=shop.settings, egress_private=near)
        gateway = Gateway(settings, store, shop.inbox, shop.forge, Metrics())
        await gateway.start()
        yield opened
        await gateway.close()


async def built(at: Bench, repository: str = ROCKET) -> Image | None:
    """What a worker makes of it now, within a time that no build of a test needs."""
    async with asyncio.timeout(BUILD_SECONDS):
        return await build_image(at.shop, repository)


async def asked(at: Bench) -> Image | None:
    """An image that somebody asked for, made now, of what the forge has now."""
    outdate(at)
    await at.shop.store.images.ask(ROCKET, at.clock())
    return await built(at)


def outdate(at: Bench) -> None:
    """The gateway takes its mirror for the forge for a second; from here on it does not."""
    for mark in at.shop.settings.data_dir.rglob(MARK):
        mark.unlink()


async def good(at: Bench) -> Image:
    image = await asked(at)
    assert image is not None, await told(at)
    return image


async def failed(at: Bench) -> str:
    """Why the build that is asked for now fails. Nothing is left of it."""
    before = await at.shop.store.images.good(ROCKET)
    assert await asked(at) is None
    assert await at.shop.store.images.good(ROCKET) == before, "what was good stays"
    assert [box.name for box in await at.shop.provider.list() if "image" in box.labels] == []
    assert layers(at) <= len(before)
    latest = (await at.shop.store.images.standing(ROCKET)).latest
    assert latest is not None
    assert latest.state == "failed"
    return latest.reason


def layers(at: Bench) -> int:
    return len(list((at.shop.settings.boxes_dir / "layers").glob("[!.]*")))


async def told(at: Bench) -> str:
    """The log of the newest build."""
    latest = (await at.shop.store.images.standing(ROCKET)).latest
    return image_log.path(at.shop.settings.data_dir, latest.id).read_text() if latest else "there was no build"


async def recipe(forge: PlaygroundForge, **said: object) -> None:
    await change(forge, "main", {RECIPE: json.dumps(said)})


async def started(at: Bench) -> str:
    await at.ask()
    await begun(at)
    await at.until(Status.WORKING)
    return f"{at.sid}-1"


async def begun(at: Bench) -> None:
    """The session's box is asked for, in time."""
    async with asyncio.timeout(BUILD_SECONDS):
        await start_box(at.shop, at.sid)


async def said(at: Bench, box: str, *argv: str) -> str:
    return (await at.shop.provider.exec(box, argv)).stdout.decode()
