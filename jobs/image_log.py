"""The log of one build: a bounded file that is written while the build runs, for `shipmate images log` to follow.

`jobs/images.py` opens one for each build, below `builds` in the data folder. What comes from a box is written as it is;
who shows it leaves out what steers terminals.
"""

import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

MOST_BYTES, TAIL_BYTES = 4 << 20, 1500
OLD_SECONDS = 86_400.0


def folder(data_dir: Path) -> Path:
    """Where the logs are."""
    return data_dir / "builds"


def path(data_dir: Path, build: str) -> Path:
    """Where the log of this build is."""
    return folder(data_dir) / f"{build}.log"


class BuildLog:
    """Open it with `with`. Every line of ours begins with the time; what the box says stands between them."""

    def __init__(self, data_dir: Path, build: str, clock: Callable[[], float]) -> None:
        self._path, self._clock = path(data_dir, build), clock
        self._left = MOST_BYTES
        self._tail = b""

    def __enter__(self) -> "BuildLog":
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = self._path.open("ab", buffering=0)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _what: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._file.close()

    def say(self, text: str) -> None:
        """A line of ours."""
        at = time.strftime("%H:%M:%S", time.gmtime(self._clock()))
        self._file.write("".join(f"[{at}] {line}\n" for line in text.splitlines()).encode("utf-8", "replace"))

    def heard(self, piece: bytes) -> None:
        """Something that a command said. When there is too much of it, the rest is left out and that is said."""
        self._tail = (self._tail + piece)[-TAIL_BYTES:]
        if self._left <= 0:
            return
        self._file.write(piece[: self._left])
        self._left -= len(piece)
        if self._left <= 0:
            self.say(f"\nMore than {MOST_BYTES >> 20} MB: what commands say from here on is left out.")

    def tail(self) -> str:
        """The end of what the last commands said."""
        return self._tail.decode("utf-8", "replace").strip()

    def forget(self) -> None:
        """A new command begins: what the one before said does not explain its end."""
        self._tail = b""


def clear(data_dir: Path, kept: Iterable[str], now: float) -> int:
    """Remove the old logs of builds that nobody names any more; how many there were."""
    named, gone = {f"{build}.log" for build in kept}, 0
    for file in folder(data_dir).glob("*.log"):
        with contextlib.suppress(FileNotFoundError):
            if file.name not in named and file.stat().st_mtime < now - OLD_SECONDS:
                file.unlink()
                gone += 1
    return gone
