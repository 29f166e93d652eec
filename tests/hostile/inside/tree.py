"""Tricks on whoever keeps the tree: names, links, attributes, depth and sizes that a snapshot has to bear."""

import os

from each import Nothing, each

PLACE = "/work/home/farm"


def strange(given):
    """Fill the tree with everything that a file system can hold and a careless copy follows or breaks on."""
    os.makedirs(PLACE, exist_ok=True)
    for n, target in enumerate(given["links"]):
        os.symlink(target, f"{PLACE}/link{n}")
        os.symlink(target, f"{PLACE}/d{n}")
    for n in range(200):
        os.symlink(f"link{n}", f"{PLACE}/chain{n}")
    os.symlink("loop", f"{PLACE}/loop")
    for name in (
        b"new\nline",
        b"\xff\xfe bytes",
        b"\x1b[31mred",
        b"-rf",
        b" ",
        b"~",
        b"$(id)",
        b"a" * 255,
        "ü\u202e".encode(),
    ):
        with open(os.path.join(PLACE.encode(), name), "wb") as file:
            file.write(b"x")
    os.mkfifo(f"{PLACE}/pipe")
    with open(f"{PLACE}/many", "w") as file:
        file.write("hard links")
    for n in range(300):
        os.link(f"{PLACE}/many", f"{PLACE}/hard{n}")
    os.makedirs(f"{PLACE}/shut/in")
    os.chmod(f"{PLACE}/shut/in", 0)
    os.chmod(f"{PLACE}/shut", 0)
    with open(f"{PLACE}/setuid", "w") as file:
        file.write("#!/bin/sh\nid\n")
    os.chmod(f"{PLACE}/setuid", 0o6777)
    for name in ("user.overlay.opaque", "user.overlay.redirect", "user.overlay.metacopy", "user.x"):
        os.setxattr(PLACE, name, b"y" * 3000 if name == "user.x" else b"/../../etc")
    raise Nothing("left behind: the snapshot shows what came of it")


def sparse(_given):
    """Claim a terabyte with a file that holds nothing."""

    def claim(size):
        file = os.open("/work/home/sparse", os.O_RDWR | os.O_CREAT)
        os.ftruncate(file, size)
        return size

    return each([("1 TB", lambda: claim(1 << 40)), ("8 GB", lambda: claim(8 << 30))])


def deep(given):
    """A folder in a folder in a folder, deeper than any path may be long."""
    os.makedirs("/work/home/deep", exist_ok=True)
    os.chdir("/work/home/deep")
    for n in range(given["depth"]):
        os.mkdir("d" * 20)
        os.chdir("d" * 20)
    with open("bottom", "w") as file:
        file.write("x")
    raise Nothing("left behind: the snapshot shows what came of it")


def devices(_given):
    """Forge what an overlay reads: whiteouts, devices, attributes of layers."""
    return each(
        [
            ("whiteout", lambda: os.mknod("/work/home/w", 0o20600, os.makedev(0, 0))),
            ("null", lambda: os.mknod("/work/home/n", 0o20600, os.makedev(1, 3))),
            ("disk", lambda: os.mknod("/work/home/b", 0o60600, os.makedev(254, 0))),
            ("trusted", lambda: os.setxattr("/work/home", "trusted.overlay.redirect", b"/etc")),
            ("security", lambda: os.setxattr("/work/home", "security.capability", b"\1\0\0\2" + b"\xff" * 16)),
            ("lower", lambda: os.link("/usr/bin/env", "/work/home/env")),
        ]
    )
