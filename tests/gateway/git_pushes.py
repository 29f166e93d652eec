"""Pushes that no decent git would send: made object by object, and sent without a client's own checks."""

import asyncio
import hashlib
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aiohttp import ClientSession

from bot.gateway import pktline
from tests.gateway.git_world import BRANCH, Box

WISHES = "report-status side-band-64k"
KINDS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
OURS = f"refs/heads/{BRANCH}"


class Object(NamedTuple):
    """An object of git, whatever is in it."""

    kind: str
    content: bytes

    @property
    def sha(self) -> str:
        return hashlib.sha1(f"{self.kind} {len(self.content)}\0".encode() + self.content).hexdigest()


def blob(content: bytes) -> Object:
    return Object("blob", content)


def tree(*entries: tuple[str, str, str]) -> Object:
    """Of (mode, name, sha), in git's order."""
    ordered = sorted(entries, key=lambda entry: entry[1] + ("/" if entry[0] == "40000" else ""))
    return Object("tree", b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(sha) for mode, name, sha in ordered))


def commit(
    of: str,
    *parents: str,
    author: str = "Ada <ada@acme.example>",
    committer: str = "",
    extra: str = "",
    words: str = "Work",
) -> Object:
    lines = [f"tree {of}", *(f"parent {parent}" for parent in parents)]
    lines += [f"author {author} 1700000000 +0000", f"committer {committer or author} 1700000000 +0000"]
    lines += [extra] if extra else []
    return Object("commit", ("\n".join(lines) + f"\n\n{words}\n").encode())


def pack(objects: Sequence[Object], count: int | None = None) -> bytes:
    """As git sends them, whole; `count`: how many it claims to have."""
    body = b"PACK" + (2).to_bytes(4, "big") + (len(objects) if count is None else count).to_bytes(4, "big")
    for each in objects:
        body += _header(KINDS[each.kind], len(each.content)) + zlib.compress(each.content)
    return body + hashlib.sha1(body).digest()


def _header(kind: int, size: int) -> bytes:
    head = [(kind << 4) | (size & 15)]
    size >>= 4
    while size:
        head[-1] |= 128
        head.append(size & 127)
        size >>= 7
    return bytes(head)


def asks(*commands: tuple[str, str, str], wishes: str = WISHES) -> bytes:
    """The head of a push: (old, new, ref) each."""
    lines = [f"{old} {new} {ref}" for old, new, ref in commands]
    lines[0] += f"\0{wishes}"
    return b"".join(pktline.line(line) for line in lines) + pktline.FLUSH


async def send(box: Box, body: bytes) -> tuple[int, str]:
    """(the status, what the gateway said) of a push that is sent as it is."""
    async with ClientSession() as http, http.post(box.remote() + "/git-receive-pack", data=body) as answer:
        return answer.status, (await answer.read()).decode(errors="replace")


async def offer(box: Box, tip: Object, *objects: Object, sent: bytes | None = None) -> str:
    """Push `tip`, with these objects, to the session's branch. What the gateway said."""
    status, said = await send(box, asks((pktline.NOTHING, tip.sha, OURS)) + (sent or pack([tip, *objects])))
    assert status == 200, said
    return said


async def push_as_it_is(box: Box, work: Path, tip: str, ref: str = OURS, old: str = pktline.NOTHING) -> tuple[int, str]:
    """Send the commits of a checkout up to `tip`, past all that git's client would say about it."""
    listed = f"{tip}\n^origin/main\n"
    process = await asyncio.create_subprocess_exec(
        "git", "pack-objects", "--revs", "--stdout", "-q", cwd=work, env={"PATH": os.environ["PATH"]},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    packed, _ = await process.communicate(listed.encode())
    return await send(box, asks((old, tip, ref)) + packed)
