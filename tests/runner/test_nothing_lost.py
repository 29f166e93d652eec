"""Git's rare corners: whatever an agent leaves behind arrives at the forge, or is kept and told. Real git, no box."""

from typing import NamedTuple

import pytest

from sandbox.runner.leftovers import read
from tests.runner.boxes import BRANCH
from tests.runner.story import ADA, COMMIT, EARLIER, Story


class Case(NamedTuple):
    """A turn: what the agent does, which files the forge has then (None: not this one), and words that people hear:
    as the turn's `error`, or beside it."""

    script: str
    files: dict[str, str | None]
    error: str | None = None
    told: str = ""


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
    "filters fail": Case(
        "echo '*.a filter=a' >.gitattributes; echo '*.u working-tree-encoding=UTF-16' >>.gitattributes; echo x >x.u;"
        "git config filter.a.clean false; git config filter.a.required true; echo x >x.a; echo y >y.a;"
        "echo work >work.txt",
        WORK | {"x.a": None}, error="Not all of the work is in a commit: error: external filter 'false' failed",
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
        "echo work >work.txt; rm -r -f .git", WORK, told="came as one change"
    ),
    "the repository is made anew": Case(
        f"echo work >work.txt; rm -r -f .git; git init -q; {COMMIT}", WORK, told="is kept in the box as ~/broken-git"
    ),
    "the repository is cloned anew, as main is": Case(
        "f=$(cd ../forge.git; pwd); rm -r -f .git *; git clone -q --depth 1 file://$f .; echo work >work.txt",
        WORK | {"README.md": "first\nsecond"}, told="came as one change",
    ),
    "its objects are removed": Case("echo work >work.txt; rm -r -f .git/objects/*", WORK, told="came as one change"),
    "its HEAD is spoilt": Case("echo work >work.txt; echo x >.git/HEAD", WORK, told="came as one change"),
    "its settings are spoilt": Case("echo work >work.txt; echo '[core' >>.git/config", WORK),
    "our own refs are removed": Case(f"rm -r .git/refs/shipmate; echo work >work.txt; {COMMIT}", WORK),
    "the index is broken": Case("echo work >work.txt; : >.git/index", WORK),
    "HEAD is locked": Case(
        f"echo work >work.txt; {COMMIT}; git commit -q --amend --author 'Eve <e@x>' -m X; touch .git/HEAD.lock", WORK
    ),
    "the branch's ref is removed": Case(
        f"echo work >work.txt; {COMMIT}; rm .git/refs/heads/$BRANCH .git/logs/refs/heads/$BRANCH", WORK
    ),
    "an object is replaced": Case(f"echo work >work.txt; {COMMIT}; git replace HEAD HEAD~1", WORK),
    "another branch is called HEAD": Case("git update-ref refs/heads/HEAD HEAD~1; echo work >work.txt", WORK),
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
    assert "earlier.txt" in case.files or story.there("earlier.txt") == "earlier"
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
    story.theirs("echo again >README.md")
    ours = "git fetch -q origin; git merge -q origin/main; git checkout -q --ours README.md; git add README.md"
    done = await story.turn(ours)  # a merge that changes no file
    assert (done.error, done.pushed, story.there("README.md")) == (None, True, "both")
    assert "Theirs" in story.sh(f"git log -1 --format=%s {BRANCH}^2", story.forge)


SAID = 'error: open("a \\"b"): Permission denied\nerror: unable to index file \'a "b\'\n'
SAID += "warning: could not open directory 'd/': Permission denied\nerror: 'in/' does not have a commit checked out\n"


def test_what_git_could_not_read_is_told_from_what_it_could_not_store():
    unread = {'a \\"b': "Permission denied", "d/": "Permission denied", "in/": "a repository of its own"}
    assert read(f"{SAID}fatal: adding files failed\n") == (unread, "")
    assert read(f"{SAID}error: x: failed to insert into database")[1] == "error: x: failed to insert into database"
    assert read("") == ({}, "")
