"""Layers on disk: stacked, merged, taken once, collected when nobody needs them; and what a box can do to a tree."""

import os
import resource
import secrets
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import copies, fingerprint, trees
from sandbox.layers import Layers
from sandbox.ownership import Owner
from sandbox.provider import Permanent, SnapshotKind
from tests.sandbox.places import folder

NAMES = ("a", "b", "c")


def whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR, 0)


def opaque(path: Path) -> None:
    os.setxattr(path, trees.OPAQUE, b"y")


def shown(tree: Path) -> dict[str, str]:
    """What a reader of a tree without anything below sees."""
    found = {}
    for path in sorted(tree.rglob("*")):
        status = path.lstat()
        if not (stat.S_ISCHR(status.st_mode) and status.st_rdev == 0):
            kind = stat.S_IFMT(status.st_mode)
            text = path.read_text() if stat.S_ISREG(kind) else str(path.readlink()) if stat.S_ISLNK(kind) else ""
            found[str(path.relative_to(tree))] = f"{kind:o} {text}"
    return found


@pytest.fixture
def layers(spot: Path) -> Layers:
    made = Layers(spot / "layers", Owner.same())
    made.prepare()
    return made


def kept(layers: Layers, below: tuple[str, ...], **files: str) -> tuple[str, ...]:
    """A new snapshot with these files; its chain."""

    def write(target: Path) -> list[Path]:
        target.mkdir()
        for name, text in files.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(text)
        return [target]

    return layers.keep(write, secrets.token_hex(8), SnapshotKind.TURN, below, 1.0).chain


def test_a_chain_longer_than_a_mount_takes_is_merged_into_one(layers: Layers) -> None:
    chain: tuple[str, ...] = ()
    for number in range(layers.most):
        chain = kept(layers, chain, same=str(number), **{f"f{number}": "x"})
    assert len(chain) == layers.most
    inode = (layers.tree(chain[3]) / "f3").stat().st_ino
    chain = kept(layers, chain, last="y")
    assert len(chain) == 1
    merged = layers.tree(chain[0])
    assert (merged / "same").read_text() == str(layers.most - 1) and (merged / "last").read_text() == "y"
    assert (merged / "f3").stat().st_ino == inode, "files are linked, not copied"
    assert len(kept(layers, chain, more="z")) == 2


def test_what_cannot_be_merged_stays_a_longer_chain(layers: Layers) -> None:
    chain = kept(layers, (), **{"/".join("d" * 500): ""})
    for _ in range(layers.most):
        chain = kept(layers, chain, g="2")
    assert len(chain) == layers.most + 1 and layers.chain(chain[-1]) == chain
    assert {path.name for path in layers.tree(chain[0]).parents[1].iterdir()} == {".lock", *chain}


def test_who_may_open_no_more_files_takes_no_snapshot_for_damaged(layers: Layers) -> None:
    (id,) = kept(layers, (), f="1")
    noted = (layers.tree(id).parent / "fingerprint").read_text()
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, usual[1]))
    try:
        for look in (lambda: layers.manifest(id), lambda: fingerprint.is_of(noted, layers.tree(id))):
            with pytest.raises(OSError, match="Too many open files"):
                look()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
    assert layers.chain(id) == (id,)


def test_what_a_conversation_has_written_is_counted_whatever_became_of_its_snapshots(layers: Layers) -> None:
    chain: tuple[str, ...] = ()
    for number in range(4):
        chain = kept(layers, chain, **{f"f{number}": "x" * 100_000})
        layers.forget(chain[-1], used=lambda: chain)  # noqa: B023 - it is called at once
    with pytest.raises(Permanent, match="have filled their disk"):
        layers.check_weight(chain, 150_000)
    layers.check_weight(chain, 250_000)


def test_what_was_written_over_counts_no_more_once_layers_are_merged(layers: Layers) -> None:
    chain: tuple[str, ...] = ()
    for number in range(layers.most + 1):
        chain = kept(layers, chain, same=str(number) * 100_000)
    assert len(chain) == 1
    layers.check_weight(chain, 150_000)
    with pytest.raises(Permanent, match="have filled their disk"):
        layers.check_weight(chain, 40_000)


def test_much_in_several_layers_is_merged_before_they_are_many(layers: Layers) -> None:
    layers.much = 100_000
    chain: tuple[str, ...] = ()
    lengths = []
    for number in range(12):
        chain = kept(layers, chain, same=str(number) * 100_000)
        lengths.append(len(chain))
    assert max(lengths) == 8 and lengths[8] == 1


def test_long_paths_allow_fewer_layers(spot: Path) -> None:
    short, long = Layers(spot / "l", Owner.same()), Layers(spot / ("x" * 200) / ("y" * 200), Owner.same())
    assert short.most == 32
    assert 1 <= long.most < 10


def test_layers_stay_as_long_as_a_snapshot_or_a_box_needs_them(layers: Layers) -> None:
    low = kept(layers, (), f="1")
    high = kept(layers, low, g="2")
    layers.forget(low[0], used=tuple)
    assert layers.tree(low[0]).is_dir() and layers.manifest(low[0]) is None
    layers.forget(high[-1], used=lambda: high)
    assert layers.tree(high[-1]).is_dir(), "a box still stands on it"
    layers.collect(used=tuple)
    assert not layers.tree(high[-1]).exists() and not layers.tree(low[0]).exists()


def test_two_who_collect_do_not_stand_in_each_others_way(layers: Layers, spot: Path) -> None:
    for _ in range(20):
        kept(layers, ())
    removing = "import os, shutil\nwhile True:\n  os.mkdir('.going')\n  shutil.rmtree('.going', ignore_errors=True)"
    with subprocess.Popen((sys.executable, "-c", removing), cwd=spot / "layers") as other:
        try:
            for _ in range(400):
                layers.collect(lambda: ())
        finally:
            other.kill()


def test_what_was_left_is_taken_once_and_the_same_after_any_crash(layers: Layers, spot: Path) -> None:
    id = "0123456789abcdef"

    def left() -> Path:
        upper = spot / "upper"
        upper.mkdir()
        (upper / "f").write_text("x")
        return upper

    (spot / "layers" / id).mkdir()  # died before the rename
    first = layers.take(left(), id, SnapshotKind.FOLLOW_UP, (), 1.0)
    assert first is not None and (layers.tree(id) / "f").read_text() == "x"
    (spot / "layers" / id / "manifest.json").unlink()  # died after the rename
    again = layers.take(spot / "upper", id, SnapshotKind.FOLLOW_UP, (), 1.0)
    assert again == first == layers.take(spot / "upper", id, SnapshotKind.BASE, (), 2.0)
    layers.forget(id, used=lambda: (id,))
    assert layers.take(spot / "upper", id, SnapshotKind.FOLLOW_UP, (), 1.0) is None, "let go is let go"


def test_nothing_was_left_when_there_is_nothing(layers: Layers, spot: Path) -> None:
    assert layers.take(spot / "upper", "0" * 16, SnapshotKind.FOLLOW_UP, (), 1.0) is None


def test_a_missing_layer_is_damage_and_named(layers: Layers) -> None:
    low = kept(layers, (), f="1")
    high = kept(layers, low, g="2")
    trees.remove(layers.tree(low[0]))
    with pytest.raises(Permanent, match=low[0]):
        layers.chain(high[-1])


@pytest.mark.parametrize("id", ["..", "../layers", "0" * 15, "0" * 16 + "/", "ABCDEFABCDEFABCD", ".lock"])
def test_only_an_id_is_an_id(layers: Layers, id: str) -> None:
    low = kept(layers, (), f="1")
    layers.forget(id, used=tuple)
    assert layers.manifest(id) is None
    assert layers.manifest(low[0]) is not None


def test_a_copy_keeps_everything_that_an_overlay_means(spot: Path) -> None:
    source = spot / "source"
    (source / "dir/deep").mkdir(parents=True)
    (source / "dir/f").write_text("text")
    os.link(source / "dir/f", source / "hard")
    (source / "link").symlink_to("/etc/shadow")
    (source / "run.sh").write_text("#!/bin/sh")
    (source / "run.sh").chmod(0o4750)
    (source / "secret").write_text("s")
    (source / "secret").chmod(0)
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(source / "socket"))
    whiteout(source / "gone")
    opaque(source / "dir")
    os.utime(source / "dir/f", ns=(1, 2_000_000_000))
    target = spot / "target"
    copies.copy(source, target)
    copied = shown(target)
    assert copied == {name: seen for name, seen in shown(source).items() if name != "socket"}
    assert (target / "hard").stat().st_ino == (target / "dir/f").stat().st_ino
    assert stat.S_IMODE((target / "run.sh").stat().st_mode) == 0o4750
    assert stat.S_IMODE((target / "secret").stat().st_mode) == 0 == stat.S_IMODE((source / "secret").stat().st_mode)
    assert (target / "gone").lstat().st_rdev == 0 and stat.S_ISCHR((target / "gone").lstat().st_mode)
    assert os.getxattr(target / "dir", trees.OPAQUE) == b"y"
    assert (target / "dir/f").stat().st_mtime_ns == 2_000_000_000


def test_a_huge_hole_costs_nothing_to_copy(spot: Path) -> None:
    source = spot / "source"
    source.mkdir()
    with (source / "hole").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 30)
        file.write(b"in the middle")
    copies.copy(source, spot / "target")
    assert (spot / "target/hole").stat().st_size == 1 << 40
    assert trees.measure(spot / "target") < 1 << 20
    with (spot / "target/hole").open("rb") as file:
        file.seek(1 << 30)
        assert file.read(13) == b"in the middle"


def test_a_tree_is_settled_and_removed_whatever_its_owner_did_to_it(spot: Path) -> None:
    tree = spot / "tree"
    (tree / "shut/inner").mkdir(parents=True)
    (tree / "shut/inner/f").write_text("x")
    (tree / "link").symlink_to(spot)
    os.mkfifo(tree / "pipe")
    (tree / "shut/inner").chmod(0)
    (tree / "shut").chmod(0)
    trees.settle(tree)
    trees.remove(tree)
    assert not tree.exists() and spot.is_dir()
    trees.remove(tree)


# One layer: what it does to each name, at the top and in the folder `d`.
change = st.sampled_from(["", "write", "delete", "folder", "link"])
layer = st.fixed_dictionaries({**dict.fromkeys(NAMES, change), "d": st.sampled_from(["", "into", "anew", "delete"])})


def apply(state: dict[str, str], doing: dict[str, str], text: str) -> None:
    """What a user of the stacked view would see: the model."""

    def put(path: str, kind: str) -> None:
        for known in [known for known in state if known == path or known.startswith(path + "/")]:
            del state[known]
        if kind != "delete":
            state[path] = {"write": f"100000 {text}", "folder": "40000 ", "link": f"120000 {text}"}[kind]

    if doing["d"] in ("anew", "delete"):
        put("d", "delete")
    if doing["d"] in ("anew", "into"):
        state.setdefault("d", "40000 ")
        put("d/f", "write")
        put(f"d/{text}", "write")
    for name in NAMES:
        if doing[name]:
            put(name, doing[name])


def lay(target: Path, doing: dict[str, str], text: str) -> None:
    """The same as an overlay's upper side would hold it."""
    target.mkdir()
    if doing["d"] == "delete":
        whiteout(target / "d")
    elif doing["d"]:
        (target / "d").mkdir()
        (target / "d/f").write_text(text)
        (target / f"d/{text}").write_text(text)
        if doing["d"] == "anew":
            opaque(target / "d")
    for name in NAMES:
        if doing[name] == "write":
            (target / name).write_text(text)
        elif doing[name] == "delete":
            whiteout(target / name)
        elif doing[name] == "folder":
            (target / name).mkdir()
            opaque(target / name)
        elif doing[name] == "link":
            (target / name).symlink_to(text)


@given(st.lists(layer, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_merged_layers_show_what_the_stack_shows(doings: list[dict[str, str]]) -> None:
    state: dict[str, str] = {}
    with folder() as spot:
        stack = []
        for number, doing in enumerate(doings):
            apply(state, doing, f"t{number}")
            lay(spot / str(number), doing, f"t{number}")
            stack.append(spot / str(number))
        trees.merge(stack, spot / "merged")
        assert shown(spot / "merged") == state
        assert not any(trees.OPAQUE in os.listxattr(path) for path in (spot / "merged").rglob("*") if path.is_dir())


def test_no_tool_is_needed_for_any_of_it() -> None:
    text = (Path(trees.__file__)).read_text()
    assert subprocess.__name__ not in text
