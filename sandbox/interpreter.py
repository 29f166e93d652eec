"""Which Python the runner gets in its box. `runtime.py` asks once for each set-up of a machine.

The system's own below /usr is in every box anyway. Where it is missing or too old, a bare copy of the interpreter that
runs this service is mounted at /opt/shipmate/python: its library without packages, so that nothing else comes along.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from sandbox.provider import Permanent

OLDEST = (3, 9)
MOUNTED = "/opt/shipmate/python"
SYSTEM = ("/usr/bin/python3", "/usr/local/bin/python3")
TRIAL = f"import asyncio, ctypes, json, ssl, sys, zipimport; sys.exit(sys.version_info < {OLDEST})"
TRIAL_SECONDS = 30
LEFT_OUT = ("site-packages", "__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3")


class Interpreter(NamedTuple):
    """`path`: where it is in the box. `source`: the folder to mount at MOUNTED, or None if /usr has it."""

    path: str
    source: Path | None

    @property
    def on_host(self) -> str:
        """The same interpreter, as this machine can start it."""
        return self.path if self.source is None else str(self.source / Path(self.path).relative_to(MOUNTED))


def choose(folder: Path) -> Interpreter:
    """The system's interpreter, else a copy of this one below `folder`."""
    for path in SYSTEM:
        if Path(path).exists() and Path(path).resolve().is_relative_to("/usr") and works(path):
            return Interpreter(path, None)
    mine = copied(folder)
    if not works(mine.on_host):
        raise Permanent(
            "no Python for boxes: install Python 3.9 or newer from this system's packages (/usr/bin/python3)"
        )
    return mine


def works(path: str) -> bool:
    """Whether a runner could run with this interpreter."""
    try:
        tried = subprocess.run((path, "-I", "-S", "-c", TRIAL), timeout=TRIAL_SECONDS, capture_output=True, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def copied(folder: Path) -> Interpreter:
    """A bare copy of the interpreter that runs this process."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    target = folder / "python"
    (target / "bin").mkdir(parents=True)
    shutil.copy2(Path(sys.executable).resolve(), target / "bin" / version)
    base = Path(sys.base_prefix)
    shutil.copytree(
        base / "lib" / version,
        target / "lib" / version,
        ignore=lambda _, names: [name for name in names if name in LEFT_OUT or name.startswith("config-")],
    )
    for library in (base / "lib").glob("libpython*.so*"):
        shutil.copy2(library, target / "lib" / library.name)
    return Interpreter(f"{MOUNTED}/bin/{version}", target)
