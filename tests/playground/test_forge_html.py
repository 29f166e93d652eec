"""The forge's pages as a browser asks for them: words of strangers, buttons, differences."""

import pytest
from aiohttp import ClientSession

from bot.playground import forge_diff, forge_pulls, forge_reviews
from bot.playground.forge_pages import comments_of
from bot.playground.forge_records import Refusal
from bot.playground.forge_reviews import OnLines
from tests.playground.forges import FIXED, ROCKET, Served
from tests.playground.forges import served as served


async def test_a_page_shows_strangers_words_as_words(served: Served) -> None:
    hostile = "<script>alert(1)</script>"
    await served.forge.create_repository("acme/odd", {"README.md": hostile})
    work = await served.checkout("odd", "acme/odd")
    await served.git("checkout", "-q", "-b", "x<img>", cwd=work)
    name = '"><script>alert(2)<\n.txt'
    (work / name).write_text(hostile + "\n")
    (work / "README.md").rename(work / "MOVED.md")
    await served.git("add", "-A", cwd=work)
    await served.git("commit", "-qm", f"{hostile}\n\nCo-authored-by: <b>Eve</b> <eve@acme.example>", cwd=work)
    await served.git("push", "-q", "origin", "x<img>", cwd=work)
    body = f"{hostile} [click](javascript:alert(3)) ![x](data:text/html,hi) **bold**"
    pull = await forge_pulls.open_pull(
        served.forge, "acme/odd", "ada", title=hostile, head="x<img>", base="main", body=body
    )
    await forge_pulls.comment(served.forge, "acme/odd", pull.number, "ada", hostile)
    async with ClientSession() as http:
        for path in ("", "acme/odd", f"acme/odd/pull/{pull.number}", f"acme/odd/commit/{pull.head_sha}"):
            async with http.get(f"{served.url}/forge/{path}") as answer:
                page = await answer.text()
                policy = answer.headers["Content-Security-Policy"]
            assert answer.status == 200, page
            assert "<script" not in page
            assert 'href="javascript:' not in page
            assert "<b>Eve" not in page
            assert "script-src" not in policy and "default-src 'none'" in policy
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    commits, files = await forge_pulls.contents(served.forge, "acme/odd", pull)
    assert {file.path: file.status for file in files} == {name: "added", "MOVED.md": "renamed"}


async def test_buttons_act_as_the_person_who_was_chosen(served: Served) -> None:
    number = await served.open_fix()
    address = f"{served.url}/forge/{ROCKET}/pull/{number}"

    async with ClientSession() as http:
        async with http.post(address, data={"do": "REQUEST_CHANGES", "who": "grace", "body": ""}) as answer:
            assert answer.status == 422
            assert "Body can not be blank" in await answer.text()
        async with http.post(address, data={"do": "APPROVE", "who": "grace", "body": "Fine"}) as answer:
            assert answer.status == 200
            assert "Grace Hopper" in await answer.text()
        async with http.post(address, data={"do": "MERGE", "who": "ada"}, headers={"Origin": "http://evil"}) as answer:
            assert answer.status == 403
        async with http.post(address, data={"do": "MERGE", "who": "nobody"}) as answer:
            assert answer.status == 422
        async with http.post(address, data={"do": "MERGE", "who": "ada"}, headers={"Origin": served.url}) as answer:
            assert "Merged by" in await answer.text()
    pull = served.forge.pull_requests(ROCKET)[0]
    assert pull.verdicts == {"grace": "APPROVED"}
    assert (pull.merged_by, pull.state) == ("ada", "closed")


async def test_a_file_too_large_to_be_compared_by_lines_is_shown_as_binary(served: Served) -> None:
    work = await served.push_fix()
    (work / "huge.txt").write_bytes(b"\n" * 3_000_000)
    await served.git("add", "huge.txt", cwd=work)
    await served.git("commit", "-qm", "A page of nothing", cwd=work)
    await served.git("push", "-q", "origin", "HEAD", cwd=work)
    words = {"title": "Huge", "head": "shipmate/one", "base": "main"}
    pull = await forge_pulls.open_pull(served.forge, ROCKET, "shipmate[bot]", **words)
    _, files = await forge_pulls.contents(served.forge, ROCKET, pull)
    assert {file.path: file.binary for file in files} == {"huge.txt": True, "rocket/fuel.py": False}


def test_a_patch_is_taken_apart_with_the_numbers_of_its_lines() -> None:
    patch = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n\\ No newline at end of file\n"
    (file,) = forge_diff.parse("1\t1\ta\0", patch)
    rows = [(line.kind, line.old, line.new) for line in file.lines]
    assert rows == [
        ("hunk", None, None), ("context", 1, 1), ("removed", 2, None), ("added", None, 2), ("note", None, None),
    ]  # fmt: skip
    assert (file.status, file.added, file.removed, file.binary) == ("modified", 1, 1, False)


async def test_comments_on_lines_are_made_answered_changed_and_deleted_on_the_page(served: Served) -> None:
    number = await served.open_fix()
    line = (await served.forge.bare(ROCKET).read("shipmate/one", "rocket/fuel.py") or "").split("\n").index(
        f"    {FIXED[1]}"
    ) + 1
    page = ""
    async with ClientSession() as http:

        async def press(do: str, status: int = 200, **fields: str) -> None:
            nonlocal page
            address = f"{served.url}/forge/{ROCKET}/pull/{number}"
            async with http.post(address, data={"do": do, "who": "grace", **fields}) as answer:
                page = await answer.text()
                assert answer.status == status, page

        await press("COMMENT", 422, lines="rocket/fuel.py:9999 Far away")
        assert "must be part of the diff" in page and "rocket/fuel.py:9999 Far away" in page
        await press("APPROVE", lines=f"rocket/fuel.py:{line} <b>Up</b>\r\nalways")
        await press("SAY", lines=f"rocket/fuel.py:{line} One\nrocket/fuel.py:{line} Two")
        first, one, two = served.forge.pull_requests(ROCKET)[0].line_comments
        assert (first.body, one.body, two.body, two.line) == ("<b>Up</b>\nalways", "One", "Two", line)
        assert first.hunk.endswith(f"\n+    {FIXED[1]}") and first.hunk.startswith("@@ ")
        assert "&lt;b&gt;Up&lt;/b&gt;" in page and f"rocket/fuel.py:{line}" in page
        await press("REPLY", comment=str(one.id), body="Agreed")
        await press("REWORD", comment=str(two.id), body="Three")
        await press("DELETE", comment=str(one.id))
        await press("DELETE", 404, comment=str(one.id))
    pull = served.forge.pull_requests(ROCKET)[0]
    assert [said.body for said in pull.line_comments] == ["<b>Up</b>\nalways", "Three", "Agreed"]
    assert [given.state for given in pull.reviews] == ["APPROVED", "COMMENTED", "COMMENTED", "COMMENTED"]
    assert len({said.review for said in pull.line_comments}) == 3 and pull.comments == ()


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", []),
        (" \n", []),
        ("a.py:12 Why?", [OnLines("Why?", "a.py", 12)]),
        ("a.py:3-12: Why?\nb.py:1 b.py:2 x", [OnLines("Why?", "a.py", 12, 3), OnLines("b.py:2 x", "b.py", 1)]),
        ("a.py:12 Why?\n\n  so", [OnLines("Why?\n\n  so", "a.py", 12)]),
        ("Why? a.py:12", None),
        ("a.py:12", None),
    ],
)
def test_what_is_typed_of_lines_is_taken_apart(typed: str, found: list[OnLines] | None) -> None:
    if found is None:
        with pytest.raises(Refusal):
            comments_of(typed)
    else:
        assert comments_of(typed) == found


def test_a_line_is_found_in_its_own_hunk_on_its_own_side() -> None:
    patch = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n x\n-y\n+z\n@@ -9 +9,2 @@\n p\n+q\n"
    (file,) = forge_diff.parse("2\t1\ta\0", patch)
    cases = {(2, "LEFT"): "-y", (2, "RIGHT"): "+z", (10, "RIGHT"): "+q", (10, "LEFT"): "", (5, "RIGHT"): ""}
    for (number, side), last in cases.items():
        assert forge_reviews.hunk_to(file.lines, number, side).rpartition("\n")[2] == last
    assert forge_reviews.hunk_to(file.lines, 10, "RIGHT") == "@@ -9 +9,2 @@\n p\n+q"
