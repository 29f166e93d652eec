"""Clocks that are stepped by an hour, or are not the same everywhere: nobody waits for it, nothing happens twice."""

from collections.abc import Callable

import pytest

from jobs import commands as c
from jobs.decide import decide
from jobs.session import Rules, Session, Status
from jobs.store import Store
from jobs.wants import wants
from tests.jobs import test_commands as given_a
from tests.logs import Log, done

HOUR = 3_600.0
RULES = Rules()
DUE_AFTER_THE_CLOCK_WAS_PUT_BACK: dict[str, Callable[[], Log]] = {
    "start": given_a.waiting,
    "start, after one that failed": lambda: given_a.booting().do(c.FailStart(1, "no space", 8.0)),
    "start, after one that was lost": given_a.booting,
    "park": lambda: done().do(c.BeginPark(1)),
    "park, after one that failed": lambda: done().do(c.BeginPark(1)).do(c.FailPark(1, "busy", 5.0)),
    "publish": given_a.idle,
    "publish, after one that failed": lambda: given_a.publishing().do(c.FailPublish(given_a.PUSHED, "down", 30.0)),
    "publish, after one that was lost": given_a.publishing,
}
TO_BEGIN = {"start": lambda s: c.BeginStart(s.generation), "park": lambda s: c.BeginPark(s.generation)}


def session_of(log: Log) -> Session:
    assert log.session is not None
    return log.session


@pytest.mark.parametrize("what", DUE_AFTER_THE_CLOCK_WAS_PUT_BACK)
def test_nobody_waits_for_the_hour_that_the_clock_was_put_back(what: str) -> None:
    log = DUE_AFTER_THE_CLOCK_WAS_PUT_BACK[what]()
    session, now = session_of(log), log.now - HOUR
    kind = what.partition(",")[0]
    assert kind in {operation.kind for operation in wants(session, now, RULES)}
    begin = TO_BEGIN[kind](session) if kind in TO_BEGIN else c.BeginPublish()
    assert decide(session, begin, now, RULES), "and who does it is not refused"


@pytest.mark.parametrize("skew", [-5.0, 5.0])
@pytest.mark.parametrize(
    ("kind", "log"),
    [("start", given_a.booting), ("publish", given_a.publishing), ("park", lambda: done().do(c.BeginPark(1)))],
    ids=["start", "publish", "park"],
)
def test_clocks_that_differ_by_seconds_take_no_work_from_who_is_at_it(
    kind: str, log: Callable[[], Log], skew: float
) -> None:
    at_it = log()
    assert kind not in {operation.kind for operation in wants(session_of(at_it), at_it.now + skew, RULES)}


def test_a_clock_put_forward_parks_what_is_idle_and_keeps_what_is_there() -> None:
    log = done()
    assert [operation.kind for operation in wants(session_of(log), log.now + HOUR, RULES)] == ["park"]
    after = session_of(log.do(c.BeginPark(1), after=HOUR).do(c.FinishPark(1, "snap")).ask(2))
    assert after.status is Status.WAITING and after.snapshot == "snap"


def test_a_clock_put_forward_ends_a_turn_only_as_its_time_limit_would() -> None:
    log = given_a.working()
    [asked] = decide(session_of(log), c.Tick(), log.now + HOUR, RULES)
    assert asked.kind == "stop_requested" and asked.by is None
    assert decide(session_of(log), c.Tick(), log.now - HOUR, RULES) == ()


async def test_leases_and_budgets_go_by_the_records_clock_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await store.lease("thread:s1", "one", 60.0)
    assert await store.spend("calls", 1, 60.0) == 0.0
    for step in (HOUR, -HOUR):
        monkeypatch.setattr("time.time", lambda step=step: 1_800_000_000.0 + step)
        assert not await store.lease("thread:s1", "another", 60.0)
        assert await store.lease("thread:s1", "one", 60.0)
        assert 0.0 < await store.spend("calls", 1, 60.0) <= 60.0
