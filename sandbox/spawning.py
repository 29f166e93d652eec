"""Starts the first process of a box so that nothing of this process goes along and nothing ties the two together.

`local.py` and `unisolated.py` call `spawn`.
"""

import errno
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sandbox.ownership import Owner

PATH = "/opt/homebrew/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_started: list[subprocess.Popen[bytes]] = []  # to be buried when they end, if we live that long


def spawn(argv: Sequence[str], greeting: bytes, log: Path, descriptors: Sequence[int], owner: Owner) -> None:
    """Start `argv` in a session of its own. The greeting waits in its stdin, also if we die at once.

    Raises OSError. The kernel gives small pipes to a user who has very many, as boxes of his may: nobody reads yet, so
    one that is too small must not be waited for.
    """
    reading, writing = os.pipe()
    try:
        try:
            os.set_blocking(writing, False)
            if os.write(writing, greeting) < len(greeting):
                raise BlockingIOError(errno.EAGAIN, "there is no room for its greeting")
        finally:
            os.close(writing)
        printed = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            process = subprocess.Popen(
                argv,
                stdin=reading,
                stdout=printed,
                stderr=printed,
                cwd="/",
                env={"PATH": PATH},
                pass_fds=descriptors,
                start_new_session=True,
                **owner.identity(),
            )
        finally:
            os.close(printed)
    finally:
        os.close(reading)
    bury(process)


def bury(process: subprocess.Popen[bytes]) -> None:
    """See to it that a process leaves nothing behind in the kernel's list when it has ended."""
    _started[:] = [started for started in _started if started.poll() is None]
    _started.append(process)
