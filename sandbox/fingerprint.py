"""Whether a tree is still what it was when it was kept: nothing missing, added, cut short or changed. `layers.py` asks.

Names, kinds and sizes are compared, which costs one look at each entry; where all files together are small, their
contents too. What is larger than `MOST` entries is not looked at, for nobody would wait for it.
"""

import hashlib
import os
import stat
import zlib
from pathlib import Path

from sandbox.disk_trouble import is_of_ours
from sandbox.trees import READ, UNBEARABLE, listed, opened

MOST, MOST_BYTES, MOST_DEEP = 5000, 16 << 20, 300
PIECE = 1 << 20
NAMES, CONTENTS = "", "contents:"  # what a fingerprint begins with that is of names, or of contents as well


class _TooMuch(Exception):
    """More than anybody has time for."""


def of(tree: Path) -> str:
    """The fingerprint; empty for a tree that is too large, or too deep, to have one."""
    return _of(tree, CONTENTS) or _of(tree, NAMES)


def is_of(noted: str, tree: Path) -> bool:
    """Whether the tree still has this fingerprint. OSError if we cannot look just now."""
    return noted == _of(tree, CONTENTS if noted.startswith(CONTENTS) else NAMES)


def _of(tree: Path, kind: str) -> str:
    looking = _Looking(MOST_BYTES if kind == CONTENTS else None)
    try:
        looking.collect(tree, b"")
    except (_TooMuch, *UNBEARABLE) as failed:
        if is_of_ours(failed):
            raise
        return ""
    return kind + hashlib.sha256(b"\0".join(sorted(looking.found))).hexdigest()


class _Looking:
    """One look at a tree. `left`: so many bytes of contents may be read; None: they are not."""

    def __init__(self, left: int | None) -> None:
        self._left = left
        self.found: list[bytes] = []

    def collect(self, folder: Path, name: bytes) -> None:
        """Note all that is in a folder. `name`: its path below the tree."""
        with listed(folder) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                path = name + b"/" + os.fsencode(entry.name)
                kind, size = stat.S_IFMT(status.st_mode), status.st_size if stat.S_ISREG(status.st_mode) else 0
                held = b" %d" % self._content(Path(entry.path), size) if size and self._left is not None else b""
                self.found.append(b"%b %d %d%b" % (path, kind, size, held))
                if len(self.found) > MOST or path.count(b"/") > MOST_DEEP:
                    raise _TooMuch
                if stat.S_ISDIR(status.st_mode):
                    self.collect(Path(entry.path), path)

    def _content(self, file: Path, size: int) -> int:
        assert self._left is not None
        self._left -= size
        if self._left < 0:
            raise _TooMuch
        known = 0
        with opened(file, READ) as fd:
            while piece := os.read(fd, PIECE):
                known = zlib.crc32(piece, known)
        return known
