"""Closed sessions as files: one compressed JSON object each, with all that the record had.

`jobs/store.py` calls it, and `shipmate doctor` looks with it whether the files can be read. A file is written whole or
not at all, and stays when its session is brought back: the next archiving replaces it.
"""

import gzip
import os
import re
import time
import zlib
from pathlib import Path
from typing import NamedTuple

from jobs.commands import Unreadable
from jobs.events import Frozen
from jobs.session import Session

BROKEN = (gzip.BadGzipFile, EOFError, zlib.error, ValueError)
MEND = "its file cannot be read. Put it back from a backup, or move it away: then its thread begins anew"
_ENDING = ".json.gz"
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Archived(Frozen):
    """A session as text: the folded session and its events as JSON, the transcript's entries as they were stored."""

    session: str
    events: tuple[str, ...]
    transcript: tuple[tuple[str, str, str, str, str], ...]  # id, at, turn, kind, body
    link: dict[str, str]
    stamps: dict[str, str]
    posts: dict[str, str]


class Looked(NamedTuple):
    """How many files there are, how many of them were looked at, and the names of those that cannot be read."""

    files: int
    looked_at: int
    broken: tuple[str, ...]


def has(folder: Path, sid: str) -> bool:
    """Whether there is a file of this session."""
    return _PLAIN.fullmatch(sid) is not None and _file(folder, sid).exists()


def written(folder: Path, since: float) -> dict[str, float]:
    """The sessions whose files were written since then, and when."""
    if not folder.exists():
        return {}
    with os.scandir(folder) as entries:
        found = {entry.name.removesuffix(_ENDING): entry.stat().st_mtime for entry in entries if _is_whole(entry.name)}
    return {sid: at for sid, at in found.items() if at >= since}


def write(folder: Path, sid: str, archived: Archived) -> None:
    """Write it so that a crash at any moment leaves the old file or the new one."""
    target = _file(folder, sid)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = folder / f".{sid}.{os.getpid()}"
    with fresh.open("wb") as file:
        file.write(gzip.compress(archived.model_dump_json().encode()))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(target)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(folder: Path, sid: str) -> Archived:
    """Read it back. Raises `OSError` if it is not there, and `Unreadable` if it is broken."""
    file = _file(folder, sid)
    packed = file.read_bytes()
    try:
        kept = Archived.model_validate_json(gzip.decompress(packed))
        Session.model_validate_json(kept.session)
    except BROKEN as trouble:
        raise Unreadable(file.name) from trouble
    return kept


def look(folder: Path, most: int, seconds: float) -> Looked:
    """Whether the files that were written last can be read: so many, or as many as there is time for."""
    at = written(folder, 0.0)
    began, looked_at, broken = time.monotonic(), 0, []
    for sid in sorted(at, key=lambda sid: -at[sid])[:most]:
        if time.monotonic() - began > seconds:
            break
        looked_at += 1
        try:
            read(folder, sid)
        except (OSError, Unreadable):
            broken.append(_file(folder, sid).name)
    return Looked(len(at), looked_at, tuple(broken))


def _is_whole(name: str) -> bool:
    return name.endswith(_ENDING) and _PLAIN.fullmatch(name.removesuffix(_ENDING)) is not None


def _file(folder: Path, sid: str) -> Path:
    if not _PLAIN.fullmatch(sid):
        raise ValueError(f"{sid!r} is no id of a session")
    return folder / f"{sid}{_ENDING}"
