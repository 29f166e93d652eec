"""Fetches an agent that is a tree of registry packages: each of them pinned with its digest in a lock file of ours.

`agent_install.py` calls `fetch`. The registry's own client checks the digests before it unpacks; no package's own
scripts are run. Packages of other machines are left out.
"""

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from sandbox.agent_row import Modules

LOCKS = Path(__file__).parent / "locks"
SECONDS = 900
MACHINES = {"x86_64": "x64", "aarch64": "arm64"}
WORDS = 500


class NotFetched(Exception):
    """The packages did not come; the message says why."""


class NotAsLocked(NotFetched):
    """A package that came is another one than the lock file's."""


def fetch(npm: str, name: str, modules: Modules, target: Path, machine: str | None = None) -> None:
    """Fill the fresh folder `target` with the packages of `locks/NAME`. Raises NotFetched."""
    machine = machine or platform.machine()
    if machine not in MACHINES:
        raise NotFetched(f"{name} is pinned for {', '.join(MACHINES)}; this machine is {machine}")
    for file in ("package.json", "package-lock.json"):
        shutil.copyfile(LOCKS / name / file, target / file)
    argv: tuple[str, ...] = (npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--omit=dev")
    argv += (f"--cpu={MACHINES[machine]}", "--os=linux", "--libc=glibc")
    argv += () if modules.optional else ("--omit=optional",)
    try:
        done = subprocess.run(argv, cwd=target, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise NotFetched(f"the packages of {name} did not arrive within {SECONDS} seconds. Try again.") from None
    if done.returncode:
        raise _why(name, done.stderr)
    missing = [path for path in wanted(name, modules, machine) if not (target / path).is_dir()]
    if missing:
        raise NotFetched(
            f"{missing[0].removeprefix('node_modules/')} is missing: your registry does not have it, or has another "
            "archive than the pinned one. Nothing was installed."
        )
    _readable(target)


def wanted(name: str, modules: Modules, machine: str) -> list[str]:
    """The folders of the packages that belong on this machine, as the lock file names them."""
    lock: dict[str, Any] = json.loads((LOCKS / name / "package-lock.json").read_text())
    found = []
    for path, entry in lock["packages"].items():
        here = "linux" in entry.get("os", ["linux"]) and MACHINES[machine] in entry.get("cpu", [MACHINES[machine]])
        libc = "glibc" in entry.get("libc", ["glibc"])
        if path and here and libc and not entry.get("peer") and (modules.optional or not entry.get("optional")):
            found.append(path)
    return found


def _why(name: str, said: str) -> NotFetched:
    words = " ".join(line for line in said.splitlines() if "error" in line.lower())[:WORDS] or "it said nothing"
    if "EINTEGRITY" in words:
        return NotAsLocked(
            f"a package of {name} is not the archive that was pinned. Nothing was installed. Do not use that registry "
            f"until you know why. npm said: {words}"
        )
    return NotFetched(f"npm could not fetch the packages of {name}: {words}")


def _readable(tree: Path) -> None:
    """Boxes have a user of their own, who must be able to read it, whatever this process's umask is."""
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for file in files:
            path = Path(folder) / file
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o444)
