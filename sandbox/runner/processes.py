"""Processes of the box: started, ended and reaped. The only file of the runner that starts any.

The runner is pid 1 of its box (or a sub-reaper), so every orphan becomes its child. `Children.reap` waits for all of
them, known or not; asyncio's own child handling is not used, so nothing can be taken from it. This file does not import
asyncio: the agent is started before that is loaded.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO

PIPE, NULL = subprocess.PIPE, subprocess.DEVNULL
ROUNDS, TICK = 3, 1 / os.sysconf("SC_CLK_TCK")


class Child:
    """One process that the runner started, in a process group of its own.

    `code` is None while it lives, else as a shell's caller knows it: negative for a signal.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pid = process.pid
        self.code: int | None = None
        self._waiting: list[Callable[[int], None]] = []

    def when_ended(self, call: Callable[[int], None]) -> None:
        """Call `call(code)` once when the process has ended: at once if it has already."""
        if self.code is None:
            self._waiting.append(call)
        else:
            call(self.code)

    def ended(self, code: int) -> None:
        """Note how it ended. Called by the reaper alone."""
        self.code = self.process.returncode = code
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call(code)

    def kill(self, how: int = signal.SIGKILL) -> None:
        """Send a signal to the process and its group; nothing happens if they are gone."""
        for send in (os.killpg, os.kill):
            if self.code is None or send is os.killpg:  # a pid that was reaped may be somebody else's
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    send(self.pid, how)

    def close(self) -> None:
        """Close our ends of its pipes that nobody else took."""
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class Children:
    """All processes below the runner. `uid`: the user that they are; None: the runner's own."""

    def __init__(self, uid: int | None = None) -> None:
        self._known: dict[int, Child] = {}
        self._uid = uid
        self.held: set[int] | None = None  # while everything is to stand still (`holding.py`): who does

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        stdin: int = PIPE,
        stdout: int | IO[bytes] = PIPE,
        stderr: int | IO[bytes] = PIPE,
    ) -> Child:
        """Start a process; raise OSError if it cannot be. Its pipes are unbuffered, and it inherits nothing else."""
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            bufsize=0,
            start_new_session=True,
            user=self._uid,
        )
        child = Child(process)
        self._known[child.pid] = child
        if self.held is not None:
            self.held.add(child.pid)
            child.kill(signal.SIGSTOP)
        return child

    def reap(self) -> None:
        """Collect everything that has ended: ours are told, orphans are buried."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._known.pop(pid, None)
            if child is not None:
                child.ended(_code(status))

    def kill_strays(self) -> None:
        """End what was left behind by agents that are gone: children of ours that we never started."""
        strays = [pid for pid in _children(os.getpid()) if pid not in self._known]
        while strays:  # with what is below them: it would be ours next
            pid = strays.pop()
            strays += _children(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def kill_begun(self, pid: int, since: float, own: str) -> None:
        """End what is below a process and was begun after `since` (by `since_boot`), but for what is part of it: copies
        of it, and programs in the folder `own`."""
        itself = _arguments(pid)
        for _ in range(ROUNDS):  # what was begun meanwhile is there in the next one
            for each in below(pid):
                said = _arguments(each)
                if _begun(each) >= since - TICK and said != itself and not said.startswith(own.encode() + b"/"):
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(each, signal.SIGKILL)

    def kill_all(self) -> None:
        """End everything below the runner."""
        for child in list(self._known.values()):
            child.kill()
        self.kill_strays()


def _code(status: int) -> int:
    # os.waitstatus_to_exitcode refuses stopped processes, which WNOHANG alone never reports
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def below(pid: int) -> list[int]:
    """Every process below one, the nearest first."""
    found = _children(pid)
    for child in found:  # it grows meanwhile
        found += _children(child)
    return found


def since_boot() -> float:
    """Now, in seconds, by the clock that says when processes began."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else 0.0


def _begun(pid: int) -> float:
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b") ")[2].split()[19]) * TICK
    return 0.0  # it is gone


def _arguments(pid: int) -> bytes:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()
    return b""


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as listed:
                found += map(int, listed.read().split())
    except FileNotFoundError:  # the process is gone, or the kernel keeps no such lists; or there is no /proc at all
        return _children_by_parent(pid) if os.path.exists(f"/proc/{pid}/stat") else found
    except OSError:
        pass
    return found


def _children_by_parent(parent: int) -> list[int]:
    """The same, by asking each process."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
            if int(file.read().rpartition(b")")[2].split()[1]) == parent:
                found.append(int(name))
    return found


def take(fd: int | None) -> int | None:
    """Keep an inherited descriptor out of our children."""
    if fd is not None:
        os.set_inheritable(fd, False)
    return fd
