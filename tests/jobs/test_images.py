"""Images: built by real boxes that clone the playground's repository through the real gateway and follow its recipe."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.gateway.mirrors import MARK
from bot.gateway.server import Gateway
from bot.metrics import Metrics
from bot.playground.forge import Forge as PlaygroundForge
from bot.settings import BotSettings
from jobs import image_log
from jobs.commands import Choice
from jobs.events import Noted, PromptWithdrawn
from jobs.image_records import Build, Image, Standing
from jobs.images import build_image, due
from jobs.operations import start_box
from jobs.session import Status
from jobs.store import Store
from sandbox.provider import Permanent, Temporary
from tests.jobs.forge import change, push, serving
from tests.jobs.shop import ROCKET, Bench, bench

RECIPE = ".devcontainer/devcontainer.json"


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


async def asked(at: Bench) -> Image | None:
    """An image that somebody asked for, made now, of what the forge has now."""
    outdate(at)
    await at.shop.store.images.ask(ROCKET, at.clock())
    return await build_image(at.shop, ROCKET)


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
    await start_box(at.shop, at.sid)
    await at.until(Status.WORKING)
    return f"{at.sid}-1"


async def said(at: Bench, box: str, *argv: str) -> str:
    return (await at.shop.provider.exec(box, argv)).stdout.decode()


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


async def test_a_second_worker_leaves_the_build_to_the_first(at: Bench) -> None:
    assert await at.shop.store.lease(f"image:{ROCKET}", "another worker", 60)
    assert await build_image(at.shop, ROCKET) is None
    assert await due(at.shop) == {}
    await at.shop.store.release(f"image:{ROCKET}", "another worker")
    assert await build_image(at.shop, ROCKET) is not None


def ours(**said: object) -> dict[str, object]:
    return {"customizations": {"shipmate": said}}


BAD: dict[str, tuple[dict[str, object], str]] = {
    "onCreateCommand": ({"onCreateCommand": "echo no; exit 3"}, "'echo no; exit 3' ended with 3. It said: no"),
    "updateContentCommand": ({"updateContentCommand": ["no-such-program"]}, "'no-such-program' ended with 127"),
    "postCreateCommand": ({"postCreateCommand": {"a": "true", "b": "false"}}, "'b: false' ended with 1"),
    "warm": (ours(warm=["true", "kill -9 $$"]), "'kill -9 $$' ended with"),
    "check": (ours(check=["exit 9"]), "'exit 9' ended with 9"),
    "time": ({"onCreateCommand": "sleep 60", **ours(seconds=1)}, "took longer than 1 seconds"),
    "recipe": ({"onCreateCommand": 7}, f"line 1 of {RECIPE}: onCreateCommand must be"),
    "credential": ({"onCreateCommand": "echo AKIAABCDEFGHIJKLMNOP > ~/.aws"}, "/home/.aws holds an AWS key"),
}  # fmt: skip
MOVES_HEAD = "git checkout -q --detach; git -c user.name=x -c user.email=x commit -q --allow-empty -m x"


@pytest.mark.parametrize("what", BAD)
async def test_a_build_that_fails_at_a_step_says_which_and_leaves_nothing(
    at: Bench, forge: PlaygroundForge, what: str
) -> None:
    said, reason = BAD[what]
    await recipe(forge, **said)
    assert reason in await failed(at)
    assert "FAILED: " in await told(at)


async def test_what_a_step_did_to_git_is_put_right(at: Bench, forge: PlaygroundForge) -> None:
    await recipe(forge, onCreateCommand=MOVES_HEAD, postCreateCommand="echo more >> README.md")
    tip = (await forge.commits(ROCKET))[0].sha
    assert (await good(at)).commit == tip
    assert "put back as it is in the commit: README.md" in await told(at)
    box = await started(at)
    assert await said(at, box, "git", "log", "-1", "--format=%H") == f"{tip}\n"


async def test_our_own_secrets_in_a_tree_fail_it_wherever_they_came_from(at: Bench, forge: PlaygroundForge) -> None:
    token = at.shop.settings.github_token
    assert token is not None
    await recipe(forge, onCreateCommand=f"mkdir -p node_modules; echo {token.get_secret_value()} > node_modules/x")
    assert "holds a credential of Shipmate's" in await failed(at)


async def test_while_the_forge_is_down_nothing_changes_and_it_is_tried_again_soon(
    at: Bench, forge: PlaygroundForge
) -> None:
    first = await good(at)
    forge.faults.down = True
    at.clock.ahead = 1_801
    assert await build_image(at.shop, ROCKET) is None
    standing = await at.shop.store.images.standing(ROCKET)
    assert standing.latest is not None
    assert (standing.latest.state, standing.failures) == ("waiting", 0)
    assert standing.next_at < at.clock() + 61
    forge.faults.down = False
    assert await at.shop.store.images.newest(ROCKET) == first
    at.clock.ahead += 61
    assert await build_image(at.shop, ROCKET) is None, "nothing moved"


async def test_a_repository_without_a_commit_is_refused_in_words(at: Bench, forge: PlaygroundForge) -> None:
    await forge.create_repository("acme/empty")
    await forge.bare("acme/empty").git("update-ref", "-d", "refs/heads/main")
    assert await build_image(at.shop, "acme/empty") is None
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
    at.fails("create", None)
    assert await asked(at) is not None


async def test_a_build_whose_worker_was_killed_counts_as_failed_and_is_tried_again(at: Bench) -> None:
    killed = Build(id="build-1", state="building", began=at.clock())
    await at.shop.store.images.save_standing(ROCKET, Standing(builds=(killed,)))
    assert await due(at.shop) == {ROCKET: 0.0}
    assert await build_image(at.shop, ROCKET) is None
    standing = await at.shop.store.images.standing(ROCKET)
    assert standing.latest is not None
    assert (standing.failures, standing.latest.reason) == (1, "its worker was killed")
    at.clock.ahead = 61
    assert await build_image(at.shop, ROCKET) is not None


async def test_a_session_that_began_without_an_image_is_told_once_when_none_can_be_built(
    at: Bench, forge: PlaygroundForge
) -> None:
    await recipe(forge, onCreateCommand="exit 3")
    await at.ask()
    await start_box(at.shop, at.sid)
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


async def test_a_damaged_image_is_dropped_and_the_one_before_is_used(at: Bench, forge: PlaygroundForge) -> None:
    first = await good(at)
    await recipe(forge, onCreateCommand="true")
    second = await good(at)
    await at.shop.provider.forget_snapshot(second.snapshot)
    await at.ask()
    await start_box(at.shop, at.sid)
    session = await at.session()
    assert session.start == "image"
    assert await at.shop.store.images.good(ROCKET) == [first]
    assert ROCKET in await due(at.shop), "another one is built"


async def test_an_image_is_built_from_scratch_where_the_one_before_is_damaged(at: Bench) -> None:
    first = await good(at)
    await at.shop.provider.forget_snapshot(first.snapshot)
    assert (await good(at)).age == 0
    assert len(await at.shop.store.images.good(ROCKET)) == 1


async def test_a_repository_that_the_forge_does_not_have_is_told_to_people(at: Bench) -> None:
    await at.ask(Choice("acme/none", "main"))
    await start_box(at.shop, at.sid)
    await at.until(Status.FAILED)
    (withdrawn,) = [event for event in await at.events() if isinstance(event, PromptWithdrawn)]
    assert "acme/none" in withdrawn.reason
