"""Folders of files that images are made of: the base of all, what a recipe adds, what a snapshot has kept."""

import asyncio
import contextlib
import itertools
import os
import shutil
import subprocess
from pathlib import Path

from tests.modal_cloud.dispatch import Refused

FOLDERS = """
bin sbin lib lib64 usr etc etc/ssl home media mnt opt proc dev root run srv sys tmp var var/tmp var/log var/lib
var/cache .modal
"""
OF_HOST = (
    "alternatives",
    "ssl/certs",
    "ssl/openssl.cnf",
    "localtime",
    "nsswitch.conf",
    "services",
    "protocols",
    "resolv.conf",
)
TEXTS = {
    "passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": "root:x:0:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost modal\n::1 localhost\n",
    "ld.so.cache": "",
}


class Layers:
    """All layers below a folder. A layer is known by a short number, because an overlay's options must be short."""

    def __init__(self, state: Path) -> None:
        self.root = state / "l"
        remove(self.root)
        self.root.mkdir(parents=True, exist_ok=True)
        self._numbers = itertools.count(1)
        self.base = self.root / "0"
        _base(self.base)

    def path(self, layer: str) -> Path:
        """Where a layer is."""
        return self.root / layer

    def new(self) -> str:
        """A new, empty layer."""
        layer = str(next(self._numbers))
        self.path(layer).mkdir()
        self.path(layer).chmod(0o755)
        return layer

    async def copy(self, upper: Path) -> str:
        """A new layer with all of a box's changes, deletions included. Raises Refused if they cannot be copied."""
        layer = self.new()
        words = ("cp", "-a", "--reflink=auto", f"{upper}/.", str(self.path(layer)))
        done = await asyncio.to_thread(subprocess.run, words, capture_output=True, check=False)
        if done.returncode:
            remove(self.path(layer))
            said = done.stderr.decode(errors="replace")[:500]
            raise Refused("INTERNAL", f"the snapshot failed: {said}")
        return layer

    def reset(self, layers: set[str]) -> None:
        """Remove all but the base and these."""
        for folder in self.root.iterdir():
            if folder != self.base and folder.name not in layers:
                remove(folder)


def remove(path: Path) -> None:
    """Remove a tree, whatever its modes are."""
    if not path.exists():
        return
    for folder, names, _ in os.walk(path):
        for name in names:
            if not (inner := Path(folder, name)).is_symlink():
                with contextlib.suppress(OSError):
                    inner.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)


def _base(base: Path) -> None:
    base.mkdir()
    for name in FOLDERS.split():
        if not Path("/", name).is_symlink() or "/" in name:
            (base / name).mkdir(exist_ok=True)
            (base / name).chmod(0o1777 if name.endswith("tmp") else 0o755)
    for name in OF_HOST:
        source = Path("/etc", name)
        if source.is_dir():
            shutil.copytree(
                source, base / "etc" / name, symlinks=True, ignore=lambda _, names: [n for n in names if n == "private"]
            )
        elif source.exists():
            shutil.copy2(source, base / "etc" / name)
    for name, text in TEXTS.items():
        (base / "etc" / name).write_text(text)
