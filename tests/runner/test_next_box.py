"""What the box after a killed one finds in its tree: it goes on, and nothing is overwritten. Real git, no box."""

from typing import NamedTuple

import pytest

from tests.runner.boxes import BRANCH
from tests.runner.story import COMMIT, EARLIER, Story


class Move(NamedTuple):
    """What lies in the tree, what somebody else commits, and what is kept of the first where the second has to be."""

    before: str
    theirs: str
    kept: dict[str, str]


HIDING = "echo out >.gitignore"
MOVES = {
    "a file that is hidden": Move("rm -r .git; echo mine >out", f"{HIDING}; echo theirs >out", {"out": "mine"}),
    "a file, for a folder": Move("rm -r .git src; echo mine >src", "", {"src": "mine"}),
    "a folder, for a file": Move(
        "rm -r .git README.md; mkdir README.md; echo mine >README.md/x", "", {"README.md/x": "mine"}
    ),
    "a hidden folder, for a file": Move(
        "rm -r .git; mkdir out; echo mine >out/x", f"{HIDING}; echo theirs >out", {"out/x": "mine"}
    ),
    "a link, for a folder": Move("rm -r .git src; ln -s ../home src", "", {"src": "../home"}),
    "a hidden folder, moved": Move(f"{HIDING}; mkdir out; echo mine >out/x", "echo theirs >out", {"out/x": "mine"}),
    "a hidden file, moved": Move(f"{HIDING}; echo mine >out", "mkdir out; echo theirs >out/x", {"out": "mine"}),
    "a link, moved": Move("ln -s ../home out; touch ../home/x", "mkdir out; echo theirs >out/x", {"out": "../home"}),
    "a pipe": Move("mkfifo out; echo x >y", "echo theirs >out; echo z >y", {"y": "x"}),
    "an odd name": Move(
        "git config core.quotePath false; mkdir é; echo mine >é/x", "echo theirs >é", {"é/x": "mine"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
async def test_what_is_in_the_way_of_the_forges_files_is_kept_and_told(story: Story, move: Move):
    await story.sync()
    if not move.theirs:
        story.theirs("echo more >more.txt")
    elif "rm -r .git" in move.before:
        story.theirs(move.theirs)
    story.sh(move.before)
    if move.theirs and "rm -r .git" not in move.before:
        story.theirs(move.theirs)
    step = await story.sync()
    assert step.carried.conflicts == tuple(move.kept)
    assert {path: story.sh(f"git show 'refs/shipmate/early:{path}'") for path in move.kept} == move.kept
    assert step.head == story.sh("git rev-parse main", story.forge) == story.sh("git rev-parse HEAD")


HALF_MADE = (
    "rm -r .git/objects",
    "rm -r .git/refs",
    "rm .git/HEAD",
    "rm .git/config",
    ": >.git/HEAD",
    "echo no >.git/HEAD",
)


@pytest.mark.parametrize("harm", HALF_MADE)
async def test_a_repository_that_is_only_half_made_is_made_anew(story: Story, harm: str):
    await story.sync()
    story.sh(f"echo mine >mine.txt; {harm}")
    assert (await story.sync()).head == story.sh("git rev-parse main", story.forge)
    assert story.sh("git status --porcelain") == "?? mine.txt"


async def test_a_repository_that_a_crash_broke_is_made_anew_around_the_tree(story: Story):
    await story.sync()
    await story.turn(EARLIER)
    story.sh(f"echo work >work.txt; {COMMIT}; echo mine >README.md; {COMMIT}")
    story.sh("f=.git/objects/$(git rev-parse HEAD | sed 's,^..,&/,'); rm -f $f; : >$f")
    assert (await story.sync()).carried.conflicts == ("README.md",)
    done = await story.turn("git show refs/shipmate/early:README.md >README.md")
    assert (done.error, done.pushed) == (None, True)
    assert [story.there(path) for path in ("earlier.txt", "work.txt", "README.md")] == ["earlier", "work", "mine"]


INSTEAD = "git reset -q --hard HEAD~1; echo new >new.txt"
NEXT_BOX = {
    "commits on no branch": ("git checkout -q --detach; echo work >work.txt; " + COMMIT, "", "work.txt", ""),
    "commits on a branch with an unusual name": (
        f"git checkout -q -b für; echo work >work.txt; {COMMIT}", "", "work.txt", ""
    ),
    "commits beside the branch": (
        f"echo work >work.txt; {COMMIT}; git checkout -q --detach HEAD~1; echo x >x; {COMMIT}",
        "", "work.txt", "1 commit beside the branch",
    ),
    "a ref that a crash left empty": (f"echo work >work.txt; {COMMIT}; : >.git/refs/heads/$BRANCH", "", "work.txt", ""),
    "a base that was made anew, and no trace of the old one": ("git remote rm origin", INSTEAD, "new.txt", ""),
}  # fmt: skip


@pytest.mark.parametrize(("script", "theirs", "path", "told"), NEXT_BOX.values(), ids=NEXT_BOX)
async def test_the_next_box_goes_on_with_what_a_killed_one_left(
    story: Story, script: str, theirs: str, path: str, told: str
):
    await story.sync()
    story.sh(script)
    if theirs:
        story.theirs(theirs)
    await story.sync()
    assert (story.repo / path).exists()
    done = await story.turn("echo more >more.txt")
    assert (done.error, done.pushed) == (None, True) and told in " ".join(done.told)
    assert story.there(path) and (not theirs or "Second" not in story.sh(f"git log --format=%s {BRANCH}", story.forge))


async def test_work_that_the_base_had_for_a_while_stays(story: Story):
    await story.sync()
    await story.turn(EARLIER)
    story.sh(f"git update-ref refs/heads/main {BRANCH}", story.forge)
    story.sh("git fetch -q origin")
    story.sh(f"git update-ref refs/heads/main main~1; git update-ref -d refs/heads/{BRANCH}", story.forge)
    story.sh("git fetch -q --prune origin")
    await story.sync()
    assert (story.repo / "earlier.txt").exists()
