"""What a box asks of a model: the body, held whole and bounded, and what is looked at in it.

`model.py` reads one for each request. A body is looked through with patterns, not parsed, for it may be long and the
agent waits; only where that leaves a doubt is it parsed.
"""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from bot.gateway.pace import Allowance

BODY_BYTES = 64 << 20  # of one request, and of all that one box asks at a time
ALL_BYTES = 512 << 20  # of all boxes together, in one process
SEND_SECONDS = 60.0
BOX_AT_ONCE, BOX_PER_SECOND = 128 << 20, 8 << 20  # bytes of one box: looking through them holds up all others
QUICK_BYTES = 256 << 10  # what may be parsed without a thread
# A quotation mark inside a JSON string is escaped, so what looks like a key is one, wherever it stands. Letters of a
# key may be written as \u0000; nobody does, but somebody who hides a model's name might.
Pairs = list[tuple[str, Any]]
_OFFER = re.compile(rb'"tools"\s{0,20}:\s{0,20}\[\s{0,20}[{"]')
_STREAM = re.compile(rb'"stream"\s{0,20}:\s{0,20}true')


class _Key:
    """Finds what a key is given, however its letters are written. The plain way of writing is found faster."""

    def __init__(self, name: str, value: bytes) -> None:
        letters = (rb"(?:%c|\\u00(?i:%02x))" % (letter, letter) for letter in name.encode())
        self._plain = re.compile(b'"' + name.encode() + rb'"\s*:\s*' + value)
        self._any = re.compile(b'"' + b"".join(letters) + rb'"\s*:\s*' + value)

    def values(self, body: bytes) -> list[bytes]:
        """All that are there."""
        found: list[bytes] = (self._any if b"\\u00" in body else self._plain).findall(body)
        return found


_MODEL = _Key("model", rb'"((?:[^"\\]|\\.){0,300})"')
_BACKGROUND = _Key("background", rb"(true)")
_MODELS = _Key("models", rb"(\[)")


class TooMuch(Exception):
    """A body that is not taken; the message is a sentence. `passing`: there may be room in a moment."""

    def __init__(self, said: str, passing: bool = False) -> None:
        super().__init__(said)
        self.passing = passing


class Unclear(Exception):
    """A body that does not say which model it is for; the message is a sentence."""


class Room:
    """How much of boxes' requests is held in this process."""

    def __init__(self, of_box: int = BODY_BYTES, of_all: int = ALL_BYTES) -> None:
        self._of_box, self._of_all = of_box, of_all
        self._held: Counter[str] = Counter()
        self._pace = Allowance(BOX_AT_ONCE, BOX_PER_SECOND)

    @property
    def held(self) -> int:
        """Bytes."""
        return self._held.total()

    @contextmanager
    def share(self, box: str) -> Iterator["Share"]:
        """A box's share, given back at the end."""
        share = Share(self, box)
        try:
            yield share
        finally:
            self._held[box] -= share.taken
            if self._held[box] <= 0:
                del self._held[box]

    def check_pace(self, box: str, size: int, now: float) -> None:
        """Raises TooMuch for a box that sends one long body after the other."""
        if not self._pace.allows(box, now, size):
            raise TooMuch("This box has sent too much in too short a time. Try again in some seconds.", passing=True)

    def take(self, box: str, size: int) -> None:
        """Raises TooMuch."""
        if self._held[box] + size > self._of_box:
            raise TooMuch(f"A request may have at most {self._of_box >> 20} MB, and all at a time no more than that.")
        if self.held + size > self._of_all:
            raise TooMuch("Shipmate's gateway holds too many long requests just now. Try again.", passing=True)
        self._held[box] += size


class Share:
    """What one request holds."""

    def __init__(self, room: Room, box: str) -> None:
        self._room, self._box = room, box
        self.taken = 0

    async def read(self, request: web.Request) -> bytes:
        """The body. Raises TooMuch; TimeoutError if it comes too slowly, for others wait for the room."""
        if request.content_length is not None and request.content_length > BODY_BYTES:
            raise TooMuch(f"A request may have at most {BODY_BYTES >> 20} MB.")
        body = bytearray()  # no list: of a body that comes byte by byte it would be many times as large
        async with asyncio.timeout(SEND_SECONDS):
            async for piece in request.content.iter_any():
                self._room.take(self._box, len(piece))
                self.taken += len(piece)
                body += piece
        self._room.check_pace(self._box, len(body), time.monotonic())
        return bytes(body)


def offers_tools(body: bytes) -> bool:
    """Whether tools are on offer: a request for work, not for a title. (A list of that name in a deeper object does as
    well: no more than a time is noted by it.)"""
    return _OFFER.search(body) is not None


def wants_stream(body: bytes) -> bool:
    """Whether the answer is to stream."""
    return _STREAM.search(body) is not None


def is_left_running(body: bytes) -> bool:
    """Whether the provider is to go on with it after it has answered (Responses): nobody would hear what that took."""
    return bool(_BACKGROUND.values(body))


async def model_of(body: bytes) -> str:
    """The model that a body names; "" if it names none. Raises Unclear where readers of JSON could differ about it."""
    names = set(_MODEL.values(body))
    if len(names) == 1:
        return _text(names.pop())
    if not names:
        return ""
    return _model_in(await _outermost(body))


async def names_more_models(body: bytes) -> bool:
    """Whether a body names others to fall back to (OpenRouter): which of them answers nobody would know."""
    return bool(_MODELS.values(body)) and any(name == "models" for name, _ in await _outermost(body))


def _text(raw: bytes) -> str:
    try:
        found = json.loads(b'"' + raw + b'"')
    except ValueError:
        return ""
    return found if isinstance(found, str) else ""


async def _outermost(body: bytes) -> Pairs:
    """The outermost object of a body, name by name. Raises Unclear."""
    return _pairs(body) if len(body) <= QUICK_BYTES else await asyncio.to_thread(_pairs, body)


def _pairs(body: bytes) -> Pairs:
    last: Pairs = []

    def keep(pairs: Pairs) -> dict[str, Any]:
        nonlocal last
        last = pairs  # the outermost object is the last that is read
        return dict(pairs)

    try:
        told = json.loads(body, object_pairs_hook=keep)
    except (ValueError, RecursionError):
        raise Unclear("The request is not JSON.") from None
    if not isinstance(told, dict):
        raise Unclear("The request must be a JSON object.")
    return last


def _model_in(pairs: Pairs) -> str:
    found = [value for name, value in pairs if name == "model"]
    if len(found) > 1:
        raise Unclear("The request names its model more than once.")
    return found[0] if found and isinstance(found[0], str) else ""
