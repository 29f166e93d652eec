"""Every call that reached the cloud, in order: what a test reads to see what was asked, how often, and what it got."""

import itertools
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

KEPT, MOST_BYTES = 20_000, 16 << 10


@dataclass(slots=True)
class Call:
    """One call. `status`: what it was answered, "" while it is not; `key`: the same for all attempts of one wish."""

    number: int
    rpc: str
    at: float
    request: Message | None = None
    key: str = ""
    status: str = ""
    fault: str = ""
    seconds: float = 0.0

    def told(self) -> dict[str, Any]:
        """The call as JSON has it; bytes are base64 there."""
        request = {} if self.request is None else MessageToDict(self.request, preserving_proto_field_name=True)
        facts = {"number": self.number, "rpc": self.rpc, "at": self.at, "key": self.key, "status": self.status}
        return {**facts, "fault": self.fault, "seconds": self.seconds, "request": request}


class Trace:
    """The newest calls, and how many there were of each."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=KEPT)
        self._numbers = itertools.count(1)
        self.counts: Counter[str] = Counter()
        self.at_once: Counter[str] = Counter()
        self._open: Counter[str] = Counter()

    def reset(self) -> None:
        """Forget all."""
        self._calls.clear()
        self.counts.clear()
        self.at_once.clear()

    def begin(self, rpc: str, at: float, key: str) -> Call:
        """Note a call that has come."""
        call = Call(next(self._numbers), rpc, at, key=key)
        self._calls.append(call)
        self.counts[rpc] += 1
        self._open[rpc] += 1
        self.at_once[rpc] = max(self.at_once[rpc], self._open[rpc])
        return call

    def note(self, call: Call, request: Message) -> None:
        """Keep what a call asked for, but not much of the bytes that it brings."""
        if request.ByteSize() > MOST_BYTES and "data" in request.DESCRIPTOR.fields_by_name:
            kept = type(request)()
            kept.CopyFrom(request)
            kept.data = request.data[:MOST_BYTES]  # type: ignore[attr-defined]
            request = kept
        call.request = request

    def end(self, call: Call, seconds: float) -> None:
        """Note that it is over."""
        call.seconds = seconds
        self._open[call.rpc] -= 1

    def told(self, rpc: str | None, since: int) -> list[dict[str, Any]]:
        """Calls after number `since`, of one name or of all."""
        return [call.told() for call in self._calls if call.number > since and rpc in (None, call.rpc)]
