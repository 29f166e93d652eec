"""A box that is copied holds still, all of it, and goes on at once when somebody needs it."""

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest

from sandbox import host_processes
from sandbox.box_folder import BoxFolder
from sandbox.cgroup import Cgroups
from sandbox.freezer import VERSION_1, VERSION_2, Freezer, Version
from sandbox.freezing import heeding
from sandbox.provider import BoxSpec, Hurried, SnapshotKind, Temporary
from tests.sandbox.places import Place
from tests.waiting import until

THREADS = 24
RESTLESS = f"""\
import ctypes, threading, time
def work(name):
    with open(name, "w", buffering=1) as file:
        while True:
            file.write("x\\n")
            time.sleep(0.001)
for number in range({THREADS}):
    threading.Thread(target=work, args=(f"n{{number}}",)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


async def box(place: Place, script: str = "true") -> BoxFolder:
    await place.provider.create(BoxSpec("b1", place.greeting()))
    done = await place.provider.exec("b1", ("sh", "-ec", script))
    assert done.code == 0, done.stderr
    return BoxFolder(place.boxes / "box/b1")


def layers(place: Place) -> list[Path]:
    return list((place.boxes / "layers").glob("[!.]*"))


@pytest.mark.parametrize(
    ("version", "said", "stops", "goes"), [(VERSION_1, "FROZEN", "FROZEN", "THAWED"), (VERSION_2, "frozen 1", "1", "0")]
)
def test_both_versions_of_the_freezer_are_told_in_their_own_words(
    spot: Path, version: Version, said: str, stops: str, goes: str
) -> None:
    file, shares = spot / version.file, spot / "cpu.shares"
    shares.write_text("128")
    (spot / version.said).write_text(f"populated 1\n{said}\n")
    freezer = Freezer(file, version, shares, "128")
    freezer.freeze(lambda: None, lambda: False)
    assert (file.read_text(), shares.read_text()) == (stops, "128")
    freezer.thaw()
    assert file.read_text() == goes


def test_a_box_stands_still_for_only_so_long() -> None:
    heeding(None)()
    with pytest.raises(Temporary, match="to copy"):
        heeding(None, -0.1)()


def test_who_is_in_a_hurry_does_not_wait_for_all_to_stop(spot: Path) -> None:
    (spot / VERSION_2.said).write_text("populated 1\nfrozen 0\n")
    hurry, freezer = Event(), Freezer(spot / VERSION_2.file, VERSION_2, spot / "none", "128")
    hurry.set()
    with pytest.raises(Hurried):
        freezer.freeze(heeding(hurry), lambda: False)
    freezer.freeze(lambda: None, lambda: True)  # nobody is there any more


@pytest.mark.parametrize("way", ["the kernel's freezer", "signals"])
async def test_every_thread_is_held_also_when_the_first_one_is_gone(local: Place, way: str) -> None:
    begun = f"setsid python3 t.py >/dev/null 2>&1 </dev/null & until [ -e n{THREADS - 1} ]; do sleep 0.01; done"
    folder = await box(local, f"cat >t.py <<'E'\n{RESTLESS}E\n{begun}")
    freezer: Freezer | None = Cgroups(local.boxes).freezer("b1")
    if way == "signals":
        freezer = None
    elif freezer is None:
        pytest.skip("this host offers no freezer")
    repo = folder.upper / "repo"

    def work() -> list[int]:
        return [path.stat().st_size for path in sorted(repo.glob("n*"))]

    await until(lambda: len(work()) == THREADS and min(work()) > 0)
    said = folder.said()
    with host_processes.Pid1.found(said["child-pid"], said["pid-namespace"], freezer) as process:
        assert process is not None
        process.freeze(lambda: None)
        before = work()
        time.sleep(0.05)  # for what would go on
        assert work() == before
        process.thaw()
    await until(lambda: all(now > then for now, then in zip(work(), before, strict=True)))


def test_who_is_born_while_one_looks_is_held_too() -> None:
    with subprocess.Popen(("sleep", "60")) as first, subprocess.Popen(("sleep", "60")) as born:
        seen = iter([[first.pid]] * 2)
        host_processes.stop(lambda: next(seen, [first.pid, born.pid]))
        states = [Path(f"/proc/{pid}/stat").read_text().split()[2] for pid in (first.pid, born.pid)]
        first.kill()
        born.kill()
    assert states == ["T", "T"]


# Its child waits for the other end of a pipe before it becomes `sleep`, and so long it waits for its child.
BETWEEN = """\
import os, time
os.posix_spawn("/bin/sleep", ["sleep", "60"], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, "pipe", os.O_RDONLY, 0)])
time.sleep(60)
"""


async def test_who_waits_for_a_child_that_was_stopped_before_it_was_a_program_is_held_too(spot: Path) -> None:
    os.mkfifo(spot / "pipe")

    def state(pid: int) -> str:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

    with subprocess.Popen((sys.executable, "-I", "-S", "-c", BETWEEN), cwd=spot) as parent:
        told = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        try:
            child = int(await until(told.read_text))
            stopping = asyncio.create_task(asyncio.to_thread(host_processes.stop, lambda: [parent.pid, child]))
            await until(lambda: (state(child), state(parent.pid)) == ("T", "D"))
            with (spot / "pipe").open("r+b", buffering=0):
                await stopping
            assert (state(child), state(parent.pid)) == ("T", "T")
        finally:
            host_processes.send([parent.pid, child], signal.SIGKILL)


TIMED = """\
import ctypes, sys, time
class Event(ctypes.Structure):
    _fields_ = [("value", ctypes.c_void_p), ("signal", ctypes.c_int), ("rest", ctypes.c_char * 52)]
libc, timer = ctypes.CDLL(None), ctypes.c_void_p()
assert libc.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(Event(None, int(sys.argv[1]))), ctypes.byref(timer)) == 0
libc.timer_settime(timer, 0, (ctypes.c_long * 4)(0, 0, 600, 0), None)
open("set", "w").close()
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("number", "held"), [(signal.SIGCONT, False), (signal.SIGKILL, False), (signal.SIGVTALRM, True)]
)
async def test_what_stands_still_by_signals_is_not_copied_if_a_timer_could_wake_it(
    local: Place, number: signal.Signals, held: bool
) -> None:
    begun = f"setsid python3 t.py {number:d} >/dev/null 2>&1 </dev/null & until [ -e set ]; do sleep 0.01; done"
    said = (await box(local, f"cat >t.py <<'E'\n{TIMED}E\n{begun}")).said()
    with host_processes.Pid1.found(said["child-pid"], said["pid-namespace"], None) as process:
        assert process is not None
        with contextlib.nullcontext() if held else pytest.raises(TimeoutError, match="could wake"):
            process.freeze(lambda: None)
        process.thaw()


async def test_a_box_that_is_held_can_be_ended(local: Place) -> None:
    folder = await box(local)
    said = folder.said()
    freezer = Cgroups(local.boxes).freezer("b1")
    with host_processes.Pid1.found(said["child-pid"], said["pid-namespace"], freezer) as process:
        assert process is not None
        process.freeze(lambda: None)
        await local.provider.terminate("b1", 0.0)
        assert process.gone()
        process.thaw()


async def test_a_box_goes_on_at_once_when_somebody_needs_it_and_nothing_is_left_of_the_copy(local: Place) -> None:
    await box(local, "echo 1 >f")
    hurry = Event()
    hurry.set()
    with pytest.raises(Hurried):
        await local.provider.snapshot("b1", SnapshotKind.TURN, "one", hurry)
    assert layers(local) == []
    assert (await local.provider.exec("b1", ("cat", "f"))).stdout == b"1\n"
    taken = await local.provider.snapshot("b1", SnapshotKind.TURN, "one", Event())
    assert (layers(local)[0] / "tree/repo/f").read_text() == "1\n" and layers(local)[0].name == taken.id


async def test_nobody_in_a_hurry_waits_for_another_copy_of_the_box(local: Place) -> None:
    folder, hurry = await box(local), Event()
    hurry.set()
    with folder.frozen.open("w") as marker:
        fcntl.flock(marker, fcntl.LOCK_EX)
        with pytest.raises(Hurried):
            await local.provider.snapshot("b1", SnapshotKind.TURN, "one", hurry)
