"""Ports of loopback, for what runs on one machine: the one of the last time, or one that nobody listens on.

`bot/stack.py` chooses them for the processes that it starts.
"""

import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"


def port_of_old(kept: Path) -> int:
    """The port of the last time, so that links in old threads lead here; another one if it is taken."""
    told = kept.read_text() if kept.exists() else ""
    port = int(told) if told.isdecimal() and not trouble_with(int(told)) else free_port()
    kept.write_text(str(port))
    return port


def trouble_with(port: int) -> str:
    """Why nobody could listen on this port of loopback; empty if somebody could."""
    with socket.socket() as probing:
        probing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probing.bind((LOOPBACK, port))
        except (OSError, OverflowError) as refused:
            return getattr(refused, "strerror", "") or str(refused)
    return ""


def free_port() -> int:
    """A port of loopback that nobody listens on just now."""
    with socket.socket() as probing:
        probing.bind((LOOPBACK, 0))
        port: int = probing.getsockname()[1]
        return port
