"""A long log is read in pieces, between which others have their turn, and shows what it shows when read at once."""

import pytest

from bot.folding import PIECE, view_of
from bot.view import fold_view
from jobs import frames as f
from jobs.events import Event
from tests.logs import SID, Log


class Kept:
    """A record of one log, which remembers what it was asked for."""

    def __init__(self, events: list[Event]) -> None:
        self._events, self.asked = events, list[int]()

    async def events(self, sid: str, after: int = 0, most: int | None = None) -> list[Event]:
        assert sid == SID and most == PIECE
        self.asked.append(after)
        return self._events[after : after + most]


@pytest.mark.parametrize("steps", [0, PIECE, 3 * PIECE + 7])
async def test_a_log_read_in_pieces_shows_what_it_shows_at_once(steps: int) -> None:
    log = Log().ask().boot().ready().work()
    log.hear(*(f.Step(n=9 + n, at=0, kind="step", turn=1, title=f"step {n}") for n in range(steps)))
    kept = Kept(log.events)
    view = await view_of(kept, SID)
    assert view == fold_view(log.events)
    assert kept.asked == list(range(0, len(log.events) + 1, PIECE))
    assert await view_of(kept, SID, view) is view, "nothing is new"


async def test_no_log_is_no_view() -> None:
    assert await view_of(Kept([]), SID) is None
