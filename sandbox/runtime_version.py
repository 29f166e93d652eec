"""What of Shipmate is in every box, as one short digest: an image that was built with another one is built anew. Pure,
but for reading our own sources and the host's name for itself. `jobs/images.py` asks.
"""

import functools
import hashlib
import sys
from pathlib import Path

from sandbox import agents, runner_archive

OS_RELEASE = Path("/etc/os-release")


@functools.cache
def runtime_version() -> str:
    """Changes with the runner, the agents' pins, the interpreter and the host's system."""
    seen = hashlib.sha256(sys.version.encode())
    for part in runner_archive.PARTS:
        for path in sorted((runner_archive.ROOT / part).glob("*.py")):
            seen.update(path.name.encode() + b"\0" + path.read_bytes())
    seen.update(repr([(row.name, row.argv, dict(row.packages)) for row in agents.ROWS.values()]).encode())
    seen.update(OS_RELEASE.read_bytes() if OS_RELEASE.exists() else b"")
    return seen.hexdigest()[:12]
