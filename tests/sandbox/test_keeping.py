"""Live snapshots cost what changed, miss nothing that did, and tell when there is no room or something is missing."""

import asyncio
import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import copies, disk_trouble, fingerprint, keeping
from sandbox.box_folder import BoxFolder
from sandbox.layers import Layers
from sandbox.local import LocalProvider
from sandbox.ownership import Owner
from sandbox.provider import BoxSpec, Gone, Missing, Permanent, Snapshot, SnapshotKind, Temporary
from sandbox.unisolated import UnisolatedProvider
from tests.sandbox.places import Place
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
KILLED_IN_BETWEEN = """\
import asyncio, os, signal, sys
sys.path.insert(0, {str_root!r})
from pathlib import Path
from sandbox import copies
from sandbox.provider import SnapshotKind
from tests.sandbox.places import Place
copies._copy_file = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
place = Place("local", Path({str_folder!r}))
asyncio.run(place.provider.snapshot("b1", SnapshotKind.TURN, "one"))
"""
MAP_AND_WRITE = """\
import mmap, os, sys, time
odd = open("odd\\x0b a b c d e\\n1 2 3 4 5", "w+b")
odd.write(b"1")
odd.flush()
held = mmap.mmap(odd.fileno(), 0)
file = open("mapped", "r+b")
view = mmap.mmap(file.fileno(), 0)
view[0:6] = b"first!"
open("ready", "w").close()
while not os.path.exists("go"):
    time.sleep(0.01)
view[0:6] = b"second"
open("done", "w").close()
time.sleep(300)
"""


def tree(place: Place, snapshot: Snapshot) -> Path:
    return place.boxes / "layers" / snapshot.id / "tree"


async def box(place: Place, base: str | None = None) -> str:
    await place.provider.create(BoxSpec("b1", place.greeting(), base=base))
    return "b1"


async def sh(place: Place, script: str, name: str = "b1") -> str:
    done = await place.provider.exec(name, ("sh", "-ec", script))
    assert done.code == 0, done.stderr
    return done.stdout.decode()


async def image(place: Place, script: str) -> str:
    """The id of what a box leaves that has run this."""
    await place.provider.create(BoxSpec("maker", place.greeting()))
    await sh(place, script, "maker")
    await place.provider.terminate("maker")
    left = await place.provider.last_state("maker", SnapshotKind.BASE)
    await place.provider.discard("maker")
    assert left is not None
    return left.id


async def settled(place: Place) -> None:
    """Wait until whatever is written by now is older than what could still be written to unnoticed."""
    repo = place.boxes / "box/b1/tree/upper/repo"
    newest = max((path.lstat().st_ctime_ns for path in repo.rglob("*")), default=0)
    await until(lambda: time.time_ns() - newest > 2 * keeping.JUST_NOW_NS)


async def take(place: Place, moment: str) -> Snapshot:
    return await place.provider.snapshot("b1", SnapshotKind.TURN, moment)


async def test_what_did_not_change_is_the_same_file_in_both_snapshots(local: Place) -> None:
    await box(local)
    await sh(local, "mkdir d; head -c 1000000 /dev/urandom >d/big; ln d/big twin; echo 1 >small")
    await settled(local)
    first = await take(local, "one")
    await sh(local, "echo 2 >small; touch new")
    second = await take(local, "two")
    of_first, of_second = tree(local, first) / "repo", tree(local, second) / "repo"
    assert (of_first / "d/big").samefile(of_second / "d/big") and (of_second / "twin").samefile(of_first / "twin")
    assert ((of_first / "small").read_text(), (of_second / "small").read_text()) == ("1\n", "2\n")
    assert not (of_first / "new").exists() and (of_second / "new").exists()


@pytest.mark.parametrize(
    "change",
    [
        "cp -p f g; echo 2 >f; touch -r g f; rm g",
        "touch -r f stamp; printf 2 | dd of=f conv=notrunc 2>/dev/null; touch -r stamp f; rm stamp",
        "echo 2 >g; touch -r f g; mv g f",
        "chmod 600 f; echo 2 >f; chmod 644 f",
    ],
)
async def test_a_change_that_hides_its_time_is_seen(local: Place, change: str) -> None:
    await box(local)
    await sh(local, "echo 1 >f")
    await settled(local)
    await take(local, "one")
    await sh(local, change)
    assert (tree(local, await take(local, "two")) / "repo/f").read_text().startswith("2")


async def test_a_change_right_after_a_snapshot_is_seen(local: Place) -> None:
    await box(local)
    for number in range(5):
        await sh(local, f"echo {number} >f")
        assert (tree(local, await take(local, str(number))) / "repo/f").read_text() == f"{number}\n"


@pytest.mark.parametrize("of_image", [False, True], ids=["its own", "of its image"])
async def test_a_file_that_is_written_through_memory_is_copied_each_time(local: Place, of_image: bool) -> None:
    make = "head -c 8192 /dev/zero >mapped"
    await box(local, await image(local, make) if of_image else None)
    await sh(local, f"cat >map.py <<'E'\n{MAP_AND_WRITE}E\n{'true' if of_image else make}")
    await sh(local, "setsid python3 map.py >/dev/null 2>&1 </dev/null & while [ ! -e ready ]; do sleep 0.01; done")
    await settled(local)
    first = await take(local, "one")
    await sh(local, "touch go; while [ ! -e done ]; do sleep 0.01; done")
    second = await take(local, "two")
    seen = [(tree(local, each) / "repo/mapped").read_bytes()[:6] for each in (first, second)]
    assert seen == [b"first!", b"second"]


async def test_a_snapshot_does_not_need_the_one_that_it_was_linked_to(local: Place) -> None:
    await box(local)
    await sh(local, "echo 1 >f")
    await settled(local)
    first = await take(local, "one")
    second = await take(local, "two")
    await local.provider.forget_snapshot(first.id)
    third = await take(local, "three")
    assert not tree(local, first).exists()
    assert {(tree(local, each) / "repo/f").read_text() for each in (second, third)} == {"1\n"}


async def test_holes_take_no_room(local: Place) -> None:
    await box(local)
    await sh(local, "truncate -s 3G hole")
    assert (tree(local, await take(local, "holes")) / "repo/hole").stat().st_blocks == 0


@pytest.fixture
def small_disk(spot: Path) -> Iterator[Path]:
    """A disk of 24 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a disk")
    disk = spot / "disk"
    disk.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=24m,mode=711", "tmpfs", disk), check=True)
    yield disk
    subprocess.run(("umount", "--lazy", disk), check=True)


async def test_a_full_disk_is_told_as_such_and_leaves_no_half_snapshot(spot: Path, small_disk: Path) -> None:
    place = Place("local", small_disk)
    place.provider = LocalProvider(small_disk / "boxes", gateway=spot / "gateway", agents=spot / "agents")
    await place.provider.create(BoxSpec("b1", place.greeting()))
    try:
        used = sum(path.stat().st_size for path in (small_disk / "boxes").rglob("*") if path.is_file())
        await sh(place, f"head -c {((24 << 20) - used) // 2 + (1 << 20)} /dev/urandom >f")
        with pytest.raises(Temporary, match="the disk of the boxes is full"):
            await take(place, "one")
        assert [path.name for path in (small_disk / "boxes/layers").iterdir() if path.name != ".lock"] == []
        with pytest.raises(OSError, match="No space"), (small_disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(1 << 20))
        with pytest.raises(Temporary, match="the disk of the boxes is full"):
            await place.provider.create(BoxSpec("b2", place.greeting()))
        (small_disk / "filler").unlink()
        await sh(place, "head -c 1000 f >g; rm f; mv g f; echo still here")
        assert (tree(place, await take(place, "one")) / "repo/f").stat().st_size == 1000
    finally:
        await place.provider.discard("b1")


async def test_no_room_to_lay_a_snapshot_out_is_told_as_such(spot: Path, small_disk: Path) -> None:
    place = Place("unisolated", small_disk)
    place.provider = UnisolatedProvider(small_disk / "boxes", gateway=spot / "gateway", agents=spot / "agents")
    base = await image(place, f"head -c {12 << 20} /dev/urandom >f")
    with pytest.raises(Temporary, match="box b1 could not be made: the disk of the boxes is full"):
        await place.provider.create(BoxSpec("b1", place.greeting(), base=base))
    assert await place.provider.list() == []


@pytest.mark.parametrize(
    ("failed", "kind", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), Temporary, "the disk of the boxes is full"),
        (OSError(errno.EMFILE, "Too many open files"), Temporary, "Too many open files"),
        (OSError(errno.EROFS, "Read-only file system"), Temporary, "Read-only file system"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "a name"), Permanent, "File name too long"),
        (RecursionError("too deep"), Permanent, "RecursionError"),
    ],
)
def test_what_ails_the_machine_passes_and_what_is_wrong_with_a_tree_does_not(
    failed: Exception, kind: type, says: str
) -> None:
    told = disk_trouble.judged("it", failed)
    assert type(told) is kind and str(told) == f"it: {says}"


async def test_a_box_that_is_put_to_sleep_while_it_is_copied_is_gone_for_the_one_who_copies(local: Place) -> None:
    await box(local)
    await sh(local, "mkdir d; touch d/f g")
    ended: list[Snapshot | None] = []

    def look() -> None:
        if not ended and list((local.boxes / "layers").glob(".*/tree/repo/d")):
            ended.append(None)
            asyncio.run(local.provider.terminate("b1", 0.0))
            ended[0] = asyncio.run(local.provider.last_state("b1"))

    assert isinstance(local.provider, LocalProvider)
    folder = BoxFolder(local.boxes / "box/b1")
    with pytest.raises(Gone):
        await asyncio.to_thread(local.provider._snapshot, folder, SnapshotKind.TURN, "one", look)
    assert ended[0] is not None and (tree(local, ended[0]) / "repo/d/f").exists()
    assert [path.name for path in (local.boxes / "layers").iterdir() if path.name != ".lock"] == [ended[0].id]


@pytest.mark.parametrize("stamps", ["{", "[]", '{"repo/f": ["a", 1, 2]}'])
async def test_stamps_that_are_damaged_only_cost_a_whole_copy(local: Place, stamps: str) -> None:
    await box(local)
    await sh(local, "echo 1 >f")
    await settled(local)
    first = await take(local, "one")
    (tree(local, first).parent / keeping.STAMPS).write_text(stamps)
    second = await take(local, "two")
    assert (tree(local, second) / "repo/f").read_text() == "1\n"
    assert not (tree(local, second) / "repo/f").samefile(tree(local, first) / "repo/f")


@pytest.mark.parametrize(
    "damage",
    [
        lambda layer: (layer / "tree/repo/f").unlink(),
        lambda layer: os.truncate(layer / "tree/repo/f", 1),
        lambda layer: (layer / "tree/repo/f").write_text("124\n"),
        lambda layer: (layer / "tree/repo/extra").touch(),
        lambda layer: (layer / "manifest.json").write_text("{"),
        lambda layer: (layer / "manifest.json").write_text(json.dumps({"id": "x"})),
    ],
    ids=["a file is missing", "a file is cut", "a byte is another", "a file too many", "half a manifest", "no chain"],
)
async def test_a_damaged_snapshot_is_missing_and_nothing_grows_from_it(local: Place, damage) -> None:  # type: ignore[no-untyped-def]
    await box(local)
    await sh(local, "echo 123 >f")
    taken = await take(local, "one")
    damage(tree(local, taken).parent)
    with pytest.raises(Missing):
        await local.provider.create(BoxSpec("b2", local.greeting(), base=taken.id))


def test_a_fingerprint_is_of_names_and_sizes_and_if_that_is_little_of_contents(spot: Path) -> None:
    one = spot / "one"
    one.mkdir()
    (one / "f").write_text("abc")
    noted = fingerprint.of(one)
    (one / "f").write_text("abd")
    assert not fingerprint.is_of(noted, one) and fingerprint.is_of(fingerprint.of(one), one)
    (one / "large").write_bytes(b"1" * fingerprint.MOST_BYTES)
    noted = fingerprint.of(one)
    (one / "f").write_text("abc")
    assert fingerprint.is_of(noted, one) and not fingerprint.is_of("", one)
    (one / "f").unlink()
    (one / "f").mkdir()
    assert not fingerprint.is_of(noted, one)
    for number in range(fingerprint.MOST):
        (one / f"f/{number}").touch()
    assert fingerprint.of(one) == ""


def test_a_layer_that_another_maker_finished_first_is_his(spot: Path) -> None:
    layers = Layers(spot / "layers", Owner.same())
    layers.prepare()

    def write(target: Path) -> list[Path]:
        target.mkdir()
        (target / "mine").touch()
        if not (spot / "layers" / ("a" * 16)).exists():
            layers.keep(write_quickly, "a" * 16, SnapshotKind.TURN, (), 1.0)
        return [target]

    def write_quickly(target: Path) -> list[Path]:
        target.mkdir()
        (target / "his").touch()
        return [target]

    layers.keep(write, "a" * 16, SnapshotKind.TURN, (), 2.0)
    assert [path.name for path in layers.tree("a" * 16).iterdir()] == ["his"]
    assert [path.name for path in (spot / "layers").iterdir() if path.name != ".lock"] == ["a" * 16]


def test_a_copy_links_only_what_has_the_same_stamp(spot: Path) -> None:
    source = spot / "source"
    source.mkdir()
    (source / "f").write_text("1")
    (source / "g").write_text("2")
    first = copies.copy(source, spot / "first")
    wrong = {name: (inode, at, size + (name == "g")) for name, (inode, at, size) in first.stamps.items()}
    second = copies.copy(source, spot / "second", copies.Earlier(spot / "first", wrong))
    assert (spot / "first/f").samefile(spot / "second/f") and not (spot / "first/g").samefile(spot / "second/g")
    assert set(second.fresh) == {spot / "second", spot / "second/g"}


async def test_boxes_that_are_restored_while_their_image_is_let_go_have_all_they_had(local: Place) -> None:
    await box(local)
    await sh(local, "echo of the image >f; mkdir -p d; touch d/1")
    await local.provider.terminate("b1")
    left = await local.provider.last_state("b1", SnapshotKind.BASE)
    assert left is not None
    await local.provider.discard("b1")
    await local.provider.create(BoxSpec("work", local.greeting(), base=left.id))
    await sh(local, "echo of the turn >g; rm d/1", "work")
    taken = await local.provider.snapshot("work", SnapshotKind.TURN, "turn 1")
    await local.provider.discard("work")
    names = [f"again-{number}" for number in range(4)]
    restored = [local.provider.create(BoxSpec(name, local.greeting(), base=taken.id)) for name in names]
    await asyncio.gather(*restored, local.provider.forget_snapshot(left.id))
    assert [await sh(local, "cat f g; ls d", name) for name in names] == ["of the image\nof the turn\n"] * 4
    with pytest.raises(Missing):
        await local.provider.create(BoxSpec("new", local.greeting(), base=left.id))


async def test_one_who_is_killed_in_the_middle_of_a_snapshot_leaves_a_box_that_goes_on(local: Place) -> None:
    await box(local)
    await sh(local, "head -c 3000000 /dev/urandom >f")
    code = KILLED_IN_BETWEEN.format(str_root=str(ROOT), str_folder=str(local.folder))
    killer = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await killer.wait() == -9
    await local.provider.list()  # whoever looks next thaws it
    assert await sh(local, "echo goes on") == "goes on\n"
    taken = await take(local, "one")
    assert (tree(local, taken) / "repo/f").stat().st_size == 3_000_000
