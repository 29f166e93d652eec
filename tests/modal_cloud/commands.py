"""A command in a box, as the command router sees it: its outputs by offset, its stdin by offset, and how it ended."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from functools import partial

from tests.modal_cloud.output import Output

DRAIN_SECONDS = 0.5  # how long outputs are listened to when the command itself has ended, but others hold them open
STDIN_ROOM = 4 << 20
READ_BYTES, PIPE_BYTES = 64 << 10, 1 << 20
HEARD_BYTES = 64 << 10  # of what is written where there is no process


class Stdin:
    """What is written to a command. A byte is taken once, however often its offset is sent."""

    def __init__(self, fd: int | None) -> None:
        self._fd, self._waiting = fd, bytearray()
        self.taken, self.closed, self.heard = 0, False, b""
        self._room = asyncio.Event()
        self._writes = False
        self.on_end: Callable[[], None] = lambda: None  # told when no more comes
        if fd is not None:
            os.set_blocking(fd, False)

    async def write(self, offset: int, data: bytes, eof: bool) -> bool:
        """Take what is new of this piece; False if there would be a gap before it."""
        if offset > self.taken:
            return False
        fresh = data[self.taken - offset :]
        if not self.closed:
            self.taken += len(fresh)
            self._waiting += fresh
            self.closed = eof
            self._flow()
            if eof:
                self.on_end()
        while len(self._waiting) > STDIN_ROOM:
            self._room.clear()
            await self._room.wait()
        return True

    def shut(self) -> None:
        """The command is no more."""
        self._waiting.clear()
        self.closed = True
        self._flow()

    def _flow(self) -> None:
        if self._fd is None:
            self.heard += bytes(self._waiting[: HEARD_BYTES - len(self.heard)])
            self._waiting.clear()
            return
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                del self._waiting[: os.write(self._fd, self._waiting[:READ_BYTES])]
        except BlockingIOError:
            pass
        except OSError:
            self._waiting.clear()
        self._room.set()
        if self._waiting and not self._writes:
            self._writes = True
            loop.add_writer(self._fd, self._flow)
        elif not self._waiting and self._writes:
            self._writes = False
            loop.remove_writer(self._fd)
        if self.closed and not self._waiting:
            os.close(self._fd)
            self._fd = None


class Command:
    """A command that runs or ran. `code` and `signal` are meant once `ended` is set."""

    def __init__(self, stdin: int | None = None, keep: int | None = None) -> None:
        self.stdin, self.stdout, self.stderr = Stdin(stdin), Output(keep), Output(keep)
        self.code, self.signal = 0, 0
        self.ended = asyncio.Event()
        self._fds: dict[int, Output] = {}

    def listen(self, fd: int, output: Output) -> None:
        """Read a pipe into an output."""
        os.set_blocking(fd, False)
        self._fds[fd] = output
        output.has_room = partial(self._listen, fd)
        self._listen(fd)

    def _listen(self, fd: int) -> None:
        if fd in self._fds:
            asyncio.get_running_loop().add_reader(fd, self._heard, fd)

    def _heard(self, fd: int) -> None:
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        if data:
            self._fds[fd].add(data)
            if self._fds[fd].full:
                asyncio.get_running_loop().remove_reader(fd)
        else:
            self._leave(fd)

    def _leave(self, fd: int) -> None:
        if (output := self._fds.pop(fd, None)) is not None:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
            output.close()

    def exited(self, code: int, signal: int) -> None:
        """It ended by itself; its outputs end with it, or soon after."""
        if self.ended.is_set():
            return
        self.code, self.signal = code, signal
        self.stdin.shut()
        self.ended.set()
        if self._fds:
            asyncio.get_running_loop().call_later(DRAIN_SECONDS, self.silence)
        else:
            self.silence()

    def cut(self, signal: int = 9) -> None:
        """Its box is no more: what it had said stays said."""
        self.exited(0, signal)
        self.silence()

    def silence(self) -> None:
        """Nothing of it is heard any more, but for what waits in its pipes."""
        for fd in list(self._fds):
            with contextlib.suppress(OSError):
                self._fds[fd].add(os.read(fd, PIPE_BYTES))
            self._leave(fd)
        self.stdout.close()
        self.stderr.close()
