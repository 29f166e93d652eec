"""What is due, and when: for each status the way out of it, so that no session stays in one for ever."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import commands as c
from jobs.commands_family import FinishHanding, FinishReport
from jobs.commands_snapshots import FailSnapshot
from jobs.decide import decide
from jobs.family import BUDGET, STOP
from jobs.fold import fold
from jobs.queue import QUEUES
from jobs.session import Rules, Session, Status
from jobs.wants import Operation, wants
from tests.jobs import test_commands as given_a
from tests.logs import Log, any_log, done

S = Status
RULES = Rules(
    idle_seconds=900, turn_seconds=1_800, stop_seconds=20, start_seconds=120, connect_seconds=420, park_seconds=100,
    publish_seconds=110, close_seconds=30 * 86_400, max_failures=4,
)  # fmt: skip


def session_of(log: Log) -> Session:
    assert log.session is not None
    return log.session


DUE = [
    # status, how it came to be, after how long, what is due
    (S.WAITING, given_a.waiting, 0, [("start", 0)]),
    (S.BOOTING, given_a.booting, 120, []),
    (S.BOOTING, given_a.booting, 121, [("start", 1)]),
    (S.CONNECTING, given_a.connecting, 419, []),
    (S.CONNECTING, given_a.connecting, 420, [("park", 1)]),
    (S.PREPARING, given_a.preparing, 419, []),
    (S.PREPARING, given_a.preparing, 420, [("park", 1)]),
    (S.WORKING, given_a.working, 86_000, []),
    (S.WORKING, given_a.working, 86_400, [("park", 1)]),
    (S.STOPPING, given_a.stopping, 19, []),
    (S.STOPPING, given_a.stopping, 20, [("park", 1)]),
    (S.IDLE, done, 899, [("snapshot", 1)]),
    (S.IDLE, done, 900, [("park", 1)]),
    (S.IDLE, given_a.idle, 0, [("snapshot", 1), ("publish", 1)]),
    (S.PARKING, lambda: done().do(c.BeginPark(1)), 99, []),
    (S.PARKING, lambda: done().do(c.BeginPark(1)), 100, [("park", 1)]),
    (S.FAILED, given_a.unready, 0, [("park", 1)]),
    (S.FAILED, given_a.failed, 1_000_000, []),
    (S.ASLEEP, lambda: done().do(c.BeginPark(1)).do(c.FinishPark(1, "snap")), 1_000_000, []),
    (S.ASLEEP, given_a.asleep, 0, [("publish", 1)]),
    (S.ASKING, given_a.asking, 1_000_000, []),
    (S.CLOSED, given_a.closed, 1_000_000, []),
]


@pytest.mark.parametrize(("status", "log", "after", "due"), DUE)
def test_in_each_status_an_operation_is_due_after_its_time(
    status: Status, log: "type[Log]", after: float, due: list[tuple[str, int]]
) -> None:
    session = session_of(log())
    assert session.status is status
    assert [(o.kind, o.generation) for o in wants(session, session.since + after, RULES)] == due


TIME_ALONE = [
    # what becomes of a session when time goes by and nobody does anything
    (S.ASKING, given_a.asking, RULES.close_seconds, "prompt_withdrawn session_closed"),
    (S.ASLEEP, lambda: done().do(c.BeginPark(1)).do(c.FinishPark(1, "snap")), RULES.close_seconds, "session_closed"),
    (S.FAILED, given_a.failed, RULES.close_seconds, "session_closed"),
    (S.WORKING, given_a.working, RULES.turn_seconds + RULES.stop_seconds, "stop_requested"),
]


@pytest.mark.parametrize(("status", "log", "after", "kinds"), TIME_ALONE)
def test_in_the_other_statuses_time_alone_leads_on(status: Status, log: "type[Log]", after: float, kinds: str) -> None:
    session = session_of(log())
    assert session.status is status
    began = session.turn.began if session.turn else session.since
    assert decide(session, c.Tick(), began + after, RULES) == ()
    assert " ".join(event.kind for event in decide(session, c.Tick(), began + after + 1, RULES)) == kinds


def test_every_status_that_lasts_has_a_way_out() -> None:
    shown = {row[0] for row in DUE if row[3]} | {row[0] for row in TIME_ALONE}
    assert shown == set(Status) - {S.OPENED, S.CLOSED}  # the first is left in the same breath, the last by a prompt


@given(st.integers(0, 10_000))
@settings(max_examples=100, deadline=None)
def test_whatever_happened_a_session_is_at_rest_or_time_brings_it_on(seed: int) -> None:
    session = fold(any_log(seed))
    assert session is not None
    session = follow(session, c.AwaitBox(0), session.since)  # the queue for boxes moves on
    began = max(session.since, session.retry_at, session.publish_retry_at or 0.0)
    later = began + RULES.close_seconds + RULES.turn_seconds + RULES.connect_seconds
    due = wants(session, later, RULES) or decide(session, c.Tick(), later, RULES)
    assert bool(due) or session.status is S.CLOSED


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_with_workers_that_begin_and_die_and_boxes_that_never_call_every_session_comes_to_rest(seed: int) -> None:
    events = any_log(seed)
    session, now = fold(events), events[-1].at
    assert session is not None
    for _ in range(60):
        now += 60.0
        session = follow(follow(session, c.AwaitBox(0), now), c.Tick(), now)
        for operation in wants(session, now, RULES):
            session = attempt(session, operation, now)
        if session.at_rest:
            break
    assert session.at_rest
    assert not session.queue or session.status is S.ASKING or session.paused is not None


def attempt(session: Session, operation: Operation, now: float) -> Session:
    """A worker that puts boxes to sleep well, tells a family what it must, and dies in the middle of the rest."""
    if operation.kind == "start":
        return follow(session, c.BeginStart(session.generation), now)
    if operation.kind == "park":
        parking = follow(session, c.BeginPark(session.generation), now)
        return follow(parking, c.FinishPark(session.generation, None), now)
    if operation.kind == "report":
        assert session.owed is not None
        return follow(session, FinishReport(session.owed.upto), now)
    if operation.kind == "hand":
        for child in session.children:
            for handed in (STOP, BUDGET, child.pending.id if child.pending is not None else ""):
                session = follow(session, FinishHanding(child.id, handed), now)
        return session
    if operation.kind == "snapshot":
        return follow(session, FailSnapshot(session.generation, session.saved.due, "the disk is full", None), now)
    return follow(follow(session, c.BeginPublish(), now), c.FailPublish(session.head, "no rights", None), now)


def follow(session: Session, command: c.Command, now: float) -> Session:
    after = fold(decide(session, command, now, RULES), session)
    assert after is not None
    return after


def test_a_start_that_failed_waits_its_delay_and_is_then_another_job() -> None:
    log = given_a.booting().do(c.FailStart(1, "no space", 8.0))
    session = session_of(log)
    assert wants(session, log.now + 7.9, RULES) == ()
    assert wants(session, log.now + 8, RULES) == (Operation("start", 1, 1),)


def test_after_too_many_failures_no_start_is_due_and_the_prompt_is_given_back() -> None:
    log = Log().ask()
    for generation in range(3):
        log.do(c.BeginStart(generation)).do(c.FailStart(generation + 1, "no space", 8.0))
    log.do(c.BeginStart(3)).do(c.FailStart(4, "no space", 8.0))
    assert [event.kind for event in log.events[-2:]] == ["start_abandoned", "prompt_withdrawn"]
    assert wants(session_of(log), log.now + 1_000, RULES) == ()


def test_boxes_that_die_young_are_given_up_too() -> None:
    log = Log().ask()
    for generation in range(1, 5):
        log.boot().do(c.LoseBox(generation, "its processes ended"))
    assert wants(session_of(log), log.now, RULES) == ()
    log.do(c.Tick())
    assert session_of(log).status is S.FAILED
    assert session_of(log.ask(2)).failures == 0, "a person who asks again gets all the tries"


def test_a_lost_start_is_tried_until_it_was_lost_too_often() -> None:
    log = given_a.booting()
    for generation in range(1, 4):
        log.do(c.Tick(), after=RULES.start_seconds + 1)
        assert wants(session_of(log), log.now, RULES) == (Operation("start", generation, generation - 1),)
        log.do(c.BeginStart(generation), after=0)
    log.do(c.Tick(), after=RULES.start_seconds + 1)
    assert session_of(log).status is S.FAILED


def test_a_park_that_failed_is_another_job_after_its_delay() -> None:
    log = done().do(c.BeginPark(1)).do(c.FailPark(1, "busy", 5.0))
    session = session_of(log)
    assert wants(session, log.now + 4, RULES) == ()
    first = wants(session, log.now + 5, RULES)
    assert [o.kind for o in first] == ["park"]
    log.do(c.BeginPark(1), after=5).do(c.FailPark(1, "busy", 5.0))
    assert wants(session_of(log), log.now + 5, RULES) != first


def others(session: Session, now: float, rules: Rules) -> tuple[Operation, ...]:
    """What is due besides a snapshot."""
    return tuple(operation for operation in wants(session, now, rules) if operation.kind != "snapshot")


def test_publishing_is_due_again_after_its_delay_or_when_its_worker_is_silent_but_not_without_a_person() -> None:
    log = given_a.publishing()
    session = session_of(log)
    assert others(session, log.now + 109, RULES) == ()
    [again] = others(session, log.now + 110, RULES)
    assert again.kind == "publish" and again != Operation("publish", 1, 0), "the silent one's job is in the way"
    log.do(c.FailPublish(given_a.PUSHED, "down", 30.0))
    assert others(session_of(log), log.now + 29, RULES) == ()
    assert others(session_of(log), log.now + 30, RULES) == (Operation("publish", 1, 1),)
    refused = given_a.unpublishable()
    assert others(session_of(refused), refused.now + 500, RULES) == ()


@pytest.mark.parametrize(
    ("log", "kind"),
    [(given_a.waiting, "start"), (done, "park"), (given_a.idle, "publish")],
    ids=["start", "park", "publish"],
)
def test_what_is_due_and_not_begun_is_asked_for_as_another_job_ever_more_rarely(
    log: Callable[[], Log], kind: str
) -> None:
    session = session_of(log())
    began = session.since + (RULES.idle_seconds if kind == "park" else 0)

    def job(seconds: float) -> Operation:
        return next(o for o in wants(session, began + seconds, RULES) if o.kind == kind)

    assert [len({job(s) for s in range(start, end)}) for start, end in ((0, 10), (10, 30), (30, 70))] == [1, 1, 1]
    assert len({job(s) for s in (0, 10, 30, 70)}) == 4
    assert len({job(s) for s in range(86_400)}) <= 15


def test_a_worker_says_that_it_failed_before_it_is_taken_for_lost() -> None:
    rules = Rules()
    assert QUEUES["boxes"].limit < min(rules.start_seconds, rules.park_seconds)
    assert QUEUES["publish"].limit < rules.publish_seconds


def test_a_session_with_work_to_publish_is_not_at_rest_until_a_person_must_act() -> None:
    def asleep(log: Log) -> Session:
        return session_of(log.do(c.BeginPark(1)).do(c.FinishPark(1, "snap")))

    assert not asleep(given_a.idle()).at_rest
    assert asleep(given_a.unpublishable()).at_rest
    assert asleep(done()).at_rest
