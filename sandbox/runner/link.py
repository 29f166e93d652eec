"""The link to the gateway (docs/wire.md, "Up and down"): attached, cut, attached again, with nothing lost or doubled.

`life.py` runs one `Link`. What comes down is handed to `handle`, each number once; what goes up waits in the outbox.
Liveness is by answer: some seconds without one, and it dials again, for ever, until the token is revoked.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

from sandbox.runner import http1
from sandbox.runner.box import WIRE
from sandbox.runner.dial import Dialer, Wire
from sandbox.runner.outbox import Outbox
from sandbox.runner.within import within

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
FIRST_CALM, LONGEST_CALM = 0.2, 3.0  # of the silence: an answer that came too late may be late for thousands of us
LATEST_PAUSE = 60.0  # the longest that a gateway may have us wait
LINE_BYTES = 8 << 20
NOT_OUR_WIRE = (ValueError, KeyError, TypeError, AttributeError)  # what reading an answer of another shape raises


class Revoked(Exception):
    """The gateway knows this box no more: its token was revoked, or a newer generation took its place."""


class AttachAgain(Exception):
    """This attachment is over; a new one is due."""


class NotNow(Exception):
    """The gateway is busy with others; it said after how many `seconds` to come again."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Link:
    """`handle` is called with every down event, in order, once. `silence`: seconds to wait for an answer."""

    def __init__(
        self,
        dialer: Dialer,
        generation: int,
        outbox: Outbox,
        handle: Callable[[dict[str, Any]], None],
        silence: float,
    ) -> None:
        self._dialer = dialer
        self._generation = generation
        self._outbox = outbox
        self._handle = handle
        self._silence = silence
        self._after = 0
        self._pause = FIRST_PAUSE
        self._calm = FIRST_CALM * silence
        self._up: Wire | None = None

    async def run(self) -> None:
        """Keep attached; returns when the box is revoked."""
        while True:
            pause = 0.0
            try:
                await self._attached()
            except Revoked as revoked:
                print(f"runner: {revoked}", file=sys.stderr)
                return
            except NotNow as busy:
                pause = min(busy.seconds, LATEST_PAUSE)
            except asyncio.TimeoutError:
                self._dialer.complain()
                pause, self._calm = (
                    self._calm * random.uniform(0.5, 1),
                    min(self._calm * 2, LONGEST_CALM * self._silence),
                )
            except (OSError, EOFError, http1.BadHttp, AttachAgain, *NOT_OUR_WIRE):
                self._dialer.complain()
            finally:
                self._hang_up()
            await asyncio.sleep(pause or self._pause * random.uniform(0.5, 1))
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def _attached(self) -> None:
        """Attach and serve both directions until one of them fails."""
        answer = await self._ask(
            "/link/attach",
            {"wire": WIRE, "generation": self._generation, "after": self._after, "frame": self._outbox.last},
        )
        assert answer is not None, "an attach carries no frames"
        epoch = int(answer["epoch"])
        self._outbox.acknowledged(int(answer["acked"]))
        both = [asyncio.ensure_future(self._listen(epoch)), asyncio.ensure_future(self._speak(epoch))]
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _listen(self, epoch: int) -> None:
        """Read down events until the stream ends."""
        wire = await self._dialer.open()
        try:
            path = f"/link/down?epoch={epoch}&after={self._after}"
            head, body = await within(self._silence, wire.ask("GET", path))
            if head.status != 200:
                judge(head.status, await whole(body))
            async for event in events(body, self._silence):
                self._pause, self._calm = FIRST_PAUSE, FIRST_CALM * self._silence  # only now it is known to work
                if event.get("kind") == "replaced":
                    raise AttachAgain
                self._take(event)
        finally:
            wire.close()
        raise ConnectionResetError("the gateway ended the stream")

    def _take(self, event: dict[str, Any]) -> None:
        seq = event.get("seq")
        if isinstance(seq, int) and seq > self._after:
            self._after = seq
            self._handle(event)

    async def _speak(self, epoch: int) -> None:
        """Send frames as they come; one request at a time, and what comes meanwhile makes the next batch."""
        while True:
            await self._outbox.news()
            batch = self._outbox.batch()
            body = b'{"epoch":%d,"frames":[%b]}' % (epoch, b",".join(line for _, line in batch))
            answer = await self._ask("/link/up", body, numbers=[n for n, _ in batch])
            if answer is None:
                continue  # one of them was refused: the rest again
            if int(answer["acked"]) < batch[0][0]:
                raise AttachAgain  # it took nothing of what it was given
            self._outbox.acknowledged(int(answer["acked"]))

    async def _ask(self, path: str, message: Any, numbers: list[int] | None = None) -> dict[str, Any] | None:
        """One POST on the connection that is kept for them; once more on a fresh one if the old one was closed.

        None: one of the frames with these `numbers` was refused for good.
        """
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        fresh = self._up is None
        try:
            head, said = await self._post(path, body)
        except (OSError, http1.BadHttp):
            if fresh:
                raise
            self._hang_up()  # an idle connection may be closed at any time; frames are numbered, so again is safe
            head, said = await self._post(path, body)
        if not head.keeps_alive:
            self._hang_up()
        if head.status in (400, 413) and numbers:
            self._refused(said, numbers)
            return None
        if head.status != 200:
            judge(head.status, said)
        answer = json.loads(said)
        if not isinstance(answer, dict):
            raise ValueError("an answer that is no object")
        return answer

    async def _post(self, path: str, body: bytes) -> tuple[http1.Head, bytes]:
        if self._up is None:
            self._up = await self._dialer.open()
        head, answer = await within(self._silence, self._up.ask("POST", path, body))
        return head, await within(self._silence, whole(answer))

    def _refused(self, said: bytes, numbers: list[int]) -> None:
        try:
            answer = json.loads(said)
            n, why = int(answer.get("n") or numbers[0]), str(answer.get("error", "no reason given"))
        except (ValueError, AttributeError, TypeError):
            n, why = numbers[0], "no reason given"
        self._outbox.refused(n if n in numbers else numbers[0], why)

    def _hang_up(self) -> None:
        if self._up is not None:
            self._up.close()
            self._up = None


def judge(status: int, said: bytes) -> None:
    """Raise what an answer other than 200 means."""
    try:
        told = json.loads(said)
        why, seconds = str(told.get("error", "")), told.get("seconds")
    except (ValueError, AttributeError):
        why, seconds = "", None
    if status == 503 and isinstance(seconds, (int, float)) and seconds > 0:
        raise NotNow(seconds)
    if status == 401:
        raise Revoked("the token was revoked")
    if status == 409 and "generation" in why:
        raise Revoked(why)
    if status == 426:
        print(f"runner: the gateway speaks another wire: {why}", file=sys.stderr)
    raise AttachAgain(why)


async def whole(body: AsyncIterator[bytes]) -> bytes:
    """A body that is no stream."""
    data = bytearray()
    async for piece in body:
        data += piece
        if len(data) > LINE_BYTES:
            raise http1.BadHttp("an answer that is far too long")
    return bytes(data)


async def events(body: AsyncIterator[bytes], silence: float) -> AsyncIterator[dict[str, Any]]:
    """JSON lines of a stream. Raises TimeoutError when nothing, not even a beat, comes for too long."""
    rest = bytearray()
    while True:
        try:
            rest += await within(silence, body.__anext__())
        except StopAsyncIteration:
            return
        *lines, tail = rest.split(b"\n")
        rest = bytearray(tail)
        if len(rest) > LINE_BYTES:
            raise http1.BadHttp("a line that is far too long")
        for line in lines:
            event = json.loads(line) if line.strip() else None
            if isinstance(event, dict):
                yield event
