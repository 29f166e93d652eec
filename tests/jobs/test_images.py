"""Images: built by real boxes that clone the playground's repository through the real gateway and follow its recipe."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.gateway.egress_rules import Target
from bot.playground.forge import Forge as PlaygroundForge
from jobs.images import build_image, due
from jobs.store import Store
from tests.jobs.forge import push, serving
from tests.jobs.imaging import good, images_of, outdate, recipe, said, started, told
from tests.jobs.shop import ROCKET, Bench


@pytest.fixture
async def forge(tmp_path: Path) -> AsyncIterator[PlaygroundForge]:
    async with serving(tmp_path / "forge") as play:
        yield play


@pytest.fixture
async def at(store: Store, redis_url: str, forge: PlaygroundForge) -> AsyncIterator[Bench]:
    async with images_of(forge, store, redis_url) as opened:
        yield opened


async def test_an_image_is_the_repository_made_ready_and_a_sessions_box_grows_from_it(
    at: Bench, forge: PlaygroundForge
) -> None:
    await recipe(
        forge,
        image="python:3.12",
        onCreateCommand="echo created >> steps.txt",
        updateContentCommand=["sh", "-c", "echo $STAGE >> steps.txt"],
        postCreateCommand={"a": "touch a.txt", "b": ["touch", "b c.txt"]},
        postStartCommand="echo started",
        containerEnv={"STAGE": "updated"},
        customizations={"shipmate": {"warm": ["cat steps.txt"], "check": ["test -f a.txt"], "egress": ["x.example"]}},
        features={},
    )
    tip = (await forge.commits(ROCKET))[0].sha
    image = await good(at)
    assert (image.commit, image.age, image.bytes > 0) == (tip, 0, True)
    steps = [
        "clone",
        "onCreateCommand",
        "updateContentCommand",
        "postCreateCommand",
        "warm",
        "tidy up",
        "keep",
        "check",
    ]
    assert [(step.name, step.code) for step in image.steps] == [(name, 0) for name in steps]
    assert await at.shop.provider.list() == [], "its boxes are gone"
    assert await at.shop.store.egress.of(ROCKET) == ("x.example",)
    log = await told(at)
    for words in ("'features' is left out", "no container images", "$ a: touch a.txt", "created\nupdated\n", "done in"):
        assert words in log
    box = await started(at)
    assert (await at.session()).start == "image"
    assert await said(at, box, "git", "rev-parse", "HEAD") == f"{tip}\n"
    assert await said(at, box, "cat", "steps.txt") == "created\nupdated\n"
    assert await said(at, box, "git", "status", "--porcelain") == "", "nobody commits what the steps made"
    assert await said(at, box, "sh", "-c", "echo $STAGE") == "updated\n"
    waits = "until grep -q started ~/start.log 2>/dev/null; do sleep 0.05; done; echo yes"
    assert await said(at, box, "sh", "-c", waits) == "yes\n"


async def test_the_next_image_grows_from_the_one_before_and_only_its_content_is_updated(
    at: Bench, forge: PlaygroundForge
) -> None:
    await recipe(forge, onCreateCommand="echo c >> steps.txt", updateContentCommand="echo u >> steps.txt")
    first = await good(at)
    await push(forge, "main", "Newer")
    second = await good(at)
    assert (second.age, second.expires_at) == (1, first.expires_at)
    assert second.commit == (await forge.commits(ROCKET))[0].sha
    box = await started(at)
    assert await said(at, box, "cat", "steps.txt") == "c\nu\nu\n"
    assert await said(at, box, "git", "log", "-1", "--format=%s") == "Newer\n"


async def test_a_recipe_that_changed_begins_from_scratch(at: Bench, forge: PlaygroundForge) -> None:
    await recipe(forge, onCreateCommand="echo one >> steps.txt")
    await good(at)
    await recipe(forge, onCreateCommand="echo two >> steps.txt")
    assert (await good(at)).age == 0
    assert await said(at, await started(at), "cat", "steps.txt") == "two\n"


async def test_a_branch_that_was_rewritten_is_followed(at: Bench, forge: PlaygroundForge) -> None:
    await push(forge, "main", "To be taken back")
    await good(at)
    bare = forge.bare(ROCKET)
    await bare.point("refs/heads/main", (await forge.commits(ROCKET))[2].sha)
    await push(forge, "main", "Instead")
    assert (await good(at)).age == 1
    subjects = await said(at, await started(at), "git", "log", "-2", "--format=%s")
    assert subjects.startswith("Instead\n")
    assert "taken back" not in subjects


async def test_nothing_is_built_unless_something_moved(at: Bench, forge: PlaygroundForge) -> None:
    assert await build_image(at.shop, ROCKET) is not None
    assert await build_image(at.shop, ROCKET) is None, "it is not due"
    first = await at.shop.store.images.standing(ROCKET)
    at.clock.ahead = 1_801
    assert await due(at.shop) == {ROCKET: first.next_at}
    assert await build_image(at.shop, ROCKET) is None, "the branch is where it was"
    assert [build.state for build in (await at.shop.store.images.standing(ROCKET)).builds] == ["good"]
    assert await due(at.shop) == {}
    await push(forge, "main", "Newer")
    at.clock.ahead = 3_700
    outdate(at)
    second = await build_image(at.shop, ROCKET)
    assert second is not None
    assert [image.id for image in await at.shop.store.images.good(ROCKET)][0] == second.id


DOWNLOAD = """python3 -c '
import http.client, os, sys, urllib.parse
way = urllib.parse.urlsplit(os.environ["http_proxy"])
for address, to in (("http://localhost:%d/package", "package"), ("http://elsewhere.example/", "refused")):
    asked = http.client.HTTPConnection(way.hostname, way.port)
    asked.request("GET", address)
    open(to, "wb").write(asked.getresponse().read())
' && cat refused"""


async def test_what_a_build_downloads_comes_through_the_way_out_and_a_refusal_is_told_in_its_log(
    store: Store, redis_url: str, forge: PlaygroundForge
) -> None:
    async def package(_: web.Request) -> web.Response:
        return web.Response(text="of the registry\n")

    app = web.Application()
    app.router.add_get("/package", package)
    async with TestServer(app) as registry:
        assert registry.port is not None
        async with images_of(forge, store, redis_url, Target("localhost", registry.port)) as at:
            await recipe(forge, onCreateCommand=DOWNLOAD % registry.port)
            await good(at)
            assert "elsewhere.example is not in this repository's list" in await told(at)
            assert await said(at, await started(at), "cat", "package") == "of the registry\n"


async def test_a_second_worker_leaves_the_build_to_the_first(at: Bench) -> None:
    assert await at.shop.store.lease(f"image:{ROCKET}", "another worker", 60)
    assert await build_image(at.shop, ROCKET) is None
    assert await due(at.shop) == {}
    await at.shop.store.release(f"image:{ROCKET}", "another worker")
    assert await build_image(at.shop, ROCKET) is not None
