"""Pushing through the gateway with real clients: what goes through to the forge, and what a person is told if not."""

import asyncio
import os

import pytest

from jobs.events import Author
from tests.gateway.git_pushes import OURS, push_as_it_is
from tests.gateway.git_world import ADA, BRANCH, ROCKET, SERVE, Box, World, box, working_on, world
from tests.waiting import until

__all__ = ["box", "world"]
EVE = Author(id="U9", name="Eve", email="eve@elsewhere.example")
WORKFLOW = ".github/workflows/ci.yml"


async def test_what_a_box_pushes_is_at_the_forge_and_in_the_next_fetch(world: World, box: Box) -> None:
    work = await box.clone()
    head = await box.commit(work, {"a.txt": "one\n", "link": "x", "odd\rname": "y"})
    said = await box.push(work)
    assert "[new branch]" in said
    assert (await world.branches())[BRANCH] == head
    further = await box.commit(work, {"a.txt": "two\n"})
    await box.push(work)
    assert (await world.branches())[BRANCH] == further
    other = world.box(box.url, "other")
    await other.git("clone", "-q", "-b", BRANCH, other.remote(), "work")
    assert await other.head(other.folder / "work") == further
    assert world.left_in_quarantine() == []


async def test_a_large_push_comes_in_chunks(world: World, box: Box) -> None:
    work = await box.clone()
    head = await box.commit(work, {"big.bin": os.urandom(3_000_000)})
    await box.push(work)
    assert (await world.branches())[BRANCH] == head


async def test_everybody_in_the_session_may_be_author_and_committer(world: World, box: Box) -> None:
    work = await box.clone()
    box.author = Author(id="U2", name="G. Hopper", email="grace@ACME.example")
    head = await box.commit(work, {"a.txt": "by Grace\n"})
    await box.push(work)
    assert (await world.branches())[BRANCH] == head


@pytest.mark.parametrize("role", ["AUTHOR", "COMMITTER"])
async def test_a_stranger_is_neither_author_nor_committer(world: World, box: Box, role: str) -> None:
    work = await box.clone()
    await box.git(
        "commit", "-q", "--allow-empty", "-m", "Not mine", cwd=work, env={f"GIT_{role}_EMAIL": "eve@elsewhere.example"}
    )
    said = await box.push(work, fails=True)
    assert f"! [remote rejected] HEAD -> {BRANCH} (the {role.lower()} of " in said
    assert "<eve@elsewhere.example>, does not take part in this session)" in said
    assert BRANCH not in await world.branches()
    assert world.refusals == ["people"]


async def test_the_work_of_a_stranger_that_the_forge_has_already_may_be_merged(world: World, box: Box) -> None:
    work = await box.clone()
    await box.commit(work, {"mine.txt": "mine\n"})
    stranger = await _at_the_forge(world, "eve", EVE, {"hers.txt": "hers\n", WORKFLOW: "on: push\n"})
    await box.git("fetch", "-q", "origin", cwd=work)
    await box.git("merge", "-q", "-m", "Take main in", "origin/main", cwd=work)
    await box.push(work)
    history = await box.git("rev-list", "HEAD", cwd=work)
    assert stranger in history


async def test_without_a_session_nobody_takes_part(world: World, box: Box) -> None:
    work = await box.clone()
    world.people = []
    await box.commit(work, {"a.txt": "a\n"})
    assert "does not take part in this session" in await box.push(work, fails=True)


@pytest.mark.parametrize(
    ("refspecs", "why"),
    [
        (["HEAD:refs/heads/main"], f"this session may push to {BRANCH} only"),
        (["HEAD:refs/heads/shipmate/another"], f"this session may push to {BRANCH} only"),
        (["HEAD:refs/tags/v9"], f"this session may push to {BRANCH} only"),
        (["HEAD:refs/replace/0123456789012345678901234567890123456789"], f"this session may push to {BRANCH} only"),
        ([f"HEAD:{OURS}", "HEAD:refs/heads/side"], f"{BRANCH} has to be pushed alone"),
        ([f":{OURS}"], "the session's branch may not be deleted"),
        ([":refs/heads/main"], f"this session may push to {BRANCH} only"),
    ],
)
async def test_a_session_moves_its_own_branch_and_nothing_else(
    world: World, box: Box, refspecs: list[str], why: str
) -> None:
    work = await box.clone()
    await box.commit(work, {"a.txt": "a\n"})
    await box.push(work)
    before = await world.branches()
    await box.commit(work, {"a.txt": "b\n"})
    said = await box.push(work, *refspecs, fails=True)
    assert f"({why})" in said
    assert await world.branches() == before
    assert world.refusals == ["branch"]


async def test_history_is_never_rewritten(world: World, box: Box) -> None:
    work = await box.clone()
    head = await box.commit(work, {"a.txt": "a\n"})
    await box.push(work)
    await box.git("reset", "-q", "--hard", "origin/main", cwd=work)
    await box.commit(work, {"a.txt": "another\n"})
    said = await box.push(work, f"+HEAD:{OURS}", fails=True)
    assert "(not a fast-forward: the branch may only move forward; fetch it and merge first)" in said
    assert (await world.branches())[BRANCH] == head
    assert world.refusals == ["forward"]


async def test_workflows_stay_as_they_are_and_history_made_anew_puts_it_right(world: World, box: Box) -> None:
    work = await box.clone()
    wrong = await box.commit(work, {WORKFLOW: "on: push\n"})
    said = await box.push(work, fails=True)
    assert f"(files under .github/workflows/ may not be changed from here: {WORKFLOW})" in said
    await box.git("rm", "-q", WORKFLOW, cwd=work)
    await box.commit(work, {"a.txt": "without\n"})
    said = await box.push(work, fails=True)
    assert f"{WORKFLOW}; {wrong[:10]} does it: make your commits anew without that)" in said
    await box.git("reset", "-q", "--soft", "origin/main", cwd=work)
    head = await box.commit(work, {"a.txt": "without\n"})
    await box.push(work)
    assert (await world.branches())[BRANCH] == head
    assert world.refusals == ["workflows", "workflows"]


@pytest.mark.parametrize("change", ["edit", "delete", "rename", "folder"])
async def test_a_workflow_that_is_there_is_neither_changed_nor_removed(world: World, box: Box, change: str) -> None:
    await _at_the_forge(world, "ada", ADA, {WORKFLOW: "on: push\n"})
    work = await box.clone()
    if change == "edit":
        (work / WORKFLOW).write_text("on: pull_request\n")
    elif change == "rename":
        await box.git("mv", WORKFLOW, ".github/workflows/other.yml", cwd=work)
    else:
        await box.git("rm", "-q", "-r", ".github" if change == "folder" else WORKFLOW, cwd=work)
    if change == "folder":
        (work / ".github").symlink_to("docs")
    await box.commit(work, {"a.txt": "a\n"})
    assert "may not be changed from here" in await box.push(work, fails=True)


async def test_a_file_that_is_too_large_is_named(world: World, box: Box) -> None:
    work = await box.clone()
    await box.commit(work, {"data/huge.bin": bytes(51 << 20)})
    said = await box.push(work, fails=True)
    assert "(files above 50 MB are not pushed: data/huge.bin (51 MB))" in said
    assert world.refusals == ["size"]


async def test_the_same_commit_again_is_a_success(world: World, box: Box) -> None:
    work = await box.clone()
    head = await box.commit(work, {"a.txt": "a\n"})
    for _ in range(2):
        status, said = await push_as_it_is(box, work, head)
        assert (status, f"ok {OURS}" in said) == (200, True), said
    assert "Everything up-to-date" in await box.push(work)


async def test_the_branch_may_be_put_at_a_commit_that_the_forge_has(world: World, box: Box) -> None:
    work = await box.clone()
    await box.push(work)
    branches = await world.branches()
    assert branches[BRANCH] == branches["main"]


async def test_what_the_forge_says_no_to_is_told_in_its_words(world: World, box: Box) -> None:
    work = await box.clone()
    await box.commit(work, {"a.txt": "a\n"})
    world.forge.faults.reject_pushes = True
    said = await box.push(work, fails=True)
    assert "remote: This forge declines every push just now." in said
    assert "(the forge refused it: [remote rejected] (pre-receive hook declined))" in said
    world.forge.faults.reject_pushes = False
    await box.push(work)


async def test_somebody_elses_push_is_not_run_over(world: World, box: Box) -> None:
    work = await box.clone()
    head = await box.commit(work, {"a.txt": "a\n"})
    theirs = await _at_the_forge(world, "eve", EVE, {"b.txt": "b\n"}, BRANCH)
    _, said = await push_as_it_is(box, work, head)  # before the mirror knows of theirs
    assert "the forge refused it: [rejected] (fetch first)" in said
    _, said = await push_as_it_is(box, work, head)  # and after it does
    assert "not a fast-forward" in said
    assert (await world.branches())[BRANCH] == theirs


async def test_a_forge_that_goes_away_before_the_push_is_told(world: World, box: Box) -> None:
    work = await box.clone()
    head = await box.commit(work, {"a.txt": "a\n"})
    world.forge.faults.down = True
    status, said = await push_as_it_is(box, work, head)
    assert (status, f"ng {OURS} The forge could not be reached for acme/rocket" in said) == (200, True), said
    world.time_passes()
    assert "remote: The forge could not be reached for acme/rocket" in await box.push(work, fails=True)
    world.forge.faults.down = False
    await box.push(work)


async def test_a_credential_that_may_not_push_is_told(world: World, box: Box) -> None:
    work = await box.clone()
    head = await box.commit(work, {"a.txt": "a\n"})
    world.token = ""  # reading needs none
    _, said = await push_as_it_is(box, work, head)
    assert "The forge does not accept our credential for acme/rocket: set GITHUB_TOKEN" in said


async def test_two_gateways_take_pushes_at_once(world: World) -> None:
    boxes = []
    for number in range(4):
        grant = SERVE._replace(box=f"box-{number}", branch=f"shipmate/s{number}")
        boxes.append(world.box(await world.gateway(grant=grant), f"box-{number}"))
    works = [await box.clone(branch=f"shipmate/s{number}") for number, box in enumerate(boxes)]
    heads = [
        await box.commit(work, {"a.txt": f"{n}\n"}) for n, (box, work) in enumerate(zip(boxes, works, strict=True))
    ]
    world.time_passes()
    await asyncio.gather(
        *(
            box.push(work, f"HEAD:refs/heads/shipmate/s{n}")
            for n, (box, work) in enumerate(zip(boxes, works, strict=True))
        )
    )
    branches = await world.branches()
    assert [branches[f"shipmate/s{number}"] for number in range(4)] == heads


async def test_of_two_pushes_of_one_branch_at_once_one_wins_and_the_other_is_told(world: World) -> None:
    boxes = [world.box(await world.gateway(), f"box-{number}") for number in range(2)]
    works = [await box.clone() for box in boxes]
    heads = [
        await box.commit(work, {"a.txt": f"{n}\n"}) for n, (box, work) in enumerate(zip(boxes, works, strict=True))
    ]
    answers = await asyncio.gather(*(push_as_it_is(boxes[n], works[n], heads[n]) for n in range(2)))
    done = [f"ok {OURS}" in said for _, said in answers]
    assert sorted(done) == [False, True], answers
    assert (await world.branches())[BRANCH] == heads[done.index(True)]
    assert f"ng {OURS} " in answers[done.index(False)][1]


async def test_the_credential_is_in_no_file_and_in_no_command_line(world: World, box: Box) -> None:
    work = await box.clone()
    await box.commit(work, {"a.txt": "a\n"})
    world.forge.faults.slow = 0.3
    pushing = asyncio.create_task(box.push(work))
    seen: set[str] = set()
    while not pushing.done():
        seen.update(working_on(world))
        await asyncio.sleep(0.02)
    await pushing
    assert any(" push " in line for line in seen)
    assert not any(world.token in line or "Authorization" in line for line in seen)
    kept = b"".join(file.read_bytes() for file in world.data.rglob("*") if file.is_file())
    assert world.token.encode() not in kept
    assert b"Authorization" not in kept


async def test_a_client_that_goes_in_the_middle_of_a_push_leaves_nothing(world: World, box: Box) -> None:
    await box.git("ls-remote", box.remote())
    head = "POST /git/acme/rocket.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    asked = f"{'0' * 40} {'1' * 40} {OURS}\0report-status"
    host, _, port = box.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.encode() + f"{len(asked) + 4:04x}{asked}0000PACK".encode())
    await writer.drain()
    await until(lambda: any("index-pack" in line for line in working_on(world)))
    writer.transport.abort()
    await until(lambda: not working_on(world) and not world.left_in_quarantine())
    assert BRANCH not in await world.branches(ROCKET)


async def test_what_a_killed_process_left_of_a_push_is_swept_and_what_is_under_way_is_not(world: World) -> None:
    left, under_way = (world.data / "git" / "quarantine" / f"push-{name}" for name in ("left", "under-way"))
    for folder in (left, under_way):
        (folder / "objects" / "pack").mkdir(parents=True)
    os.utime(left, (1.7e9, 1.7e9))
    await world.gateway()
    assert world.left_in_quarantine() == [under_way]


async def _at_the_forge(world: World, name: str, author: Author, files: dict[str, str], branch: str = "main") -> str:
    """Somebody pushes to the forge directly. The mirror learns of it when it is no longer fresh."""
    them = world.box(world.forge_url, f"{name}-{branch.replace('/', '-')}", author)
    url = f"{world.forge_url.replace('://', f'://x-access-token:{world.forge.token}@')}/forge/{ROCKET}.git"
    await them.git("clone", "-q", url, "direct")
    head = await them.commit(them.folder / "direct", dict(files))
    await them.git("push", "-q", "origin", f"HEAD:refs/heads/{branch}", cwd=them.folder / "direct")
    if branch == "main":
        world.time_passes()
    return head
