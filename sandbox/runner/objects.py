"""What git keeps that the forge does not have: searched for secrets, for nobody sees them in a compressed object.

`tidy.py` searches with it. What can be reached from the commit that the forge gave is the forge's own, and not looked
at: a long history would take hours.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator

CHUNK = 1 << 20
QUIET = ("--no-replace-objects", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
LIST_ALL = ("cat-file", "--batch-check=%(objectname)", "--batch-all-objects", "--unordered")


class Unsearched(Exception):
    """Git did not answer. The message is what it said."""


def holding(repo: str, head: str, secrets: list[bytes]) -> Iterator[str]:
    """The names of objects that cannot be reached from `head` and hold one of the secrets. Raises Unsearched."""
    known = set(_lines(repo, "rev-list", "--objects", "--no-object-names", head, "--")) if head else set()
    with tempfile.TemporaryFile() as ours:
        ours.writelines(name + b"\n" for name in _lines(repo, *LIST_ALL) if name not in known)
        if ours.tell():
            ours.seek(0)
            yield from _search(repo, ours.fileno(), secrets)


def _search(repo: str, names: int, secrets: list[bytes]) -> Iterator[str]:
    overlap = max(map(len, secrets), default=1)
    with subprocess.Popen(_git(repo, "cat-file", "--batch", "--buffer"), stdin=names, stdout=subprocess.PIPE) as told:
        assert told.stdout is not None
        while header := told.stdout.readline():
            words = header.split()
            if len(words) != 3 or not words[2].isdigit():
                raise Unsearched(header.decode("utf-8", "replace").strip())
            left, before, held = int(words[2]) + 1, b"", False
            while left and (piece := told.stdout.read(min(left, CHUNK))):
                held = held or any(secret in before + piece for secret in secrets)
                left, before = left - len(piece), piece[-overlap:]
            if held:
                yield words[0].decode()
    if told.returncode:
        raise Unsearched(f"git cat-file ended with {told.returncode}")


def _lines(repo: str, *args: str) -> Iterator[bytes]:
    with subprocess.Popen(_git(repo, *args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as told:
        assert told.stdout is not None
        yield from (line.strip() for line in told.stdout)
    if told.returncode:
        raise Unsearched(f"git {args[0]} ended with {told.returncode}")


def _git(repo: str, *args: str) -> list[str]:
    return ["git", "-C", repo, *QUIET, *args]
