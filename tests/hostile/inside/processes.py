"""Tricks on processes: the host's, and the runner that holds the token."""

import ctypes
import os
import signal
import sys

from each import each, must

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
PIDFD_GETFD, PIDFD_OPEN = 438, 434
VM_READ, VM_WRITE = (310, 311) if os.uname().machine == "x86_64" else (270, 271)


def called(result):
    """The result of a call of libc; raises its error."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return f"returned {result}"


def host_processes(given):
    """Signal, trace and list processes of the host, by their numbers there."""
    ways = []
    for pid in given["pids"]:
        ways += [
            (f"kill {pid}", lambda to=pid: alive(to) and os.kill(to, 9)),
            (f"trace {pid}", lambda to=pid: alive(to) and called(LIBC.ptrace(PTRACE_ATTACH, to, 0, 0))),
            (f"environ {pid}", lambda to=pid: must(open(f"/proc/{to}/environ").read()) if alive(to) else None),
        ]
    ways.append(("strangers in /proc", lambda: must(strangers())))
    return each(ways)


def alive(pid):
    """Whether the number is a process in here, and not one of ours that has it by chance."""
    os.kill(pid, 0)
    with open(f"/proc/{pid}/stat") as file:
        must(int(file.read().rpartition(")")[2].split()[1]) not in (0, 1, os.getpid()), "one of ours has this number")
    return must(pid not in family(), "one of ours has this number")


def family():
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and os.path.exists(f"/proc/{pid}/root/work/repo")]


def strangers():
    """Processes whose root is not ours and that are not the runner, who cannot be looked at."""
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"):
        try:
            if os.stat(f"/proc/{pid}/ns/pid").st_ino != os.stat("/proc/self/ns/pid").st_ino:
                found.append(pid)
        except OSError:
            pass
    return found


def runner_memory(_given):
    """Read the runner's memory, environment, descriptors and outbox."""
    files = (
        "environ",
        "mem",
        "maps",
        "fd",
        "fdinfo",
        "cwd",
        "root",
        "exe",
        "map_files",
        "stack",
        "syscall",
        "pagemap",
        "auxv",
        "io",
        "smaps",
        "task/1/environ",
        "task/1/mem",
        "task/1/fd",
        "personality",
    )
    ways = [(name, lambda at=f"/proc/1/{name}": looked(at)) for name in files]
    ways += [(f"fd/{n}", lambda at=f"/proc/1/fd/{n}": looked(at)) for n in range(12)]
    buffer = ctypes.create_string_buffer(4096)
    for name, number in (("process_vm_readv", VM_READ), ("process_vm_writev", VM_WRITE)):
        here, there = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 4096), (ctypes.c_size_t * 2)(0x400000, 4096)
        ways.append((name, lambda call=number, a=here, b=there: called(LIBC.syscall(call, 1, a, 1, b, 1, 0))))
    for name, what in (("attach", PTRACE_ATTACH), ("seize", PTRACE_SEIZE)):
        ways.append((name, lambda how=what: called(LIBC.ptrace(how, 1, 0, 0))))
    ways += [(f"pidfd_getfd {n}", lambda fd=n: called(LIBC.syscall(PIDFD_GETFD, opened(1), fd, 0))) for n in range(12)]
    return each(ways)


def opened(pid):
    found = LIBC.syscall(PIDFD_OPEN, pid, 0)
    called(found)
    return found


def looked(path):
    if os.path.isdir(path):
        return must(os.listdir(path))
    with open(path, "rb") as file:
        if path.endswith("mem"):
            file.seek(0x400000)
        return must(file.read(64))


def runner_signalled(_given):
    """Send the runner every signal, and stop everything that can be stopped."""
    for number in sorted(set(signal.valid_signals()) - {signal.SIGCHLD}):
        try:
            os.kill(1, number)
        except OSError:
            pass
    sys.stdout.write('{"got": "", "why": "sent"}\n')
    sys.stdout.flush()


def everybody_killed(_given):
    """kill -9 -1: everything but the first process."""
    os.kill(-1, signal.SIGSTOP) if False else os.kill(-1, signal.SIGKILL)


def daemon(given):
    """Leave a process behind that writes into the tree for ever."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            import time

            while True:
                with open("/work/repo/" + given["name"], "a") as file:
                    file.write("written by what was left behind\n")
                time.sleep(0.05)
        os._exit(0)
    raise OSError("left behind")
