"""The files that agents attach, kept on this machine: `data_dir/files/SESSION/FILE`, each written whole or not at all.

The gateway puts them here (`bot/gateway/files.py`), faces read them, the upkeep lets go of old ones.
"""

import asyncio
import hashlib
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from sandbox.runner.visible import visible

log = logging.getLogger(__name__)
NAME_CHARS = 100
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,100}")
_SIGNS = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|]+")


class TooLarge(Exception):
    """There is more of the file than may be kept."""


class Kept(NamedTuple):
    """What was kept: how much, and the digest (SHA-256, hex)."""

    bytes: int
    digest: str


class Shelf:
    """`folder` is made when the first file comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sid: str, file_id: str) -> Path:
        """Where this file is, or would be. Raises ValueError for what is no id."""
        if not _ID.fullmatch(sid) or not _ID.fullmatch(file_id):
            raise ValueError("no id of a session or a file")
        return self._folder / sid / file_id

    async def keep(self, sid: str, file_id: str, pieces: AsyncIterator[bytes], most: int) -> Kept:
        """Keep these bytes, in the place of what was there. Raises `TooLarge`, and whatever `pieces` raises."""
        path = self.path(sid, file_id)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest, size = hashlib.sha256(), 0
        descriptor, fresh = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(descriptor, "wb") as file:
                async for piece in pieces:
                    size += len(piece)
                    if size > most:
                        raise TooLarge
                    digest.update(piece)
                    file.write(piece)
                file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())  # it may take long, and others wait
            Path(fresh).replace(path)
        except BaseException:
            Path(fresh).unlink(missing_ok=True)
            raise
        return Kept(size, digest.hexdigest())

    def forget_old(self, seconds: float) -> None:
        """Let go of the files of every session that has attached nothing for so long."""
        before = time.time() - seconds
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if folder.is_dir() and folder.stat().st_mtime < before:
                shutil.rmtree(folder, ignore_errors=True)
                log.info("the files of session %s are let go", folder.name)


def clean_name(path: str) -> str:
    """The name of a file as it may be shown and saved under: no folder, no sign that a system gives a meaning to."""
    last = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = " ".join(_SIGNS.sub(" ", visible(last)).split()).strip(". ")
    if len(name) > NAME_CHARS:
        stem, dot, ending = name.rpartition(".")
        ending = dot + ending if stem and len(ending) <= 10 else ""
        name = name[: NAME_CHARS - len(ending)].rstrip() + ending
    return name or "file"
