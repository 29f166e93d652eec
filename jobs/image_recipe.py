"""What the box of a build has cloned: its commit, its recipe, and what cannot be brought with it.

`jobs/image_build.py` reads it through `ask`, which runs a command in the box. Everything is taken from the commit, not
from files that a step may have changed.
"""

from collections.abc import Awaitable, Callable

from sandbox import devcontainer
from sandbox.jsonc import MOST_BYTES
from sandbox.provider import ExecResult
from sandbox.recipe import FILES, Recipe, RecipeError, detect

Ask = Callable[..., Awaitable[ExecResult]]
GIT = ("git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false")
FILE_MODES = ("100644", "100755")
LIST_BYTES = 1 << 20
_COUNT_SUBMODULES = "git ls-tree -r HEAD | grep -c '^160000'"
_LFS = (*GIT, "grep", "-l", "filter=lfs", "HEAD", "--", ".gitattributes", "**/.gitattributes")


async def recipe_of(ask: Ask) -> Recipe:
    """The recipe at HEAD; raises RecipeError, whose reason names the file."""
    for where in FILES:
        mode = (await ask((*GIT, "ls-tree", "HEAD", "--", where))).stdout.split(b" ")[0].decode()
        if not mode:
            continue
        if mode not in FILE_MODES:
            raise RecipeError(1, f"of {where}: it must be a file, and is a link or a folder")
        said = await ask((*GIT, "show", f"HEAD:{where}"), limit=MOST_BYTES + 4)
        try:
            return devcontainer.parse(said.stdout, where)
        except RecipeError as wrong:
            raise RecipeError(wrong.line, f"of {where}: {wrong.reason}") from None
    listed = (await ask((*GIT, "ls-tree", "-z", "--name-only", "HEAD"), limit=LIST_BYTES)).stdout
    return detect(frozenset(listed.decode("utf-8", "replace").split("\0")))


async def not_brought(ask: Ask) -> tuple[str, ...]:
    """Sentences for people: what of the repository is not in its boxes."""
    notes = []
    submodules = (await ask(("/bin/sh", "-c", _COUNT_SUBMODULES))).stdout.decode("ascii", "replace").strip()
    if submodules not in ("", "0"):
        notes.append(
            f"This repository has {submodules} submodules. They are not fetched: a box reaches this repository only,"
            " so their folders are empty."
        )
    if (await ask(_LFS)).stdout.strip():
        notes.append(
            "This repository keeps files in Git LFS. They are not fetched: the agent sees the small pointer files."
        )
    return tuple(notes)
