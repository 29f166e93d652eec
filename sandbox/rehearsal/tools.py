"""The rehearsal's hands: real files, real commands. `turn.py` calls them, in a thread of the turn's own.

Whatever goes wrong is a `Result` that says so; nothing is raised. A command ends at once when the turn is stopped.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable

from sandbox.rehearsal.acts import Result

KEPT_CHARS = 40_000
LOOK_SECONDS, SHOW_SECONDS, DRAIN_SECONDS = 0.02, 0.2, 0.2
PIECE = 1 << 16


def read(cwd: str, path: str) -> Result:
    """A file's text."""
    try:
        with open(os.path.join(cwd, path), encoding="utf-8", errors="replace") as file:
            return Result(True, file.read())
    except OSError as wrong:
        return Result(False, f"{path}: {wrong.strerror}")


def write(cwd: str, path: str, text: str) -> Result:
    """Give a file this text; who looks meanwhile sees the old or the new one."""
    whole = os.path.join(cwd, path)
    fresh = f"{whole}.{os.getpid()}.new"
    try:
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(fresh, "w", encoding="utf-8") as file:
            file.write(text)
        if os.path.exists(whole):
            os.chmod(fresh, os.stat(whole).st_mode & 0o777)
        os.replace(fresh, whole)
    except OSError as wrong:
        return Result(False, f"{path}: {wrong.strerror}")
    return Result(True, f"Wrote {path}.")


def replace(cwd: str, path: str, old: str, new: str) -> Result:
    """Put `new` in the place of `old`."""
    now = read(cwd, path)
    if not now.ok:
        return now
    if now.text.count(old) != 1:
        return Result(False, f"{path}: the text to change is there {now.text.count(old)} times, not once.")
    return write(cwd, path, now.text.replace(old, new))


def run(cwd: str, command: str, stopped: threading.Event, show: Callable[[str], None]) -> Result:
    """Run a command in a shell and a process group of its own; `show` is given the output so far, now and then."""
    import subprocess  # 8 ms, on nobody's way to the first words

    path = os.pathsep.join([os.environ.get("PATH") or os.defpath, os.path.dirname(sys.executable)])
    try:
        process = subprocess.Popen(
            ("/bin/sh", "-c", command),
            cwd=cwd,
            env={**os.environ, "PATH": path},  # a box may have no python3 but ours
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )
    except OSError as wrong:
        return Result(False, f"{command}: {wrong.strerror}", 126)
    assert process.stdout is not None, "it was asked for"
    with process.stdout as pipe:
        output = _listen(pipe.fileno(), process.poll, stopped, show)
        if stopped.is_set():
            _kill(process.pid)
        code = process.wait()
    return Result(code == 0, output, code)


def _listen(pipe: int, poll: Callable[[], int | None], stopped: threading.Event, show: Callable[[str], None]) -> str:
    """What a command writes until it ended or is stopped. Children left in the background are not waited for."""
    kept, shown, ended = Kept(), time.monotonic(), 0.0
    while not stopped.is_set() and not (ended and time.monotonic() - ended > DRAIN_SECONDS):
        if select.select([pipe], [], [], LOOK_SECONDS)[0]:
            piece = os.read(pipe, PIECE)
            if not piece:
                break
            kept.add(piece.decode("utf-8", "replace"))
        elif not ended and poll() is not None:
            ended = time.monotonic()
        if kept.fresh and time.monotonic() - shown > SHOW_SECONDS:
            shown = time.monotonic()
            show(kept.text())
    return kept.text()


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it ended by itself
        os.killpg(group, signal.SIGKILL)


class Kept:
    """A command's output, of which a bounded part is kept: the beginning and the end."""

    def __init__(self) -> None:
        self._head = self._tail = ""
        self._missing = 0
        self.fresh = False

    def add(self, text: str) -> None:
        """Take more output."""
        self.fresh = True
        room = KEPT_CHARS // 2 - len(self._head)
        self._head += text[:room]
        tail = self._tail + text[room:]
        self._missing += max(len(tail) - KEPT_CHARS // 2, 0)
        self._tail = tail[-KEPT_CHARS // 2 :]

    def text(self) -> str:
        """What is kept, with a mark where something is missing."""
        self.fresh = False
        gap = f"\n… {self._missing} characters left out …\n" if self._missing else ""
        return self._head + gap + self._tail
