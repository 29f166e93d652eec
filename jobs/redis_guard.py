"""Becomes the Redis-compatible server: takes the lock of its data, ends with its parent. Run as a script, by its path.

`python redis_guard.py LOCK PROGRAM ARG…`. Two servers on one append-only file would ruin it; so the lock is held by an
open file that the server inherits and, knowing nothing of it, keeps until it ends.
"""

import ctypes
import fcntl
import os
import signal
import sys
import time

PATIENCE_SECONDS = 10.0  # an older server may still be writing its last
LOOK_SECONDS = 0.05
PR_SET_PDEATHSIG = 1


def main(lock: str, program: str, *args: str) -> None:
    """Wait for the lock and become the program."""
    parent = os.getppid()
    held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(held, True)
    _take(held, lock)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the parent is gone already")
    os.execv(program, [program, *args])


def _take(held: int, lock: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                sys.exit(f"another server uses this data: {lock} is locked")
            time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
