"""Has what runs in a box wait for whoever else is woken on the host. Linux 6.12 and later; older ones take no notice.

A process with a longer slice gives way to one with a shorter one that wakes, and gets no less of the processor by it.
What runs in boxes gets longer ones than the kernel gives to anything by itself; its runner, and what serves all boxes,
have the usual ones (shorter ones cost web a third of what it can take in when the machine is busy). `local.py` calls.
"""

import ctypes
import os
import struct
import sys

PATIENT_NANOSECONDS = 4_000_000  # longer than the longest default, which is 2.8 ms
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
LIBC = ctypes.CDLL(None)
# size, policy, flags, nice, realtime priority, runtime (of an ordinary process: its slice), deadline, period, clamps
ATTRIBUTES = struct.Struct("=IIQiIQQQII")


def run_patiently(pid: int) -> bool:
    """Whether the kernel took it for this process and all that it starts from now on. Its priority stays what it is."""
    number = SCHED_SETATTR.get(os.uname().machine)
    if not sys.platform.startswith("linux") or number is None:
        return False
    try:
        if os.sched_getscheduler(pid) & ~os.SCHED_RESET_ON_FORK != os.SCHED_OTHER:
            return False
        nice = os.getpriority(os.PRIO_PROCESS, pid)
    except OSError:
        return False
    wish = ATTRIBUTES.pack(ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, PATIENT_NANOSECONDS, 0, 0, 0, 0)
    return LIBC.syscall(number, pid, wish, 0) == 0  # type: ignore[no-any-return]
