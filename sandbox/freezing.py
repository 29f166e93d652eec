"""Holds a live box still while its tree is copied. If the one who froze it is killed, whoever looks next thaws it.

`keeping.py` copies inside `still`; `folder_provider.py` and `box_life.py` thaw what was forgotten.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from threading import Event

from sandbox.box_folder import BoxFolder
from sandbox.host_processes import LOOK_SECONDS, Process
from sandbox.provider import Hurried, Temporary

STILL_SECONDS = 50.0  # less than a job may take: who is ended in the middle of a copy leaves half of one


def heeding(hurry: Event | None, seconds: float = STILL_SECONDS) -> Callable[[], None]:
    """What to call all the time while a box stands still: it raises Hurried when somebody is in a hurry, and Temporary
    `seconds` from now."""
    end = time.monotonic() + seconds

    def look() -> None:
        if hurry is not None and hurry.is_set():
            raise Hurried("somebody needs the box")
        if time.monotonic() > end:
            raise Temporary(f"the box has written so much that it takes longer than {seconds:.0f} s to copy", 60.0)

    return look


@contextlib.contextmanager
def still(folder: BoxFolder, process: Process, look: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Nothing moves in the box meanwhile. One at a time: a second one waits. Until then `look` is called; may raise."""
    with _marked(folder, look):
        try:
            process.freeze(look)
            yield
        except TimeoutError as restless:
            raise Temporary(f"box {folder.name}: {restless}") from restless
        finally:
            process.thaw()


@contextlib.contextmanager
def _marked(folder: BoxFolder, look: Callable[[], None]) -> Iterator[None]:
    """Hold the box's marker, and take it away at the end: the file must still be the one that was locked."""
    while (marker := _own_marker(folder)) is None:
        look()
        time.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        folder.frozen.unlink(missing_ok=True)
        os.close(marker)


def _own_marker(folder: BoxFolder) -> int | None:
    marker = os.open(folder.frozen, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_marker(folder, marker):
            return marker
    os.close(marker)
    return None


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
            if process is not None:
                process.thaw()
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
