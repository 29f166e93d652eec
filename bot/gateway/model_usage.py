"""What an answer of a model says that it took, read as it streams by; and a guess where it does not say.

`model.py` has one `Meter` for each answer. It holds no more than a line or two of it. Whatever cannot be read is passed
over: an answer is the provider's word to the agent, and this only listens.
"""

import json
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from jobs.records import Spent

LINE_BYTES = 1 << 20  # a longer line is only looked through at its end
END_BYTES = 16 << 10
PACKED, PIECE = ("gzip", "x-gzip", "deflate"), 64 << 10
MOST = 1 << 40  # tokens; more is nonsense
BYTES_OF_TOKEN = 4
BEGINS = b'"message_start"'  # Anthropic tells what it read at the beginning
TELLS = re.compile(rb'"usage(?:Metadata)?"\s*:\s*\{')
_USAGE = re.compile(rb'"usage(?:Metadata)?"\s*:\s*(\{(?:[^{}]|\{[^{}]*\})*\})')
Json = dict[str, Any]


class Meter:
    """Listens to one answer. `streamed`: as server-sent events; else one body. `sent`: bytes of the request.

    `packed`: its Content-Encoding, should a provider pack an answer that it was asked for unpacked.
    """

    def __init__(self, protocol: str, *, streamed: bool, sent: int, packed: str = "") -> None:
        self._read, self._streamed, self._sent = _READERS[protocol], streamed, sent
        self._held = b""
        self._first: bytes | None = None
        self._last: bytes | None = None
        self._events = 0
        self._unpacking = zlib.decompressobj(32 + zlib.MAX_WBITS) if packed.lower() in PACKED else None
        self.bytes = 0

    def look(self, piece: bytes) -> None:
        """The next piece, as it came."""
        if self._unpacking is None:
            self._look(piece)
            return
        try:
            self._look_into(piece, self._unpacking)
        except zlib.error:  # it is not what it says: what comes of it is guessed
            self._unpacking = None

    def _look_into(self, piece: bytes, unpacking: "zlib._Decompress") -> None:
        inside = bytes(PIECE)
        while piece or len(inside) == PIECE:  # a full one may have had more behind it
            inside = unpacking.decompress(piece, PIECE)
            self._look(inside)
            piece = unpacking.unconsumed_tail

    def _look(self, piece: bytes) -> None:
        self.bytes += len(piece)
        if not self._streamed:
            self._held = (self._held + piece)[-LINE_BYTES:]
            return
        self._events += piece.count(b"data:")
        if b"\n" not in piece:
            self._held = (self._held + piece)[-LINE_BYTES:]
            return
        lines = (self._held + piece).split(b"\n")
        self._held = lines.pop()[-LINE_BYTES:]
        for line in lines:
            if TELLS.search(line):
                self._keep(line)

    def _keep(self, line: bytes) -> None:
        short = line if len(line) <= LINE_BYTES else line[-END_BYTES:]
        if self._first is None:
            self._first = short
        else:
            self._last = short

    def spent(self) -> tuple[Spent, float | None]:
        """What it took, without a price; and dollars, if the provider itself has told them."""
        if self._streamed and TELLS.search(self._held):
            self._keep(self._held)
        lines = [self._held] if not self._streamed else [line for line in (self._first, self._last) if line]
        told = [found for line in lines for found in _usages(line)]
        if not told:
            return self._guess(), None
        whole = {name: value for usage in told for name, value in usage.items() if value is not None}
        spent = self._read(whole)
        if self._streamed and self._last is None and BEGINS in lines[0]:  # cut before it told of its words
            spent = spent._replace(output=max(spent.output, self._events))
        return spent, _dollars(whole)

    def _guess(self) -> Spent:
        """An answer that was cut, or that says nothing of it, has still been paid for: a token for each event, or for
        each few bytes."""
        output = (self._streamed and self._events) or self.bytes // BYTES_OF_TOKEN
        return Spent(input=self._sent // BYTES_OF_TOKEN, output=output)


def _usages(line: bytes) -> list[Json]:
    """The usage objects of a line or a body, by its place if it can be parsed, else by its look."""
    text = line.removeprefix(b"data:").strip()
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return _by_look(line[-END_BYTES:])
    if isinstance(told, list):
        told = told[-1] if told else None
    found = []
    for place in (told, _part(told, "message"), _part(told, "response")):
        found += [usage for name in ("usage", "usageMetadata") if isinstance(usage := _part(place, name), dict)]
    return found


def _by_look(line: bytes) -> list[Json]:
    for raw in reversed(_USAGE.findall(line)):
        try:
            told = json.loads(raw)
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict):
            return [told]
    return []


def _part(told: object, name: str) -> object:
    return told.get(name) if isinstance(told, dict) else None


def _count(usage: object, *names: str) -> int:
    """The first of these numbers that is there and makes sense."""
    for name in names:
        value = _part(usage, name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST:
            return value
    return 0


def _dollars(usage: Json) -> float | None:
    """Some servers between us and providers tell what a request cost (OpenRouter: `usage.cost`)."""
    value = usage.get("cost")
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value <= 10_000 else None


def _anthropic(usage: Json) -> Spent:
    """`input_tokens` leaves out what the cache gave or took."""
    return Spent(
        input=_count(usage, "input_tokens"),
        cached=_count(usage, "cache_read_input_tokens"),
        written=_count(usage, "cache_creation_input_tokens"),
        output=_count(usage, "output_tokens"),
    )


def _openai(usage: Json) -> Spent:
    """Chat Completions and Responses: the input's number has what was cached in it."""
    details = _part(usage, "prompt_tokens_details") or _part(usage, "input_tokens_details")
    cached, written = _count(details, "cached_tokens"), _count(details, "cache_write_tokens")
    read = _count(usage, "prompt_tokens", "input_tokens")
    output = _count(usage, "completion_tokens", "output_tokens")
    return Spent(input=max(0, read - cached - written), cached=cached, written=written, output=output)


def _gemini(usage: Json) -> Spent:
    """Thoughts are paid for like words, and stand beside them."""
    cached = _count(usage, "cachedContentTokenCount")
    read = _count(usage, "promptTokenCount") + _count(usage, "toolUsePromptTokenCount")
    output = _count(usage, "candidatesTokenCount") + _count(usage, "thoughtsTokenCount")
    return Spent(input=max(0, read - cached), cached=cached, output=output)


_READERS: Mapping[str, Callable[[Json], Spent]] = {"anthropic": _anthropic, "openai": _openai, "gemini": _gemini}
