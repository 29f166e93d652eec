"""What a box takes: weighed with bounds, and held against its limits."""

import mmap
import os
import shutil
from pathlib import Path

import pytest

from sandbox import trees
from sandbox.cgroup import Cgroups
from sandbox.local import LocalProvider
from sandbox.overgrown import Scales, memory_of
from sandbox.provider import BoxSpec, Limits
from sandbox.weigh import weigh
from tests.sandbox.places import Place
from tests.sandbox.test_local import python, run, until

MB = 1 << 20


def deep(folder: Path, depth: int, name: str = "d" * 50) -> None:
    """A folder in a folder in a folder; every one with a file beside it."""
    at = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=at)
        os.close(os.open("beside", os.O_CREAT | os.O_WRONLY, dir_fd=at))
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    file = os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=at)
    os.write(file, b"x" * MB)
    os.close(file)
    os.close(at)


def beside(code: str) -> str:
    """A shell's command that leaves a Python running, and ends once it runs."""
    begun = "import os, time; open('/tmp/begun', 'w')"
    left = f'setsid python3 -c "{begun}; {code}" >/dev/null 2>&1 </dev/null &'
    return f"{left} while [ ! -e /tmp/begun ]; do sleep 0.01; done"


@pytest.mark.parametrize(("depth", "name"), [(400, "d" * 50), (3000, "d")])
def test_a_tree_deeper_than_any_path_is_weighed_settled_and_removed(spot: Path, depth: int, name: str) -> None:
    tree = spot / "tree"
    tree.mkdir()
    deep(tree, depth, name)
    weight = weigh(tree)
    assert weight.whole and weight.bytes >= MB and weight.entries == 2 * depth + 1
    trees.settle(tree)
    trees.remove(tree)
    assert not tree.exists()


def test_links_count_once_and_holes_do_not(spot: Path) -> None:
    (spot / "file").write_bytes(b"x" * MB)
    for n in range(10):
        (spot / f"link{n}").hardlink_to(spot / "file")
    (spot / "elsewhere").symlink_to("/usr")
    with (spot / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 40)
    assert MB <= weigh(spot).bytes < 2 * MB


def test_weighing_stops_when_it_has_seen_enough(spot: Path) -> None:
    for n in range(20):
        (spot / f"d{n}").mkdir()
        (spot / f"d{n}/file").write_bytes(b"x" * MB)
    weight = weigh(spot, most=3 * MB)
    assert not weight.whole and 3 * MB < weight.bytes < 20 * MB
    assert not weigh(spot, seconds=0).whole


def test_a_box_is_looked_at_again_the_sooner_the_nearer_it_is_to_its_limit(spot: Path) -> None:
    scales = Scales()
    assert scales.too_much("one", spot, Limits(disk_bytes=10 * MB), [], True) == ""
    (spot / "file").write_bytes(b"x" * 20 * MB)
    assert scales.too_much("one", spot, Limits(disk_bytes=10 * MB), [], True) == "", "it is not due yet"
    scales.forget_all_but([])
    assert "10 MB to its disk" in scales.too_much("one", spot, Limits(disk_bytes=10 * MB), [], True)
    assert scales.too_much("two", spot, Limits(disk_bytes=None), [], True) == ""


def test_memory_counts_where_the_kernel_limits_none(spot: Path) -> None:
    with mmap.mmap(-1, 64 * MB) as held:
        for at in range(0, 64 * MB, 4096):
            held[at] = 1
        limits, here = Limits(memory_bytes=32 * MB), [os.getpid()]
        assert memory_of(here, 32 * MB) > 64 * MB
        assert Scales().too_much("one", spot, limits, here, False) == "it has more than 32 MB of memory"
        assert Scales().too_much("one", spot, limits, here, True) == ""


async def test_a_box_that_fills_its_disk_is_told_of(local: Place) -> None:
    await local.provider.create(BoxSpec("one", local.greeting(), limits=Limits(disk_bytes=8 * MB)))
    await local.provider.create(BoxSpec("two", local.greeting(), limits=Limits(disk_bytes=8 * MB)))
    assert await local.provider.overgrown() == {}
    await run(local, "head -c 9000000 /dev/urandom >/work/home/big")
    hold = "f = os.open('/work/x', 65); os.unlink('/work/x'); os.write(f, os.urandom(9 << 20)); time.sleep(60)"
    await run(local, beside(hold), "two")

    async def both() -> bool:
        return (await local.provider.overgrown()).keys() == {"one", "two"}

    await until(both)
    assert set((await local.provider.overgrown()).values()) == {"it has written more than 8 MB to its disk"}


async def test_a_box_whose_tree_is_taken_away_just_then_hides_no_other(local: Place) -> None:
    await local.provider.create(BoxSpec("gone", local.greeting()))
    await local.provider.create(BoxSpec("one", local.greeting(), limits=Limits(disk_bytes=8 * MB)))
    tree = local.boxes / "box/gone/tree/upper"
    tree.rename(tree.with_name("taken"))
    await run(local, "head -c 9000000 /dev/urandom >/work/home/big")

    async def seen() -> bool:
        return (await local.provider.overgrown()).keys() == {"one"}

    await until(seen)


async def test_memory_in_files_without_names_counts(local: Place) -> None:
    assert isinstance(local.provider, LocalProvider)
    local.provider._cgroups = Cgroups(local.boxes, root=local.folder / "a host without")
    await local.provider.create(BoxSpec("one", local.greeting(), limits=Limits(memory_bytes=150 * MB)))
    assert await local.provider.overgrown() == {}
    fill = "f = os.memfd_create('x'); [os.write(f, bytes(1 << 20)) for _ in range(140)]; time.sleep(60)"
    await run(local, beside(fill))

    async def seen() -> bool:
        return await local.provider.overgrown() == {"one": "it has more than 150 MB of memory"}

    await until(seen)


async def test_memory_in_files_has_an_end(local: Place) -> None:
    await local.provider.create(BoxSpec("one", local.greeting()))
    size = "os.statvfs(p).f_blocks * os.statvfs(p).f_frsize >> 20"
    code = f"import os; print([{size} for p in ('/tmp', '/dev/shm', '/run')])"
    assert await python(local, code) == "[2048, 2048, 1]"
    assert "Read-only" in await run(local, "touch /x /dev/x /etc/x 2>&1")


def test_what_is_left_of_a_place_is_nothing(spot: Path) -> None:
    (spot / "shut/in").mkdir(parents=True)
    (spot / "shut").chmod(0)
    trees.remove(spot / "shut")
    assert not (spot / "shut").exists() and shutil.disk_usage(spot).free > 0
