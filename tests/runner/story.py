"""A repository as a runner has it, without its box: what an agent does in it, and what becomes of that. Real git."""

import os
import subprocess
from pathlib import Path

from sandbox.runner import history
from sandbox.runner.branch import Work
from sandbox.runner.delivery import Delivered, deliver
from sandbox.runner.git import Git, Person
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
COMMIT = "git add --all; git commit -q -m Own"
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
