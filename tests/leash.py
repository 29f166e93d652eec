"""Ends the boxes of a test run that was killed: a box outlives whoever made it, for that is what it is for.

One process for each run waits at the end of a pipe. It is told of every folder that boxes may be in; once nobody holds
the other end any more, it ends the boxes that are left there and removes the folders. Run as a program it is that one.
"""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

from sandbox import trees
from sandbox.box_folder import BoxFolder
from sandbox.local import LocalProvider
from sandbox.provider import BoxError
from sandbox.unisolated import UnisolatedProvider

ROOT = Path(__file__).resolve().parents[1]
PLACES = ("box/*", "*/box/*", "*/*/box/*")  # where boxes lie below a folder of a test
LONGEST_SECONDS, LOOK_SECONDS = 10.0, 0.5  # programs of ours that are just ending may still make one


_waiting: dict[int, subprocess.Popen[bytes]] = {}  # by whose it is: a fork has none of its own yet


def end_with_us(folder: Path) -> None:
    """Should this process die before it has cleared this folder, it is cleared all the same."""
    us, words = os.getpid(), (sys.executable, "-m", "tests.leash")
    if us not in _waiting:
        _waiting[us] = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True)
    pipe = _waiting[us].stdin
    assert pipe is not None
    pipe.write(os.fsencode(folder) + b"\n")
    pipe.flush()


def clear(folders: list[Path]) -> None:
    """End what is left in these folders, and remove them."""
    end = time.monotonic() + LONGEST_SECONDS
    while (left := [folder for folder in folders if folder.is_dir()]) and time.monotonic() < end:
        for box in [BoxFolder(path) for folder in left for place in PLACES for path in folder.glob(place)]:
            kind = LocalProvider if "pid-namespace" in box.said() else UnisolatedProvider
            with contextlib.suppress(BoxError, OSError):
                kind(box.path.parents[1], gateway=box.path, agents=box.path)._kill(box)
        time.sleep(LOOK_SECONDS)
    for folder in folders:
        with contextlib.suppress(OSError):
            trees.remove(folder)


if __name__ == "__main__":
    clear([Path(os.fsdecode(line)) for line in sys.stdin.buffer.read().splitlines()])
