"""Fetching through the gateway: what a box gets, how fresh it is, and what it is told when it cannot be served."""

import asyncio
import os
import zlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from bot.gateway import git_body, pktline
from bot.playground.sample import Written
from tests.gateway.git_world import BRANCH, BUILD, ROCKET, SERVE, Box, World, box, working_on, world
from tests.waiting import until, while_others_run

__all__ = ["box", "world"]


@pytest.mark.parametrize("version", ["0", "1", "2"])
async def test_a_clone_works_in_each_protocol_and_knows_the_default_branch(
    world: World, box: Box, version: str
) -> None:
    await box.git("-c", f"protocol.version={version}", "clone", "-q", box.remote(), "work")
    work = box.folder / "work"
    assert await box.head(work) == (await world.branches())["main"]
    assert (await box.git("symbolic-ref", "--short", "HEAD", cwd=work)).strip() == "main"
    assert await box.git("fsck", "--strict", cwd=work) == ""


async def test_a_box_that_builds_an_image_may_fetch_but_not_push(world: World, box: Box) -> None:
    world.grant = BUILD
    work = await box.clone()
    await box.commit(work, {"new.txt": "new\n"})
    said = await box.push(work, fails=True)
    assert "This box may not push." in said
    assert "returned error: 403" in said


async def test_a_box_sees_its_own_repository_only(world: World, box: Box) -> None:
    await world.forge.create_repository("acme/secret", {"a": "b"})
    said = await box.git("clone", box.remote("acme/secret"), "no", fails=True)
    assert "remote: Repository not found: this box works on acme/rocket only." in said
    assert not (world.data / "git" / "mirrors" / "acme" / "secret.git").exists()


async def test_branches_and_tags_are_shown_and_nothing_else(world: World, box: Box) -> None:
    bare = world.forge.bare(ROCKET)
    main = (await world.branches())["main"]
    for ref in ("refs/tags/v1", "refs/pull/7/head", "refs/secret/x", "refs/heads/other"):
        await bare.point(ref, main)
    refs = {line.split("\t")[1] for line in (await box.git("ls-remote", box.remote())).splitlines()}
    assert refs == {"HEAD", "refs/heads/main", "refs/heads/other", "refs/tags/v1"}


async def test_what_the_forge_has_just_got_is_in_the_next_fetch(world: World, box: Box) -> None:
    work = await box.clone()
    world.time_passes()
    await world.forge.bare(ROCKET).write(
        [Written("Ada <ada@acme.example>", "More", {"more.txt": "more\n"}, 1.7e9)], "main"
    )
    await box.git("fetch", "-q", "origin", cwd=work)
    fetched = (await box.git("rev-parse", "origin/main", cwd=work)).strip()
    assert fetched == (await world.branches())["main"]


async def test_many_who_ask_at_once_cause_one_fetch_from_the_forge(world: World) -> None:
    boxes = [world.box(await world.gateway(), f"box-{n}") for n in range(2)]
    await boxes[0].git("ls-remote", boxes[0].remote())
    world.time_passes()
    world.forge_heard.clear()
    await asyncio.gather(*(each.git("ls-remote", each.remote()) for each in boxes * 3))
    asked = [path for path in world.forge_heard if "/info/refs" in path]
    assert 1 <= len(asked) <= 3  # one, unless this machine is very slow


async def test_long_haves_are_gzipped_and_understood(world: World, box: Box) -> None:
    work = await box.clone()
    for number in range(120):
        await box.git("commit", "-q", "--allow-empty", "-m", f"Mine {number}", cwd=work)
    await world.forge.bare(ROCKET).write(
        [Written("Ada <ada@acme.example>", "More", {"more.txt": "m\n"}, 1.7e9)], "side"
    )
    world.time_passes()
    trace = box.folder / "trace"
    await box.git("fetch", "-q", "origin", cwd=work, env={"GIT_TRACE_CURL": str(trace)})
    assert "Content-Encoding: gzip" in trace.read_text()
    assert (await box.git("rev-parse", "origin/side", cwd=work)).strip() == (await world.branches())["side"]
    await box.git("fsck", "--strict", cwd=work)


@pytest.mark.parametrize("cut", [0, 30])
async def test_a_gzipped_body_that_is_cut_is_refused_and_never_an_empty_success(
    world: World, box: Box, cut: int
) -> None:
    await box.git("ls-remote", box.remote())
    want = (await world.branches())["main"]
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    packed = packer.compress(pktline.line(f"want {want}\n") + b"0000" + pktline.line("done\n")) + packer.flush()
    async with ClientSession() as http:
        sent = packed[: len(packed) - cut]
        answer = await http.post(
            box.remote() + "/git-upload-pack", data=sent, headers={"Content-Encoding": "gzip"}, expect100=True
        )
        body = await answer.read()
    assert (answer.status, b"PACK" in body) == ((200, True) if not cut else (400, False))


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"zzzz not a line", "identity", 500),
        (b"not gzip", "gzip", 400),
        (b"0000", "br", 415),
    ],
)
async def test_a_fetch_that_makes_no_sense_is_an_error(box: Box, body: bytes, encoding: str, status: int) -> None:
    async with ClientSession(auto_decompress=False) as http:
        answer = await http.post(
            box.remote() + "/git-upload-pack", data=body, headers={"Content-Encoding": encoding}, compress=None
        )
        assert answer.status == status
        assert (await answer.text()).strip()


async def test_a_bomb_in_a_request_is_stopped_while_it_unpacks(box: Box) -> None:
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    line = pktline.line("have " + "1" * 40 + "\n")
    packed = b"".join(packer.compress(line * 20_000) for _ in range(80)) + packer.flush()
    assert len(packed) < 1_000_000
    async with ClientSession() as http:
        answer = await http.post(box.remote() + "/git-upload-pack", data=packed, headers={"Content-Encoding": "gzip"})
        assert answer.status == 413


async def test_others_get_on_while_a_bomb_unpacks() -> None:
    async def sent() -> AsyncIterator[bytes]:
        yield zlib.compress(bytes(32 << 20), wbits=16 + zlib.MAX_WBITS)

    async def taken() -> int:
        return sum([len(piece) async for piece in git_body._inflated(sent())])

    size, turns = await while_others_run(taken())
    assert (size, turns > 400) == (32 << 20, True)


async def test_while_the_forge_is_down_nobody_gets_the_stale_base(world: World, box: Box) -> None:
    work = await box.clone()
    world.forge.faults.down = True
    world.time_passes()
    said = await box.git("fetch", "origin", cwd=work, fails=True)
    assert "remote: The forge could not be reached for acme/rocket; try again in a moment" in said
    assert "returned error: 503" in said
    world.forge.faults.down = False
    await box.git("fetch", "-q", "origin", cwd=work)


async def test_a_forge_that_does_not_listen_is_told_too(world: World) -> None:
    box = world.box(await world.gateway("http://127.0.0.1:9"))
    said = await box.git("clone", box.remote(), "no", fails=True)
    assert "remote: The forge could not be reached for acme/rocket" in said
    assert "returned error: 503" in said


async def test_an_unknown_repository_is_told_by_name(world: World, box: Box) -> None:
    world.grant = SERVE._replace(repository="acme/nowhere")
    said = await box.git("clone", box.remote("acme/nowhere"), "no", fails=True)
    assert "remote: The forge has no repository acme/nowhere" in said
    assert "not found" in said
    assert not list((world.data / "git" / "mirrors" / "acme").glob("nowhere.[gc]*"))


async def test_a_wrong_credential_is_told_with_the_setting_to_mend(world: World, box: Box) -> None:
    world.token = "ghp_wrong"
    said = await box.git("clone", box.remote(), "no", fails=True)
    assert "remote: The forge does not accept our credential for acme/rocket: set GITHUB_TOKEN" in said
    assert "ghp_wrong" not in said
    assert "returned error: 403" in said


async def test_an_empty_repository_is_cloned_and_gets_its_first_commit(world: World, box: Box) -> None:
    await world.forge.create_repository("acme/empty")
    await world.forge.bare("acme/empty").git("update-ref", "-d", "refs/heads/main")
    world.grant = SERVE._replace(repository="acme/empty")
    said = await box.git("clone", box.remote("acme/empty"), "work")
    assert "empty repository" in said
    head = await box.commit(box.folder / "work", {"a.txt": "first\n"})
    await box.push(box.folder / "work")
    assert await world.branches("acme/empty") == {BRANCH: head}


async def test_shallow_and_partial_clones_work(world: World, box: Box) -> None:
    await box.git("clone", "-q", "--depth=1", box.remote(), "shallow")
    assert (await box.git("rev-list", "--count", "HEAD", cwd=box.folder / "shallow")).strip() == "1"
    await box.git("clone", "-q", "--filter=blob:none", box.remote(), "partial")
    assert (box.folder / "partial" / "README.md").exists()
    # Patterns of somebody's own choice could keep a core of the gateway's machine busy for as long as he likes.
    wish = "--filter=sparse:oid=main:README.md"
    said = await box.git("clone", "-q", wish, box.remote(), "sparse", fails=True)
    assert "filter 'sparse:oid' not supported" in said


async def test_a_branch_that_took_the_place_of_another_is_no_trouble(world: World, box: Box) -> None:
    bare, main = world.forge.bare(ROCKET), (await world.branches())["main"]
    await bare.point("refs/heads/topic", main)
    work = await box.clone()
    await bare.git("update-ref", "-d", "refs/heads/topic")
    await bare.point("refs/heads/topic/one", main)
    world.time_passes()
    await box.git("fetch", "-q", "--prune", "origin", cwd=work)
    assert "origin/topic/one" in await box.git("branch", "-r", cwd=work)


async def test_what_a_killed_git_left_in_the_mirror_does_not_stand_in_the_way(world: World, box: Box) -> None:
    work = await box.clone()
    mirror = world.data / "git" / "mirrors" / "acme" / "rocket.git"
    (mirror / "refs" / "heads" / "next.lock").write_text("")
    (mirror / "packed-refs.lock").write_text("")
    await world.forge.bare(ROCKET).point("refs/heads/next", (await world.branches())["main"])
    world.time_passes()
    await box.git("fetch", "-q", "origin", cwd=work)
    assert "origin/next" in await box.git("branch", "-r", cwd=work)


async def test_a_mirror_of_many_packs_is_joined(world: World, box: Box) -> None:
    await box.git("ls-remote", box.remote())
    mirror = world.data / "git" / "mirrors" / "acme" / "rocket.git"
    for number in range(60):
        blob = world.folder / "blob"
        blob.write_text(f"{number}\n")
        sha = (await box.git("--git-dir", str(mirror), "hash-object", "-w", str(blob))).strip()
        pack = f"echo {sha} | git --git-dir {mirror} pack-objects -q {mirror}/objects/pack/pack"
        process = await asyncio.create_subprocess_shell(pack, stdout=asyncio.subprocess.DEVNULL)
        assert await process.wait() == 0
    world.time_passes()
    await box.git("ls-remote", box.remote())
    assert len(list((mirror / "objects" / "pack").glob("*.pack"))) < 10
    await box.git("clone", "-q", box.remote(), "after")


async def test_when_git_fails_in_the_middle_the_client_sees_a_failure(world: World, box: Box) -> None:
    for number in range(3):
        noise = {f"noise-{number}": "".join(map(str, os.urandom(200_000)))}
        await world.forge.bare(ROCKET).write([Written("Ada <ada@acme.example>", "More", noise, 1.7e9)], "main")
    await box.git("ls-remote", box.remote())
    mirror = world.data / "git" / "mirrors" / "acme" / "rocket.git"
    for pack in (mirror / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o600)
        whole = pack.read_bytes()
        pack.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 2))
    said = await box.git("clone", box.remote(), "no", fails=True)
    assert "fatal:" in said
    assert not (box.folder / "no").exists()


async def test_a_client_that_goes_leaves_no_git_behind(world: World, box: Box) -> None:
    await box.git("ls-remote", box.remote())
    head = "POST /git/acme/rocket.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n0032want "
    host, _, port = box.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.encode())
    await writer.drain()
    await until(lambda: bool(working_on(world)))
    writer.transport.abort()
    await until(lambda: not working_on(world))


async def test_one_box_does_not_keep_the_service_for_itself(world: World, box: Box) -> None:
    await box.git("ls-remote", box.remote())
    head = "POST /git/acme/rocket.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n0032want "
    host, _, port = box.url.removeprefix("http://").partition(":")
    waiting = [(await asyncio.open_connection(host, int(port)))[1] for _ in range(8)]
    for writer in waiting:
        writer.write(head.encode())
    await until(lambda: len(working_on(world)) == 8)
    said = await box.git("ls-remote", box.remote(), fails=True)
    assert "This box has 8 git requests under way already" in said
    for writer in waiting:
        writer.transport.abort()
    await until(lambda: not working_on(world))
    await box.git("ls-remote", box.remote())


async def test_the_old_protocol_without_service_is_declined(box: Box) -> None:
    async with ClientSession() as http:
        answer = await http.get(box.remote() + "/info/refs")
        assert (answer.status, "smart protocol" in await answer.text()) == (403, True)
