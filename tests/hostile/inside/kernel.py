"""Tricks on the kernel: namespaces, mounts, large doors, powers, limits."""

import ctypes
import fcntl
import os
import resource
import shutil
import signal
import struct
import subprocess

from each import each, must
from processes import LIBC, called

X86 = os.uname().machine == "x86_64"
# name: number on x86-64, number on aarch64
DOORS = {
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "syslog": (103, 116),
    "fanotify_init": (300, 262),
    "swapon": (167, 224),
    "reboot": (169, 142),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "clock_settime": (227, 112),
}
MOUNTS = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "fsopen": (430, 430),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "mount_setattr": (442, 442),
    "setns": (308, 268),
}
SHORT_SLICES = struct.pack("=IIQiIQQQII", 56, 0, 0, 0, 0, 100_000, 0, 0, 0, 0)
NAMESPACES = {
    "user": 0x10000000,
    "mount": 0x20000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
    "time": 0x80,
}


def numbers(table, *arguments):
    return [(name, lambda n=pair[not X86]: called(LIBC.syscall(n, *arguments))) for name, pair in table.items()]


def doors(_given):
    """Large doors into the kernel that an agent has no use for, under both numberings of this processor; and one to be
    woken by it, for whoever is held still."""
    page = ctypes.create_string_buffer(4096)
    ways = numbers(DOORS, ctypes.c_long(1), page, ctypes.c_long(120), ctypes.c_long(0), ctypes.c_long(0))
    ways += numbers({"fcntl": (72, 25)}, 0, fcntl.F_SETSIG, int(signal.SIGCONT))
    if X86:
        ways += [
            (f"x32 {name}", lambda n=pair[0] | 0x40000000: called(LIBC.syscall(n, 1, page)))
            for name, pair in DOORS.items()
        ]
    return each(ways)


def namespaces(_given):
    """New namespaces, mounts, other roots."""

    def unshare(flags):
        if os.fork() == 0:
            os._exit(0 if LIBC.unshare(flags) == 0 else ctypes.get_errno())
        code = os.waitstatus_to_exitcode(os.wait()[1])
        if code:
            raise OSError(code, os.strerror(code))
        return "made"

    ways = [(name, lambda f=flag: unshare(f)) for name, flag in NAMESPACES.items()]
    ways += [
        (f"user+{name}", lambda f=flag: unshare(f | 0x10000000)) for name, flag in NAMESPACES.items() if name != "user"
    ]
    ways += numbers(MOUNTS, b"tmpfs", b"/tmp", b"tmpfs", 0, 0)
    return each(ways)


def powers(_given):
    """Become somebody, or get a power: setuid programs, identities, capabilities, devices, priorities, limits."""

    def output(*argv):
        program = must(shutil.which(argv[0]), "no such program")
        done = subprocess.run((program, *argv[1:]), capture_output=True, timeout=5, stdin=subprocess.DEVNULL)
        return must(done.returncode == 0 and b"uid=0" in done.stdout and done.stdout, "ended without power")

    capability = (ctypes.c_uint32 * 2)(0x20080522, 0)
    all_of_them = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)

    def setuid_program():
        shutil.copy(shutil.which("id"), "/work/id")
        os.chmod("/work/id", 0o6755)
        return output("/work/id", "-u", "-r") and must("")

    return each(
        [
            ("setuid", lambda: os.setuid(0)),
            ("setresuid", lambda: os.setresuid(0, 0, 0)),
            ("setgid", lambda: os.setgid(0)),
            ("setgroups", lambda: os.setgroups([0])),
            ("capset", lambda: called(LIBC.capset(capability, all_of_them))),
            ("su", lambda: output("su", "-c", "id")),
            ("sudo", lambda: output("sudo", "-n", "id")),
            ("setuid bit", setuid_program),
            ("mknod", lambda: os.mknod("/work/null", 0o20666, os.makedev(1, 3))),
            ("mem", lambda: os.open("/dev/mem", os.O_RDONLY)),
            ("kcore", lambda: os.open("/proc/kcore", os.O_RDONLY)),
            ("chown", lambda: os.chown("/work/home", 0, 0)),
            ("nice", lambda: os.setpriority(os.PRIO_PROCESS, 0, -5)),
            ("realtime", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))),
            ("short slices", lambda: called(LIBC.syscall(314 if X86 else 274, 0, SHORT_SLICES, 0))),
            ("processes", lambda: limited(resource.RLIMIT_NPROC, (1 << 20, 1 << 20))),
            ("files", lambda: limited(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))),
            ("file size", lambda: limited(resource.RLIMIT_FSIZE, (-1, -1))),
            ("oom", lambda: raised_score()),
            ("trusted xattr", lambda: os.setxattr("/work/home", "trusted.overlay.opaque", b"y")),
            ("file capability", lambda: os.setxattr("/work/id", "security.capability", b"\1\0\0\2" + b"\xff" * 16)),
        ]
    )


def limited(what, most):
    try:
        resource.setrlimit(what, most)
    except ValueError as refused:  # as the library says it
        raise PermissionError(str(refused)) from None


def raised_score():
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")
