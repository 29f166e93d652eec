"""What comes up a link, read and bounded: bodies and batches of frames (docs/wire.md). `link.py` calls it.

Everything here was written by a box. What the wire does not allow raises `Refusal`, naming the frame if there is one.
"""

import asyncio
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from aiohttp import web
from pydantic import ValidationError

from bot.gateway.access import Refusal
from jobs.frames import AnyFrame, frame_from_wire

UP_BYTES = 1 << 20
ATTACH_BYTES = 4 << 10
BATCH_FRAMES = 256
PIECE_FRAMES = 8
BODY_SECONDS = 20.0  # a runner has given up long before
LARGEST = 1 << 53  # numbers that every reader of JSON keeps exact


async def body_of(request: web.Request, limit: int) -> dict[str, Any]:
    """The request's JSON object, if it is one and no longer than `limit` bytes."""
    if request.content_length is not None and request.content_length > limit:
        raise Refusal(413, f"a body may have at most {limit} bytes")
    raw = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.content.iter_any():
                raw += piece
                if len(raw) > limit:
                    raise Refusal(413, f"a body may have at most {limit} bytes")
    except ConnectionError:
        raise Refusal(400, "the body was cut") from None
    except TimeoutError:
        raise Refusal(408, "the body took too long to come") from None
    try:
        found = json.loads(raw, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise Refusal(400, "the body must be a JSON object")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def number(fields: Any, name: str) -> int:
    """A whole number from 0, as JSON or as a query has it."""
    value = fields.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(LARGEST)):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST:
        raise Refusal(400, f"{name} must be a whole number")
    return value


def pieces_of(body: dict[str, Any]) -> Iterator[list[AnyFrame]]:
    """The frames of a batch, checked, in short pieces: others have their turn between them."""
    raw = body.get("frames")
    if not isinstance(raw, list) or not 1 <= len(raw) <= BATCH_FRAMES:
        raise Refusal(400, f"frames must be a list of 1 to {BATCH_FRAMES}")
    for first in range(0, len(raw), PIECE_FRAMES):
        yield [_frame(one) for one in raw[first : first + PIECE_FRAMES]]


def _frame(raw: object) -> AnyFrame:
    with _blamed(raw):
        frame = frame_from_wire(raw)
    if not math.isfinite(frame.at) or frame.n > LARGEST:
        raise Refusal(400, "a frame's at and n must be ordinary numbers", _number_of(raw))
    return frame


@contextmanager
def _blamed(raw: object) -> Iterator[None]:
    """Say what is wrong with a frame, and with which, but nothing of what it holds."""
    try:
        yield
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:100]
        raise Refusal(400, f"{where or 'frame'}: {first['msg'][:150]}", _number_of(raw)) from None


def _number_of(raw: object) -> int | None:
    n = raw.get("n") if isinstance(raw, dict) else None
    return n if isinstance(n, int) and not isinstance(n, bool) and 0 < n <= LARGEST else None
