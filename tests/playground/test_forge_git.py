"""The forge through git: fetched from, pushed to, refused, in each protocol."""

import asyncio
import os
import zlib

import pytest
from aiohttp import ClientSession

from bot.playground import forge_pulls
from bot.playground.forge_access import Access
from tests.playground.forges import ROCKET, Served
from tests.playground.forges import served as served


async def test_the_sample_has_several_authors_and_exactly_one_failing_test(served: Served) -> None:
    work = await served.checkout()
    process = await asyncio.create_subprocess_exec(
        "python3", "-m", "unittest", cwd=work, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    said = (await process.communicate())[1].decode()
    assert "Ran 9 tests" in said
    assert "FAILED (failures=1)" in said
    assert "test_a_part_filled_tank_is_a_tank_too" in said
    authors = {commit.author for commit in await served.forge.commits(ROCKET)}
    assert authors == {"Margaret Hamilton", "Katherine Johnson", "Wally Schirra"}
    assert await served.git("fsck", "--strict", cwd=work) == ""


@pytest.mark.parametrize("version", ["0", "2"])
async def test_clone_push_and_fetch_work_in_each_protocol(served: Served, version: str) -> None:
    protocol = ("-c", f"protocol.version={version}")
    await served.git(*protocol, "clone", "-q", served.clone_url(token=served.forge.token), "one")
    await served.git(*protocol, "clone", "-q", served.clone_url(), "two")
    (served.folder / "one" / "new.txt").write_text("new\n")
    await served.git("add", "new.txt", cwd=served.folder / "one")
    await served.git("commit", "-qm", "New", cwd=served.folder / "one")
    await served.git(*protocol, "push", "-q", "origin", "main", cwd=served.folder / "one")
    await served.git(*protocol, "pull", "-q", cwd=served.folder / "two")
    assert (served.folder / "two" / "new.txt").read_text() == "new\n"


@pytest.mark.parametrize("served", [{"auto_decompress": True}, {"auto_decompress": False}], indirect=True)
async def test_gzipped_and_chunked_bodies_arrive_whole(served: Served) -> None:
    work = await served.checkout()
    for number in range(120):  # so many that git gzips what it has when it fetches
        await served.git("commit", "-q", "--allow-empty", "-m", f"Mine {number}", cwd=work)
    (work / "big.bin").write_bytes(os.urandom(3_000_000))  # above http.postBuffer, so chunked
    await served.git("add", "big.bin", cwd=work)
    await served.git("commit", "-qm", "Big", cwd=work)
    await served.git("push", "-q", "origin", "HEAD:refs/heads/big", cwd=work)
    await served.push_fix("other")
    await served.git("reset", "-q", "--hard", "HEAD~1", cwd=work)
    await served.git("commit", "-q", "--allow-empty", "-m", "Unknown to the forge", cwd=work)
    await served.git("fetch", "-q", "origin", cwd=work)
    assert "Count the last tank" in await served.git("log", "--format=%s", "-1", "origin/other", cwd=work)
    await served.git("fsck", "--strict", cwd=work)


async def test_a_gzipped_body_is_unpacked_for_git(served: Served) -> None:
    want = (await served.forge.commits(ROCKET))[0].sha
    line = f"want {want} no-progress\n"
    plain = f"{len(line) + 4:04x}{line}0000".encode() + b"0009done\n"
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    packed = packer.compress(plain) + packer.flush()
    async with ClientSession() as http:
        address = f"{served.url}/forge/{ROCKET}.git/git-upload-pack"
        async with http.post(address, data=packed, headers={"Content-Encoding": "gzip"}) as answer:
            body = await answer.read()
    assert answer.status == 200
    assert b"PACK" in body


async def test_a_push_needs_a_token_that_may_write(served: Served) -> None:
    work = await served.checkout()
    await served.git("commit", "-q", "--allow-empty", "-m", "Nothing", cwd=work)
    for address in (served.clone_url(), served.clone_url(token="ghp_wrong")):
        said = await served.git("push", address, "main", cwd=work, fails=True)
        assert "could not read Username" in said or "Authentication failed" in said
    said = await served.git("push", served.clone_url("acme/none", served.forge.token), "main", cwd=work, fails=True)
    assert "not found" in said


@pytest.mark.parametrize(
    "served",
    [
        {
            "forge": {
                "tokens": {"reader": Access("grace", may_push=False), "elsewhere": Access("ada", True, ("acme/docs",))}
            }
        }
    ],
    indirect=True,
)
async def test_a_token_reaches_no_further_than_it_says(served: Served) -> None:
    await served.forge.create_repository("acme/secret", {"a": "b"}, private=True)
    work = await served.checkout()
    await served.git("commit", "-q", "--allow-empty", "-m", "Nothing", cwd=work)
    for token in ("reader", "elsewhere"):
        said = await served.git("push", served.clone_url(token=token), "main", cwd=work, fails=True)
        assert "403" in said
    await served.git("clone", "-q", served.clone_url("acme/secret", "reader"), "readable")
    await served.git("clone", "-q", served.clone_url("acme/secret", "elsewhere"), "hidden", fails=True)
    await served.git("clone", "-q", served.clone_url("acme/secret"), "nobody", fails=True)
    permissions = await asyncio.to_thread(lambda: served.client("reader").get_repo(ROCKET).permissions)
    assert (permissions.pull, permissions.push) == (True, False)


async def test_a_hidden_ref_cannot_be_pushed_and_a_pull_request_keeps_its_commits(served: Served) -> None:
    number = await served.open_fix()
    work = served.folder / "shipmate-one"
    said = await served.git("push", "origin", "HEAD:refs/pull/9/head", cwd=work, fails=True)
    assert "deny updating a hidden ref" in said
    await served.git("push", "-q", "origin", ":shipmate/one", cwd=work)
    pull = served.forge.pull_requests(ROCKET)[0]
    assert (pull.number, pull.state) == (number, "closed")
    commits, files = await forge_pulls.contents(served.forge, ROCKET, pull)
    assert [commit.subject for commit in commits] == ["Count the last tank"]
    assert [file.path for file in files] == ["rocket/fuel.py"]


async def test_a_declined_push_says_so_and_changes_nothing(served: Served) -> None:
    work = await served.checkout()
    await served.git("commit", "-q", "--allow-empty", "-m", "Nothing", cwd=work)
    served.forge.faults.reject_pushes = True
    said = await served.git("push", "origin", "main", cwd=work, fails=True)
    assert "pre-receive hook declined" in said
    assert "This forge declines every push" in said
    served.forge.faults.reject_pushes = False
    await served.git("push", "-q", "origin", "main", cwd=work)


async def test_pushes_at_once_all_arrive(served: Served) -> None:
    works = [await served.checkout(f"w{n}") for n in range(4)]
    for work in works:
        await served.git("commit", "-q", "--allow-empty", "-m", work.name, cwd=work)
    await asyncio.gather(*(served.git("push", "-q", "origin", f"HEAD:{work.name}", cwd=work) for work in works))
    assert set(await served.forge.bare(ROCKET).branches()) == {"main", "w0", "w1", "w2", "w3"}
