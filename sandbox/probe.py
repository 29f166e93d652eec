"""Whether this machine lets us isolate boxes: found out by doing it. Runs before anything is installed.

`python3 -m sandbox.probe` exits 0 (yes) or 3 (no, and prints the command that allows it). Python 3.9 or newer, its
standard library and nothing else. `local.py` asks `probe()` when a box did not start, and `shipmate doctor` asks too.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

NEWNS, NEWUSER, NEWPID, NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
RECURSIVE, PRIVATE = 0x4000, 0x40000
SET_DUMPABLE = 4
SIOCGIFFLAGS, SIOCSIFFLAGS, UP = 0x8913, 0x8914, 0x1
BOX_UID = 64001
MACHINES = ("x86_64", "aarch64")
TRIAL_SECONDS = 20
NO_ISOLATION = 3
INTERRUPTED = 130
UNISOLATED = "Without isolation, if you trust what will run: make demo UNISOLATED=1"
MAC = "Works on macOS: all of it without isolation (make demo UNISOLATED=1), or isolated in a Linux virtual machine."
CONTAINER = (
    "Start the container with: docker run --init --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    " --security-opt systempaths=unconfined -v shipmate:/var/lib/shipmate ..."
)
OVERLAY = "Boxes need Linux 5.11 or newer, and their folder (SHIPMATE_BOXES_DIR) on ext4, xfs or btrfs."
KNOBS = (  # (file, the value that forbids, the command that allows)
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
)
CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")


class Found(NamedTuple):
    """The answer. `remedy` is the exact command to allow it, or what to do instead."""

    allowed: bool
    reason: str
    remedy: str

    def lines(self) -> list[str]:
        """What a person is told: why, the remedy, and the way without isolation if that is not the remedy already."""
        said = [line for line in (self.reason, self.remedy) if line]
        goes_without = self.allowed or self.remedy in (MAC, UNISOLATED)
        return said if goes_without else [*said, UNISOLATED]


class Refused(Exception):
    """A step of the trial failed."""


def probe() -> Found:
    """Try it in another process, the way a box does."""
    if not sys.platform.startswith("linux"):
        mac = sys.platform == "darwin"
        return Found(False, "Boxes are isolated on Linux only.", MAC if mac else UNISOLATED)
    if platform.machine() not in MACHINES:
        return Found(False, f"Boxes are isolated on {' and '.join(MACHINES)} only.", UNISOLATED)
    trial = (sys.executable, "-I", "-S", str(Path(__file__).resolve()), "--trial")
    try:
        done = subprocess.run(
            trial,
            capture_output=True,
            text=True,
            timeout=TRIAL_SECONDS,
            check=False,
            start_new_session=True,  # else a Ctrl-C at the terminal would pass for a refusal
        )
    except (OSError, subprocess.TimeoutExpired) as failed:
        return Found(False, f"Isolation could not be tried: {failed}.", UNISOLATED)
    if done.returncode == 0:
        return Found(True, "This machine isolates boxes.", "")
    said = done.stdout.strip() or done.stderr.strip()[-300:]
    return Found(False, f"This machine does not let us isolate boxes. Refused: {said}.", remedy(said, _read))


def remedy(refused: str, read: Callable[[str], str | None]) -> str:
    """The command that allows it. `read` gives a file's text, or None if there is no such file. Pure."""
    for knob, forbids, command in KNOBS:
        if (read(knob) or "").strip() == forbids:
            return f"To allow it: {command}"
    if any(read(mark) is not None for mark in CONTAINER_MARKS):
        return CONTAINER
    if refused.startswith("an overlay"):
        return OVERLAY
    return UNISOLATED


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text()
    except OSError:
        return None


def trial() -> int:
    """Do what a box needs, as the user that boxes are; print the step that fails."""
    place = Path(tempfile.mkdtemp(prefix="shipmate-probe-", dir="/var/tmp" if os.access("/var/tmp", os.W_OK) else None))
    folders = [place / name for name in ("lower", "upper", "work", "merged")]
    try:
        for folder in (place, *folders):
            folder.mkdir(exist_ok=True)
            if os.geteuid() == 0:
                os.chown(folder, BOX_UID, BOX_UID)
        return _in_child(lambda: _isolate(*folders))
    except OSError as failed:
        print(f"another user for boxes ({failed.strerror})")
        return NO_ISOLATION
    finally:
        for shut in place.glob("work/*"):  # the kernel's own, which it takes every right from
            shut.chmod(0o700)
        shutil.rmtree(place, ignore_errors=True)


def _in_child(work: Callable[[], None]) -> int:
    """Run `work` in a fork of this process, which has one thread only; its exit code.

    It may lose access to Python's own files on the way, so nothing in it may be imported late.
    """
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as failed:
            os.write(1, (str(failed) if isinstance(failed, Refused) else repr(failed)).encode())
            os._exit(NO_ISOLATION)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return 0 if status == 0 else NO_ISOLATION


def _isolate(lower: Path, upper: Path, work: Path, merged: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(BOX_UID, BOX_UID, BOX_UID)
        os.setresuid(BOX_UID, BOX_UID, BOX_UID)
        libc.prctl(SET_DUMPABLE, 1, 0, 0, 0)
    uid, gid = os.geteuid(), os.getegid()
    _do("user namespaces", lambda: libc.unshare(NEWUSER | NEWNS | NEWNET | NEWPID))
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        _try(f"writing {name} in a user namespace", partial(Path("/proc/self", name).write_bytes, text.encode()))
    _do("mounts", lambda: libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None))
    _try("a loopback interface", _raise_loopback)
    options = f"lowerdir={lower},upperdir={upper},workdir={work},userxattr".encode()
    _do("an overlay", lambda: libc.mount(b"overlay", bytes(merged), b"overlay", 0, options))
    _try("writing to an overlay", lambda: (merged / "file").touch())
    if _in_child(lambda: _do("a /proc of its own", lambda: libc.mount(b"proc", bytes(lower), b"proc", 0, None))):
        os._exit(NO_ISOLATION)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH22x", b"lo", 0)
        flags = struct.unpack("16sH22x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | UP))


def _do(what: str, call: Callable[[], int]) -> None:
    """A call of the C library."""
    if call() != 0:
        raise Refused(f"{what} ({os.strerror(ctypes.get_errno())})")


def _try(what: str, call: Callable[[], object]) -> None:
    """A call of Python."""
    try:
        call()
    except OSError as failed:
        raise Refused(f"{what} ({failed.strerror})") from failed


def main(argv: list[str]) -> int:
    """The command."""
    if argv == ["--trial"]:
        return trial()
    try:
        found = probe()
    except KeyboardInterrupt:
        return INTERRUPTED
    print("\n".join(found.lines()))
    return 0 if found.allowed else NO_ISOLATION


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
