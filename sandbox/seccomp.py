"""The system calls that a box must not make, as a classic BPF program for `bwrap --seccomp`. Pure.

Namespaces do not reach everything: AF_VSOCK speaks to the hypervisor from any of them, and io_uring, bpf and keyrings
are large doors into the kernel that an agent has no use for. What is refused gets an error, never a signal, so that
programs which only try can go on. Debuggers work: ptrace is let through, and the runner made itself undumpable.

A box without a freezer is held still by SIGSTOP while the host copies its tree, with rights that the box has not. So no
process may have the kernel send it SIGCONT when a file is touched. Timers are seen (`host_processes.py`).
"""

import errno
import platform
import struct
from typing import NamedTuple

ALLOWED_FAMILIES = (1, 2, 10, 16)  # unix, inet, inet6, netlink
X32_BIT = 0x40000000

F_SETSIG = 10  # which signal a process gets for a file; without it that is SIGIO, which wakes nobody who was stopped

LOAD, JUMP_EQUAL, JUMP_GREATER_EQUAL, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
AT_NUMBER, AT_ARCH, AT_FIRST_ARGUMENT, AT_SECOND_ARGUMENT = 0, 4, 16, 24

# name: (x86-64, aarch64). The same number on both since 5.0.
REFUSED: dict[str, tuple[int, int]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pivot_root": (155, 41),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "sched_setattr": (314, 274),  # slices, by which a process gets before others
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
REFUSED_X86 = {"ioperm": 173, "iopl": 172, "modify_ldt": 154}


class Machine(NamedTuple):
    """What the kernel calls a processor, its numbers of `socket` and `fcntl`, and those that are refused there."""

    audit_arch: int
    socket: int
    fcntl: int
    refused: tuple[int, ...]


MACHINES = {
    "x86_64": Machine(0xC000003E, 41, 72, tuple(sorted([x for x, _ in REFUSED.values()] + list(REFUSED_X86.values())))),
    "aarch64": Machine(0xC00000B7, 198, 25, tuple(sorted(arm for _, arm in REFUSED.values()))),
}


class UnknownMachine(ValueError):
    """There is no table for this processor, so nothing can be promised on it."""


def program(machine: str = platform.machine()) -> bytes:
    """The filter for this machine; raises UnknownMachine."""
    name = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine.lower(), machine)
    if name not in MACHINES:
        raise UnknownMachine(f"boxes are isolated on x86-64 and aarch64 only, and this machine is {machine}")
    return b"".join(_instructions(MACHINES[name], x32=name == "x86_64"))


def _instructions(machine: Machine, x32: bool) -> list[bytes]:
    code = [
        _step(LOAD, AT_ARCH),
        _step(JUMP_EQUAL, machine.audit_arch, yes=1),
        _refuse(errno.ENOSYS),
        _step(LOAD, AT_NUMBER),
    ]
    if x32:  # the same calls under other numbers: nobody needs them
        code += [_step(JUMP_GREATER_EQUAL, X32_BIT, no=1), _refuse(errno.ENOSYS)]
    for number in machine.refused:
        code += [_step(JUMP_EQUAL, number, no=1), _refuse(errno.EPERM)]
    code += [
        _step(JUMP_EQUAL, machine.fcntl, no=4),
        _step(LOAD, AT_SECOND_ARGUMENT),
        _step(JUMP_EQUAL, F_SETSIG, no=1),
        _refuse(errno.EPERM),
        _step(RETURN, ALLOW),
    ]
    families = [_step(JUMP_EQUAL, family, yes=len(ALLOWED_FAMILIES) - i) for i, family in enumerate(ALLOWED_FAMILIES)]
    return [
        *code,
        _step(JUMP_EQUAL, machine.socket, no=len(families) + 2),
        _step(LOAD, AT_FIRST_ARGUMENT),
        *families,
        _refuse(errno.EAFNOSUPPORT),
        _step(RETURN, ALLOW),
    ]


def _refuse(number: int) -> bytes:
    return _step(RETURN, ERRNO | number)


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
