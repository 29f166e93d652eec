"""Keeps the runner apart from its agent in a box that is a whole machine, where it begins as root (`--agent-uid`).

There the runner is not pid 1, and nobody but the kernel's users stands between the two. So it steps down before it
starts anything: what it does to files it does as the agent's user, and its processes become that user wholly; but it
itself is still somebody else to signals, debuggers and /proc. `__main__` calls this once.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import sys

OWN_UID = 64_000
PR_SET_NO_NEW_PRIVS = 38
WORK = "/work"


class NotApart(Exception):
    """The agent would be able to look into the runner; the message says why."""


def listen(path: str) -> int:
    """A control socket below a folder that is root's alone; the descriptor. What an earlier box left there goes."""
    folder = os.path.dirname(path)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, mode=0o700)
    control = socket.socket(socket.AF_UNIX)
    control.bind(path)
    control.listen(128)
    return control.detach()


def step_down(uid: int) -> int | None:
    """Become the agent's user in all but name; the uid that its processes must still take, None if they have it.

    Where only one user is known (a namespace that maps no other), all are that one, if it has no privileges.
    """
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # sudo and its like give nobody more than he has
    os.makedirs(WORK, exist_ok=True)
    try:
        os.chown(WORK, uid, uid)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(OWN_UID, uid, OWN_UID)  # signals and debuggers ask for the other two, files for the middle one
    except OSError as refused:
        if _is_privileged():
            raise NotApart(f"the agent cannot be given a user of its own: {refused}") from None
        print("runner: this box knows one user only, who is the agent too", file=sys.stderr, flush=True)
        return None
    return uid


def _is_privileged() -> bool:
    """Whether this process may do what the kernel keeps from ordinary users."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("CapEff:"):
                    return int(line.split()[1], 16) != 0
    except OSError:
        pass
    return True
