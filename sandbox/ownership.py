"""As whom boxes run, and the folders that must belong to them. Used by everything that makes files for a box.

As root, boxes are another user (64001), whom nobody else is; as an ordinary user they are that user. Inside a box both
look like uid 1000.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

BOX_UID = 64001


class Owner(NamedTuple):
    """The host user that a box's processes and files belong to. `drops`: we are root and have to become that user."""

    uid: int
    gid: int
    drops: bool

    @classmethod
    def here(cls) -> "Owner":
        """The owner of boxes that this process makes."""
        if os.geteuid() == 0:
            return cls(BOX_UID, BOX_UID, True)
        return cls(os.geteuid(), os.getegid(), False)

    @classmethod
    def same(cls) -> "Owner":
        """The user of this process itself, root or not: the owner of boxes without isolation."""
        return cls(os.geteuid(), os.getegid(), False)

    def identity(self) -> dict[str, Any]:
        """Arguments for `subprocess.Popen` that make the child this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.drops else {}

    def folder(self, path: Path, mode: int) -> Path:
        """Make a folder that belongs to this user, whatever the umask is. Whoever was at just that and was killed may
        have left one."""
        path.mkdir(exist_ok=True)
        path.chmod(mode)
        if self.drops:
            os.chown(path, self.uid, self.gid)
        return path


def open_folder(path: Path, mode: int = 0o711) -> Path:
    """Make a folder of our own, with its parents, that others may pass through but not list."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)
    return path
