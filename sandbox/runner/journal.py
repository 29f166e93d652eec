"""What is kept in the box for whoever looks closer: every message to and from the agent, and outputs too long to show.

`HOME/.shipmate/acp.jsonl` has a line for each message in the order of the wire: `{"at", "to" | "from" | "stderr": …}`.
Kinds of messages that the runner does not know are in it as well. `HOME/.shipmate/outputs/` has what `tool` frames cut.
Both are bounded, and nothing goes wrong if they cannot be written: the disk may be full, and the agent may touch them.
The box's token passes neither: it is no part of what is said to an agent.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import time

from sandbox.runner.allowance import Allowance

FOLDER = ".shipmate"
WIRE_BYTES = 2 << 20  # in each of two files: the newer and the older
MESSAGE_BYTES, BEGINS = 64 << 10, 2_000  # of a longer message only the beginning is kept
AT_ONCE, PER_SECOND = 4 << 20, 256 << 10  # bytes; an agent that floods must not keep the disk busy
OUTPUT_BYTES, OUTPUTS = 2 << 20, 50


class Journal:
    """Writes below `home`. One for the life of a box."""

    def __init__(self, home: str) -> None:
        self._folder = os.path.join(home, FOLDER)
        self._file: int | None = None
        self._size = 0
        self._room = Allowance(AT_ONCE, PER_SECOND, time.monotonic)
        self._left_out = 0
        self._outputs: list[str] = []

    def sent(self, line: bytes) -> None:
        """A message that was written to the agent."""
        self._message(b"to", line)

    def heard(self, line: bytes, is_json: bool) -> None:
        """A line that the agent wrote to its stdout."""
        self._message(b"from", line if is_json else _quoted(line))

    def erred(self, data: bytes) -> None:
        """What the agent wrote to its stderr."""
        self._message(b"stderr", _quoted(data))

    def _message(self, way: bytes, said: bytes) -> None:
        if len(said) > MESSAGE_BYTES:
            said = json.dumps({"bytes": len(said), "begins": said[:BEGINS].decode("utf-8", "replace")}).encode()
        if not self._room.take(len(said)):
            self._left_out += 1
            return
        if self._left_out:
            missing, self._left_out = self._left_out, 0
            self._line(b"left_out", b"%d" % missing)
        self._line(way, said)

    def _line(self, key: bytes, value: bytes) -> None:
        line = b'{"at":%.3f,"%b":%b}\n' % (time.time(), key, value.strip())
        with contextlib.suppress(OSError):
            if self._file is None or self._size + len(line) > WIRE_BYTES:
                self._open()
            if self._file is not None:
                self._size += os.write(self._file, line)

    def _open(self) -> None:
        """Begin a file; the last one becomes the older one."""
        path = os.path.join(self._folder, "acp.jsonl")
        if self._file is not None:
            os.close(self._file)
            self._file = None
            os.replace(path, os.path.join(self._folder, "acp.1.jsonl"))
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        file = open_plain(path, os.O_WRONLY | os.O_APPEND)
        self._file, self._size = file, os.fstat(file).st_size

    def keep(self, name: str, text: str) -> str:
        """Keep a whole output; where it is, as the box's people would type it. Empty if it could not be kept."""
        name = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:100].lstrip(".") + ".txt"
        folder = os.path.join(self._folder, "outputs")
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            file = open_plain(os.path.join(folder, name), os.O_WRONLY | os.O_TRUNC)
            with open(file, "wb") as open_file:
                open_file.write(text.encode("utf-8", "replace")[:OUTPUT_BYTES])
        except OSError:
            return ""
        self._outputs = [*(each for each in self._outputs if each != name), name]
        while len(self._outputs) > OUTPUTS:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, self._outputs.pop(0)))
        return f"~/{FOLDER}/outputs/{name}"


def open_plain(path: str, how: int) -> int:
    """Open what is a plain file or is not there yet. Raises OSError for a link, a pipe, a folder; never waits."""
    file = os.open(path, os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | how, 0o600)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(f"{path} is no plain file")
    return file


def _quoted(data: bytes) -> bytes:
    return json.dumps(data[:MESSAGE_BYTES].decode("utf-8", "replace")).encode()
