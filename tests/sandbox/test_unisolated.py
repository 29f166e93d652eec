"""What is different without isolation: plain processes, a whole tree for each box, and nothing left behind."""

import asyncio
import os
import signal
import time
from pathlib import Path

from sandbox import host_processes
from sandbox.box_folder import BoxFolder
from sandbox.provider import BoxSpec, BoxState, SnapshotKind
from tests.sandbox.places import Place


async def left_running(place: Place, name: str) -> int:
    """Start something that leaves the runner's group and session; its number."""
    made = await place.provider.exec(
        name, ("sh", "-c", "setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $! >pid; sleep 0.1; cat pid")
    )
    return int(made.stdout)


def lives(pid: int) -> bool:
    try:
        return b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


async def gone(pid: int) -> bool:
    end = time.monotonic() + 10
    while lives(pid) and time.monotonic() < end:
        await asyncio.sleep(0.01)
    return not lives(pid)


async def test_it_says_that_it_does_not_isolate(plain: Place, local: Place) -> None:
    assert not plain.provider.isolated and local.provider.isolated
    assert plain.provider.name != local.provider.name


async def test_the_box_is_a_folder_of_this_user(plain: Place) -> None:
    await plain.provider.create(BoxSpec("one", plain.greeting()))
    done = await plain.provider.exec("one", ("sh", "-c", 'pwd; echo "$HOME"; echo "$TMPDIR"; id -u'))
    tree = BoxFolder(plain.boxes / "box/one").upper
    assert done.stdout.decode().split() == [f"{tree}/work/repo", f"{tree}/work/home", f"{tree}/tmp", str(os.geteuid())]


async def test_whatever_a_box_started_ends_with_it(plain: Place) -> None:
    await plain.provider.create(BoxSpec("one", plain.greeting()))
    pid = await left_running(plain, "one")
    assert lives(pid)
    await plain.provider.terminate("one", grace=0)
    assert await gone(pid)


async def test_orphans_of_a_runner_that_crashed_end_when_the_box_is_ended(plain: Place) -> None:
    await plain.provider.create(BoxSpec("one", plain.greeting()))
    pid = await left_running(plain, "one")
    os.kill(BoxFolder(plain.boxes / "box/one").said()["child-pid"], signal.SIGKILL)
    end = time.monotonic() + 10
    while (info := await plain.provider.status("one")).state is BoxState.RUNNING and time.monotonic() < end:
        await asyncio.sleep(0.01)
    assert info.state is BoxState.DEAD and info.exit_code == 137
    await plain.provider.discard("one")
    assert await gone(pid)


async def test_two_boxes_are_told_apart(plain: Place) -> None:
    for name in ("one", "one-more"):
        await plain.provider.create(BoxSpec(name, plain.greeting()))
    pid = await left_running(plain, "one-more")
    await plain.provider.terminate("one", grace=0)
    assert lives(pid) and (await plain.provider.status("one-more")).state is BoxState.RUNNING


async def test_a_snapshot_is_whole(plain: Place) -> None:
    await plain.provider.create(BoxSpec("one", plain.greeting()))
    await plain.provider.exec("one", ("tee", "f"), stdin=b"1")
    first = await plain.provider.snapshot("one", SnapshotKind.BASE)
    await plain.provider.create(BoxSpec("two", plain.greeting(), base=first.id))
    second = await plain.provider.snapshot("two", SnapshotKind.TURN)
    await plain.provider.forget_snapshot(first.id)
    await plain.provider.create(BoxSpec("three", plain.greeting(), base=second.id))
    assert (await plain.provider.exec("three", ("cat", "f"))).stdout == b"1"


def test_a_process_is_found_by_its_home(spot: Path) -> None:
    assert host_processes.with_home(spot / "nobody") == []
