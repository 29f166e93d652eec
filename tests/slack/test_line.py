"""Whoever waits for a budget asks again at a moment of its own."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from bot.slack.line import MOST_SECONDS, Line


class Waiter:
    """Somebody who waits."""


def moments(line: Line, waiters: Iterable[Waiter], now: float = 0.0) -> list[float]:
    return [line.moment("posts", one, now=now, earliest=now + 1, apart=1.0) for one in waiters]


def test_a_thousand_that_wait_ask_one_after_the_other_and_not_all_for_each_call() -> None:
    assert moments(Line(), [Waiter() for _ in range(50)]) == [float(n) for n in range(1, 51)]


def test_who_is_woken_before_its_moment_keeps_it_and_moves_nobody() -> None:
    line, first, second = Line(), Waiter(), Waiter()
    assert moments(line, [first, second]) == [1.0, 2.0]
    assert [moments(line, [second], now=0.1)[0] for _ in range(20)] == [2.0] * 20
    assert moments(line, [Waiter()]) == [3.0]


def test_who_comes_at_its_moment_and_has_to_wait_again_is_put_behind_the_others() -> None:
    line, first, second = Line(), Waiter(), Waiter()
    moments(line, [first, second])
    assert moments(line, [first], now=1.0) == [3.0]


def test_budgets_have_lines_of_their_own() -> None:
    line = Line()
    moments(line, [Waiter() for _ in range(20)])
    assert line.moment("updates", Waiter(), now=0.0, earliest=0.2, apart=0.2) == 0.2


def test_who_has_gone_or_had_its_turn_holds_nobody_up() -> None:
    line, served = Line(), Waiter()
    moments(line, [served, *[Waiter() for _ in range(300)]])
    line.had_its_turn("posts", served)
    assert moments(line, [Waiter()]) == [1.0]


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 5), st.floats(0.01, 5)), max_size=100))
def test_nobody_asks_too_early_or_waits_for_ever(asks: list[tuple[int, float, float]]) -> None:
    line, waiters, now = Line(), [Waiter() for _ in range(10)], 0.0
    for who, passed, least in asks:
        now += passed
        moment = line.moment("posts", waiters[who], now=now, earliest=now + least, apart=1.0)
        assert now + least <= moment or moment == now + MOST_SECONDS
        assert moment <= now + MOST_SECONDS
