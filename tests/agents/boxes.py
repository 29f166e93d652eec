"""The box of a thread, looked into from the host: its processes, its files, the wire with its agent."""

import contextlib
import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.box_folder import BoxFolder
from tests.e2e.people import Office, Thread
from tests.kills.site import members, runner_of

AGENTS = b"/opt/shipmate/agents/"
PAGE, BLOCK, PAGES_AT_ONCE = 4096, 512, 1 << 20
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


async def commands_in(office: Office, thread: Thread) -> list[str]:
    """What runs in the box, each with its arguments."""
    found = []
    for pid in members(await folder_of(office, thread)):
        with contextlib.suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return found


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
    """What a process has in its memory, in pieces that overlap a little. Files that it has mapped are left out."""
    folder = Path(f"/proc/{pid}")
    with (
        (folder / "maps").open() as maps,
        (folder / "mem").open("rb", buffering=0) as memory,
        (folder / "pagemap").open("rb", buffering=0) as pagemap,
    ):
        for line in maps:
            span, rights, _, _, inode, *_ = line.split()
            if "r" not in rights or inode != "0" or "[v" in line:
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            for first, last in _there(pagemap, start // PAGE, end // PAGE):
                with contextlib.suppress(OSError):
                    memory.seek(first * PAGE)
                    yield memory.read((last - first) * PAGE)


def _there(pagemap: Any, page: int, end: int) -> Iterator[tuple[int, int]]:
    """The spans of pages that hold anything: agents reserve far more than they use. Each begins one page early."""
    while page < end:
        pagemap.seek(page * 8)
        entries = array("Q", pagemap.read(min(PAGES_AT_ONCE, end - page) * 8))
        if not entries:
            return
        for at in range(0, len(entries), BLOCK):
            if max(entries[at : at + BLOCK]) >> 62:  # in memory, or swapped out
                yield max(page + at - 1, page), min(page + at + BLOCK, end)
        page += len(entries)
