"""A process forked before there is a job for it: it waits for one line, does what that says, and ends.

`jobs/worker.py` keeps one ready, so that a job begins without waiting for a fork. It is like a fork made for the job:
nothing of an earlier one is in it, and whoever wants to end the job ends its process group.
"""

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator
from typing import NamedTuple, NoReturn

log = logging.getLogger(__name__)
ENDINGS = {signal.SIGTERM, signal.SIGINT}
LINE_BYTES = 4096  # more than a pipe takes in pieces


class Horse(NamedTuple):
    """One that waits. `reins`: the end of a pipe that it reads from; without a line before its end, it ends too."""

    pid: int
    reins: int

    @classmethod
    def saddled(cls, get_ready: Callable[[], None], ride: Callable[[bytes], None]) -> "Horse":
        """Fork one: it gets ready at once, and rides when it has its line."""
        hears, reins = os.pipe()
        with signals_held():  # none may be taken for one of its parent's
            pid = os.fork()
            if not pid:
                os.setpgid(0, 0)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if not pid:
            os.close(reins)
            _live(hears, get_ready, ride)
        os.close(hears)
        with contextlib.suppress(OSError):  # it has done so itself, or is gone
            os.setpgid(pid, pid)
        return cls(pid, reins)

    def goes(self, line: bytes) -> bool:
        """Give it its line; whether it was there to take it."""
        try:
            os.write(self.reins, line)
        except BrokenPipeError:
            os.waitpid(self.pid, 0)
            return False
        finally:
            os.close(self.reins)
        return True


def _live(hears: int, get_ready: Callable[[], None], ride: Callable[[bytes], None]) -> NoReturn:
    code = 1
    try:
        get_ready()
        line = os.read(hears, LINE_BYTES)
        if line:
            ride(line)
        code = 0
    except Exception:
        log.exception("a worker's process could not do its job")
    finally:
        os._exit(code)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Let no word to end come while something is half known."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)
