"""The tree is brought in step, or the box says why it cannot be."""

import json
import shutil
from pathlib import Path

import pytest

from sandbox.runner.git import essence
from tests.runner.boxes import BRANCH, RunningBox, git
from tests.runner.gateway import StandIn
from tests.waiting import until


async def test_a_repository_that_is_not_there_makes_the_box_unready(box: RunningBox, gateway: StandIn):
    await box.start(repository="acme/nothing")
    reason = (await gateway.frame("unready"))["reason"]
    assert reason.startswith("The repository acme/nothing could not be fetched: ")
    await gateway.prompt("fix the failing test")
    assert (await gateway.frame("turn_ended"))["error"] == reason


LOST = "fatal: repository 'acme/x.git/' not found"
SAID = [
    ("git's own words", f"Cloning into 'x'...\n{LOST}", LOST),
    ("the gateway's words", f"remote: The forge has no acme/x.\n{LOST}", "The forge has no acme/x."),
    ("two reasons", "remote: Too large.\nerror: 1\nerror: failed to push some refs to 'x'", "Too large; error: 1"),
]


@pytest.mark.parametrize(("said", "reason"), [row[1:] for row in SAID], ids=[row[0] for row in SAID])
def test_people_are_told_why_git_failed_and_no_more(said: str, reason: str):
    assert essence(said) == reason


async def test_a_base_branch_that_is_not_there_makes_the_box_unready(box: RunningBox, gateway: StandIn):
    await box.start(base_branch="nowhere")
    assert "couldn't find remote ref refs/heads/nowhere" in (await gateway.frame("unready"))["reason"]


async def test_a_forge_that_is_away_for_good_makes_the_box_unready(box: RunningBox, gateway: StandIn):
    gateway.faults["git"] += [503] * 1000
    await box.start(limits={"sync_seconds": 0.5})
    assert "503" in (await gateway.frame("unready", seconds=5))["reason"]


async def test_a_forge_that_is_away_for_a_while_is_waited_for(box: RunningBox, gateway: StandIn):
    gateway.faults["git"] += [503, 503]
    await box.start()
    assert (await gateway.frame("ready"))["head"]


async def test_the_next_box_takes_what_the_forge_has_of_the_branch(box: RunningBox, gateway: StandIn, bare: Path):
    git(bare, "update-ref", f"refs/heads/{BRANCH}", "main~1")
    await box.start()
    assert (await gateway.frame("ready"))["head"] == git(bare, "rev-parse", "main~1")


async def cloned(box: RunningBox) -> dict[str, str]:
    """How the clone of an image went."""
    await until((box.root / "tmp/cloned-b1.json").exists)
    return dict(json.loads(await box.exec("sh", "-c", 'cat "$TMPDIR/cloned-b1.json"')))


async def test_an_image_is_the_base_branch_checked_out_in_a_box_that_stays(
    box: RunningBox, gateway: StandIn, bare: Path
):
    await box.start(mode="build", agent=None)
    assert await cloned(box) == {"head": git(bare, "rev-parse", "main")}
    assert git(box.repo, "rev-parse", "HEAD") == git(bare, "rev-parse", "main")
    assert git(box.repo, "status", "--porcelain") == ""
    assert not gateway.attached


async def test_a_box_on_an_image_fetches_only_the_difference(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start(mode="build", agent=None)
    await cloned(box)
    assert await box.terminate() == 0
    tree = git(bare, "rev-parse", "main^{tree}")
    who = {f"GIT_{role}_{what}": "x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    newer = git(bare, "commit-tree", tree, "-p", "main", "-m", "Newer", **who)
    git(bare, "update-ref", "refs/heads/main", newer)
    (box.repo / "README.md").write_text("changed by the image's set-up\n")
    await box.start()
    await gateway.frame("phase", phase="synced")
    assert git(box.repo, "rev-parse", "HEAD") == newer
    assert (box.repo / "README.md").read_text() == "changed by the image's set-up\n"


async def test_a_branch_without_work_follows_a_base_branch_that_was_made_anew(
    box: RunningBox, gateway: StandIn, bare: Path
):
    await box.start()
    await gateway.frame("phase", phase="synced")
    assert await box.terminate() == 0
    who = {f"GIT_{role}_{what}": "x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    other = git(bare, "commit-tree", "main~1^{tree}", "-p", "main~1", "-m", "Instead", **who)
    git(bare, "update-ref", "refs/heads/main", other)
    (box.repo / "mine.txt").write_text("nobody has committed this\n")
    gateway.frames.clear()
    await box.start()
    await gateway.frame("phase", phase="synced")
    assert git(box.repo, "rev-parse", "HEAD") == other
    assert git(box.repo, "status", "--porcelain") == "?? mine.txt"


async def test_an_image_that_cannot_be_built_says_why(box: RunningBox, gateway: StandIn):
    await box.start(mode="build", agent=None, repository="acme/nothing")
    assert "acme/nothing" in (await cloned(box))["error"]
    assert await box.terminate() == 0


async def test_a_tree_that_was_left_in_the_middle_of_a_checkout_is_put_right(
    box: RunningBox, gateway: StandIn, bare: Path
):
    await box.start()
    await gateway.frame("ready")
    await box.kill()
    git(box.repo, "reset", "--quiet", "--hard", "HEAD~1")
    (box.repo / ".git/shipmate-checkout").touch()
    (box.repo / ".git/index.lock").touch()
    (box.repo / "rocket/fuel.py").unlink()
    (box.repo / "mine.txt").write_text("nobody has committed this\n")
    gateway.frames.clear()
    await box.start()
    assert (await gateway.frame("ready"))["head"] == git(bare, "rev-parse", "main")
    assert git(box.repo, "status", "--porcelain") == "?? mine.txt"


async def test_what_was_changed_in_a_tree_that_lost_its_repository_is_kept_and_told(
    box: RunningBox, gateway: StandIn, bare: Path
):
    await box.start()
    await gateway.frame("phase", phase="synced")
    await box.kill()
    (box.repo / "README.md").write_text("nobody has committed this\n")
    shutil.rmtree(box.repo / ".git")
    gateway.frames.clear()
    await box.start()
    await gateway.prompt("what is this?")
    assert "README.md had been changed here" in (await gateway.frame("turn_ended"))["error"]
    assert git(box.repo, "rev-parse", "HEAD") == git(bare, "rev-parse", "main")
    assert git(box.repo, "show", "refs/shipmate/early:README.md") == "nobody has committed this"
