"""Tricks of taking everything: processes, threads, memory, disk, descriptors, the processor."""

import mmap
import os
import resource
import threading
import time

from each import Nothing


def forks(given):
    """A fork bomb."""
    end = time.monotonic() + given["seconds"]
    while time.monotonic() < end:
        try:
            if os.fork() == 0:
                while time.monotonic() < end:
                    try:
                        os.fork()
                    except OSError:
                        sum(range(10000))
                os._exit(0)
        except OSError:
            time.sleep(0.01)
    raise Nothing("it burned for its time")


def threads(given):
    """As many threads as there may be; each of them waits, or none but the first would get to start another."""
    end, made = time.monotonic() + given["seconds"], []

    def held():
        time.sleep(max(0.0, end - time.monotonic()))

    try:
        while time.monotonic() < end:
            each = threading.Thread(target=held, daemon=True)
            each.start()
            made.append(each)
    except (RuntimeError, MemoryError) as refused:
        time.sleep(max(0.0, end - time.monotonic()))
        raise Nothing(f"{len(made)} threads, then: {refused}") from None
    return f"{len(made)} threads, and no end of them"


def memory(_given):
    """Memory without end, in several processes so that not one of them is the largest."""
    for _ in range(4):
        if os.fork() == 0:
            break
    kept = []
    while True:
        kept.append(bytearray(os.urandom(1) * (8 << 20)))
        time.sleep(0.005)


def shared_memory(given):
    """Memory that no process has: files in memory, on every file system that is one, and anonymous ones."""
    took, why = 0, {}
    for folder in ("/dev/shm", "/dev", "/run", "/tmp"):
        try:
            with open(f"{folder}/fill", "wb", buffering=0) as file:
                while took < given["bytes"]:
                    took += file.write(bytes(4 << 20))
        except OSError as refused:
            why[folder] = str(refused)
    while took < given["bytes"]:
        held = os.memfd_create("fill")
        for _ in range(16):
            took += os.write(held, bytes(4 << 20))
    time.sleep(given["seconds"])
    return f"{took >> 20} MB of memory, kept; {why}"


def nameless_disk(given):
    """Disk without end, in files that have no name any more."""
    return disk(given, unlinked=True)


def disk(given, unlinked=False):
    """Disk without end, each file below its limit."""
    chunk, took, held = os.urandom(1 << 20), 0, []
    end = time.monotonic() + given["seconds"]
    try:
        for n in range(1000):
            file = os.open(f"/work/home/fill{n}", os.O_WRONLY | os.O_CREAT, 0o600)
            if unlinked:
                os.unlink(f"/work/home/fill{n}")
                held.append(file)
            for _ in range(64):
                took += os.write(file, chunk)
                if took > given["bytes"]:
                    time.sleep(max(0.0, end - time.monotonic()))
                    return f"{took >> 20} MB on the disk, kept"
    except OSError as refused:
        raise Nothing(f"{took >> 20} MB, then: {refused}") from None


def descriptors(_given):
    """All open files of all processes there may be, and all watches."""
    import ctypes

    libc, found = ctypes.CDLL(None, use_errno=True), {}
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    watchers = 0
    while libc.inotify_init1(0) >= 0 and watchers < 100000:
        watchers += 1
    found["watchers"] = watchers
    files = 0
    try:
        while True:
            os.open("/dev/null", os.O_RDONLY)
            files += 1
    except OSError as refused:
        raise Nothing(f"{watchers} watchers, {files} files, then: {refused}") from None


def pages(_given):
    """Locked and huge memory, which cannot be taken back."""
    lib = __import__("ctypes").CDLL(None, use_errno=True)
    held = mmap.mmap(-1, 256 << 20)
    address = __import__("ctypes").addressof(__import__("ctypes").c_char.from_buffer(held))
    if lib.mlock(__import__("ctypes").c_void_p(address), 256 << 20) == 0:
        return "256 MB locked"
    raise Nothing("not locked")
