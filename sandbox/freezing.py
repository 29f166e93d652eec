"""Holds a live box still while its tree is copied. If the one who froze it is killed, whoever looks next thaws it."""

import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Iterator

from sandbox import host_processes
from sandbox.box_folder import BoxFolder
from sandbox.host_processes import Process
from sandbox.provider import Temporary


@contextlib.contextmanager
def still(folder: BoxFolder, process: Process) -> Iterator[None]:
    """Nothing moves in the box meanwhile. One at a time: a second one waits."""
    with _marked(folder):
        try:
            host_processes.stop(process.members)
            yield
        except TimeoutError as restless:
            raise Temporary(f"box {folder.name}: {restless}") from restless
        finally:
            host_processes.send(process.members(), signal.SIGCONT)


@contextlib.contextmanager
def _marked(folder: BoxFolder) -> Iterator[None]:
    """Hold the box's marker, and take it away at the end: the file must still be the one that was locked."""
    while True:
        marker = os.open(folder.frozen, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(marker, fcntl.LOCK_EX)
        if _is_marker(folder, marker):
            break
        os.close(marker)
    try:
        yield
    finally:
        folder.frozen.unlink(missing_ok=True)
        os.close(marker)


def thaw_forgotten(
    folder: BoxFolder, process_of: Callable[[BoxFolder], contextlib.AbstractContextManager[Process | None]]
) -> None:
    """Let a box go on that was frozen by somebody who is no more."""
    try:
        marker = os.open(folder.frozen, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_marker(folder, marker):
            return  # it was thawed meanwhile, and perhaps frozen again
        with process_of(folder) as process:
            host_processes.send(process.members() if process is not None else [], signal.SIGCONT)
        folder.frozen.unlink(missing_ok=True)
    except BlockingIOError:
        return  # it is being copied right now
    finally:
        os.close(marker)


def _is_marker(folder: BoxFolder, marker: int) -> bool:
    try:
        return os.path.samestat(os.fstat(marker), folder.frozen.stat())
    except FileNotFoundError:
        return False
