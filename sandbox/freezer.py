"""Holds the processes of a cgroup still by the kernel's own means. `cgroup.py` makes one for a box that has one.

Unlike a signal it is not seen by any process, leaves alone what was stopped before, and misses nothing that is just
being born. Each thread still stops only when it is its turn, so the cgroup has more of the processor until all have.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

MOST_SECONDS, LOOK_SECONDS = 60.0, 0.0005
HASTE = "16384"  # shares of the processor: sixteen times what one of our processes has


class Version(NamedTuple):
    """What is written to which file, where it can be read that all are still, and how."""

    file: str
    stop: str
    go: str
    said: str
    sign: str


VERSION_1 = Version("freezer.state", "FROZEN", "THAWED", "freezer.state", "FROZEN")
VERSION_2 = Version("cgroup.freeze", "1", "0", "cgroup.events", "frozen 1")


class Freezer:
    """The freezer of one cgroup. `shares`: the file of its weight in version 1, if it has one; `usual`: its content."""

    def __init__(self, file: Path, version: Version, shares: Path, usual: str) -> None:
        self._file, self._version, self._shares, self._usual = file, version, shares, usual

    def freeze(self, look: Callable[[], None], gone: Callable[[], bool]) -> None:
        """Return when nothing moves any more, or all are gone. Raises TimeoutError if that does not come; `look` may
        raise, too."""
        end = time.monotonic() + MOST_SECONDS
        self._weigh(HASTE)
        with contextlib.suppress(FileNotFoundError):  # it goes with the box
            self._file.write_text(self._version.stop)
            while not self._all_are_still() and not gone():
                look()
                if time.monotonic() > end:
                    raise TimeoutError("the box's processes do not stop")
                time.sleep(LOOK_SECONDS)
        self._weigh(self._usual)

    def _all_are_still(self) -> bool:
        return self._version.sign in self._file.with_name(self._version.said).read_text()

    def thaw(self) -> None:
        """Let all go on. The cgroup may be gone."""
        with contextlib.suppress(OSError):
            self._file.write_text(self._version.go)
        self._weigh(self._usual)

    def _weigh(self, shares: str) -> None:
        with contextlib.suppress(OSError):
            if self._shares.exists():
                self._shares.write_text(shares)
