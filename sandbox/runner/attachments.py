"""What came with a prompt, brought into the box: fetched from the gateway, kept outside the repository, and named.

`turns.py` asks for it before the agent is prompted. Pictures are given to the agent as such too, if it can see. What
cannot be had is named with the reason; a prompt never fails for it.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from sandbox.runner import http1
from sandbox.runner.dial import Dialer
from sandbox.runner.within import within

FOLDER = "attachments"
MOST, FILE_BYTES, ALL_BYTES = 20, 20 << 20, 100 << 20
IMAGES, IMAGE_BYTES = 8, 3_500_000  # what providers take, in base64
ONE_SECONDS, PAUSE = 40.0, 0.5
TRIES = 3
PATH = "/link/attachment?"
MAGIC = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))


class Missing(Exception):
    """A file that cannot be had; the message is a reason."""


class Brought(NamedTuple):
    """`lines` name every file, or say why it is not there; `images` are content blocks of ACP."""

    lines: list[str]
    images: list[dict[str, Any]]


class Attachments:
    """Fetches into `home`/attachments/TURN/."""

    def __init__(self, dialer: Dialer, home: str) -> None:
        self._dialer, self._home = dialer, home

    async def bring(self, turn: int, wanted: list[dict[str, Any]], sees: bool) -> Brought:
        """Fetch them all, one after the other. `sees`: whether the agent takes pictures."""
        brought, left = Brought([], []), ALL_BYTES
        folder, taken = os.path.join(self._home, FOLDER, str(turn)), set[str]()
        for number, file in enumerate(wanted[:MOST]):
            name = _name(str(file.get("name") or ""), number, taken)
            path = os.path.join(folder, name)
            try:
                size = await self._fetch(str(file.get("path") or ""), path, min(FILE_BYTES, left))
            except Missing as missing:
                brought.lines.append(f"{name} could not be brought into the box: {missing}.")
                continue
            left -= size
            image = _image(path, size) if sees and len(brought.images) < IMAGES else None
            brought.lines.append(f"{path} ({size} bytes{', shown to you as a picture too' if image else ''})")
            if image:
                brought.images.append(image)
        if len(wanted) > MOST:
            brought.lines.append(f"{len(wanted) - MOST} more were left out: {MOST} is the most.")
        return brought

    async def _fetch(self, address: str, path: str, most: int) -> int:
        """One file; how many bytes it has. A gateway that goes away in the middle is asked again."""
        if not address.startswith(PATH):
            raise Missing("the gateway does not say where it is")
        for attempt in range(1, TRIES + 1):
            try:
                return await within(ONE_SECONDS, self._try(address, path, most))
            except asyncio.TimeoutError:  # an OSError in newer Pythons, and no reason to try again
                raise Missing(f"it took longer than {ONE_SECONDS:.0f} seconds") from None
            except (OSError, EOFError, http1.BadHttp) as broken:
                if attempt == TRIES:
                    raise Missing(f"it could not be fetched ({broken or type(broken).__name__})") from broken
            await asyncio.sleep(PAUSE)
        raise AssertionError("the last try returns or raises")

    async def _try(self, address: str, path: str, most: int) -> int:
        wire = await self._dialer.open()
        try:
            head, body = await wire.ask("GET", address)
            if head.status == 503:
                raise ConnectionResetError("the gateway is not ready")
            if head.status != 200:
                raise Missing(await _reason(body))
            return await _write(path, body, most)
        finally:
            wire.close()


async def _write(path: str, body: AsyncIterator[bytes], most: int) -> int:
    """The bytes, in a new file; nothing that lies there is followed."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    size = 0
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb") as file:
        async for piece in body:
            size += len(piece)
            if size > most:
                raise Missing(f"it is larger than {most >> 20} MB, all that may still come")
            file.write(piece)
    return size


async def _reason(body: AsyncIterator[bytes]) -> str:
    """What the gateway says for why not."""
    said = b""
    async for piece in body:
        said += piece[: 4096 - len(said)]
    try:
        return " ".join(str(json.loads(said)["error"]).split())[:300].rstrip(".")
    except (ValueError, KeyError, TypeError):
        return "the gateway did not give it"


def _name(said: str, number: int, taken: set[str]) -> str:
    """A name of its own in its folder."""
    name = os.path.basename(said.replace("\0", "")).strip(". ")[:100] or "file"
    if name in taken:
        name = f"{number + 1}-{name}"
    taken.add(name)
    return name


def _image(path: str, size: int) -> dict[str, Any] | None:
    """The picture as a content block; None for what is none, whatever its name says, or is too large."""
    if not 0 < size <= IMAGE_BYTES:
        return None
    with contextlib.suppress(OSError), open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        data = file.read(IMAGE_BYTES + 1)
        kind = next((kind for magic, kind in MAGIC if data.startswith(magic)), "")
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            kind = "image/webp"
        if kind and len(data) <= IMAGE_BYTES:
            return {"type": "image", "mimeType": kind, "data": binascii.b2a_base64(data, newline=False).decode()}
    return None
