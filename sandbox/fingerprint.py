"""Whether a tree is still what it was when it was kept: no file missing, added or cut short. `layers.py` asks.

Names, kinds and sizes are compared, not contents: it costs one look at each entry, and so nothing when little was kept.
What is larger than `MOST` entries is not looked at, for nobody would wait for it.
"""

import hashlib
import os
import stat
from pathlib import Path

from sandbox.trees import UNBEARABLE, listed

MOST = 5000


class _TooMuch(Exception):
    """More than anybody has time for."""


def of(tree: Path) -> str:
    """The fingerprint; empty for a tree that is too large, or too deep, to have one."""
    found: list[bytes] = []
    try:
        _collect(tree, b"", found)
    except (_TooMuch, *UNBEARABLE):
        return ""
    return hashlib.sha256(b"\0".join(sorted(found))).hexdigest()


def _collect(folder: Path, name: bytes, found: list[bytes]) -> None:
    with listed(folder) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            path = name + b"/" + os.fsencode(entry.name)
            size = status.st_size if stat.S_ISREG(status.st_mode) else 0
            found.append(b"%b %d %d" % (path, stat.S_IFMT(status.st_mode), size))
            if len(found) > MOST:
                raise _TooMuch
            if stat.S_ISDIR(status.st_mode):
                _collect(Path(entry.path), path, found)
