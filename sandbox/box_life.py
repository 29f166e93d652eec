"""Whether a box in a folder of this machine lives, and how it is ended. `folder_provider.py` calls this.

`processes` is how its provider finds what runs in it. Nothing is remembered: the lock, the status that its watcher
writes and the processes themselves say how it is, whoever asks.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

from sandbox import control, freezing, host_processes
from sandbox.box_folder import BoxFolder
from sandbox.host_processes import Process
from sandbox.provider import Gone, Temporary, Unreachable

Processes = Callable[[BoxFolder], contextlib.AbstractContextManager[Process | None]]
LOCK_SECONDS = 5.0
DEATH_SECONDS = 10.0
LAST_WORD_SECONDS = 1.0


def runs(folder: BoxFolder, processes: Processes) -> bool:
    """Whether it lives. While its maker is at it there is a lock and no process yet.

    That is asked first: a box that gets its process between the two questions must not be taken for a dead one.
    """
    return _is_being_made(folder) or _has_process(folder, processes)


def exit_code(folder: BoxFolder) -> int | None:
    """How a dead box ended. It is written down a moment after its end by the one who watched it."""
    end = time.monotonic() + LAST_WORD_SECONDS
    while "exit-code" not in folder.said() and folder.watched() and time.monotonic() < end:
        time.sleep(host_processes.LOOK_SECONDS)
    code = folder.said().get("exit-code")
    return int(code) if code is not None else None


def dies(folder: BoxFolder, processes: Processes) -> bool:
    """Whether it has ended, or does so in a moment."""
    with processes(folder) as process:
        return process is None or process.gone(1.0)


def end_kindly(folder: BoxFolder, processes: Processes, grace: float) -> None:
    """Ask it to end, and wait for that for `grace` seconds. One that is just being made cannot be ended yet."""
    end = time.monotonic() + LOCK_SECONDS
    while _is_being_made(folder) and time.monotonic() < end:
        time.sleep(host_processes.LOOK_SECONDS)
    freezing.thaw_forgotten(folder, processes)
    if grace <= 0:
        return
    with processes(folder) as process:
        if process is not None:
            with contextlib.suppress(OSError), folder.control() as address:
                control.ask_to_end(address)
            process.ask_to_end(grace)


def kill(folder: BoxFolder, processes: Processes) -> None:
    """End every process of it at once. Raises Unreachable if that cannot be seen to come."""
    with processes(folder) as process:
        if process is None:
            _kill_half_made(folder)
            return
        process.kill()
        if not process.gone(DEATH_SECONDS):
            raise Unreachable(f"box {folder.name} does not end")


@contextlib.contextmanager
def locked(folder: BoxFolder, processes: Processes) -> Iterator[None]:
    """Hold a dead box's lock. It is free a moment before or after the last process is gone. Raises Gone, Temporary."""
    end = time.monotonic() + LOCK_SECONDS
    while (fd := folder.lock()) is None:
        if not folder.path.exists():
            raise Gone(f"box {folder.name} is gone")
        if runs(folder, processes) or time.monotonic() > end:
            raise Temporary(f"box {folder.name} still runs")
        time.sleep(host_processes.LOOK_SECONDS)
    try:
        if _has_process(folder, processes):
            raise Temporary(f"box {folder.name} still runs")
        yield
    finally:
        os.close(fd)


def _is_being_made(folder: BoxFolder) -> bool:
    return not folder.said() and folder.locked()


def _has_process(folder: BoxFolder, processes: Processes) -> bool:
    with processes(folder) as process:
        return process is not None and not process.gone()


def _kill_half_made(folder: BoxFolder) -> None:
    """A maker that was killed may leave a bubblewrap that waits for ever for a box that it cannot build."""
    if _is_being_made(folder):
        host_processes.send(host_processes.with_open(folder.path / "lock", "bwrap"), signal.SIGKILL)
