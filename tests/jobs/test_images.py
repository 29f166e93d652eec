"""Images: built by a real box that clones the playground's repository through the real gateway, once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.gateway.mirrors import FRESH_SECONDS
from bot.gateway.server import Gateway
from bot.metrics import Metrics
from bot.playground.forge import Forge as PlaygroundForge
from bot.settings import BotSettings
from jobs.commands import Choice
from jobs.events import PromptWithdrawn
from jobs.images import build_image
from jobs.operations import start_box
from jobs.records import Image, Unnamed
from jobs.session import Status
from jobs.store import Store
from sandbox.provider import Permanent
from tests.jobs.forge import push, serving
from tests.jobs.shop import ROCKET, Bench, bench


@pytest.fixture
async def forge(tmp_path: Path) -> AsyncIterator[PlaygroundForge]:
    async with serving(tmp_path / "forge") as play:
        yield play


@pytest.fixture
async def at(store: Store, redis_url: str, forge: PlaygroundForge) -> AsyncIterator[Bench]:
    told = {name: value for name, value in forge.describe(forge.base_url).items() if name != "GITHUB_WEBHOOK_SECRET"}
    async with bench(store, redis_url, SHIPMATE_SYNC_SECONDS="2", **told) as opened:
        shop = opened.shop
        gateway = Gateway(BotSettings(jobs=shop.settings), store, shop.inbox, shop.forge, Metrics())
        await gateway.start()
        yield opened
        await gateway.close()


async def test_an_image_is_a_clone_that_a_sessions_box_grows_from(at: Bench, forge: PlaygroundForge) -> None:
    image = await build_image(at.shop, ROCKET)
    assert image is not None
    assert image == await at.shop.store.image(ROCKET)
    assert image.bytes > 0
    assert await at.shop.provider.list() == [], "the box that cloned is gone"
    await at.ask()
    await start_box(at.shop, at.sid)
    session = await at.until(Status.WORKING)
    assert session.start == "image"
    tip = (await forge.commits(ROCKET))[0].sha
    said = await at.shop.provider.exec(f"{at.sid}-1", ("git", "rev-parse", "HEAD"))
    assert said.stdout.decode().strip() == tip


async def test_what_came_after_the_image_is_fetched(at: Bench, forge: PlaygroundForge) -> None:
    await build_image(at.shop, ROCKET)
    await push(forge, "main", "Newer")
    await asyncio.sleep(FRESH_SECONDS)  # for so long the gateway takes its mirror for the forge
    await at.ask()
    await start_box(at.shop, at.sid)
    await at.until(Status.WORKING)
    said = await at.shop.provider.exec(f"{at.sid}-1", ("git", "log", "-1", "--format=%s"))
    assert said.stdout == b"Newer\n"


async def test_a_second_worker_leaves_the_build_to_the_first(at: Bench) -> None:
    assert await at.shop.store.lease(f"image:{ROCKET}", "another worker", 60)
    assert await build_image(at.shop, ROCKET) is None
    await at.shop.store.release(f"image:{ROCKET}", "another worker")
    assert await build_image(at.shop, ROCKET) is not None


async def test_a_newer_image_takes_the_place_of_the_older(at: Bench) -> None:
    first, second = await build_image(at.shop, ROCKET), await build_image(at.shop, ROCKET)
    assert isinstance(first, Image)
    assert isinstance(second, Image)
    assert first.snapshot != second.snapshot
    assert await at.shop.store.image(ROCKET) == second
    assert await at.shop.store.leftovers.unnamed(at.clock() + 1) == [Unnamed(ROCKET, first.snapshot)]


async def test_while_the_forge_is_down_there_is_no_image_and_nothing_is_left(at: Bench, forge: PlaygroundForge) -> None:
    forge.faults.down = True
    assert await build_image(at.shop, ROCKET) is None
    assert await at.shop.store.image(ROCKET) is None
    assert await at.shop.provider.list() == []
    forge.faults.down = False
    assert await build_image(at.shop, ROCKET) is not None


async def test_a_box_that_cannot_be_made_is_no_fault_of_the_worker(at: Bench) -> None:
    at.fails("create", Permanent("bubblewrap is missing"))
    assert await build_image(at.shop, ROCKET) is None
    at.fails("create", None)
    assert await build_image(at.shop, ROCKET) is not None


async def test_a_repository_that_the_forge_does_not_have_is_told_to_people(at: Bench) -> None:
    await at.ask(Choice("acme/none", "main"))
    await start_box(at.shop, at.sid)
    await at.until(Status.FAILED)
    (withdrawn,) = [event for event in await at.events() if isinstance(event, PromptWithdrawn)]
    assert "acme/none" in withdrawn.reason
