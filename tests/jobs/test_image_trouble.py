"""Images on bad days: steps that fail, a forge that is away, workers that are killed, damage, and who is told of it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.playground.forge import Forge as PlaygroundForge
from jobs import image_log
from jobs.berths import YIELD_SECONDS
from jobs.commands import Choice
from jobs.events import Noted, PromptWithdrawn
from jobs.image_records import Build, Standing
from jobs.images import build_image, due
from jobs.session import Status
from jobs.store import Store
from jobs.upkeep import Upkeep
from sandbox.provider import Permanent, Temporary, Unreachable
from tests.jobs.forge import change, serving
from tests.jobs.imaging import (
    BUILD_SECONDS,
    RECIPE,
    asked,
    begun,
    built,
    failed,
    good,
    images_of,
    layers,
    outdate,
    recipe,
    said,
    started,
    told,
)
from tests.jobs.shop import ROCKET, Bench
from tests.waiting import until


@pytest.fixture
async def forge(tmp_path: Path) -> AsyncIterator[PlaygroundForge]:
    async with serving(tmp_path / "forge") as play:
        yield play


@pytest.fixture
async def at(store: Store, redis_url: str, forge: PlaygroundForge) -> AsyncIterator[Bench]:
    async with images_of(forge, store, redis_url) as opened:
        yield opened


def ours(**said: object) -> dict[str, object]:
    return {"customizations": {"shipmate": said}}


BAD: dict[str, tuple[dict[str, object], str]] = {
    "updateContentCommand": ({"updateContentCommand": "echo no; exit 3"}, "exit 3' ended with 3. It said: no"),
    "postCreateCommand": ({"postCreateCommand": {"a": "true", "b": ["no-such"]}}, "'b: no-such' ended with 127"),
    "warm": (ours(warm=["true", "kill -9 $$"]), "'kill -9 $$' ended with"),
    "check": (ours(check=["exit 9"]), "'exit 9' ended with 9"),
    "time": ({"onCreateCommand": "sleep 60", **ours(seconds=1)}, "took longer than 1 seconds"),
    "recipe": ({"onCreateCommand": 7}, f"line 1 of {RECIPE}: onCreateCommand must be"),
}  # fmt: skip
MOVES_HEAD = "git checkout -q --detach; git -c user.name=x -c user.email=x commit -q --allow-empty -m x"


async def test_a_build_that_fails_at_a_step_says_which_and_leaves_nothing(at: Bench, forge: PlaygroundForge) -> None:
    for what, (asks, reason) in BAD.items():
        await recipe(forge, **asks)
        assert reason in await failed(at), what
        assert "FAILED: " in await told(at)


async def test_what_a_step_did_to_git_is_put_right(at: Bench, forge: PlaygroundForge) -> None:
    await recipe(forge, onCreateCommand=MOVES_HEAD, postCreateCommand="echo more >> README.md")
    tip = (await forge.commits(ROCKET))[0].sha
    assert (await good(at)).commit == tip
    assert "put back as it is in the commit: README.md" in await told(at)
    box = await started(at)
    assert await said(at, box, "git", "log", "-1", "--format=%H") == f"{tip}\n"


async def test_credentials_in_a_tree_fail_it_wherever_they_came_from(at: Bench, forge: PlaygroundForge) -> None:
    token = at.shop.settings.github_token
    assert token is not None
    ours = f"mkdir -p node_modules; echo {token.get_secret_value()} > node_modules/x"
    await recipe(forge, onCreateCommand={"ours": ours, "theirs": "echo AKIAABCDEFGHIJKLMNOP > ~/.aws"})
    assert ", and an image must hold none" in await failed(at)
    log = await told(at)
    assert "node_modules/x holds a credential of Shipmate's" in log
    assert "/home/.aws holds an AWS key" in log


async def test_while_the_forge_is_down_nothing_changes_and_it_is_tried_again_soon(
    at: Bench, forge: PlaygroundForge
) -> None:
    first = await good(at)
    forge.faults.down = True
    outdate(at)
    at.clock.ahead = 1_801
    assert await built(at) is None
    standing = await at.shop.store.images.standing(ROCKET)
    assert standing.latest is not None
    assert (standing.latest.state, standing.failures) == ("waiting", 0)
    assert standing.next_at < at.clock() + 61
    forge.faults.down = False
    assert await at.shop.store.images.newest(ROCKET) == first
    at.clock.ahead += 61
    assert await built(at) is None, "nothing moved"


async def test_a_repository_without_a_commit_is_refused_in_words(at: Bench, forge: PlaygroundForge) -> None:
    await forge.create_repository("acme/empty")
    await forge.bare("acme/empty").git("update-ref", "-d", "refs/heads/main")
    assert await built(at, "acme/empty") is None
    latest = (await at.shop.store.images.standing("acme/empty")).latest
    assert latest is not None
    assert "the forge has no branch main with a commit" in latest.reason


async def test_submodules_and_large_files_are_named_in_the_log_and_in_the_thread(
    at: Bench, forge: PlaygroundForge
) -> None:
    await change(forge, "main", {".gitattributes": "*.bin filter=lfs\n"}, submodule="vendor/engine")
    image = await good(at)
    assert [note.split(".")[0] for note in image.notes] == [
        "This repository has 1 submodules", "This repository keeps files in Git LFS"
    ]  # fmt: skip
    assert image.notes[0] in await told(at)
    await started(at)
    assert [event.text for event in await at.events() if isinstance(event, Noted)] == list(image.notes)


async def test_a_box_that_cannot_be_made_is_no_fault_of_the_worker(at: Bench) -> None:
    at.fails("create", Permanent("bubblewrap is missing"))
    assert await failed(at) == "bubblewrap is missing"
    at.fails("create", Temporary("busy", 1.0))
    assert await asked(at) is None
    assert (await at.shop.store.images.standing(ROCKET)).failures == 1
    assert await due(at.shop) == {}
    at.clock.ahead += 61
    assert ROCKET in await due(at.shop) and await at.shop.store.images.asked(ROCKET), "it is still asked for"
    at.fails("create", None)
    at.fails("last_state", Temporary("the disk of the boxes is full", 20.0))
    assert await asked(at) is None
    assert (await at.shop.provider.list(), layers(at)) == ([], 0)
    at.fails("last_state", None)
    assert await asked(at) is not None


async def test_a_box_that_is_not_gone_yet_takes_nothing_from_its_image(at: Bench) -> None:
    at.fails("discard", Unreachable("it does not answer"))
    image = await good(at)
    standing = await at.shop.store.images.standing(ROCKET)
    assert standing.latest is not None and standing.latest.state == "good"
    at.fails("discard", None)
    await Upkeep(at.shop).sweep()
    assert await at.shop.provider.list() == []
    assert (await at.shop.store.images.newest(ROCKET), layers(at)) == (image, 1)


async def test_a_session_that_began_without_an_image_is_told_once_when_none_can_be_built(
    at: Bench, forge: PlaygroundForge
) -> None:
    await recipe(forge, onCreateCommand="exit 3")
    await at.ask()
    await begun(at)
    assert (await at.session()).start == "cold"
    for _ in range(2):
        await failed(at)
    (note,) = [event.text for event in await at.events() if isinstance(event, Noted)]
    assert note.startswith(f"No image of {ROCKET} could be built: onCreateCommand: 'exit 3' ended with 3.")
    assert f"shipmate images log {ROCKET}" in note


async def test_a_session_that_begins_from_an_older_image_is_told_why(at: Bench, forge: PlaygroundForge) -> None:
    await good(at)
    await recipe(forge, onCreateCommand="exit 3")
    await failed(at)
    await started(at)
    (note,) = [event.text for event in await at.events() if isinstance(event, Noted)]
    assert note.startswith(f"The newest image of {ROCKET} could not be built, so I begin from an older one:")
    assert (await at.session()).start == "image"


async def test_a_damaged_image_is_dropped_by_the_next_build_and_by_a_session_that_wants_it(
    at: Bench, forge: PlaygroundForge
) -> None:
    first = await good(at)
    await at.shop.provider.forget_snapshot(first.snapshot)
    second = await good(at)
    assert second.age == 0, "from scratch"
    assert await at.shop.store.images.good(ROCKET) == [second]
    await recipe(forge, onCreateCommand="true")
    await at.shop.provider.forget_snapshot((await good(at)).snapshot)
    await at.ask()
    await begun(at)
    assert (await at.session()).start == "image", "the one before"
    assert await at.shop.store.images.good(ROCKET) == [second]
    assert ROCKET in await due(at.shop), "another one is built"


async def test_a_repository_that_the_forge_does_not_have_is_told_to_people(at: Bench) -> None:
    await at.ask(Choice("acme/none", "main"))
    await begun(at)
    await at.until(Status.FAILED)
    (withdrawn,) = [event for event in await at.events() if isinstance(event, PromptWithdrawn)]
    assert "acme/none" in withdrawn.reason


async def begin(at: Bench, *when: str) -> asyncio.subprocess.Process:
    """A worker that builds the image, and is killed in the moment that is named."""
    settings = at.shop.settings
    env = {
        "PATH": os.environ["PATH"], "SHIPMATE_UNISOLATED": "1", "SHIPMATE_REPOSITORIES": ROCKET,
        "REDIS_URL": settings.redis_url, "SHIPMATE_DATA_DIR": str(settings.data_dir),
        "SHIPMATE_BOXES_DIR": str(settings.boxes_dir), "SHIPMATE_GATEWAY_DIR": str(settings.gateway_dir),
        "SHIPMATE_AGENTS_DIR": str(settings.agents_dir),
    }  # fmt: skip
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.jobs.building", ROCKET, *when, env=env)


async def given_up(at: Bench) -> None:
    """What the upkeep makes of it after a minute without a sign of life: no box is left."""
    owner = await at.shop.store.images.builder(ROCKET)
    assert owner is not None
    await at.shop.store.release(f"image:{ROCKET}", owner)
    async with asyncio.timeout(BUILD_SECONDS):
        await Upkeep(at.shop).sweep()
    assert await at.shop.provider.list() == []


KILLED = {"as it clones": ("exec",), "as it is kept": ("last_state",), "as it is promoted": ("discard",)}


@pytest.mark.parametrize("when", KILLED)
async def test_a_build_that_is_killed_leaves_nothing(at: Bench, forge: PlaygroundForge, when: str) -> None:
    async with asyncio.timeout(BUILD_SECONDS):
        assert await (await begin(at, *KILLED[when])).wait() == -signal.SIGKILL
    await given_up(at)
    assert (layers(at), await at.shop.store.images.newest(ROCKET)) == (0, None)


async def test_an_image_whose_worker_is_killed_as_it_tidies_up_stays(at: Bench) -> None:
    async with asyncio.timeout(BUILD_SECONDS):
        assert await (await begin(at, "discard", "2")).wait() == -signal.SIGKILL
    await given_up(at)
    assert layers(at) == 1
    await started(at)
    assert (await at.session()).start == "image"


async def test_a_build_under_way_gives_its_place_to_a_session_that_waits_and_is_made_later(
    store: Store, redis_url: str, forge: PlaygroundForge
) -> None:
    await recipe(forge, onCreateCommand="sleep 60")
    async with images_of(forge, store, redis_url, SHIPMATE_BOXES="1") as at:
        building, logs = asyncio.create_task(asked(at)), image_log.folder(at.shop.settings.data_dir)
        await until(lambda: any("$ sleep 60" in log.read_text() for log in logs.glob("*.log")))
        await at.ask()
        await begun(at)
        assert ((await at.session()).status, (await at.session()).position) == (Status.WAITING, 1)
        at.clock.ahead += YIELD_SECONDS + 1
        assert await building is None
        assert "not now: its box was needed for a session" in await told(at)
        assert ((await at.shop.provider.list()), layers(at), await store.images.builder(ROCKET)) == ([], 0, None)
        await begun(at)
        assert (await at.session()).start == "cold"
        at.clock.ahead += 61
        assert ROCKET in await due(at.shop)


async def test_what_somebody_asked_for_is_known_to_be_killed_at_once_and_still_asked_for(at: Bench) -> None:
    images, now = at.shop.store.images, at.clock()
    build = Build(id="build-1", state="building", began=now - 90, asked=True)
    await images.save_standing(ROCKET, Standing(next_at=now + 1_700).began(build))
    assert list(await due(at.shop)) == [ROCKET]
    assert await build_image(at.shop, ROCKET) is None, "it is tried again later"
    standing = await images.standing(ROCKET)
    assert standing.latest is not None and standing.latest.reason == "its worker was killed"
    assert await images.asked(ROCKET) == standing.next_at > now
    assert await due(at.shop) == {}
    at.clock.ahead = 61
    assert list(await due(at.shop)) == [ROCKET]


HANGS: dict[str, dict[str, object]] = {
    "== onCreateCommand": {"onCreateCommand": "sleep 60"},
    "== check": ours(check=["sleep 60"]),
}


@pytest.mark.parametrize("mark", HANGS)
async def test_a_build_that_is_killed_in_the_middle_leaves_nothing_and_is_made_again(
    at: Bench, forge: PlaygroundForge, mark: str
) -> None:
    await recipe(forge, **HANGS[mark])
    shop, settings = at.shop, at.shop.settings
    building = await begin(at)
    logs = image_log.folder(settings.data_dir)
    try:
        await until(lambda: any(f"{mark}\n" in log.read_text() for log in logs.glob("*.log")))
        await until(lambda: any("$ sleep 60" in log.read_text() for log in logs.glob("*.log")))
    finally:
        building.kill()
        await until(lambda: building.returncode is not None)
    await given_up(at)
    assert layers(at) == 0
    await recipe(forge)
    outdate(at)
    assert list(await due(shop)) == [ROCKET]
    assert await built(at) is None, "it failed, and is tried again later"
    standing = await shop.store.images.standing(ROCKET)
    assert standing.latest is not None
    assert (standing.failures, standing.latest.reason) == (1, "its worker was killed")
    at.clock.ahead = 61
    assert await built(at) is not None
