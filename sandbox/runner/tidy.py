"""What an image must not hold: processes that go on, and credentials. Programs of their own, in the runner's archive.

`runner.pyz quiet` and `runner.pyz search` are started over the control socket when an image is built: the first in the
box that built it, the second in a fresh box, where nothing of the repository has run. Both print one JSON line.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from sandbox.runner import objects
from sandbox.runner.processes import below

KIND_SECONDS, DEATH_SECONDS, LOOK_SECONDS = 3.0, 5.0, 0.02
CHUNK, OVERLAP = 1 << 20, 1 << 14
MOST_FOUND, MOST_NAMED = 20, 200
# What comes from a registry is the world's to read, and full of keys that were made for tests.
DEPENDENCIES = re.compile(
    r"/(node_modules|site-packages|dist-packages|vendor|\.cache|_cacache|\.m2|\.gradle|\.pnpm-store|\.yarn"
    r"|go/pkg/mod|\.cargo/registry|\.rustup/toolchains)/"
)


class Pattern(NamedTuple):
    """What a kind of credential looks like. `sign` is a part that each of them has: looking for it is quick."""

    name: str
    sign: bytes
    shape: re.Pattern[bytes]


PATTERNS = (
    Pattern(
        "a private key", b"PRIVATE KEY-----", re.compile(rb"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----\s+[\w+/=]{20}")
    ),
    Pattern("a GitHub token", b"gh", re.compile(rb"\bgh[pousr]_[A-Za-z0-9]{36}")),
    Pattern("a GitHub token", b"github_pat_", re.compile(rb"github_pat_[A-Za-z0-9_]{60}")),
    Pattern("a Slack token", b"xox", re.compile(rb"\bxox[abeoprs]-[0-9A-Za-z-]{24}")),
    Pattern("a Slack token", b"xapp-", re.compile(rb"\bxapp-\d-[0-9A-Za-z-]{24}")),
    Pattern("a model provider's key", b"sk-", re.compile(rb"\bsk-(ant-|proj-)?[A-Za-z0-9_-]{40}")),
    Pattern("an AWS key", b"AKIA", re.compile(rb"\bAKIA[0-9A-Z]{16}\b")),
    Pattern("a Google key", b"AIza", re.compile(rb"\bAIza[0-9A-Za-z_-]{35}")),
    Pattern("a registry's token", b"_authToken", re.compile(rb"_authToken\s*=\s*[A-Za-z0-9_-]{16}")),
)


def main(verb: str) -> int:
    """Run one of the two; returns the exit code."""
    if verb == "quiet":
        print(json.dumps(quiet(os.getppid())))
        return 0
    asked = json.load(sys.stdin)
    secrets = [str(secret).encode() for secret in asked["secrets"]]
    print(json.dumps([*_first(search(asked["roots"], secrets, asked["repo"], asked["head"]))]))
    return 0


def _first(found: Iterator[dict[str, str]]) -> Iterator[dict[str, str]]:
    for _ in range(MOST_FOUND):
        try:
            yield next(found)
        except StopIteration:
            return


def quiet(runner: int) -> dict[str, list[str]]:
    """End every process below the runner but this one; which there were, and which would not end."""
    names = {pid: _name(pid) for pid in _others(runner)}
    for how, seconds in ((signal.SIGTERM, KIND_SECONDS), (signal.SIGKILL, DEATH_SECONDS)):
        end = time.monotonic() + seconds
        while (left := _others(runner)) and time.monotonic() < end:
            for pid in left:
                names.setdefault(pid, _name(pid))
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, how)
            time.sleep(LOOK_SECONDS)
    left = _others(runner)
    return {"ended": [names[pid] for pid in names if pid not in left], "left": [_name(pid) for pid in left]}


def _others(runner: int) -> list[int]:
    """Live processes below the runner, but for this one. One that has ended waits to be buried: it does nothing."""
    return [pid for pid in below(runner) if pid != os.getpid() and _lives(pid)]


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (OSError, IndexError):
        return False


def _name(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read(MOST_NAMED).replace(b"\0", b" ").decode("utf-8", "replace").strip()
        return words or f"process {pid}"
    return f"process {pid}"


def search(roots: list[str], secrets: list[bytes], repo: str, head: str) -> Iterator[dict[str, str]]:
    """Every file below the roots that holds one of the secrets, or what looks like one: `path` and `what`.

    What cannot be read counts as found. What the repository itself has at its commit, or a registry delivered, may look
    like one, for that is known to others already; none of the secrets may be anywhere but in the history of `head`,
    which is the forge's.
    """
    tracked, unread = _tracked(repo), []  # type: frozenset[str], list[OSError]
    for root in roots:
        for folder, folders, files in os.walk(root, onerror=unread.append):
            if folder == os.path.join(repo, ".git"):
                folders[:] = [name for name in folders if name != "objects"]
            for name in (*files, *(each for each in folders if os.path.islink(os.path.join(folder, each)))):
                path = os.path.join(folder, name)
                what = _held(path, secrets, _may_look_so(path, tracked))
                if what:
                    yield {"path": _shown(path), "what": what}
    if os.path.lexists(os.path.join(repo, ".git")):
        yield from _kept_by_git(repo, secrets, head)
    for failed in unread:
        yield {"path": _shown(str(failed.filename)), "what": f"something that cannot be read ({failed.strerror})"}


def _kept_by_git(repo: str, secrets: list[bytes], head: str) -> Iterator[dict[str, str]]:
    try:
        for name in objects.holding(repo, head, secrets):
            yield {"path": f"git's object {name}", "what": OURS}
    except (objects.Unsearched, OSError) as failed:
        yield {"path": "git's objects", "what": f"something that cannot be read ({failed})"}


def _shown(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace")


def _tracked(repo: str) -> frozenset[str]:
    quietly = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
    listed = subprocess.run(["git", "-C", repo, *quietly, "ls-files", "-z"], capture_output=True, check=False).stdout
    names = listed.decode("utf-8", "surrogateescape").split("\0")
    return frozenset(os.path.join(repo, name) for name in names if name)


def _may_look_so(path: str, tracked: frozenset[str]) -> bool:
    return path in tracked or DEPENDENCIES.search(path) is not None


def _held(path: str, secrets: list[bytes], may_look_so: bool) -> str:
    """What this file, its name or the target of this link has that it must not have; empty if nothing."""
    try:
        state = os.lstat(path)
        names = os.fsencode(path) + (os.fsencode(os.readlink(path)) if stat.S_ISLNK(state.st_mode) else b"")
        if any(secret in names for secret in secrets):
            return OURS
        return _read(path, secrets, may_look_so) if stat.S_ISREG(state.st_mode) else ""
    except FileNotFoundError:
        return ""
    except OSError as failed:
        return f"something that cannot be read ({failed.strerror})"


OURS = "a credential of Shipmate's"


def _read(path: str, secrets: list[bytes], may_look_so: bool) -> str:
    with open(path, "rb", buffering=0) as file:
        before = b""
        while piece := file.read(CHUNK):
            text = before + piece
            if any(secret in text for secret in secrets):
                return OURS
            for row in () if may_look_so else PATTERNS:
                if row.sign in text and row.shape.search(text):
                    return row.name
            before = text[-OVERLAP:]
    return ""
