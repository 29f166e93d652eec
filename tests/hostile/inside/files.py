"""Tricks on files: the host's, other boxes', and those that a box shares with it."""

import glob
import os
import re
import socket

from each import each, must


def read(path):
    with open(path, "rb") as file:
        return must(file.read(200), "empty")


def host_files(given):
    """Read the host's secrets, and the service's own folders, directly and through roots of other processes."""
    roots = ("", "/proc/1/root", "/proc/self/root", "/proc/self/cwd/../../..", "/work/../..", "/proc/thread-self/root")
    paths = ("/etc/shadow", "/root/.bash_history", "/root/.ssh/id_rsa", "/home", "/var/lib/shipmate", *given["paths"])
    ways = [
        (root + path, lambda at=root + path: os.listdir(at) if os.path.isdir(at) else read(at))
        for root in roots
        for path in paths
    ]
    return each(ways)


def paths_of_mounts(_given):
    """Open every host path that the kernel shows in the mount table, and what lies beside it."""
    with open("/proc/self/mountinfo") as file:
        text = file.read()
    paths = set(re.findall(r"(?:lowerdir|upperdir|workdir)=([^,\s]+)", text))
    paths |= {line.split()[3] for line in text.splitlines() if "shipmate" in line or "/boxes/" in line}
    paths = {part.lstrip("+") for path in paths for part in path.split(":")}
    near = {os.path.normpath(os.path.join(path, up)) for path in paths for up in ("", "..", "../..", "../../..")}
    return each(
        [
            (path, lambda at=path: must(os.listdir(at)))
            for path in sorted(near - {"/", "/usr"})
            if path != "/" and not path.startswith(("/opt/shipmate", "/run/gateway"))
        ]
        or [("none", lambda: must(""))]
    )


def write_system(_given):
    """Write where everything is read-only: programs, the runner, the gateway's folder, devices, kernel settings."""
    places = (
        "/x",
        "/usr/x",
        "/usr/bin/git",
        "/etc/passwd",
        "/etc/x",
        "/opt/x",
        "/opt/shipmate/runner.pyz",
        "/dev/x",
        "/opt/shipmate/agents/x",
        "/run/gateway/x",
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/proc/sys/vm/drop_caches",
        "/proc/sys/kernel/hostname",
        "/proc/1/oom_score_adj",
        "/proc/1/mem",
        "/proc/sys/user/max_user_namespaces",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/self/uid_map",
    )
    return each([(path, lambda at=path: written(at)) for path in places])


def written(path):
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        return os.write(file, b"0\n")
    finally:
        os.close(file)


def other_boxes(given):
    """Reach another box: its tree and layers, its control socket, its outbox, its record."""
    ways = [(path, lambda at=path: os.listdir(at) if os.path.isdir(at) else read(at)) for path in given["paths"]]
    ways += [(path, lambda at=path: connected(at)) for path in given["sockets"]]
    ways += [
        (
            "/proc",
            lambda: must(
                [
                    pid
                    for pid in os.listdir("/proc")
                    if pid.isdigit() and given["mark"].encode() in read(f"/proc/{pid}/environ")
                ]
            ),
        )
    ]
    return each(ways)


def connected(address):
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(address)
        return "connected"


def gateway_socket_replaced(_given):
    """Put a socket of our own in the gateway's place: unlink, rename, bind, chmod, mount over, hard link."""
    (path, *_) = glob.glob("/run/gateway/web-*.sock")

    def bind(address):
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(address)

    return each(
        [
            ("unlink", lambda: os.unlink(path)),
            ("rename", lambda: os.rename(path, path + ".old")),
            ("bind", lambda: bind("/run/gateway/web-9.sock")),
            ("chmod", lambda: os.chmod(path, 0o777)),
            ("chmod folder", lambda: os.chmod("/run/gateway", 0o777)),
            ("link", lambda: os.link(path, "/work/gw.sock")),
            ("rename folder", lambda: os.rename("/run/gateway", "/run/gone")),
            ("rmdir", lambda: os.rmdir("/run/gateway")),
            ("symlink", lambda: os.symlink("/work/x", "/run/gateway/web-9.sock")),
            ("utime", lambda: os.utime(path, (9e9, 9e9))),
        ]
    )
