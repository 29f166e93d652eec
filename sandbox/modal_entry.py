"""What a box on Modal begins with, and what it is sent down its stdin before the greeting. Pure text and bytes.

The box's first program puts the runner of today, and whom to believe, in their places, whatever its image has: a
snapshot may be months old. Then it becomes the runner. `sandbox/modal.py` starts and feeds it.
"""

import inspect
import zlib

from sandbox import modal_ask
from sandbox.runner.box import CA

RUNNER = "/opt/shipmate/runner.pyz"
CONTROL = "/run/shipmate/control.sock"
AGENT_UID = "1000"
HEAD_BYTES = 32
SOURCE = f"""\
import os, sys, zlib

def exactly(size):
    data = b""
    while len(data) < size:
        piece = os.read(0, min(size - len(data), 1 << 20))
        if not piece:
            sys.exit("nothing more came down stdin")
        data += piece
    return data

archive, ca = [exactly(int(size)) for size in exactly({HEAD_BYTES}).split()]
os.makedirs({RUNNER.rpartition("/")[0]!r}, exist_ok=True)
for path, data in (({RUNNER!r}, zlib.decompress(archive) if archive else b""), ({CA!r}, ca)):
    if data:
        with open(path + ".new", "wb") as file:
            file.write(data)
        os.chmod(path + ".new", 0o644)
        os.replace(path + ".new", path)
own = [sys.executable, "-I", "-S", "-B", {RUNNER!r}]
os.execv(own[0], [*own, "--control", {CONTROL!r}, "--agent-uid", {AGENT_UID!r}])
"""
ENTRYPOINT = ("python3", "-I", "-S", "-B", "-c", SOURCE)
ASK = ("python3", "-I", "-S", "-B", "-c", f"{inspect.getsource(modal_ask)}\n\nsys.exit(main({CONTROL!r}))\n")


def opening(archive: bytes, ca: bytes) -> bytes:
    """What goes before the greeting. `archive`: the runner, empty if the image has it already."""
    packed = zlib.compress(archive, 1) if archive else b""
    return b"%15d %15d\n" % (len(packed), len(ca)) + packed + ca
