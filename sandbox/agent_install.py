"""Fetches an agent from its registry: the pinned version, checked by its digest before a byte of it is unpacked.

`shipmate agents install NAME` calls `install`. The registry's own client downloads, so that a person's registry, proxy
and certificates hold, and nothing of a package is run. Of an agent that is one program only that file gets out of its
archive; one that is a tree of packages comes through `agent_modules.py`.
"""

import base64
import hashlib
import hmac
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from sandbox import agent_modules
from sandbox.agents import AgentRow, Package, package_here, parts

DOWNLOAD_SECONDS = 600
PIECE = 1 << 20


class NotInstalled(Exception):
    """The agent could not be installed; the message says why and what to do."""


class NotAsPinned(NotInstalled):
    """What came is something else than what was pinned, so nothing was installed."""


def install(agent: AgentRow, folder: Path, machine: str | None = None) -> Path:
    """Install the agent, and what runs it, below `folder`; return its file. Safe to repeat, also by several at once."""
    for part in parts(agent):
        target = _install_one(part, folder, machine)
    return target


def _install_one(agent: AgentRow, folder: Path, machine: str | None) -> Path:
    target = agent.start_file(folder)
    assert target is not None, "what is fetched has a file"
    if target.is_file():
        return target
    home = folder / target.relative_to(folder).parts[0]
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as scratch:
        fresh = Path(scratch) / home.name
        fresh.mkdir(mode=0o755)
        if agent.modules is None:
            _fetch_file(package_here(agent, machine), Path(scratch), fresh / target.name)
        else:
            _fetch_tree(agent, fresh, machine)
        try:
            fresh.rename(home)
        except OSError:
            if not target.is_file():  # not somebody else's, who was quicker
                raise
    return target


def _fetch_file(package: Package, scratch: Path, target: Path) -> None:
    archive = _download(package, scratch)
    _check(archive, package)
    _unpack(archive, package.file, target)


def _fetch_tree(agent: AgentRow, fresh: Path, machine: str | None) -> None:
    assert agent.modules is not None, "only such agents are trees"
    try:
        agent_modules.fetch(_npm(), agent.name, agent.modules, fresh, machine)
    except agent_modules.NotAsLocked as other:
        raise NotAsPinned(str(other)) from None
    except agent_modules.NotFetched as failed:
        raise NotInstalled(str(failed)) from None
    if not (fresh / "node_modules" / agent.modules.start).is_file():
        raise NotInstalled(f"the packages of {agent.name} have no file {agent.modules.start}")


def _npm() -> str:
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalled("npm is needed to fetch it (only for that). On Debian or Ubuntu: sudo apt-get install npm")
    return npm


def _download(package: Package, scratch: Path) -> Path:
    npm, wanted = _npm(), f"{package.name}@{package.version}"
    try:
        done = subprocess.run(
            (npm, "pack", "--loglevel=error", "--ignore-scripts", "--pack-destination", str(scratch), wanted),
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
        raise NotAsPinned(
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
