"""What a box asks of a model: the body, held whole and bounded, and what is looked at in it.

`model.py` reads one for each request. A body is looked through with patterns, not parsed, for it may be long and the
agent waits; only where that leaves a doubt is it parsed. Neither takes so long at a time that others would wait.
"""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from bot.gateway.pace import Allowance

BODY_BYTES = 64 << 20  # of one request, and of all that one box asks at a time
ALL_BYTES = 512 << 20  # of all boxes together, in one process
SEND_SECONDS = 60.0
BOX_AT_ONCE, BOX_PER_SECOND = 128 << 20, 8 << 20  # bytes of one box: looking through them holds up all others
QUICK_BYTES = 256 << 10  # what may be parsed without a thread
VALUES_MOST = 2_000_000  # in a body that is parsed: in memory each is many times as large
SLICE, OVERLAP = 64 << 10, 4 << 10  # bytes; no key with what it is given is longer than the second
HELD_SECONDS = 0.002  # that one body is looked through while others wait
Pairs = list[tuple[str, Any]]


class _Key:
    """Finds what a key is given. A quotation mark inside a JSON string is escaped, so what looks like a key is one,
    wherever it stands."""

    def __init__(self, name: str, value: bytes) -> None:
        space = rb"\s{0,1000}+"
        self._pattern = re.compile(rb'"%b"%b(?::%b(?:%b|(?=\s))|(?=\s))' % (name.encode(), space, space, value))

    async def values(self, body: bytes, most: int) -> set[bytes]:
        """Those that are there, so many at most. Raises Unclear if one stands too far from its key to be seen."""
        seen: set[bytes] = set()
        async for piece in _slices(body):
            for found in self._pattern.finditer(_LETTER.sub(_plain, piece)):
                if found[1] is None:
                    raise Unclear("The request is full of space. Send it without.")
                seen.add(found[1])
                if len(seen) == most:
                    return seen
        return seen


async def _is_there(pattern: re.Pattern[bytes], body: bytes) -> bool:
    async for piece in _slices(body):
        if pattern.search(piece):
            return True
    return False


async def _slices(body: bytes) -> AsyncIterator[bytes]:
    """A body piece by piece; others get on in between."""
    since = time.monotonic()
    for begin in range(0, len(body), SLICE):
        if time.monotonic() - since > HELD_SECONDS:
            await asyncio.sleep(0)
            since = time.monotonic()
        yield body[begin : begin + SLICE + OVERLAP]


def _plain(letter: re.Match[bytes]) -> bytes:
    return bytes((int(letter[1], 16),))


# Letters may be written as \u0000; nobody does, but somebody who hides a model's name might.
_LETTER = re.compile(rb"\\u00(6[1-9a-fA-F]|7[0-9aA])")
_MODEL = _Key("model", rb'"((?:[^"\\]|\\.){0,300})"')
_BACKGROUND = _Key("background", rb"(true)")
_MODELS = _Key("models", rb"(\[)")
_TOOLS = re.compile(rb'"tools"\s{0,20}:\s{0,20}\[\s{0,20}[{"]')
_STREAM = re.compile(rb'"stream"\s{0,20}:\s{0,20}true')


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
        self.of_box, self._of_all = of_box, of_all
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

    def hold(self, box: str, size: int) -> None:
        """So many more bytes of this box, for which there is room."""
        self._held[box] += size

    def check(self, box: str, size: int) -> None:
        """Raises TooMuch if there is no room for so many more bytes of this box just now."""
        if self._held[box] + size > self.of_box:
            held = f"Requests of this box that are not answered yet have {self._held[box] / (1 << 20):.0f} MB"
            raise TooMuch(f"{held}, and all may have {self.of_box >> 20} MB. Try again.", passing=True)
        if self.held + size > self._of_all:
            raise TooMuch("Shipmate's gateway holds too many long requests just now. Try again.", passing=True)


class Share:
    """What one request holds."""

    def __init__(self, room: Room, box: str) -> None:
        self._room, self._box = room, box
        self.taken = 0

    async def read(self, request: web.Request) -> bytes:
        """The body. Raises TooMuch, before it comes if it says how long it is; TimeoutError if it comes too slowly, for
        others wait for the room."""
        self.check(request.content_length or 0)
        body = bytearray()  # no list: of a body that comes byte by byte it would be many times as large
        async with asyncio.timeout(SEND_SECONDS):
            async for piece in request.content.iter_any():
                self.take(len(piece))
                body += piece
        self._room.check_pace(self._box, len(body), time.monotonic())
        return bytes(body)

    def take(self, size: int) -> None:
        """So many more bytes. Raises TooMuch."""
        self.check(size)
        self._room.hold(self._box, size)
        self.taken += size

    def check(self, size: int) -> None:
        """Raises TooMuch if this request may not have so many more bytes."""
        if self.taken + size > self._room.of_box:
            raise TooMuch(f"A request may have at most {self._room.of_box >> 20} MB.")
        self._room.check(self._box, size)


async def offers_tools(body: bytes) -> bool:
    """Whether tools are on offer: a request for work, not for a title. (A list of that name in a deeper object does as
    well: no more than a time is noted by it.)"""
    return await _is_there(_TOOLS, body)


async def wants_stream(body: bytes) -> bool:
    """Whether the answer is to stream."""
    return await _is_there(_STREAM, body)


async def is_left_running(body: bytes) -> bool:
    """Whether the provider is to go on with it after it has answered (Responses): nobody would hear what that took."""
    return bool(await _BACKGROUND.values(body, 1))


async def model_of(body: bytes) -> str:
    """The model that a body names; "" if it names none. Raises Unclear where readers of JSON could differ about it."""
    names = await _MODEL.values(body, 2)
    if len(names) == 1:
        return _text(names.pop())
    if not names:
        return ""
    return _model_in(await _outermost(body))


async def names_more_models(body: bytes) -> bool:
    """Whether a body names others to fall back to (OpenRouter): which of them answers nobody would know."""
    return bool(await _MODELS.values(body, 1)) and any(name == "models" for name, _ in await _outermost(body))


def _text(raw: bytes) -> str:
    try:
        found = json.loads(b'"' + raw + b'"')
    except ValueError:
        return ""
    return found if isinstance(found, str) else ""


async def _outermost(body: bytes) -> Pairs:
    """The outermost object of a body, name by name. Raises Unclear."""
    values = 0
    async for piece in _slices(body):
        values += sum(map(piece.count, (b",", b"[", b"{")))
    if values > VALUES_MOST:
        raise Unclear("The request has too many values to tell its model. Leave `model` out of all that it quotes.")
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
