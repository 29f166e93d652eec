"""How long boxes were there and what that costs, from logs; the sums are checked by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import events as e
from jobs.box_costs import HOUR, MODAL, Rates, Size, Use, estimate, stays, use_of
from jobs.events import Event
from tests.jobs.stories import STORIES

SIZE, RATES = Size(2, 4), Rates(0.5, 0.25)  # two dollars a second


def began(at: float, generation: int = 1) -> list[Event]:
    return [
        e.StartBegan(at=at, generation=generation, box=f"b-{generation}"),
        e.BoxStarted(at=at + 1, generation=generation, box=f"b-{generation}", start="cold"),
    ]


def turn(begins: float, ends: float) -> list[Event]:
    return [
        e.PromptDelivered(at=begins, generation=1, turn=1, prompt_id="1"),
        e.TurnEnded(at=ends, turn=1, outcome="done", cost=0.25),
    ]


def parked(at: float) -> Event:
    return e.BoxParked(at=at, generation=1, snapshot=None)


def lost(at: float) -> Event:
    return e.BoxLost(at=at, generation=1, reason="killed")


DELIVERED = e.PromptDelivered(at=120, generation=1, turn=1, prompt_id="1")
FAILED = e.StartFailed(at=105, generation=1, reason="full", retry_at=0)
CASES = {
    "nothing yet": ([], []),
    "a box that could not be made": ([began(100)[0], FAILED], []),
    "a box that is there": (began(100), [(100, 900, 0, False)]),
    "put to sleep after a turn": ([*began(100), *turn(120, 150), parked(400)], [(100, 300, 30, True)]),
    "lost in mid-turn": ([*began(100), DELIVERED, lost(130)], [(100, 30, 10, True)]),
    "still at work": ([*began(100), DELIVERED], [(100, 900, 880, False)]),
    "two boxes": ([*began(100), parked(200), *began(500, 2)], [(100, 100, 0, True), (500, 500, 0, False)]),
    "replaced without a word": ([*began(100), *began(500, 2)], [(100, 400, 0, True), (500, 500, 0, False)]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_box_counts_from_its_making_to_its_end(case: str) -> None:
    events, expected = CASES[case]
    assert [tuple(stay) for stay in stays(events, now=1000)] == expected


def test_a_session_is_the_sum_of_its_boxes() -> None:
    events = [*began(0), *turn(10, 40), parked(100), *began(200, 2), *turn(210, 230), parked(260)]
    assert use_of(events, now=1000) == Use(boxes=2, seconds=160, at_work=50, turns=2, model=0.5)


def test_an_estimate_is_of_the_sessions_that_had_a_box() -> None:
    uses = [Use(1, float(seconds), seconds / 2, 1, 0.1) for seconds in range(1, 101)] + [Use(0, 0, 0, 0, 0)]
    found = estimate(uses, SIZE, RATES)
    assert (found.sessions, found.seconds, found.seconds_p50, found.seconds_p95) == (100, 5050, 50, 95)
    assert (found.dollars_p50, found.dollars_p95, found.dollars) == (100, 190, 10100)
    assert found.dollars_of_thousand == 101_000
    assert found.idle_share == 0.5


def test_of_nothing_the_estimate_is_nothing() -> None:
    assert estimate([], SIZE, RATES).dollars_of_thousand == 0


def test_an_hour_at_the_rates_that_are_known() -> None:
    assert Size(1, 0).dollars(HOUR, MODAL) == pytest.approx(0.1419)
    assert Size(0, 1).dollars(HOUR, MODAL) == pytest.approx(0.024, abs=0.0001)


@pytest.mark.parametrize("story", STORIES)
def test_every_story_has_stays_that_can_be(story: str) -> None:
    events = STORIES[story].events
    now = events[-1].at + 60
    for stay in stays(events, now):
        assert 0 <= stay.at_work <= stay.seconds <= now


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**6)), min_size=1, max_size=50))
def test_more_time_never_costs_less(times: list[tuple[int, int]]) -> None:
    uses = [Use(1, seconds, min(seconds, at_work), 1, 0) for seconds, at_work in times]
    longer = [use._replace(seconds=use.seconds + 1) for use in uses]
    before, after = estimate(uses, SIZE, RATES), estimate(longer, SIZE, RATES)
    assert before.dollars < after.dollars
    assert before.dollars_p50 <= before.dollars_p95 <= before.dollars
    assert 0 <= before.idle_share <= 1
