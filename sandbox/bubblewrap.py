"""The command that is a box: bubblewrap's arguments, from a plan. Pure, but `system` looks at the host's root.

bubblewrap 0.11 mounts the overlay itself. An older one (0.8 at least) is given a mount that `unshare` and `mount` have
made before it, in namespaces that end with the box.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

from sandbox.provider import Limits

UID = "1000"
CA = "/opt/shipmate/ca.pem"
GATEWAY, OURS, RUNNER, AGENTS, PYTHON = (
    "/run/gateway",
    "/opt/shipmate",
    "/opt/shipmate/runner.pyz",
    "/opt/shipmate/agents",
    "/opt/shipmate/python",
)
PATH = "/usr/local/bin:/usr/bin:/bin"
SCRATCH_BYTES, RUN_BYTES = 2 << 30, 1 << 20
# The box's root and /dev are file systems in memory, without a size: nothing may be added to them.
SHUT = "--remount-ro /dev --remount-ro /"
ROOT_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
CERTIFICATES = (  # whom this machine believes, as each family of systems keeps it; never a folder with keys
    "ssl/certs", "ssl/openssl.cnf", "ssl/cert.pem", "pki/tls/certs", "pki/tls/cert.pem", "pki/ca-trust/extracted",
    "ca-certificates/extracted",
)  # fmt: skip
ETC = ("passwd", "group", "hosts", "nsswitch.conf")  # ours
ETC_FOLDERS = ("/etc", "/etc/ssl", "/etc/pki", "/etc/pki/tls", "/etc/pki/ca-trust", "/etc/ca-certificates")
ETC_OF_HOST = ("ld.so.cache", "alternatives", *CERTIFICATES)
NAMESPACES = (
    "--as-pid-1 --new-session --cap-drop ALL --clearenv"
    " --unshare-user --unshare-pid --unshare-ipc --unshare-uts --unshare-net --unshare-cgroup-try --disable-userns"
)
# Run by sh: mount the overlay, then become what follows.
MOUNT_FIRST = 'm=$1 o=$2; shift 2; mount -i -n -t overlay -o "$o" overlay "$m" && exec "$@"'


@dataclass(frozen=True)
class Descriptors:
    """Numbers of open files that the box's processes are given."""

    info: int
    status: int
    lock: int
    seccomp: int
    control: int
    outbox: int

    def all(self) -> tuple[int, ...]:
        """Every one of them."""
        return (self.info, self.status, self.lock, self.seccomp, self.control, self.outbox)


@dataclass(frozen=True)
class Plan:
    """Everything that the command says. Paths are the host's, but for `python`. `lowers`: the oldest first."""

    bwrap: str
    mounts_overlays: bool
    system: tuple[str, ...]
    etc: str
    runner: str
    python: str
    python_source: str | None
    ca: str | None
    agents: str | None
    gateway: str
    lowers: tuple[str, ...]
    upper: str
    work: str
    merged: str
    limits: Limits
    hard_limits: tuple[int, int, int]  # what this process may itself have: processes, open files, file bytes
    descriptors: Descriptors


def argv(plan: Plan) -> list[str]:
    """The whole command."""
    words = [plan.bwrap, *NAMESPACES.split(), "--uid", UID, "--gid", UID, "--hostname", "shipmate"]
    words += ["--setenv", "PATH", PATH]
    if plan.python_source is not None:
        words += ["--setenv", "LD_LIBRARY_PATH", f"{PYTHON}/lib"]
    words += [*plan.system, *_etc(plan), *_kernel(), *_ours(plan), *_work(plan), *SHUT.split()]
    words += _descriptors(plan.descriptors)
    words += ["--", *prlimit(plan.limits, plan.hard_limits), *runner(plan)]
    return words if plan.mounts_overlays else [*_mount_first(plan), *words]


def system(root: Path = Path("/")) -> tuple[str, ...]:
    """The host's programs and libraries, read-only, laid out as the host has them."""
    words = ["--ro-bind", "/usr", "/usr"]
    for name in ROOT_FOLDERS:
        path = root / name
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), f"/{name}"]
        elif path.is_dir():
            words += ["--ro-bind", f"/{name}", f"/{name}"]
    if (root / "nix/store").is_dir():
        words += ["--ro-bind", "/nix/store", "/nix/store"]
    return tuple(words)


def _etc(plan: Plan) -> list[str]:
    words = [word for folder in ETC_FOLDERS for word in ("--perms", "0755", "--dir", folder)]
    for name in ETC:
        words += ["--ro-bind", f"{plan.etc}/{name}", f"/etc/{name}"]
    for name in ETC_OF_HOST:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return words


def _kernel() -> list[str]:
    words = ["--proc", "/proc", "--dev", "/dev", "--size", str(RUN_BYTES), "--tmpfs", "/run"]
    for scratch in ("/dev/shm", "/tmp"):
        words += ["--perms", "1777", "--size", str(SCRATCH_BYTES), "--tmpfs", scratch]
    return words


def _ours(plan: Plan) -> list[str]:
    words = ["--ro-bind", plan.gateway, GATEWAY]
    words += ["--perms", "0755", "--dir", "/opt", "--perms", "0755", "--dir", OURS, "--ro-bind", plan.runner, RUNNER]
    if plan.ca is not None:
        words += ["--ro-bind", plan.ca, CA]
    if plan.agents is not None:
        words += ["--ro-bind", plan.agents, AGENTS]
    if plan.python_source is not None:
        words += ["--ro-bind", plan.python_source, PYTHON]
    return words


def _work(plan: Plan) -> list[str]:
    if not plan.mounts_overlays:
        return ["--bind", plan.merged, "/work", "--chdir", "/work"]
    words = []
    for lower in plan.lowers:
        words += ["--overlay-src", lower]
    return [*words, "--overlay", plan.upper, plan.work, "/work", "--chdir", "/work"]


def _descriptors(fds: Descriptors) -> list[str]:
    named = {"--info-fd": fds.info, "--json-status-fd": fds.status, "--sync-fd": fds.lock, "--seccomp": fds.seccomp}
    return [word for name, fd in named.items() for word in (name, str(fd))]


def prlimit(limits: Limits, hard: tuple[int, int, int]) -> list[str]:
    """The limits, set *inside* the box: processes are counted for each user namespace, and so for each box alone."""
    wanted = (limits.processes, limits.open_files, limits.file_bytes)
    least = [want if most < 0 else min(want, most) for want, most in zip(wanted, hard, strict=True)]
    names = ("--nproc", "--nofile", "--fsize")
    return ["/usr/bin/prlimit", *(f"{name}={value}" for name, value in zip(names, least, strict=True)), "--core=0"]


def runner(plan: Plan) -> list[str]:
    """The runner's own command (docs/wire.md)."""
    fds = plan.descriptors
    return [plan.python, "-I", "-S", "-B", RUNNER, "--control-fd", str(fds.control), "--outbox-fd", str(fds.outbox)]


def _mount_first(plan: Plan) -> list[str]:
    lowers = ":".join(_escaped(path) for path in reversed(plan.lowers))  # mount lists the newest first
    options = f"lowerdir={lowers},upperdir={_escaped(plan.upper)},workdir={_escaped(plan.work)},userxattr"
    words = shlex.split("unshare --user --map-root-user --mount --propagation slave sh -c")
    return [*words, MOUNT_FIRST, "sh", plan.merged, options]


def _escaped(path: str) -> str:
    for character in "\\:,":
        path = path.replace(character, "\\" + character)
    return path
