"""Packs and bytes that mean harm: each is refused in words, leaves nothing behind, and the next honest push works."""

import hashlib
import os
import time
import zlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from bot.gateway import pktline
from bot.gateway.push_rules import Limits
from bot.gateway.quarantine import COMMITS_MOST
from tests.gateway.git_pushes import OURS, Object, asks, blob, commit, offer, pack, send, tree
from tests.gateway.git_world import BRANCH, Box, World, working_on, world

__all__ = ["world"]
FILE = blob(b"fine\n")


@pytest.fixture
async def box(world: World) -> AsyncIterator[Box]:
    """A box whose every attempt fails, and which then does honest work."""
    box = world.box(await world.gateway())
    work = await box.clone()
    mirror = world.data / "git" / "mirrors" / "acme" / "rocket.git"
    before = {file: file.stat().st_size for file in mirror.rglob("*") if file.is_file()}
    yield box
    assert BRANCH not in await world.branches()
    assert world.left_in_quarantine() == []
    assert working_on(world) == []
    after = {file: file.stat().st_size for file in mirror.rglob("*") if file.is_file()}
    assert after == before
    head = await box.commit(work, {"honest.txt": "work\n"})
    await box.push(work)
    assert (await world.branches())[BRANCH] == head


async def _main(world: World) -> str:
    return (await world.branches())["main"]


@pytest.mark.parametrize(
    ("name", "why"),
    [(".git", "hasDotgit"), (".GIT", "hasDotgit"), ("..", "hasDotdot"), (".", "hasDot"), ("git~1", "hasDotgit")],
)
async def test_a_tree_with_a_name_that_a_checkout_would_trip_over(world: World, box: Box, name: str, why: str) -> None:
    config = blob(b"[core]\n\tfsmonitor = touch /tmp/owned\n")
    inner = tree(("100644", "config", config.sha))
    outer = tree(("40000", name, inner.sha))
    said = await offer(box, commit(outer.sha, await _main(world)), outer, inner, config)
    assert f"unpack the pack is not sound: error: object {outer.sha}: {why}" in said
    assert f"ng {OURS} the pack is not sound" in said


@pytest.mark.parametrize(
    "modules",
    [
        b'[submodule "x"]\n\tpath = x\n\turl = -u./payload\n',
        b'[submodule "../../x"]\n\tpath = x\n\turl = https://example.com/x\n',
        b'[submodule "x"]\n\tpath = -x\n\turl = https://example.com/x\n',
        b'[submodule "x"]\n\tpath = x\n\turl = https://example.com/x\n\tupdate = !touch /tmp/owned\n',
    ],
)
async def test_submodules_that_would_run_something(world: World, box: Box, modules: bytes) -> None:
    file = blob(modules)
    outer = tree(("100644", ".gitmodules", file.sha))
    assert "gitmodules" in await offer(box, commit(outer.sha, await _main(world)), outer, file)


async def test_gitmodules_that_is_a_link(world: World, box: Box) -> None:
    target = blob(b"/etc/passwd")
    outer = tree(("120000", ".gitmodules", target.sha))
    assert "gitmodulesSymlink" in await offer(box, commit(outer.sha, await _main(world)), outer, target)


async def test_files_that_unpack_to_more_than_they_say(world: World, box: Box) -> None:
    zeros = blob(bytes(60 << 20))
    outer = tree(("100644", "zeros", zeros.sha))
    tip = commit(outer.sha, await _main(world))
    sent = pack([tip, outer, zeros])
    assert len(sent) < 100_000
    assert "files above 50 MB are not pushed: zeros (60 MB)" in await offer(box, tip, sent=sent)


@pytest.mark.parametrize("hidden", [False, True], ids=["at the tip", "in a commit below the tip"])
async def test_a_tree_that_holds_itself_many_times_over(world: World, box: Box, hidden: bool) -> None:
    trees = [tree(("100644", "f", FILE.sha))]
    for _ in range(10):
        trees.append(tree(*(("40000", f"d{n}", trees[-1].sha) for n in range(10))))
    bomb = commit(trees[-1].sha, await _main(world))
    assert sum(len(one.content) for one in trees) < 10_000
    tip, below = (commit(trees[0].sha, bomb.sha), [bomb]) if hidden else (bomb, [])
    said = await offer(box, tip, *below, *trees, FILE)
    assert f"the files of {bomb.sha[:10]} are more than the gateway takes at once" in said


async def test_a_pack_that_lacks_what_its_commit_names(world: World, box: Box) -> None:
    main = await _main(world)
    missing = tree(("100644", "gone", FILE.sha))
    assert "is not" in await offer(box, commit(missing.sha, main), missing)
    assert "is not" in await offer(box, commit(missing.sha, main))
    whole = tree(("100644", "here", FILE.sha))
    assert "is not" in await offer(box, commit(whole.sha, "1" * 40), whole, FILE)


async def test_a_tip_that_is_not_in_the_pack(world: World, box: Box) -> None:
    status, said = await send(box, asks((pktline.NOTHING, "1" * 40, OURS)) + pack([FILE]))
    assert (status, f"ng {OURS} a branch may only be at a commit" in said) == (200, True), said


async def test_a_branch_at_something_that_is_no_commit(world: World, box: Box) -> None:
    whole = tree(("100644", "here", FILE.sha))
    tip = commit(whole.sha, await _main(world))
    tag = Object("tag", f"object {tip.sha}\ntype commit\ntag v1\ntagger Ada <a@b> 1700000000 +0000\n\nv1\n".encode())
    sent = pack([tip, whole, FILE, tag])
    for what in (FILE, whole, tag):
        assert "a branch may only be at a commit" in await offer(box, what, sent=sent)


@pytest.mark.parametrize(
    ("author", "extra"),
    [
        ("Ada <ada@acme.example> <eve@elsewhere.example>", ""),
        ("Ada <eve@elsewhere.example>", "gpgsig Ada <ada@acme.example>"),
        ("Ada <+AGEAZABhAEA-acme.example>", "encoding UTF-7"),
        ("Ada <ada@acme.example\u2028>", ""),
        ("Ada <>", ""),
    ],
)
async def test_an_author_who_only_looks_like_one_of_us(world: World, box: Box, author: str, extra: str) -> None:
    whole = tree(("100644", "here", FILE.sha))
    said = await offer(box, commit(whole.sha, await _main(world), author=author, extra=extra), whole, FILE)
    assert f"ng {OURS} " in said
    assert f"ok {OURS}" not in said


async def test_a_stranger_hidden_below_a_merge(world: World, box: Box) -> None:
    main, whole = await _main(world), tree(("100644", "here", FILE.sha))
    hers = commit(whole.sha, main, author="Eve <eve@elsewhere.example>")
    said = await offer(box, commit(whole.sha, main, hers.sha), hers, whole, FILE)
    assert f"the author of {hers.sha[:10]}, <eve@elsewhere.example>, does not take part" in said


async def test_a_workflow_hidden_below_the_tip_cannot_be_fetched_up_later(world: World, box: Box) -> None:
    main, flow, whole = await _main(world), blob(b"on: push\n"), tree(("100644", "here", FILE.sha))
    flows = tree(("100644", "ci.yml", flow.sha))
    folder = tree(("40000", "workflows", flows.sha))
    outer = tree(("40000", ".github", folder.sha))
    hidden = commit(outer.sha, main)
    said = await offer(box, commit(whole.sha, hidden.sha), hidden, outer, folder, flows, flow, whole, FILE)
    assert f"changed from here: .github/workflows/ci.yml; {hidden.sha[:10]} does it" in said


@pytest.mark.parametrize(
    "words",
    [
        "Work\n\nCo-authored-by: Eve <eve@elsewhere.example>",
        "Work\n\n  co-authored-BY\t: Eve <eve@elsewhere.example>",
        "Work\n\n.\rCo-authored-by: Eve <eve@elsewhere.example>",
        "Work\n\n.\u2028Co-authored-by: Eve <eve@elsewhere.example>",
        f"Work\n\nCo-authored-by: Eve <eve@elsewhere.example>{' ' * 60_000}.",  # the square of it would be a minute
    ],
)
async def test_nobody_is_credited_who_takes_no_part_however_it_is_written(world: World, box: Box, words: str) -> None:
    whole = tree(("100644", "here", FILE.sha))
    tip = commit(whole.sha, await _main(world), words=words)
    began = time.process_time()
    assert f"the co-author of {tip.sha[:10]}, Eve <eve@e" in await offer(box, tip, whole, FILE)
    assert time.process_time() - began < 1.0, "nobody else is served meanwhile"


async def test_more_words_than_anybody_writes_are_not_read(world: World, box: Box) -> None:
    whole = tree(("100644", "here", FILE.sha))
    tip = commit(whole.sha, await _main(world), words="word " * 1_000_000)
    assert "the messages of its commits have more than 4 MB: shorten them" in await offer(box, tip, whole, FILE)


async def test_words_in_a_code_of_their_own_are_not_taken(world: World, box: Box) -> None:
    whole = tree(("100644", "here", FILE.sha))
    tip = commit(whole.sha, await _main(world), extra="encoding UTF-7", words="+AEM-o-authored-by: Eve <eve@e.example>")
    assert f"the commit {tip.sha[:10]} is written in UTF-7: write it in UTF-8" in await offer(box, tip, whole, FILE)


async def test_more_commits_than_anybody_reads_are_not_looked_at_one_by_one(world: World, box: Box) -> None:
    whole, parent, commits = tree(("100644", "here", FILE.sha)), await _main(world), []
    for _ in range(COMMITS_MOST + 1):
        commits.append(commit(whole.sha, parent))
        parent = commits[-1].sha
    said = await offer(box, commits[-1], *commits[:-1], whole, FILE)
    assert "the push has more than 1000 commits: join some of them" in said


async def test_a_history_without_any_of_the_forges(world: World, box: Box) -> None:
    flow = blob(b"on: push\n")
    flows = tree(("100644", "ci.yml", flow.sha))
    folder = tree(("40000", "workflows", flows.sha))
    outer = tree(("40000", ".github", folder.sha))
    said = await offer(box, commit(outer.sha), outer, folder, flows, flow)
    assert "may not be changed from here: .github/workflows/ci.yml" in said


@pytest.mark.parametrize("what", ["noise", "cut", "checksum", "count", "nothing", "bomb of a header"])
async def test_bytes_that_are_no_pack_are_refused(world: World, box: Box, what: str) -> None:
    whole = tree(("100644", "here", FILE.sha))
    tip = commit(whole.sha, await _main(world))
    good = pack([tip, whole, FILE])
    sent = {
        "noise": os.urandom(5_000),
        "cut": good[:-30],
        "checksum": good[:-20] + bytes(20),
        "count": pack([tip, whole, FILE], count=2**32 - 1),
        "nothing": b"",
        "bomb of a header": _claims_to_be_huge(),
    }[what]
    status, said = await send(box, asks((pktline.NOTHING, tip.sha, OURS)) + sent)
    assert (status, f"ng {OURS} the pack is not sound" in said) == (200, True), said


def _claims_to_be_huge() -> bytes:
    """One blob that says that it has 2^60 bytes."""
    body = b"PACK" + (2).to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes([0xB0] + [0x80] * 7 + [0x10])
    body += zlib.compress(b"small")
    return body + hashlib.sha1(body).digest()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"zzzz",
        b"0001",
        b"0004",
        b"ffff" + b"x" * 70_000,
        b"0010no command\n0000",
        pktline.line(f"{'0' * 40} {'g' * 40} {OURS}\0report-status") + b"0000",
        pktline.line(f"{'0' * 64} {'1' * 64} {OURS}\0report-status object-format=sha256") + b"0000",
        pktline.line("push-cert\0report-status") + b"0000",
        b"".join(pktline.line(f"{'0' * 40} {'1' * 40} refs/heads/{n}\0x") for n in range(2_000)) + b"0000",
        pktline.line(f"{'0' * 40} {'1' * 40} {OURS}\0report-status"),
        pktline.line(f"{'0' * 40} {'1' * 40} refs/heads/".encode() + b"\xff" * 30_000 + b"\0report-status") + b"0000",
    ],
    ids=[
        "nothing",
        "letters",
        "delimiter",
        "empty",
        "too long",
        "words",
        "sha",
        "sha256",
        "certificate",
        "many",
        "cut",
        "endless name",
    ],
)
async def test_bytes_that_are_no_push_are_refused_in_words(world: World, box: Box, body: bytes) -> None:
    status, said = await send(box, body)
    assert (status, said.startswith("This is not a push: ")) == (400, True), said


async def test_a_probe_is_answered_with_nothing(world: World, box: Box) -> None:
    assert await send(box, b"0000") == (200, "")


async def test_a_client_that_wants_no_report_gets_none(world: World, box: Box) -> None:
    body = asks((pktline.NOTHING, "1" * 40, "refs/heads/main"), wishes="quiet") + pack([FILE])
    assert await send(box, body) == (200, "")


async def test_more_than_the_gateway_takes_is_refused_in_words_and_much_more_is_cut_off(world: World, box: Box) -> None:
    small = world.box(await world.gateway(limits=Limits(pack=1 << 20)), "small")
    tip = commit(tree(("100644", "noise", FILE.sha)).sha)
    too_large = await offer(small, tip, blob(os.urandom(1_500_000)))
    assert "the pack is not sound: fatal: pack exceeds maximum allowed size" in too_large
    packed = zlib.compress(asks((pktline.NOTHING, tip.sha, OURS)) + bytes(50 << 20), wbits=16 + zlib.MAX_WBITS)
    assert len(packed) < 100_000
    async with ClientSession() as http:
        answer = await http.post(
            small.remote() + "/git-receive-pack", data=packed, headers={"Content-Encoding": "gzip"}
        )
        said = await answer.text()
    assert (answer.status, said) == (413, "This is more than the 2 MB that the gateway takes at once.\n")
