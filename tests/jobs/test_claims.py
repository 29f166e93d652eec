"""Who may take a warm box, and what becomes of one that does not answer. Pure."""

import pytest

from jobs import commands as c
from jobs import events as e
from jobs.claims import ANSWER_SECONDS, claimable, claimed
from jobs.decide import decide
from jobs.fold import fold
from jobs.records import Offer
from jobs.session import Session, Status
from tests.logs import RULES, Log

OFFER = Offer("warm-1", "acme/rocket", "rehearsal", "img", True, "hash", "{}")
S = Status


def after(session: Session, *events: e.Event) -> Session:
    folded = fold(events, session)
    assert folded is not None
    return folded


def waiting() -> Session:
    session = Log().ask().session
    assert session is not None
    assert session.status is S.WAITING
    return session


def taken() -> Session:
    session = waiting()
    return after(session, *claimed(session, OFFER, session.since + 1))


def test_a_session_that_waits_for_its_first_box_may_take_one() -> None:
    session = waiting()
    assert claimable(session, session.since)
    assert not claimable(taken(), session.since + 1)


@pytest.mark.parametrize(
    "change",
    [
        {"snapshot": "s"},
        {"lost_box": "b"},
        {"conversation": "c"},
        {"failures": 1},
        {"repository": None},
        {"retry_at": 9e9},
    ],
)
def test_one_that_has_something_to_restore_or_had_trouble_goes_the_usual_way(change: dict[str, object]) -> None:
    session = waiting()
    assert not claimable(session.model_copy(update=change), session.since)


def test_a_claim_is_a_whole_start() -> None:
    session = taken()
    assert (session.status, session.box, session.generation) == (S.CONNECTING, "warm-1", 1)
    assert (session.start, session.isolated) == ("warm", True)


def test_one_that_does_not_answer_is_replaced_by_a_usual_start_and_nothing_of_it_is_restored() -> None:
    session = taken()
    assert decide(session, c.Tick(), session.since + ANSWER_SECONDS, RULES) == ()
    (lost,) = decide(session, c.Tick(), session.since + ANSWER_SECONDS + 0.1, RULES)
    assert isinstance(lost, e.BoxLost)
    replaced = after(session, lost)
    assert (replaced.status, replaced.box, replaced.lost_box) == (S.WAITING, None, None)
    assert not claimable(replaced, lost.at), "the next one may be as dead"


def test_a_box_that_answered_is_waited_for_as_any_other() -> None:
    session = taken()
    session = after(session, e.LinkAttached(at=session.since + 1, generation=1, epoch=1))
    assert decide(session, c.Tick(), session.since + 60, RULES) == ()


def test_what_a_warm_box_left_that_was_at_work_is_restored() -> None:
    session = taken()
    at = session.since
    session = after(
        session,
        e.LinkAttached(at=at, generation=1, epoch=1),
        e.AgentReady(at=at, generation=1, conversation="c", resumed=False, head="h"),
        e.PromptDelivered(at=at, generation=1, turn=1, prompt_id=session.queue[0].id),
        e.BoxLost(at=at, generation=1, reason="killed"),
    )
    assert (session.status, session.lost_box) == (S.WAITING, "warm-1")
