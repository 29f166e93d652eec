"""The base image of boxes on Modal, by definition: system, toolchains, agents, runner. It changes rarely; repositories
have images of their own, which a box makes (`jobs/image_build.py`).

Nothing is asked of Modal here: `sandbox/modal_account.py` has it built. Agents are installed by the same code as on any
machine, with the same digests; only what that code needs is copied in, so that nothing else makes Modal build anew.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import agents
from sandbox.modal_entry import RUNNER
from sandbox.runner.box import AGENTS

if TYPE_CHECKING:
    import modal

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"  # byte code of the runner fits it
PACKAGES = (
    "build-essential", "ca-certificates", "curl", "file", "git", "jq", "less", "libpq-dev", "nodejs", "npm",
    "openssh-client", "pkg-config", "procps", "ripgrep", "sqlite3", "unzip", "wget", "xz-utils", "zip",
)  # fmt: skip
TOOLS = ("pip install --no-cache-dir uv==0.13.9", "npm install --global --ignore-scripts pnpm@10.34.8 yarn@1.22.22")
USER = (
    "groupadd --gid 1000 shipmate"
    " && useradd --uid 1000 --gid 1000 --home-dir /work/home --no-create-home --shell /bin/bash shipmate"
    " && mkdir -p /work/repo /work/home && chown -R 1000:1000 /work"
)
INSTALLERS = "/opt/shipmate/installers"
INSTALLER_FILES = ("__init__", "agent_install", "agent_modules", "agent_row", "agent_setup", "agents")
# Node of the version that agents are run by, for repositories too; the system's own is only there to fetch it.
NODE = f"ln -sf {AGENTS}/node-{agents.NODE_VERSION}/node /usr/local/bin/node"


def definition(names: Iterable[str], runner: Path) -> modal.Image:
    """The image with these agents, and this archive of the runner."""
    import modal

    system = modal.Image.debian_slim(python_version=PYTHON).apt_install(*PACKAGES).run_commands(*TOOLS, USER)
    return with_agents(system, names).add_local_file(runner, RUNNER, copy=True)


def with_agents(image: modal.Image, names: Iterable[str]) -> modal.Image:
    """An image with these agents on top. A sleeping session's has those of the day on which it fell asleep."""
    here = Path(__file__).parent
    copied = image.add_local_dir(here, f"{INSTALLERS}/sandbox", copy=True, ignore=_is_not_needed)
    return copied.run_commands(*installing(names))


def agents_key(names: Iterable[str]) -> str:
    """A short name of what `with_agents` puts there."""
    here, seen = Path(__file__).parent, hashlib.sha256(repr(installing(names)).encode())
    for path in sorted(here.rglob("*")):
        if path.is_file() and not _is_not_needed(path.relative_to(here)):
            seen.update(path.read_bytes())
    return seen.hexdigest()[:16]


def installing(names: Iterable[str]) -> list[str]:
    """The commands that install these agents, and Node in any case."""
    wanted = ["agents.NODE", *(f"agents.row({name!r})" for name in dict.fromkeys(names))]
    return [
        f'cd {INSTALLERS} && python3 -c "from pathlib import Path; from sandbox import agents, agent_install;'
        f" [agent_install.install(row, Path('{AGENTS}')) for row in [{each}] if row.fetched]\""
        for each in wanted
    ] + [NODE]


def _is_not_needed(path: Path) -> bool:
    """Whether a file of this folder, told by its path within it, is left out."""
    wanted = path.parts[0] == "locks" if len(path.parts) > 1 else path.stem in INSTALLER_FILES and path.suffix == ".py"
    return not wanted and path.name != "locks"
