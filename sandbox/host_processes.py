"""Processes of boxes as the host sees them: found, frozen, ended. Called by the providers of this machine.

A process is never known by its number alone, which may be another's by the time it is used.
"""

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from sandbox.freezer import Freezer

LOOK_SECONDS = 0.002
# A process that dies can wake others: its parent, or who is left behind without one.
WAKING = re.compile(rf"^signal: ({signal.SIGCONT:d}|{signal.SIGKILL:d})/", re.MULTILINE)
STEPS = re.compile(r"^(?:State|(?:non)?voluntary_ctxt_switches):\s*(\S+)", re.MULTILINE)
STILL = "TtZXx"
QUIET_SECONDS, LONGEST_SECONDS = 5.0, 60.0  # without one more that stops, and in all
HELD_SECONDS = 0.1  # who waits in the kernel for so long may wait for one that we have stopped; doubled each time


class Process(Protocol):
    """The living processes of one box."""

    def gone(self, seconds: float = 0.0) -> bool:
        """Whether all have ended, within `seconds`."""
        ...

    def ask_to_end(self, seconds: float) -> None:
        """Tell the runner to end, and wait for it for so long."""
        ...

    def kill(self) -> None:
        """End all at once."""
        ...

    def members(self) -> list[int]:
        """The numbers of all."""
        ...

    def freeze(self, look: Callable[[], None]) -> None:
        """Hold all of them still; raises TimeoutError if they do not. `look` is called meanwhile, and may raise."""
        ...

    def thaw(self) -> None:
        """Let all of them go on, also if not all were held."""
        ...


class Pid1:
    """The first process of an isolated box. Readable descriptor: its whole pid namespace is gone."""

    def __init__(self, pid: int, fd: int, namespace: int, freezer: Freezer | None) -> None:
        self.pid, self._fd, self._namespace, self._freezer = pid, fd, namespace, freezer

    @classmethod
    @contextlib.contextmanager
    def found(cls, pid: int, namespace: int, freezer: Freezer | None = None) -> Iterator["Pid1 | None"]:
        """The process, if it still is the one with this pid namespace (as the inode's number); None if it is gone."""
        try:
            fd = os.pidfd_open(pid)
        except (ProcessLookupError, ValueError):
            yield None
            return
        try:
            yield cls(pid, fd, namespace, freezer) if namespace_of(pid) == namespace else None
        finally:
            os.close(fd)

    def gone(self, seconds: float = 0.0) -> bool:
        """Whether every process of the box has ended, within `seconds`."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def ask_to_end(self, seconds: float) -> None:
        """Wait for it to end. It was told through its control socket; a runner of before that heeds the signal."""
        self._send(signal.SIGTERM)
        self.gone(seconds)

    def kill(self) -> None:
        """End it, and with it the whole box."""
        self._send(signal.SIGKILL)
        if self._freezer is not None:
            self._freezer.thaw()  # what is frozen does not die

    def freeze(self, look: Callable[[], None]) -> None:
        """Hold the box still: by the kernel's own means, if there are any."""
        if self._freezer is not None:
            self._freezer.freeze(look, self.gone)
            return
        stop(self.members, look)
        end = time.monotonic() + QUIET_SECONDS  # however long they took to stop
        while not self._stays_still():
            if time.monotonic() > end:
                raise TimeoutError("the box's processes go on by themselves")
            stop(self.members, look)

    def _stays_still(self) -> bool:
        """Whether all that is stopped makes no step; a thread may count its last one only after it is said to be."""
        before = _steps(self.members())
        if any(_has_waking_timer(pid) for pid in self.members()):
            raise TimeoutError("one of the box's processes could wake itself")
        return before == _steps(self.members()) and all(said[0] in STILL for said in before.values())

    def thaw(self) -> None:
        """Let the box go on."""
        send(self.members(), signal.SIGCONT) if self._freezer is None else self._freezer.thaw()

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fd, number)

    def members(self) -> list[int]:
        """Every process of the box."""
        return [pid for pid in every_process() if namespace_of(pid) == self._namespace]


def boot() -> str:
    """Which start of this machine this is; empty where it cannot be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def namespace_of(pid: int) -> int:
    """The number of a process's pid namespace; 0 if it is gone or not ours to ask."""
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino  # noqa: PTH116 - called for every process of the host
    except OSError:
        return 0


def every_process() -> list[int]:
    """The number of every process of this host (Linux)."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]  # noqa: PTH208 - as above


def by_namespace() -> dict[int, list[int]]:
    """Every process of this host, by its pid namespace: a box each, and our own."""
    found: dict[int, list[int]] = {}
    for pid in every_process():
        found.setdefault(namespace_of(pid), []).append(pid)
    return found


def command_name(pid: int) -> str:
    """What a process calls itself; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def stop(members: Callable[[], Iterable[int]], look: Callable[[], None] = lambda: None) -> None:
    """Stop all of them until nothing new appears and no thread moves; TimeoutError if they do not hold still.

    On a busy machine each thread stops when it is its turn, so what counts is that there are fewer and fewer. One that
    was stopped between its vfork and its exec holds its parent in the kernel: then all may go on for a moment.
    """
    end, told, held, calm = time.monotonic() + LONGEST_SECONDS, set[int](), _Held(), False
    while True:
        look()
        moving = {pid: found for pid in members() if (found := _moving(pid)) or pid not in told}
        if not moving and calm:
            return
        if calm := not moving:
            continue  # one that still moved when we looked who there is may have started another since
        held.saw(moving)
        if time.monotonic() > min(held.quiet, end):
            raise TimeoutError("the box's processes do not stop")
        if nap := held.nap(moving):
            send(told, signal.SIGCONT)
            told.clear()
        else:
            send(moving, signal.SIGSTOP)
            told.update(moving)
        time.sleep(nap or LOOK_SECONDS / 4)


class _Held:
    """How it goes with those that are to stop. `quiet`: until when one more has to."""

    def __init__(self) -> None:
        self.quiet = time.monotonic() + QUIET_SECONDS
        self._known, self._fewest = set[str](), 0
        self._patience, self._since = HELD_SECONDS, 0.0

    def saw(self, moving: Mapping[int, list[str]]) -> None:
        """So many threads still move."""
        threads = {thread for found in moving.values() for thread in found}
        if threads - self._known or len(threads) < self._fewest:
            self._since = time.monotonic()
            self._known, self._fewest, self.quiet = self._known | threads, len(threads), self._since + QUIET_SECONDS

    def nap(self, moving: Mapping[int, list[str]]) -> float:
        """For how many seconds all should go on, that those which wait for others get on; 0: for none."""
        if time.monotonic() < self._since + self._patience or not _some_wait_in_the_kernel(moving):
            return 0.0
        nap = self._patience / 10
        self._since, self._patience = time.monotonic(), 2 * self._patience
        return nap


def send(pids: Iterable[int], number: int) -> None:
    """Send a signal to each that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def with_home(home: Path) -> list[int]:
    """Every process of ours whose HOME is this folder (Linux; elsewhere none is found)."""
    wanted = b"HOME=" + os.fsencode(home)
    return (
        [pid for pid in every_process() if wanted in _environment(pid)] if Path("/proc/self/environ").exists() else []
    )


def with_open(path: Path, called: str) -> list[int]:
    """Every process of this name that has the file open (Linux)."""
    try:
        wanted = path.stat()
    except OSError:
        return []
    return [pid for pid in every_process() if command_name(pid) == called and _has_open(pid, wanted)]


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.path.samestat(fd.stat(), wanted):
                    return True
    return False


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _steps(pids: Iterable[int]) -> dict[str, str]:
    """How each thread of these processes is, and how often it has been at work: so whoever was in between is seen."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                found[thread.name] = " ".join(STEPS.findall((thread / "status").read_text(errors="replace")))
    return found


def _has_waking_timer(pid: int) -> bool:
    """Whether a timer is to send a process what even stopped ones heed. Where that is not told, it may be so."""
    try:
        return WAKING.search(Path(f"/proc/{pid}/timers").read_text()) is not None
    except (FileNotFoundError, ProcessLookupError):  # it is gone, if such files are there at all
        return not tells_timers()


def tells_timers() -> bool:
    """Whether this kernel says which timers a process has. Without that only a freezer holds a box still."""
    return Path("/proc/self/timers").exists()


def _moving(pid: int) -> list[str]:
    """The threads of a process that are neither stopped nor gone. Its first one may be gone while others go on."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - called again and again while a box is held
    except OSError:
        return [] if Path("/proc/self").exists() else _moving_elsewhere(pid)
    return [thread for thread in threads if _state(pid, thread) not in STILL]


def _moving_elsewhere(pid: int) -> list[str]:
    """The same where there is no /proc: of a whole process."""
    said = subprocess.run(("ps", "-o", "stat=", "-p", str(pid)), capture_output=True, text=True, check=False).stdout
    return [str(pid)] if said and said[0] not in "TZ" else []


def _some_wait_in_the_kernel(moving: Mapping[int, list[str]]) -> bool:
    return any(_state(pid, thread) == "D" for pid, threads in moving.items() for thread in threads)


def _state(pid: int, thread: str) -> str:
    """What the kernel says of a thread, as one letter; "X" if it is gone."""
    try:
        with open(f"/proc/{pid}/task/{thread}/stat") as file:  # noqa: PTH123 - as above
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
