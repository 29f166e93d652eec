"""Snapshots as layers on disk: a snapshot is a chain of trees that never change, the oldest first.

    layers/<id>/tree           what this layer adds; an overlay stacks them
    layers/<id>/fingerprint    how to tell that nothing of it is missing; of what boxes wrote, unless it is a lot
    layers/<id>/stamps.json    of a live box's: what its files were like (`keeping.py`)
    layers/<id>/manifest.json  there once the snapshot is whole: its chain, what it is, how large
    layers/<id>/forgotten      what that becomes once the snapshot is let go; others may still grow from its layer

A layer with neither is one that a crash left half made. The tree and its folder belong to the box's user, and nobody
else may enter. `folder_provider.py` calls this.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sandbox import fingerprint, trees
from sandbox.disk_trouble import is_of_ours
from sandbox.ownership import Owner, open_folder
from sandbox.provider import Missing, Permanent, Snapshot, SnapshotKind

log = logging.getLogger(__name__)
MOST_LAYERS = 32
MUCH_BYTES, SEVERAL_LAYERS = 8 << 30, 8  # more than so much, in more than so many layers, is merged before that
MOUNT_OPTIONS_BYTES = 3500  # the kernel takes one page of them, the upper side included
MANIFEST, TREE, FORGOTTEN, FINGERPRINT = "manifest.json", "tree", "forgotten", "fingerprint"


@dataclass(frozen=True)
class Manifest:
    """A whole snapshot. `chain` names the layers to stack, the oldest first."""

    id: str
    kind: SnapshotKind
    bytes: int
    taken: float
    chain: tuple[str, ...]

    def snapshot(self) -> Snapshot:
        """What the world outside needs of it."""
        return Snapshot(self.id, self.kind, self.bytes, self.taken)


class Layers:
    """All snapshots below one folder."""

    def __init__(self, root: Path, owner: Owner) -> None:
        self._root, self._owner = root, owner
        self._room = MOUNT_OPTIONS_BYTES // (len(os.fsencode(root)) + 24)
        self.most, self.much = max(1, min(MOST_LAYERS, self._room)), MUCH_BYTES

    def prepare(self) -> None:
        """Make the folder."""
        open_folder(self._root)

    @contextlib.contextmanager
    def held(self, exclusive: bool = False) -> Iterator[None]:
        """While shared: no layer goes away. While exclusive: none is being made or picked."""
        fd = os.open(self._root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

    def tree(self, layer: str) -> Path:
        """Where a layer's files are."""
        return self._root / layer / TREE

    def manifest(self, snapshot: str) -> Manifest | None:
        """What is known of a snapshot; None if it is not whole, damaged, or let go. OSError if we cannot look."""
        try:
            return self._manifest(snapshot)
        except OSError as failed:
            if is_of_ours(failed):
                raise
            return None

    def _manifest(self, snapshot: str, file: str = MANIFEST) -> Manifest | None:
        """The same, but what cannot be read raises OSError."""
        if not _is_id(snapshot):
            return None
        try:
            said = json.loads((self._root / snapshot / file).read_text())
            return Manifest(said["id"], SnapshotKind(said["kind"]), said["bytes"], said["taken"], tuple(said["chain"]))
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None

    def chain(self, snapshot: str | None) -> tuple[str, ...]:
        """The layers to stack for a box that grows from this snapshot; raises Missing if one is not there."""
        if snapshot is None:
            return ()
        manifest = self.manifest(snapshot)
        if manifest is None:
            raise Missing(f"there is no snapshot {snapshot}")
        for layer in manifest.chain:
            if not self.tree(layer).is_dir():
                raise Missing(f"snapshot {snapshot} is damaged: its layer {layer} is missing")
            if not self._is_whole(layer):
                raise Missing(
                    f"snapshot {snapshot} is damaged: files of its layer {layer} are missing, cut short or changed"
                )
        return manifest.chain

    def _is_whole(self, layer: str) -> bool:
        """Whether a layer has what it had when it was kept, as far as that was noted."""
        try:
            noted = (self._root / layer / FINGERPRINT).read_text()
        except FileNotFoundError:
            return True
        return fingerprint.is_of(noted, self.tree(layer))

    def check_weight(self, chain: tuple[str, ...], disk_bytes: int | None) -> None:
        """Raise Permanent if what boxes wrote into these layers is more than two of them may write."""
        if disk_bytes is None:
            return
        written = self._written(chain)
        if written > 2 * disk_bytes:
            raise Permanent(
                f"the boxes of this conversation have filled their disk: {written >> 20} MB, and {disk_bytes >> 19} MB"
                " is the most. Begin another one"
            )

    def _written(self, chain: tuple[str, ...]) -> int:
        """How many bytes boxes have written into these layers, whether or not their snapshots were let go since."""
        known = (self._manifest(layer) or self._manifest(layer, FORGOTTEN) for layer in chain)
        return sum(each.bytes for each in known if each is not None and each.kind is not SnapshotKind.BASE)

    def take(self, upper: Path, id: str, kind: SnapshotKind, below: tuple[str, ...], now: float) -> Manifest | None:
        """Turn what a dead box wrote into the snapshot `id`. Repeatable after a crash at any point of it.

        None if nothing was left, or if the snapshot was taken and let go since.
        """
        folder = self._root / id
        with self.held():
            if (folder / FORGOTTEN).exists():
                return None
            if (manifest := self.manifest(id)) is not None:
                return manifest
            if not (folder / TREE).exists():
                if not upper.exists():
                    return None
                trees.settle(upper)
                self._owner.folder(folder, 0o700)
                upper.rename(folder / TREE)
                trees.settle_one(upper.parent)
                trees.settle_one(folder)
                trees.settle_one(self._root)
            return self._finish(id, kind, below, now)

    def keep(
        self, copy: Callable[[Path], Sequence[Path]], id: str, kind: SnapshotKind, below: tuple[str, ...], now: float
    ) -> Manifest:
        """Keep what `copy(target)` writes as the snapshot `id`; it says what is not durable yet. Repeatable.

        Raises Missing if it was taken, and let go since.
        """
        folder = self._root / id
        with self.held():
            if (folder / FORGOTTEN).exists():
                raise Missing(f"snapshot {id} was let go")
            if (manifest := self.manifest(id)) is not None:
                return manifest
            if not (folder / TREE).exists():
                self._copy_to(folder, copy)
            return self._finish(id, kind, below, now)

    def _copy_to(self, folder: Path, copy: Callable[[Path], Sequence[Path]]) -> None:
        """Make a layer's folder. It appears whole; should another one be quicker with the same, his it is."""
        making = self._owner.folder(folder.with_name(f".{folder.name}.{secrets.token_hex(4)}"), 0o700)
        try:
            trees.settle_these(copy(making / TREE))
            making.rename(folder)
        except BaseException as failed:
            trees.remove(making)
            if not (isinstance(failed, OSError) and failed.errno in (errno.ENOTEMPTY, errno.EEXIST)):
                raise
        trees.settle_one(self._root)

    def _finish(self, id: str, kind: SnapshotKind, below: tuple[str, ...], now: float) -> Manifest:
        if kind is not SnapshotKind.BASE and (noted := fingerprint.of(self.tree(id))):
            _write(self._root / id / FINGERPRINT, noted)
        manifest = Manifest(id, kind, trees.measure(self.tree(id)), now, (*below, id))
        written = self._written(below) + manifest.bytes
        if len(manifest.chain) > self.most or (written > self.much and len(manifest.chain) > SEVERAL_LAYERS):
            manifest = replace(manifest, chain=self._flattened(manifest.chain, written))
        _write(self._root / id / MANIFEST, _told(manifest))
        trees.settle_one(self._root / id)
        return manifest

    def _flattened(self, chain: tuple[str, ...], written: int) -> tuple[str, ...]:
        """The chain as one layer, without what was written over since. A box can make what cannot be merged: then it
        stays as long as a mount takes it."""
        try:
            return (self._flatten(chain, written),)
        except trees.UNBEARABLE as failed:
            if len(chain) > self._room:
                raise
            log.warning("%d layers could not be merged into one: %s", len(chain), type(failed).__name__)
            return chain

    def _flatten(self, chain: tuple[str, ...], written: int) -> str:
        """One layer that shows what the whole chain does. It costs no space: its files are hard links."""
        id = secrets.token_hex(8)
        making = self._owner.folder(self._root / f".{id}", 0o700)
        try:
            trees.merge([self.tree(layer) for layer in chain], making / TREE)
            left = min(written, trees.measure(making / TREE))
            (making / FORGOTTEN).write_text(_told(Manifest(id, SnapshotKind.TURN, left, 0.0, (id,))))
            os.sync()
            making.rename(self._root / id)
        except BaseException:
            trees.remove(making)
            raise
        trees.settle_one(self._root)
        return id

    def forget(self, snapshot: str, used: Callable[[], Iterable[str]]) -> None:
        """Let go of a snapshot; `used` names the layers that boxes stand on. Safe to repeat."""
        folder = self._root / snapshot
        if _is_id(snapshot) and folder.is_dir():
            try:
                (folder / MANIFEST).replace(folder / FORGOTTEN)
            except FileNotFoundError:  # it was never whole, or is forgotten already
                (folder / FORGOTTEN).touch()
            self.collect(used)

    def forget_again(self, snapshot: str, used: Callable[[], Iterable[str]]) -> None:
        """Remove the layer of a snapshot that was let go while something still needed it."""
        if (self._root / snapshot / FORGOTTEN).exists():
            self.collect(used)

    def clear_half_made(self, before: float) -> None:
        """Remove what was begun before that time by makers that were killed at it."""
        for path in self._root.glob(".*.*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    trees.remove(path)

    def collect(self, used: Callable[[], Iterable[str]]) -> None:
        """Remove every layer that no snapshot and no box needs any more."""
        with self.held(exclusive=True):
            needed = set(used())
            present = [path for path in self._root.iterdir() if path.is_dir()]
            for path in present:  # one that cannot be read ends it: who knows what it needs
                if (manifest := self._manifest(path.name)) is not None:
                    needed.update((path.name, *manifest.chain))
            gone = []
            for path in present:
                if path.name not in needed:
                    with contextlib.suppress(FileNotFoundError):  # another one is just removing it
                        gone.append(path.rename(path.with_name(f".{secrets.token_hex(8)}")))
        for path in gone:
            trees.remove(path)


def _told(manifest: Manifest) -> str:
    return json.dumps(asdict(manifest))


def _write(file: Path, text: str) -> None:
    """Write it so that after a power cut there is all of it, or none; which, says its folder once that is durable."""
    fresh = file.with_name(f".{secrets.token_hex(4)}")
    fresh.write_text(text)
    trees.settle_one(fresh)
    fresh.replace(file)


def _is_id(text: str) -> bool:
    return len(text) == 16 and set(text) <= set("0123456789abcdef")
