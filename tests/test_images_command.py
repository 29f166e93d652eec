"""`shipmate images`: what it says and with which code, over a real record and real builds."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis import Redis
from rq import Worker
from rq.serializers import JSONSerializer

from bot import cli, images_command
from bot.playground.forge import Forge as PlaygroundForge
from jobs.images import build_image
from jobs.queue import open_queue
from jobs.store import Store
from tests.jobs.forge import serving
from tests.jobs.imaging import asked, good, images_of, recipe
from tests.jobs.shop import ROCKET, Bench


@pytest.fixture
async def forge(tmp_path: Path) -> AsyncIterator[PlaygroundForge]:
    async with serving(tmp_path / "forge") as play:
        yield play


@pytest.fixture
async def at(store: Store, redis_url: str, forge: PlaygroundForge) -> AsyncIterator[Bench]:
    async with images_of(forge, store, redis_url) as opened:
        yield opened


async def run(at: Bench, line: str) -> int:
    args = cli.parser().parse_args(["images", *line.split()])
    return await asyncio.to_thread(images_command.carry_out, args, at.shop.settings)


async def test_it_lists_what_there_is_and_shows_what_a_build_said(
    at: Bench, forge: PlaygroundForge, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(at, "list") == 0
    assert "no image yet: sessions begin with a clone" in capsys.readouterr().out
    await recipe(forge, onCreateCommand="printf '\\033[31mred\\n'")
    first = await good(at)
    assert await run(at, f"log {ROCKET}") == 0
    said = capsys.readouterr().out
    assert "[31mred\n" in said
    assert "\033" not in said
    await recipe(forge, onCreateCommand="exit 3")
    assert await asked(at) is None
    assert await run(at, "list") == 0
    said = capsys.readouterr().out
    assert f"* {first.commit[:10]}" in said
    assert "the last build failed" in said
    assert await run(at, f"log {ROCKET} --follow") == 1
    assert "FAILED: onCreateCommand: 'exit 3' ended with 3" in capsys.readouterr().out
    assert await run(at, f"log {ROCKET} --build {first.id}") == 0
    capsys.readouterr()
    assert await run(at, "list --json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["failures"], row["images"][0]["id"], row["latest_build"]["state"]) == (1, first.id, "failed")


async def test_a_build_needs_a_worker_and_one_that_is_under_way_is_shown_to_its_end(
    at: Bench, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(at, f"build {ROCKET}") == 1
    assert "start `shipmate worker --queue images`" in capsys.readouterr().err
    connection = Redis.from_url(redis_url)
    worker = Worker([open_queue("images", connection)], connection=connection, serializer=JSONSerializer)
    worker.register_birth()
    await at.shop.store.images.ask(ROCKET, at.clock())
    building = asyncio.create_task(build_image(at.shop, ROCKET))
    while await at.shop.store.images.builder(ROCKET) is None:
        await asyncio.sleep(0.01)
    assert await run(at, f"build {ROCKET} --json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["image"]["id"] == json.loads(told.out)["build"]["id"]
    assert "== clone" in told.err
    assert "done in" in told.err
    assert await building is not None
    worker.register_death()
    connection.close()


async def test_what_there_is_not_is_refused_in_words(at: Bench) -> None:
    for line in ("build acme/none", "log acme/none", f"log {ROCKET} --build build-0", "prune acme/none"):
        with pytest.raises(images_command.Unknown, match="acme/"):
            await run(at, line)


async def test_older_images_are_let_go(at: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    first = await good(at)
    second = await good(at)
    assert await run(at, "prune --json") == 0
    assert json.loads(capsys.readouterr().out) == {"dropped": {ROCKET: [first.id]}, "logs": 0}
    assert await at.shop.store.images.good(ROCKET) == [second]
