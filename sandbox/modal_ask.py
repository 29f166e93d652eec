"""Passes bytes on between its own stdin and stdout and a box's control socket, both ways.

Its text is run in a box on Modal, as root, for the host cannot reach that socket itself (`modal_asking.py`). It is no
part of the runner, because a box that is just starting may still have another runner than ours. Standard library only.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time

PIECE = 1 << 16
NOBODY = 3
START_SECONDS, LOOK_SECONDS = 10.0, 0.01


def main(path: str) -> int:
    """Pass on until the runner hangs up; a runner that is just starting is waited for. 0, or 3 if nobody listens."""
    wire = socket.socket(socket.AF_UNIX)
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            wire.connect(path)
            break
        except OSError as failed:
            if time.monotonic() > end:
                print(f"nobody listens at {path}: {failed}", file=sys.stderr)
                return NOBODY
        time.sleep(LOOK_SECONDS)
    reading = [wire.fileno(), 0]
    while True:
        ready, _, _ = select.select(reading, [], [])
        try:
            if 0 in ready and not _pass_up(wire):
                reading.remove(0)
            if wire.fileno() in ready and not _pass_down(wire):
                return 0
        except ConnectionError:  # the runner hung up while it was being told
            return 0


def _pass_up(wire: socket.socket) -> bool:
    piece = os.read(0, PIECE)
    if piece:
        wire.sendall(piece)
    else:
        wire.shutdown(socket.SHUT_WR)
    return bool(piece)


def _pass_down(wire: socket.socket) -> bool:
    piece = wire.recv(PIECE)
    left = memoryview(piece)
    while left:
        left = left[os.write(1, left) :]
    return bool(piece)
