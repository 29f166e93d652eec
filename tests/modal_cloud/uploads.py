"""Files that a client has sent for its images: kept by their hash, joined to mounts, copied into layers."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tests.modal_cloud.layers import Layers

FILE_MODE = 0o644


@dataclass(frozen=True)
class File:
    """One file of a mount: where it belongs, and which bytes it has."""

    name: str
    sha256: str
    mode: int


class Uploads:
    """`url`: where large files are put; set when that server listens. `layers`: None where nothing has files."""

    def __init__(self, folder: Path, layers: Layers | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._layers = folder, layers
        self._mounts: dict[str, tuple[File, ...]] = {}
        self._layer_of: dict[str, str] = {}
        self.url = ""

    def has(self, sha256: str) -> bool:
        """Whether these bytes are here."""
        return (self._folder / sha256).exists()

    def put(self, sha256: str, data: bytes) -> None:
        """Keep bytes under their hash."""
        if hashlib.sha256(data).hexdigest() == sha256:
            (self._folder / sha256).write_bytes(data)

    def put_blob(self, blob: str, data: bytes) -> str:
        """Keep bytes under a blob's id until they are named; their MD5."""
        (self._folder / blob).write_bytes(data)
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    def name_blob(self, blob: str, sha256: str) -> None:
        """Say which hash a blob's bytes have."""
        if (self._folder / blob).exists():
            (self._folder / blob).rename(self._folder / sha256)

    def mount(self, files: Any) -> str:
        """A mount of these files: the same for the same files."""
        listed = tuple(File(file.filename, file.sha256_hex, file.mode or FILE_MODE) for file in files)
        words = json.dumps([[file.name, file.sha256, file.mode] for file in listed])
        id = f"mo-{hashlib.sha256(words.encode()).hexdigest()}"
        self._mounts[id] = listed
        return id

    def layer_of(self, mount: str) -> str:
        """A layer with a mount's files where they belong."""
        if mount not in self._layer_of:
            self._layer_of[mount] = self.copy_in(mount, "/", "/")
        return self._layer_of[mount]

    def layers(self) -> set[str]:
        """The layers that mounts have."""
        return set(self._layer_of.values())

    def copy_in(self, mount: str, source: str, target: str) -> str:
        """A layer with what `COPY source target` takes of a mount."""
        if self._layers is None:
            return mount
        layer = self._layers.new()
        root = self._layers.path(layer)
        for file in self._mounts[mount]:
            if (placed := _placed(PurePosixPath("/", file.name), source, target)) is None:
                continue
            path = root / placed.relative_to("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((self._folder / file.sha256).read_bytes())
            path.chmod(file.mode & 0o7777)
        return layer


def _placed(file: PurePosixPath, source: str, target: str) -> PurePosixPath | None:
    """Where a file of the context goes, as Docker has it: a folder's content, or a file to a name or into a folder."""
    wanted = PurePosixPath("/", source.removeprefix("./") if source != "." else "")
    to = PurePosixPath("/", target)
    if file == wanted:
        return to / file.name if target.endswith("/") else to
    if file.is_relative_to(wanted):
        return to / file.relative_to(wanted)
    return None
