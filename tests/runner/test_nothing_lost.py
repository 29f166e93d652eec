"""Git's rare corners: whatever an agent leaves behind arrives at the forge, or is kept and told. Real git, no box."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from sandbox.runner import history
from sandbox.runner.branch import Work
from sandbox.runner.delivery import Delivered, deliver
from sandbox.runner.git import Git, Person
from sandbox.runner.leftovers import read
from sandbox.runner.processes import Children
from sandbox.runner.sync import Step, sync
from sandbox.runner.within import within
from tests.runner.boxes import BRANCH

ADA = Person("Ada Lovelace", "ada@acme.example")
SEED = """
git init -q -b main . && git config user.name Wally && git config user.email wally@acme.example && mkdir src
echo first >README.md && echo a >src/a.txt && echo b >src/b.txt && git add --all && git commit -q -m First
echo second >>README.md && git commit -q -a -m Second && git clone -q --bare . ../forge.git
"""
EARLIER = "echo earlier >earlier.txt"  # the first turn of each story, which is pushed


class OnlyOurs(Children):
    """Reaps what it started: the tests have children of their own."""

    def reap(self) -> None:
        for pid, child in list(self._known.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._known[pid]
                child.ended(os.waitstatus_to_exitcode(status))


class Story:
    """A repository as a runner has it, without its box; `forge` is the bare one that it came from."""

    def __init__(self, root: Path) -> None:
        self.forge, self.repo, self.home = root / "forge.git", root / "repo", root / "home"
        self.seed = root / "seed"
        for folder in (self.repo, self.home):
            folder.mkdir()
        self._env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1"}
        self.children = OnlyOurs()
        self.git = Git(self.children, str(self.repo), str(self.home), self._env, str(self.forge))
        self._known = ""

    def sh(self, script: str, cwd: Path | None = None) -> str:
        """What a script says that may fail."""
        ran = subprocess.run(
            ("sh", "-c", script), cwd=cwd or self.repo, env=self._env | {"BRANCH": BRANCH}, capture_output=True,
            check=False, errors="surrogateescape",
        )  # fmt: skip
        return ran.stdout.strip()

    def theirs(self, script: str) -> None:
        """Somebody else commits to main."""
        self.sh(
            f"{script}\ngit add --all --force; git commit -q -m Theirs; git push -q -f ../forge.git main", self.seed
        )

    async def sync(self) -> Step:
        self.git.know(ADA)
        step = await sync(self.git, "main", BRANCH)
        await history.begin(self.git)
        self._known = self._known or step.head
        return step

    async def turn(self, script: str, asked: str = "do it") -> Delivered:
        """What comes of a turn in which the agent did this."""
        await history.begin(self.git)
        self.sh(script)
        work = Work("main", BRANCH, ADA, (), asked, self._known)
        done = await deliver(self.git, work, lambda doing: within(30, doing))
        self._known = done.head if done.pushed else self._known
        return done

    def there(self, path: str) -> str | None:
        """What the forge has of a file on our branch."""
        listed = self.sh(f"git ls-tree --name-only {BRANCH} -- '{path}'", self.forge)
        return self.sh(f"git show '{BRANCH}:{path}'", self.forge) if listed else None


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("nothing-lost")
    (root / "seed").mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(("sh", "-ec", SEED), cwd=root / "seed", env=env, check=True)
    return root


@pytest.fixture
async def story(seed: Path, tmp_path: Path) -> AsyncIterator[Story]:
    for name in ("seed", "forge.git"):
        shutil.copytree(seed / name, tmp_path / name)
    told = Story(tmp_path)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGCHLD, told.children.reap)
    yield told
    loop.remove_signal_handler(signal.SIGCHLD)


class Case(NamedTuple):
    """A turn: what the agent does, which files the forge has then (None: not this one), and words that people hear:
    as the turn's `error`, or beside it."""

    script: str
    files: dict[str, str | None]
    error: str | None = None
    told: str = ""


COMMIT = "git add --all; git commit -q -m Own"
ON_THEIRS = "git fetch -q origin; git checkout -q --detach origin/main"
BOTH = f"echo mine >README.md; {COMMIT}; git fetch -q origin;"
WORK = {"work.txt": "work"}
CASES = {
    # where it stands
    "HEAD is detached": Case("git checkout -q --detach; echo work >work.txt", WORK),
    "another branch is checked out": Case("git checkout -q -b mine; echo work >work.txt", WORK),
    "the branch has another name": Case("git branch -m shipmate; echo work >work.txt", WORK),
    "it looks at main, with work that was pushed": Case(f"{ON_THEIRS}; echo work >work.txt", WORK),
    "it looks at main, with work that was not": Case(
        f"echo work >work.txt; {COMMIT}; {ON_THEIRS}; echo more >more.txt",
        WORK | {"more.txt": "more"},
    ),
    "it bisects": Case(
        f"echo work >work.txt; {COMMIT}; git bisect start -q HEAD HEAD~3; echo more >more.txt",
        WORK | {"more.txt": "more"},
    ),
    "it worked on two branches": Case(
        f"echo work >work.txt; {COMMIT}; git checkout -q -b other origin/main; echo more >more.txt; {COMMIT}",
        WORK | {"more.txt": "more"},
    ),
    "what it did elsewhere does not go together with it": Case(
        f"echo mine >README.md; {COMMIT}; {ON_THEIRS}; echo other >README.md",
        {"README.md": "mine"}, told="1 commit beside the branch, kept as refs/shipmate/apart/",
    ),
    "it began without a history": Case("git checkout -q --orphan other; git rm -r -f -q .; echo work >work.txt", WORK),
    "it began without a history, and deleted the branch": Case(
        "git checkout -q --orphan other; git branch -q -D $BRANCH; echo work >work.txt", WORK
    ),
    "the branch is deleted with work on it": Case(
        f"echo work >work.txt; {COMMIT}; {ON_THEIRS}; git branch -q -D $BRANCH", WORK, told="which was brought back"
    ),
    "the branch is deleted, and made anew elsewhere": Case(
        f"echo old >old.txt; {COMMIT}; git checkout -q -b other HEAD~1; echo work >work.txt; {COMMIT}; "
        "git branch -q -D $BRANCH",
        WORK | {"old.txt": None}, told="1 commit beside the branch",
    ),
    "it takes back what was pushed": Case("git reset -q --hard HEAD~1", {"earlier.txt": None}),
    # in the middle of something
    "a rebase is not over": Case(
        f"{BOTH} git rebase -q origin/main", {"README.md": "first\nsecond"}, error="in the middle of a rebase"
    ),
    "a merge is not over": Case(
        f"{BOTH} git merge -q origin/main",
        {"README.md": "mine", "theirs.txt": None},
        error="README.md is in conflict, for the agent stopped in the middle of a merge",
    ),
    "a stash does not go back": Case(
        f"echo one >README.md; git stash -q; echo mine >README.md; {COMMIT}; git stash pop -q",
        {"README.md": "mine"}, error="README.md is in conflict", told="what the agent stashed",
    ),
    "a merge is over but for the commit": Case(
        f"{BOTH} git merge -q origin/main; echo both >README.md; git add README.md",
        {"README.md": "both", "theirs.txt": "t"}
    ),
    # work that no commit takes
    "a repository lies in the repository": Case(
        f"git init -q inner; cd inner; echo x >x; {COMMIT}; cd ..; git init -q empty; echo work >work.txt",
        WORK | {"inner": None}, told="empty/, inner (a repository of its own)",
    ),
    "a submodule was written to": Case(
        "git init -q sub; cd sub; echo x >x; git add x; git commit -q -m X; "
        "git update-ref refs/remotes/origin/main HEAD;"
        "cd ..; printf '[submodule \"sub\"]\\n\\tpath = sub\\n\\turl = https://acme.example/sub\\n' >.gitmodules;"
        "git add --all; git commit -q -m Sub; echo y >sub/x; echo work >work.txt",
        WORK, told="what was changed in the submodule sub",
    ),
    "a submodule has a commit of its own": Case(
        "git init -q sub; cd sub; echo x >x; git add x; git commit -q -m X; cd ..; echo work >work.txt;"
        "printf '[submodule \"sub\"]\\n\\tpath = sub\\n\\turl = https://acme.example/sub\\n' >.gitmodules",
        WORK | {"sub": None}, told="sub (a submodule, whose newest commit is only in this box)",
    ),
    "a file is too large": Case(
        "truncate -s 53000000 README.md; echo work >work.txt",
        WORK | {"README.md": "first\nsecond"}, told="README.md (larger than 50 MB)",
    ),
    "nothing can be stored": Case(
        f"echo own >own.txt; {COMMIT}; cd .git/objects; for n in $(seq 0 255); do"
        " f=$(printf %02x $n); [ -d $f ] || : >$f; done; cd ../..; echo 1 >1; echo 2 >2; echo 3 >3; echo 4 >4",
        {}, error="could not be pushed|Not all of the work is in a commit: error: unable to create temporary file",
    ),
    # work that is elsewhere
    "something is stashed": Case(
        "echo x >README.md; git stash -q; git pack-refs --all; echo work >work.txt",
        WORK, told="what the agent stashed (WIP on",
    ),
    "another branch has commits": Case(
        f"git checkout -q -b mine; echo x >x; {COMMIT}; git checkout -q $BRANCH; echo work >work.txt",
        WORK | {"x": None}, told="1 commit on the branch mine",
    ),
    "another branch has commits, and a file with others": Case(
        f"git checkout -q -b mine; echo x >x; {COMMIT}; git checkout -q $BRANCH; git pack-refs --all;"
        "echo work >work.txt",
        WORK | {"x": None}, told="1 commit on the branch mine",
    ),
    "another worktree has changes": Case(
        f"{ON_THEIRS}; git worktree add -q ../tree $BRANCH; echo x >../tree/x; echo work >work.txt",
        WORK, told="what was changed in the worktree",
    ),
    # its repository and its settings
    "the checkout is sparse": Case(
        "git sparse-checkout set src; mkdir other; echo work >work.txt; echo x >other/x",
        WORK | {"other/x": "x", "README.md": "first\nsecond"},
    ),
    "the repository is removed": Case(
        "echo work >work.txt; rm -r -f .git", WORK, told="all that is in its folder came as one"
    ),
    "the repository is made anew": Case(
        f"echo work >work.txt; rm -r -f .git; git init -q; {COMMIT}", WORK, told="is kept in the box as ~/broken-git"
    ),
    "our own refs are removed": Case(f"rm -r .git/refs/shipmate; echo work >work.txt; {COMMIT}", WORK),
    "the index is broken": Case("echo work >work.txt; : >.git/index", WORK),
    "HEAD is locked": Case(
        f"echo work >work.txt; {COMMIT}; git commit -q --amend --author 'Eve <e@x>' -m X; touch .git/HEAD.lock", WORK
    ),
    "the branch's ref is removed": Case(
        f"echo work >work.txt; {COMMIT}; rm .git/refs/heads/$BRANCH .git/logs/refs/heads/$BRANCH", WORK
    ),
    "an object is replaced": Case(f"echo work >work.txt; {COMMIT}; git replace HEAD HEAD~1", WORK),
    "settings point elsewhere": Case(
        "git config remote.origin.pushurl /nowhere; git config remote.origin.mirror true; "
        "git config core.worktree /tmp;"
        "git config commit.cleanup strip; git config core.ignoreCase true; echo work >work.txt; echo x >readme.md;"
        "git config core.bare true",
        WORK | {"readme.md": "x", "README.md": "first\nsecond"},
    ),
    "names are odd": Case(
        "echo work >work.txt; echo x >\"$(printf 'a\\377b')\"; echo x >\"$(printf 'n\\nl')\";"
        "ln -s loop loop; mkfifo pipe",
        WORK | {"loop": "loop", "pipe": None},
    ),
    "hooks refuse, and signing is on": Case(
        "printf '#!/bin/sh\\nexit 1\\n' >.git/hooks/pre-commit; chmod +x .git/hooks/pre-commit; echo work >work.txt;"
        "cp .git/hooks/pre-commit .git/hooks/pre-push; git config commit.gpgSign true; git config user.name Eve",
        WORK,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_work_arrives_or_is_kept_and_told(story: Story, case: Case):
    await story.sync()
    assert (await story.turn(EARLIER)).pushed
    story.theirs("echo theirs >README.md; echo t >theirs.txt")
    done = await story.turn(case.script, "# do it")
    if case.error is None:
        assert (done.error, done.pushed) == (None, True)
    else:
        assert any(words in (done.error or "") for words in case.error.split("|"))
    assert case.told in " ".join(done.told) and bool(case.told) == bool(done.told)
    assert {path: story.there(path) for path in case.files} == case.files
    assert case.files.get("earlier.txt", story.there("earlier.txt")) in ("earlier", None)
    assert set(story.sh(f"git log --format=%an {BRANCH} ^main", story.forge).split("\n")) <= {ADA.name, "Wally", ""}


async def test_what_an_agent_had_in_the_place_of_the_repository_is_kept_also_while_the_forge_is_away(story: Story):
    await story.sync()
    assert (await story.turn(EARLIER)).pushed
    away = story.forge.rename(story.forge.with_name("away.git"))
    failed = await story.turn("echo work >work.txt; rm -r .git/refs .git/HEAD; touch .git/kept")
    assert not failed.pushed and failed.error
    away.rename(story.forge)
    done = await story.turn("echo more >more.txt; git add --all; git commit -q -m Own")
    assert (done.error, done.pushed, story.there("work.txt"), story.there("more.txt")) == (None, True, "work", "more")
    assert (story.home / "broken-git/kept").exists() and "~/broken-git" in " ".join(done.told)
    assert "First" in story.sh("git log --format=%s") and not (story.repo / ".git/shipmate-anew").exists()


async def test_what_was_in_the_middle_comes_when_it_is_over(story: Story):
    await story.sync()
    story.theirs("echo theirs >README.md")
    assert not (await story.turn(f"{BOTH} git rebase -q origin/main")).pushed
    assert "mine" in story.sh("cat README.md")
    assert (await story.sync()).head == story.sh("git rev-parse HEAD")
    done = await story.turn("echo both >README.md; git add README.md; GIT_EDITOR=true git rebase --continue")
    assert (done.error, done.pushed, story.there("README.md")) == (None, True, "both")


SAID = 'error: open("a \\"b"): Permission denied\nerror: unable to index file \'a "b\'\n'
SAID += "warning: could not open directory 'd/': Permission denied\nerror: 'in/' does not have a commit checked out\n"


def test_what_git_could_not_read_is_told_from_what_it_could_not_store():
    unread = {'a \\"b': "Permission denied", "d/": "Permission denied", "in/": "a repository of its own"}
    assert read(f"{SAID}fatal: adding files failed\n") == (unread, "")
    assert read(f"{SAID}error: x: failed to insert into database")[1] == "error: x: failed to insert into database"
    assert read("") == ({}, "")


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
