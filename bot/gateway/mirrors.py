"""A bare mirror of each repository: what the forge had a moment ago. The only thing that boxes fetch from.

`git.py` asks for one before it serves a fetch or a push. Only a fetch from the forge ever writes to a mirror, one at a
time across all processes; nothing from a box gets in but through the forge. A fetch that began within the last second
counts as fresh. A mirror without the forge is not served: nobody starts on a stale base in silence.
"""

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from bot.gateway.backend import HostGit, Ran, TooMuch
from bot.gateway.declined import Declined
from bot.gateway.locks import Locks
from bot.gateway.upstream import Upstream, meaning

log = logging.getLogger(__name__)
FRESH_SECONDS = 1.0
FIRST_SECONDS, UPDATE_SECONDS, ASK_SECONDS = 900.0, 180.0, 30.0
PACKS_MOST = 50
ABANDONED_SECONDS = 86_400.0
REFSPECS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
MARK = "shipmate-fetched"  # its time is when the last good fetch began


class Mirrors:
    """All mirrors of one `folder`. `clock` is the one that files are stamped with."""

    def __init__(self, folder: Path, git: HostGit, upstream: Upstream, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._git, self._upstream, self._clock = folder, git, upstream, clock
        self._locks = Locks()

    async def fresh(self, repository: str, within: float = FRESH_SECONDS) -> Path:
        """The mirror as the forge was at most `within` seconds before now. Raises Declined, in words."""
        address = self._upstream.address(repository)
        mirror = self._path(repository)
        asked = self._clock()
        try:
            async with self._locks.held(mirror.with_suffix(".lock"), FIRST_SECONDS) as lock:
                if not asked - within <= _fetched(mirror) <= self._clock():
                    await self._bring_up_to_date(repository, address, mirror, lock)
        except TimeoutError:
            raise Declined(503, f"Fetching {repository} from the forge took too long; try again.") from None
        return mirror

    async def known(self, repository: str) -> Path:
        """The mirror as it is; fetched only if there is none yet."""
        mirror = self._path(repository)
        return mirror if mirror.is_dir() else await self.fresh(repository)

    def outdate(self, repository: str) -> None:
        """Say that the forge has changed: the next who asks gets what it has now."""
        with contextlib.suppress(FileNotFoundError):
            (self._path(repository) / MARK).unlink()

    async def refs(self, mirror: Path) -> dict[str, str]:
        """Branches and tags: name → sha."""
        ran = await self._git.run(
            "--git-dir", str(mirror), "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags"
        )
        if ran.code:
            raise Declined(500, "The mirror of this repository cannot be read.")
        rows = (row.partition(" ") for row in ran.out.decode("utf-8", "surrogateescape").split("\n") if row)
        return {ref: sha for sha, _, ref in rows}

    def _path(self, repository: str) -> Path:
        self._upstream.address(repository)
        return self._folder / f"{repository.lower()}.git"

    async def _bring_up_to_date(self, repository: str, address: str, mirror: Path, lock: int) -> None:
        began = self._clock()
        secret = await self._upstream.credential(repository)
        if mirror.is_dir():
            await self._fetch(repository, address, mirror, secret, lock, UPDATE_SECONDS)
            if not await self._has_head(mirror):
                await self._point_head(address, mirror, secret)
            await self._tend(mirror, lock)
        else:
            await self._begin(repository, address, mirror, secret, lock)
        (mirror / MARK).touch()
        os.utime(mirror / MARK, (began, began))

    async def _begin(self, repository: str, address: str, mirror: Path, secret: str, lock: int) -> None:
        """A mirror appears whole or not at all."""
        coming = mirror.with_suffix(".coming")
        shutil.rmtree(coming, ignore_errors=True)
        try:
            await self._git.run("init", "--quiet", "--bare", "--initial-branch=main", "--template=", str(coming))
            await self._fetch(repository, address, coming, secret, lock, FIRST_SECONDS)
            await self._point_head(address, coming, secret)
            coming.rename(mirror)
        finally:
            shutil.rmtree(coming, ignore_errors=True)

    async def _fetch(self, repository: str, address: str, mirror: Path, secret: str, lock: int, seconds: float) -> None:
        async def fetched() -> Ran:
            return await self._git.run(
                "--git-dir", str(mirror), "fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head",
                "--no-recurse-submodules", address, *REFSPECS, secret=secret, seconds=seconds, holding=(lock,),
            )  # fmt: skip

        ran = await fetched()
        if ran.code and ".lock': File exists" in ran.words:
            _break_locks(mirror)  # a killed git left them: we hold the only right to write here
            ran = await fetched()
        if ran.code:
            log.warning("%s could not be fetched from the forge: %s", repository, ran.words.strip())
            raise meaning(ran.words, repository)

    async def _has_head(self, mirror: Path) -> bool:
        ran = await self._git.run("--git-dir", str(mirror), "rev-parse", "--quiet", "--verify", "HEAD")
        return ran.code == 0

    async def _point_head(self, address: str, mirror: Path, secret: str) -> None:
        """Let HEAD name the forge's default branch, for those who clone without naming one."""
        ran = await self._git.run("ls-remote", "--symref", address, "HEAD", secret=secret, seconds=ASK_SECONDS)
        target = ran.out.decode("utf-8", "replace").partition("\n")[0].partition("\t")[0].removeprefix("ref: ")
        if target.startswith("refs/heads/"):
            await self._git.run("--git-dir", str(mirror), "symbolic-ref", "HEAD", target)

    async def _tend(self, mirror: Path, lock: int) -> None:
        """Join packs when there are many. Nothing is thrown away, so whoever reads meanwhile loses nothing."""
        packs = mirror / "objects" / "pack"
        if sum(1 for _ in packs.glob("*.pack")) <= PACKS_MOST:
            return
        for left in packs.glob("tmp_*"):
            if left.stat().st_mtime < self._clock() - ABANDONED_SECONDS:
                left.unlink()
        with contextlib.suppress(TimeoutError, TooMuch):
            ran = await self._git.run(
                "--git-dir", str(mirror), "repack", "-d", "-q", "--geometric=2", seconds=UPDATE_SECONDS, holding=(lock,)
            )
            if ran.code:
                log.warning("the packs of %s could not be joined: %s", mirror.name, ran.words.strip())


def _fetched(mirror: Path) -> float:
    """When the last good fetch began; long ago if there was none."""
    try:
        return (mirror / MARK).stat().st_mtime
    except FileNotFoundError:
        return float("-inf")


def _break_locks(mirror: Path) -> None:
    for lock in (*mirror.glob("*.lock"), *(mirror / "refs").rglob("*.lock")):
        lock.unlink(missing_ok=True)
