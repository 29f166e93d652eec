"""The explicit way without isolation: a box is plain processes of this user, under a folder of their own.

For machines that cannot isolate (macOS, a strict container) and people who trust what will run; every card says so.
`jobs/wiring.py` makes it when the settings ask for it by name. The runner is given its folder with --root. There is no
overlay: a box starts from a copy, and every snapshot is a whole tree.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sandbox import copies, host_processes, runner_archive, spawning
from sandbox.box_folder import BoxFolder, Record
from sandbox.folder_provider import FolderProvider
from sandbox.host_processes import Process
from sandbox.ownership import Owner
from sandbox.provider import BoxSpec, Temporary

START_SECONDS = 10.0
# Run by sh: start the runner, and write down which process it is and how it ends. $1: the status file.
WATCH = """\
status=$1; shift
exec 3<&0 </dev/null
"$@" <&3 3<&- &
echo "{\\"child-pid\\": $!}" >>"$status"
exec 3<&-
wait $!
echo "{\\"exit-code\\": $?}" >>"$status"
"""


class UnisolatedProvider(FolderProvider):
    """Boxes without any wall. Limits are not enforced either."""

    name = "unisolated"
    isolated = False

    def __init__(self, boxes_dir: Path, *, gateway: Path, agents: Path) -> None:
        super().__init__(boxes_dir, gateway=gateway, agents=agents, owner=Owner.same())
        self._runner = self._root / "runner.pyz"

    def _prepare(self) -> None:
        super()._prepare()
        runner_archive.build(self._runner)

    def _chain_below(self, record: Record) -> tuple[str, ...]:
        return ()  # a tree is whole

    def _start(self, folder: BoxFolder, lock: int, spec: BoxSpec, chain: tuple[str, ...]) -> None:
        for layer in chain:
            folder.upper.rmdir()
            copies.copy(self._layers.tree(layer), folder.upper)
        (folder.upper / "tmp").mkdir(exist_ok=True)
        with contextlib.ExitStack() as opened:
            outbox = os.open(folder.outbox, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            opened.callback(os.close, outbox)
            status = folder.watch()
            opened.callback(os.close, status)
            control = opened.enter_context(folder.listen()).fileno()
            runner = [sys.executable, "-I", "-S", "-B", str(self._runner), "--root", str(folder.upper)]
            runner += ["--agents", str(self._agents), "--control-fd", str(control), "--outbox-fd", str(outbox)]
            argv = ["/bin/sh", "-c", WATCH, "sh", str(folder.status), *runner]
            spawning.spawn(argv, spec.greeting, folder.log, (lock, status, control, outbox), self._owner)
        self._await_start(folder)

    def _await_start(self, folder: BoxFolder) -> None:
        end = time.monotonic() + START_SECONDS
        while "child-pid" not in folder.said():
            if time.monotonic() > end:
                raise Temporary(f"the box could not be started: {folder.log_tail() or 'nothing happened'}")
            time.sleep(host_processes.LOOK_SECONDS)

    @contextlib.contextmanager
    def _process(self, folder: BoxFolder) -> Iterator[Process | None]:
        said = folder.said()
        alive = "child-pid" in said and "exit-code" not in said and folder.locked()
        yield Tree(said["child-pid"], folder) if alive else None

    def _kill(self, folder: BoxFolder) -> None:
        super()._kill(folder)
        host_processes.send(host_processes.with_home(folder.upper / "work/home"), signal.SIGKILL)


class Tree:
    """A runner without walls and everything below it. It lives as long as it holds its box's lock."""

    def __init__(self, pid: int, folder: BoxFolder) -> None:
        self._pid, self._folder = pid, folder

    def gone(self, seconds: float = 0.0) -> bool:
        """Whether the runner has ended, within `seconds`."""
        end = time.monotonic() + seconds
        while self._folder.locked():
            if time.monotonic() >= end:
                return False
            time.sleep(host_processes.LOOK_SECONDS)
        return True

    def ask_to_end(self, seconds: float) -> None:
        """Tell the runner to end, and wait for it for so long."""
        host_processes.send([self._pid], signal.SIGTERM)
        self.gone(seconds)

    def kill(self) -> None:
        """End the runner and everything below it."""
        host_processes.send(self.members(), signal.SIGKILL)

    def freeze(self, look: Callable[[], None]) -> None:
        """Hold them still."""
        host_processes.stop(self.members, look)

    def thaw(self) -> None:
        """Let them go on."""
        host_processes.send(self.members(), signal.SIGCONT)

    def members(self) -> list[int]:
        """The runner and its descendants."""
        listed = subprocess.run(("ps", "-A", "-o", "pid=,ppid="), capture_output=True, text=True, check=False).stdout
        below: dict[int, list[int]] = {}
        for line in listed.splitlines():
            pid, parent = map(int, line.split())
            below.setdefault(parent, []).append(pid)
        found = [self._pid]
        for pid in found:
            found += below.get(pid, [])
        return found
