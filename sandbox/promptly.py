"""Who is let in first when processors are busy: what passes words on, before what computes. Linux 6.12 and later.

A process with a short slice, once woken, goes before one with a longer one, and gets no more of the processor by it. So
a box's runner, the web process and its record ask for short ones, as they work for less than a millisecond at a time;
what runs in boxes gets longer ones than anything else on the host. Older kernels take no notice. `local.py` calls for
boxes, `bot/web_command.py` for itself, `jobs/redis_guard.py` for the server that it becomes.
"""

import ctypes
import os
import struct
import sys

PROMPT_NANOSECONDS = 100_000  # the shortest that there is
PATIENT_NANOSECONDS = 4_000_000  # longer than the longest default, which is 2.8 ms
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
RESET_ON_FORK = 1
LIBC = ctypes.CDLL(None)
# size, policy, flags, nice, realtime priority, runtime (of an ordinary process: its slice), deadline, period, clamps
ATTRIBUTES = struct.Struct("=IIQiIQQQII")


def run_promptly(pid: int = 0) -> bool:
    """Whether the kernel took it for this process (0: the one that calls). What it starts does not inherit it."""
    return _sliced(pid, PROMPT_NANOSECONDS, RESET_ON_FORK)


def run_patiently(pid: int) -> bool:
    """The opposite, for this process and for all that it starts from now on."""
    return _sliced(pid, PATIENT_NANOSECONDS, 0)


def _sliced(pid: int, nanoseconds: int, flags: int) -> bool:
    number = SCHED_SETATTR.get(os.uname().machine)
    if not sys.platform.startswith("linux") or number is None:
        return False
    try:
        if os.sched_getscheduler(pid) & ~os.SCHED_RESET_ON_FORK != os.SCHED_OTHER:
            return False
        nice = os.getpriority(os.PRIO_PROCESS, pid)
    except OSError:
        return False
    wish = ATTRIBUTES.pack(ATTRIBUTES.size, os.SCHED_OTHER, flags, nice, 0, nanoseconds, 0, 0, 0, 0)
    return LIBC.syscall(number, pid, wish, 0) == 0  # type: ignore[no-any-return]
