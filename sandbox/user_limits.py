"""Limits that the kernel counts for each user of the host, and so for all boxes together: each box gets a part.

A box's user namespace can be given lower limits of its own, from outside and by its owner only. `local.py` calls
`limit` when a box has started. A program of its own does it: who enters a user namespace must have no threads.
"""

import contextlib
import subprocess
import sys

from sandbox import spawning

# Of the 128 instances that most hosts give to a user; fs.inotify.max_user_instances raises that.
LIMITS = {"max_inotify_instances": 32, "max_inotify_watches": 65536}
ENTER = """\
import ctypes, os, sys
namespace = os.open(f"/proc/{sys.argv[1]}/ns/user", os.O_RDONLY)
if ctypes.CDLL(None).setns(namespace, 0x10000000) == 0:
    for word in sys.argv[2:]:
        name, _, most = word.partition("=")
        with open(f"/proc/sys/user/{name}", "w") as file:
            file.write(most)
"""


def limit(pid: int) -> None:
    """Begin to limit the box whose first process this is. Nothing waits for it, and a box lives without it."""
    words = [f"{name}={most}" for name, most in LIMITS.items()]
    with contextlib.suppress(OSError):
        quiet = subprocess.DEVNULL
        argv = (sys.executable, "-I", "-S", "-c", ENTER, str(pid), *words)
        spawning.bury(subprocess.Popen(argv, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True))
