"""How long a session's model has been in trouble, and when people should hear of it.

`model.py` says of each answer how it went. Agents try again by themselves, so a provider that stumbles is nobody's
business; one that goes on stumbling is told in the card, and so is the end of it.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

from jobs.events import ModelTrouble
from jobs.records import Grant

OVERLOADED = (429, 503, 529)
# Some begin to stream, 200, and then say that they cannot.
_REFUSES = re.compile(
    rb'^(?:event: ?error\b|data: ?\{\s*"(?:type"\s*:\s*"(?:error|response\.failed)"|error"\s*:\s*\{))', re.MULTILINE
)
_OVERLOADED_WORDS = re.compile(rb"overloaded|rate_limit|RESOURCE_EXHAUSTED|UNAVAILABLE", re.IGNORECASE)
FIRST_BYTES = 4_000
SESSIONS_MOST = 10_000
Tell = Callable[[Grant, ModelTrouble], None]


@dataclass
class _Trouble:
    """Of one session. `told`: people know."""

    kind: ModelTrouble
    timer: asyncio.TimerHandle
    told: bool = False


def status_within(status: int, first: bytes) -> int:
    """The status of an answer that has begun with these bytes, as it would be if the provider had known it then."""
    if status >= 400 or not _REFUSES.search(first[:FIRST_BYTES]):
        return status
    return 529 if _OVERLOADED_WORDS.search(first[:FIRST_BYTES]) else 500


class Troubles:
    """Of all sessions that this process serves. `tell` must not wait."""

    def __init__(self, tell: Tell, long_seconds: float) -> None:
        self._tell, self._long = tell, long_seconds
        self._known: dict[str, _Trouble] = {}

    def answered(self, grant: Grant, status: int) -> None:
        """A provider answered so."""
        if status in OVERLOADED:
            self._failed(grant, "overloaded")
        elif status >= 500:
            self._failed(grant, "unreachable")
        elif status < 400:
            self._went_well(grant)

    def silent(self, grant: Grant) -> None:
        """A provider could not be reached, or did not answer."""
        self._failed(grant, "unreachable")

    def close(self) -> None:
        """Tell nothing any more."""
        for trouble in self._known.values():
            trouble.timer.cancel()
        self._known.clear()

    def _failed(self, grant: Grant, kind: ModelTrouble) -> None:
        known = self._known.get(grant.session)
        if known is not None:
            known.kind = kind
            if known.told:
                self._tell(grant, kind)  # perhaps in another turn than before
            return
        if len(self._known) >= SESSIONS_MOST:
            self._known.pop(next(iter(self._known))).timer.cancel()
        timer = asyncio.get_running_loop().call_later(self._long, self._lasts, grant)
        self._known[grant.session] = _Trouble(kind, timer)

    def _lasts(self, grant: Grant) -> None:
        known = self._known.get(grant.session)
        if known is not None:
            known.told = True
            self._tell(grant, known.kind)

    def _went_well(self, grant: Grant) -> None:
        known = self._known.pop(grant.session, None)
        if known is None:
            return
        known.timer.cancel()
        if known.told:
            self._tell(grant, "")
