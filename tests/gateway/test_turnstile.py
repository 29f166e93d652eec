"""When thousands call at once: whose turn it is, and when the others are to come."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from bot.gateway.turnstile import AT_ONCE, LEAST_SECONDS, MOST_SECONDS, Turnstile
from tests.gateway.conftest import Site, one_box
from tests.waiting import until

PAUSED_MS = 10_000


def test_a_few_at_a_time_are_served_at_once_and_a_place_that_is_free_is_taken() -> None:
    turns = Turnstile()
    assert [turns.begin(0.0) for _ in range(AT_ONCE)] == [0.0] * AT_ONCE
    assert turns.begin(0.0) > 0
    turns.done(0.1)
    assert turns.begin(0.0) == 0.0


def test_the_others_get_moments_as_far_apart_as_a_turn_takes() -> None:
    turns = Turnstile()
    for _ in range(1000):  # long enough to know how long one takes
        turns.begin(0.0)
        turns.done(0.32)
    for _ in range(AT_ONCE):
        turns.begin(0.0)
    waits = [turns.begin(0.0) for _ in range(100)]
    assert waits[0] == LEAST_SECONDS
    assert waits[99] - waits[0] == pytest.approx(99 * 0.32 / AT_ONCE, rel=0.01)


def test_of_more_than_fit_into_the_longest_wait_no_crowd_is_told_the_same() -> None:
    turns = Turnstile()
    for _ in range(1000):
        turns.begin(0.0)
        turns.done(3.2)
    for _ in range(AT_ONCE):
        turns.begin(0.0)
    waits = [turns.begin(0.0) for _ in range(1000)]
    assert max(waits) <= MOST_SECONDS
    seconds = Counter(int(wait) for wait in waits)
    assert len(seconds) >= MOST_SECONDS - 1 and max(seconds.values()) <= 2 * 1000 / MOST_SECONDS


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.floats(0, 30)), max_size=200))
def test_there_are_never_more_turns_than_allowed_and_nobody_waits_for_ever(
    calls: list[tuple[float, bool, float]],
) -> None:
    turns, now, under_way = Turnstile(), 0.0, 0
    for passed, calling, took in calls:
        now += passed
        if calling:
            wait = turns.begin(now)
            under_way += wait == 0.0
            assert under_way <= AT_ONCE
            assert wait <= MOST_SECONDS
        elif under_way:
            turns.done(took)
            under_way -= 1


async def test_a_box_that_calls_with_too_many_others_is_told_when_to_come(site: Site, redis_url: str) -> None:
    crowd = AT_ONCE * 4
    for number in range(crowd):
        await site.box(f"s{number}", f"t-{number}")
    async with site.gateway() as socket, Redis.from_url(redis_url) as record:

        async def attached(number: int) -> tuple[int, float]:
            async with one_box(socket, f"t-{number}") as box:
                answer = await box.post("/link/attach", {"wire": 1, "generation": 1, "after": 0, "frame": 0})
                return answer.status, answer.body.get("seconds", 0.0)

        await record.client_pause(PAUSED_MS, all=False)  # nothing is written: those whose turn it is stay at it
        calling = [asyncio.create_task(attached(number)) for number in range(crowd)]
        await until(lambda: sum(call.done() for call in calling) == crowd - AT_ONCE)
        assert all(call.result()[0] == 503 and 0 < call.result()[1] <= MOST_SECONDS for call in calling if call.done())
        await record.client_unpause()
        answers = await asyncio.gather(*calling)
        assert [status for status, _ in answers].count(200) == AT_ONCE
        (first, *_) = [number for number, (status, _) in enumerate(answers) if status == 503]
        assert (await attached(first))[0] == 200, "and is served when it comes again"
