"""Isolated boxes on this Linux machine: each is one bubblewrap command over an overlay of immutable layers.

`jobs/wiring.py` makes the provider. `folder_provider.py` has what is common to boxes in folders, `bubblewrap.py` the
command, `runtime.py` what all boxes share. The same code runs as root, which becomes uid 64001 first, and as any user.
"""

import asyncio
import contextlib
import json
import os
import resource
import secrets
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from sandbox import bubblewrap, host_processes, probe, runtime, spawning, user_limits
from sandbox.box_folder import BoxFolder
from sandbox.cgroup import Cgroups
from sandbox.folder_provider import FolderProvider
from sandbox.host_processes import Process
from sandbox.overgrown import Scales
from sandbox.ownership import Owner, open_folder
from sandbox.patiently import run_patiently
from sandbox.provider import BoxError, BoxSpec, Limits, Permanent, Temporary

START_SECONDS = 20.0
WAITED_FOR_SECONDS = 3.0  # so long somebody may wait for a new box, and it weighs as much as one of our processes
CA_BUNDLES = (  # where systems keep whom they believe as one file
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)  # fmt: skip
LOOK_SECONDS = 0.0005


class LocalProvider(FolderProvider):
    """Boxes with namespaces, seccomp, limits, an overlay, and no network but their own loopback."""

    name = "local"
    isolated = True

    def __init__(self, boxes_dir: Path, *, gateway: Path, agents: Path, ca_file: Path | None = None) -> None:
        super().__init__(boxes_dir, gateway=gateway, agents=agents, owner=Owner.here())
        self._ca_file = ca_file
        self._cgroups = Cgroups(self._root)
        self._scales = Scales()

    def _prepare(self) -> None:
        if not sys.platform.startswith("linux"):
            found = probe.probe()
            raise Permanent(f"{found.reason} {found.remedy}")
        super()._prepare()
        self._check_reach()
        self._shared = runtime.ready(self._root / "runtime")

    def _start(self, folder: BoxFolder, lock: int, spec: BoxSpec, chain: tuple[str, ...]) -> None:
        self._open_gateway()
        heard, info = os.pipe()
        try:
            with contextlib.ExitStack() as opened:
                opened.callback(os.close, info)
                fds = _descriptors(opened, folder, lock, info, Path(self._shared.path("seccomp.bpf")))
                argv = bubblewrap.argv(self._plan(folder, spec.limits, chain, fds))
                spawning.spawn(argv, spec.greeting, folder.log, fds.all(), self._owner)
            self._await_start(folder, heard, spec.limits)
        except OSError as failed:
            raise Temporary(f"the box could not be started: {failed}") from failed
        finally:
            os.close(heard)

    def _check_reach(self) -> None:
        """As root, boxes are another user; raise Permanent if he cannot get to his folders."""
        if not self._owner.drops:
            return
        for folder in (*self._root.parents, *self._gateway.parents):
            if folder.is_dir() and not folder.stat().st_mode & 0o001:
                raise Permanent(
                    f"boxes run as uid {self._owner.uid}, which cannot pass through {folder}:"
                    " set SHIPMATE_BOXES_DIR and SHIPMATE_GATEWAY_DIR to folders elsewhere"
                )

    def _open_gateway(self) -> None:
        """The gateway may start after its first box: its folder is what is mounted, not the sockets in it."""
        if not self._gateway.exists():
            open_folder(self._gateway.parent)
            with contextlib.suppress(FileExistsError):
                self._gateway.mkdir(mode=0o700)
                if self._owner.drops:
                    os.chown(self._gateway, 0, self._owner.gid)
                    self._gateway.chmod(0o750)

    def _plan(
        self, folder: BoxFolder, limits: Limits, chain: tuple[str, ...], fds: bubblewrap.Descriptors
    ) -> bubblewrap.Plan:
        shared, merged = self._shared, folder.path / "merged"
        if not shared.mounts_overlays:
            self._owner.folder(merged, 0o700)
        return bubblewrap.Plan(
            bwrap=shared.bwrap,
            mounts_overlays=shared.mounts_overlays,
            system=shared.system,
            etc=shared.path("etc"),
            runner=shared.path("runner.pyz"),
            python=shared.python,
            python_source=shared.python_source,
            ca=self._certificates(),
            agents=str(self._agents) if self._agents.is_dir() else None,
            gateway=str(self._gateway),
            lowers=tuple(str(self._layers.tree(layer)) for layer in chain) or (shared.path("empty"),),
            upper=str(folder.upper),
            work=str(folder.work),
            merged=str(merged),
            limits=limits,
            hard_limits=_hard_limits(),
            descriptors=fds,
        )

    def _certificates(self) -> str | None:
        """All certificates that boxes are to believe, as one file that their user can read."""
        if self._ca_file is None:
            return None
        copied, ours = self._root / "ca.pem", next((path for path in map(Path, CA_BUNDLES) if path.is_file()), None)
        wanted = (ours.read_bytes() + b"\n" if ours is not None else b"") + self._ca_file.read_bytes()
        if not copied.exists() or copied.read_bytes() != wanted:
            fresh = copied.with_name(f".ca.{secrets.token_hex(4)}")
            fresh.write_bytes(wanted)
            fresh.chmod(0o644)
            fresh.replace(copied)
        return str(copied)

    def _await_start(self, folder: BoxFolder, heard: int, limits: Limits) -> None:
        """Wait until bubblewrap has built the box and become its runner; raises BoxError if it could not."""
        end = time.monotonic() + START_SECONDS
        info = _listen(heard, end)
        if not info:
            raise _why_not(folder)
        pid = int(info["child-pid"])
        self._cgroups.add(folder.name, pid, limits.memory_bytes)
        with host_processes.Pid1.found(pid, int(info["pid-namespace"])) as process:
            while host_processes.command_name(pid) == "bwrap":
                if time.monotonic() > end:
                    raise Temporary("the box took too long to start: the machine is too busy", 5.0)
                time.sleep(LOOK_SECONDS)
            if process is None or process.gone():
                raise _why_not(folder)
        user_limits.limit(pid)

    @contextlib.contextmanager
    def _process(self, folder: BoxFolder) -> Iterator[Process | None]:
        said, record = folder.said(), folder.record()
        if record is None or record.boot != host_processes.boot():
            yield None
            return
        if "child-pid" not in said or "exit-code" in said:
            yield None
            return
        freezer = self._cgroups.freezer(folder.name)
        with host_processes.Pid1.found(said["child-pid"], said["pid-namespace"], freezer) as process:
            yield process

    async def overgrown(self) -> dict[str, str]:
        """Live boxes that have too much of something, and of what."""
        return await asyncio.to_thread(self._overgrown)

    def _overgrown(self) -> dict[str, str]:
        found, alive, processes = {}, [], host_processes.by_namespace()
        for folder in self._folders():
            record = folder.record()
            with self._process(folder) as process:
                if record is None or process is None or process.gone():
                    continue
                alive.append(folder.name)
                pids = processes.get(folder.said().get("pid-namespace", -1), [])
                if time.time() - record.born > WAITED_FOR_SECONDS:
                    self._let_others_first(folder, pids)
                limits = Limits(disk_bytes=record.disk_bytes, memory_bytes=record.memory_bytes)
                counted = self._cgroups.counts(folder.name)
                with contextlib.suppress(FileNotFoundError):  # it ends just now, and its tree is taken away
                    if why := self._scales.too_much(folder.name, folder.upper, limits, pids, counted):
                        found[folder.name] = why
        self._scales.forget_all_but(alive)
        return found

    def _let_others_first(self, folder: BoxFolder, pids: list[int]) -> None:
        """When the processor is short: all that runs in a box before its runner, which others wait for."""
        self._cgroups.weigh_less(folder.name)
        runner = folder.said().get("child-pid")
        for pid in pids:
            if pid != runner:
                run_patiently(pid)

    def _kill(self, folder: BoxFolder) -> None:
        super()._kill(folder)
        self._cgroups.remove(folder.name)


def _descriptors(
    opened: contextlib.ExitStack, folder: BoxFolder, lock: int, info: int, seccomp: Path
) -> bubblewrap.Descriptors:
    def kept(path: Path, flags: int) -> int:
        fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
        opened.callback(os.close, fd)
        return fd

    status = folder.watch()
    opened.callback(os.close, status)
    return bubblewrap.Descriptors(
        info=info,
        status=status,
        lock=lock,
        seccomp=kept(seccomp, os.O_RDONLY),
        control=opened.enter_context(folder.listen()).fileno(),
        outbox=kept(folder.outbox, os.O_RDWR | os.O_CREAT | os.O_APPEND),
    )


def _hard_limits() -> tuple[int, int, int]:
    """What this process may have itself: processes, open files, file bytes; negative for no limit."""
    kinds = (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE)
    processes, files, size = (resource.getrlimit(kind)[1] for kind in kinds)
    return processes, files, size


def _listen(heard: int, end: float) -> dict[str, int]:
    """What bubblewrap says of the box; empty if it ended without a word."""
    poll, text = select.poll(), b""
    poll.register(heard, select.POLLIN)
    while b"}" not in text and poll.poll(max(0.0, end - time.monotonic()) * 1000):
        piece = os.read(heard, 4096)
        if not piece:
            return {}
        text += piece
    return dict(json.loads(text)) if b"}" in text else {}


def _why_not(folder: BoxFolder) -> BoxError:
    """The sentence for a box that did not start: what the host forbids, or what was printed."""
    found = probe.probe()
    if not found.allowed:
        return Permanent(f"{found.reason} {found.remedy}")
    return Temporary(f"the box could not be started: {folder.log_tail() or 'bubblewrap ended without a word'}")
