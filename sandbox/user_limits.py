"""Limits that the kernel counts for each user of the host, and so for all boxes together: each box gets a part.

A box's user namespace can be given lower limits of its own, from outside and by its owner only. `local.py` calls
`limit` when a box has started. A fork does it: who enters a user namespace must have no threads, and does not get out
again. A program of its own would take the processor from the very box that starts.
"""

import contextlib
import ctypes
import os

# Of the 128 instances that most hosts give to a user; fs.inotify.max_user_instances raises that.
LIMITS = {"max_inotify_instances": 32, "max_inotify_watches": 65536}
_NEW_USER = 0x10000000
_forks: set[int] = set()  # to be buried when the next one is made, if we live that long


def limit(pid: int) -> None:
    """Begin to limit the box whose first process this is. Nothing waits for it, and a box lives without it."""
    _forks.difference_update(child for child in tuple(_forks) if _ended(child))
    with contextlib.suppress(OSError):
        namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        enter = ctypes.CDLL(None).setns
        child = os.fork()
        if not child:
            try:
                if enter(namespace, _NEW_USER) == 0:
                    _write()
            finally:
                os._exit(0)
        os.close(namespace)
        _forks.add(child)


def _ended(child: int) -> bool:
    try:
        return os.waitpid(child, os.WNOHANG) != (0, 0)
    except ChildProcessError:  # whoever started us has ended it
        return True


def _write() -> None:
    for name, most in LIMITS.items():
        file = os.open(f"/proc/sys/user/{name}", os.O_WRONLY)
        os.write(file, str(most).encode())
        os.close(file)
