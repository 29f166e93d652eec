"""Work of the agent's that is in the box and that no push brings to the forge, as sentences for people.

`delivery.py` asks at the end of a turn. Nearly always there is none, and no process is started to find that out.
"""

from __future__ import annotations

import os

from sandbox.runner.branch import Work
from sandbox.runner.git import Git, GitFailed, plain
from sandbox.runner.leftovers import ONLY_HERE, named
from sandbox.runner.refs import APART, names_below

BRANCHES_MOST = 5  # looked at


async def work_elsewhere(git: Git, work: Work) -> list[str]:
    """What people should know of. What cannot be found out is not told."""
    found = [
        await _stashed(git),
        *await _commits(git, "refs/heads", "on the branch ", {work.base, work.branch}),
        *await _commits(git, APART, f"beside the branch, kept as {APART}/", set()),
        *await _in_worktrees(git),
        await _in_submodules(git),
    ]
    return [f"Not in the pull request, and {ONLY_HERE}: {what}." for what in found if what]


async def _stashed(git: Git) -> str:
    if not os.path.lexists(os.path.join(git.repo, ".git/logs/refs/stash")):
        return ""
    listed = (await git.asks("stash", "list", "--format=%gs")).splitlines()
    return f"what the agent stashed ({named(listed)})" if listed else ""


async def _commits(git: Git, below: str, where: str, ours: set[str]) -> list[str]:
    """Commits that only refs below this one have."""
    found = []
    for name in sorted(names_below(git, below) - ours)[:BRANCHES_MOST]:
        count = await git.asks("rev-list", "--count", f"{below}/{name}", "--not", "HEAD", "--remotes=origin", "--")
        if count.isdigit() and int(count):
            found.append(f"{count} {'commit' if count == '1' else 'commits'} {where}{named([name])}")
    return found


async def _in_worktrees(git: Git) -> list[str]:
    folder = os.path.join(git.repo, ".git/worktrees")
    found = []
    for name in sorted(os.listdir(folder))[:BRANCHES_MOST] if os.path.isdir(folder) else ():
        own = os.path.join(folder, name)
        if not os.path.isfile(os.path.join(own, "gitdir")):
            continue  # what the agent put there may be waited at for ever
        try:
            with open(os.path.join(own, "gitdir"), encoding="utf-8", errors="replace") as file:
                path = os.path.dirname(file.read(4_000).strip())
            changed = await git(f"--git-dir={own}", f"--work-tree={path}", "-C", path, "status", "--porcelain")
        except (GitFailed, OSError):
            continue  # it is gone
        if changed:
            found.append(f"what was changed in the worktree {named([path])}")
    return found


async def _in_submodules(git: Git) -> str:
    if not os.path.isfile(os.path.join(git.repo, ".gitmodules")):
        return ""
    listed = await git.asks("status", "--porcelain=v2", "--untracked-files=no", "--ignore-submodules=none")
    rows = [line.split(" ", 8) for line in listed.splitlines() if line.startswith("1 ")]
    changed = [plain(row[8]) for row in rows if len(row) == 9 and row[2][:1] == "S" and row[2][2:] != ".."]
    return f"what was changed in the submodule {named(changed)}" if changed else ""
