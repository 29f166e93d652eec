"""The box of a thread, looked into from the host: its processes, its files, the wire with its agent."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.box_folder import BoxFolder
from tests.e2e.people import Office, Thread
from tests.kills.site import members, runner_of

AGENTS = b"/opt/shipmate/agents/"
WIRE = "/work/home/.shipmate/acp.jsonl"


async def name_of(thread: Thread) -> str:
    session = await thread.session()
    assert session is not None and session.box is not None
    return session.box


async def folder_of(office: Office, thread: Thread) -> BoxFolder:
    return BoxFolder(office.stack.settings.jobs.boxes_dir / "box" / await name_of(thread))


async def agents_in(office: Office, thread: Thread) -> list[int]:
    """The processes of the agent's program: on the host, first the one that the runner started."""
    folder = await folder_of(office, thread)
    found = []
    for pid in members(folder):
        with contextlib.suppress(OSError):
            if AGENTS in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    runner = runner_of(folder)
    return sorted(found, key=lambda pid: (_parent(pid) != runner, pid))


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


async def run(office: Office, thread: Thread, *argv: str) -> bytes:
    """What a command in the box says."""
    return (await office.shop.provider.exec(await name_of(thread), argv)).stdout


async def wire(office: Office, thread: Thread) -> list[dict[str, Any]]:
    """Every message to and from the agent so far."""
    return [json.loads(line) for line in (await run(office, thread, "cat", WIRE)).splitlines()]


def memory_of(pid: int) -> Iterator[bytes]:
    """What a process has in its memory, in pieces that overlap a little."""
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, rights, _, _, inode, *_ = line.split()
            if "r" not in rights or inode != "0" or "[v" in line:
                continue  # files are looked at as files
            start, end = (int(part, 16) for part in span.split("-"))
            with contextlib.suppress(OSError, ValueError, OverflowError):
                yield from _pieces(memory, start, end)


def _pieces(memory: Any, start: int, end: int) -> Iterator[bytes]:
    overlap, most = 256, 16 << 20
    while start < end:
        memory.seek(start)
        piece = memory.read(min(most, end - start))
        if not piece:
            return
        yield piece
        start += max(len(piece) - overlap, 1) if len(piece) > overlap and start + len(piece) < end else len(piece)
