"""The end of a turn in git: what is pushed, as whom, and what becomes of it when that fails."""

from pathlib import Path

import pytest

from sandbox.runner.turns import SAY_SO
from tests.runner.boxes import BRANCH, RunningBox, git
from tests.runner.gateway import GRACE, StandIn
from tests.waiting import until

WHO = {f"GIT_{role}_{what}": "Eve" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


async def turn(gateway: StandIn, number: int, text: str = "what is this?", **fields: object) -> dict:
    await gateway.prompt(text, number, **fields)
    return await gateway.frame("turn_ended", turn=number)


async def test_a_push_that_fails_twice_is_tried_a_third_time(box: RunningBox, gateway: StandIn, bare: Path):
    gateway.git_refusals += [("push", 503), ("push", 500)]
    await box.start()
    ended = await turn(gateway, 1, "fix the failing test")
    assert (ended["pushed"], ended["error"]) == (True, None)
    assert git(bare, "rev-parse", BRANCH) == ended["head"]


async def test_a_gateway_that_is_started_again_is_waited_for(box: RunningBox, gateway: StandIn, bare: Path):
    gateway.git_refusals += [("push", 502)] * 5
    await box.start()
    ended = await turn(gateway, 1, "fix the failing test")
    assert (ended["pushed"], ended["error"]) == (True, None)
    assert git(bare, "rev-parse", BRANCH) == ended["head"] and not gateway.git_refusals


async def test_what_three_pushes_could_not_the_next_turns_push_does(box: RunningBox, gateway: StandIn, bare: Path):
    gateway.git_refusals += [("push", 503)] * 3
    await box.start()
    first = await turn(gateway, 1, "fix the failing test")
    assert (first["outcome"], first["pushed"], len(first["commits"])) == ("done", False, 1)
    assert first["error"].startswith("The work could not be pushed: ") and "503" in first["error"]
    assert git(bare, "branch", "--list", BRANCH) == ""
    second = await turn(gateway, 2)
    assert (second["pushed"], second["commits"], second["error"]) == (True, [], None)
    assert git(bare, "rev-parse", BRANCH) == first["head"]


async def test_a_refused_push_tells_the_reason_and_not_where_the_gateway_is_in_the_box(
    box: RunningBox, gateway: StandIn, bare: Path
):
    hook = bare / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'No pushes on Fridays.' >&2\nexit 1\n")
    hook.chmod(0o755)
    await box.start()
    error = (await turn(gateway, 1, "fix the failing test"))["error"]
    assert "No pushes on Fridays" in error and "pre-receive hook declined" in error
    assert "127.0.0.1" not in error and "failed to push some refs" not in error


async def test_commits_that_were_made_oddly_do_not_hold_up_the_rest(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    await turn(gateway, 1)
    odd = box.root / "odd"
    git(box.repo, "config", "i18n.commitEncoding", "ISO-8859-1")
    git(box.repo, "config", "push.followTags", "true")
    for date, code in (("-5 +0000", ""), ("1 +9999999", ""), ("1700000000 +0000", "encoding ISO-8859-1\n")):
        odd.write_text(
            f"tree {git(box.repo, 'rev-parse', 'HEAD^{tree}')}\nparent {git(box.repo, 'rev-parse', 'HEAD')}\n"
            f"author Ada <ada@acme.example> {date}\ncommitter Ada <ada@acme.example> {date}\n{code}\nOdd\n"
        )
        sha = git(box.repo, "hash-object", "-t", "commit", "-w", "--literally", str(odd))
        git(box.repo, "reset", "-q", "--soft", sha)
    git(box.repo, "tag", "-m", "one", "v1", **WHO)
    ended = await turn(gateway, 2, "fix the failing test")
    assert (ended["pushed"], ended["error"], len(ended["commits"])) == (True, None, 4)
    assert git(bare, "log", "-1", "--skip=2", "--format=%ae %at", BRANCH).startswith("ada@acme.example 1")
    assert set(git(bare, "log", "--format=%e.", BRANCH).split()) == {"."}
    assert git(bare, "tag", "--list") == ""


async def push_from_elsewhere(bare: Path, name: str, text: str) -> None:
    """Somebody else commits to the session's branch."""
    blob = bare / "blob"
    blob.write_text(text)
    index = {"GIT_INDEX_FILE": str(bare / "their-index")}
    git(bare, "read-tree", BRANCH, **index)
    sha = git(bare, "hash-object", "-w", str(blob))
    git(bare, "update-index", "--add", "--cacheinfo", f"100644,{sha},{name}", **index)
    tree = git(bare, "write-tree", **index)
    commit = git(bare, "commit-tree", tree, "-p", BRANCH, "-m", "From elsewhere", **WHO)
    git(bare, "update-ref", f"refs/heads/{BRANCH}", commit)


async def test_what_others_pushed_to_the_branch_is_merged(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    await turn(gateway, 1, "fix the failing test")
    await push_from_elsewhere(bare, "theirs.txt", "theirs\n")
    ended = await turn(gateway, 2, "add a line saying Ours")
    assert (ended["pushed"], ended["error"]) == (True, None)
    assert git(bare, "show", f"{BRANCH}:theirs.txt") == "theirs"
    assert git(bare, "show", f"{BRANCH}:README.md").endswith("Ours")


async def test_a_conflict_with_what_others_pushed_is_told(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    await turn(gateway, 1, "fix the failing test")
    await push_from_elsewhere(bare, "README.md", "nothing of the old text\n")
    ended = await turn(gateway, 2, "add a line saying Ours")
    assert ended["pushed"] is False
    assert "their change is in conflict with this one" in ended["error"]
    assert git(box.repo, "status", "--porcelain") == ""


async def test_a_rewritten_history_moves_the_branch_forward_all_the_same(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    first = await turn(gateway, 1, "fix the failing test")
    await box.exec("git", "commit", "-q", "--amend", "-m", "Other words for the same")
    second = await turn(gateway, 2)
    assert (second["pushed"], second["error"]) == (True, None)
    git(bare, "merge-base", "--is-ancestor", first["head"], BRANCH)
    assert "Other words for the same" in git(bare, "log", "--format=%s", BRANCH)


async def test_people_whom_the_agent_made_up_are_left_out(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    await gateway.frame("ready")
    said = "Do it\n\nFixes: #1\nSigned-off-by: Eve <eve@x>\nCo-authored-by: Eve <eve@x>"
    await box.exec("git", "commit", "-q", "--allow-empty", "--author", "Eve <eve@x>", "-m", said)
    ended = await turn(gateway, 1, co_authors=[GRACE])
    assert [(c["author"], c["co_authors"]) for c in ended["commits"]] == [
        ("Ada Lovelace <ada@acme.example>", ["Grace Hopper <grace@acme.example>"])
    ]
    told = git(bare, "log", "-1", "--format=%B", BRANCH).split("\n")
    assert told[-2:] == ["Fixes: #1", "Co-authored-by: Grace Hopper <grace@acme.example>"]


async def test_commits_that_the_forge_has_keep_their_authors(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    await turn(gateway, 1, "fix the failing test")
    assert "Wally Schirra" in git(bare, "log", "-1", "--format=%an", f"{BRANCH}~1")


MISCHIEF = {
    "the index is locked": "touch .git/index.lock",
    "the home is spoilt": "rm -rf $HOME/.config; touch $HOME/.config",
    "an identity is set": "git config user.name Eve; git config user.email eve@x",
}


@pytest.mark.parametrize("what", MISCHIEF)
async def test_work_arrives_whatever_was_done_to_its_repository(
    box: RunningBox, gateway: StandIn, bare: Path, what: str
):
    await box.start()
    await gateway.frame("ready")
    await box.exec("sh", "-c", MISCHIEF[what])
    ended = await turn(gateway, 1, "add a line saying Arrived")
    assert (ended["outcome"], ended["error"], ended["pushed"]) == ("done", None, True)
    assert git(bare, "show", f"{BRANCH}:README.md").endswith("Arrived")
    assert git(bare, "log", "-1", "--format=%an %cn", BRANCH) == "Ada Lovelace Ada Lovelace"


async def test_a_git_of_the_agents_that_is_just_at_work_keeps_its_lock(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    await gateway.frame("ready")
    held = "touch .git/index.lock; sleep 0.8; rm .git/index.lock && touch $HOME/it-was-there"
    await box.exec(
        "sh", "-c", f"setsid sh -c '{held}' >/dev/null 2>&1 </dev/null & while [ ! -e .git/index.lock ]; do :; done"
    )
    assert (await turn(gateway, 1, "add a line saying Arrived"))["pushed"] is True
    await until((box.home / "it-was-there").exists)
    assert git(bare, "show", f"{BRANCH}:README.md").endswith("Arrived")


async def test_what_git_does_not_add_is_told_and_comes_with_a_later_turn(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    await gateway.frame("ready")
    await box.exec("sh", "-c", "echo own >own.txt; git add own.txt; git commit -qm Own")
    await box.exec("sh", "-c", "echo '*.md filter=lfs' >.gitattributes; git config filter.lfs.clean false")
    await box.exec("git", "config", "filter.lfs.required", "true")
    ended = await turn(gateway, 1, "add a line saying Arrived")
    assert (ended["outcome"], ended["pushed"], ended["commits"][0]["subject"]) == ("done", True, "Own")
    assert "clean filter 'lfs' failed" in ended["error"]
    assert git(bare, "show", f"{BRANCH}:own.txt") == "own"
    await box.exec("rm", ".gitattributes")
    assert (await turn(gateway, 2))["pushed"] is True
    assert git(bare, "show", f"{BRANCH}:README.md").endswith("Arrived")


async def test_what_is_not_in_the_pull_request_is_told_once(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    await gateway.frame("ready")
    await box.exec("sh", "-c", "git init -q inner; touch inner/file")
    for number in (1, 2):
        assert (await turn(gateway, number, "add a line saying Arrived"))["pushed"] is True
    left_out = "Not committed, and only in the box: inner/ (a repository of its own)."
    assert [frame["text"] for frame in gateway.of("remark")] == [f"{left_out} {SAY_SO}"]
    await box.exec("sh", "-c", "rm -r -f .git inner")
    assert (await turn(gateway, 3, "add a line saying There"))["pushed"] is True
    assert gateway.of("remark")[1]["text"].endswith("is kept in the box as ~/broken-git.")  # nothing to ask for


async def test_people_are_written_as_git_takes_them(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    odd = {"id": "U3", "name": ' <b>"Zoë" \n\\ de la <Cruz>. ', "email": "zoe <x>\n@acme.example"}
    ended = await turn(gateway, 1, "fix the failing test", author=odd)
    assert (ended["pushed"], ended["error"]) == (True, None)
    assert git(bare, "log", "-1", "--format=%an|%ae", BRANCH) == 'b"Zoë" \\ de la Cruz|zoex@acme.example'


async def test_what_was_left_running_ends_with_another_persons_turn_and_what_it_wrote_is_not_theirs(
    box: RunningBox, gateway: StandIn, bare: Path
):
    await box.start()
    await turn(gateway, 1)
    left = "setsid sh -c 'while :; do echo x >>left.txt; sleep 0.02; done' >/dev/null 2>&1 </dev/null &"
    await box.exec("sh", "-c", f"{left} while [ ! -e left.txt ]; do sleep 0.01; done")
    second = await turn(gateway, 2, author=GRACE)
    assert second["commits"] == []
    assert git(bare, "log", "-1", "--format=%an", BRANCH, "--", "left.txt") == "Ada Lovelace"
