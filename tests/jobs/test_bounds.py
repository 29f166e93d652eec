"""A log is kept for good, so what a box may put in it has an end."""

from typing import Any

import pytest
from pydantic import ValidationError

from jobs import commands as c
from jobs import frames as f
from jobs.events import Event, Noted, StepStarted, TurnEnded, event_to_json
from jobs.fold import fold
from jobs.frames import frame_from_wire
from jobs.hearing import TOLD_MOST, UNTOLD, events_of
from jobs.session import Session
from tests.logs import GRACE, Log

PLAN: dict[str, Any] = {"n": 1, "at": 0.0, "kind": "plan", "turn": 1}
ENDED: dict[str, Any] = {"n": 1, "at": 0.0, "kind": "turn_ended", "turn": 1, "outcome": "done"}
COMMIT: dict[str, Any] = {"sha": "a" * 40, "subject": "x", "author": "Ada <ada@acme.test>"}

TOO_MUCH = [
    ("a plan's line", PLAN | {"entries": [{"text": "x" * 301}]}),
    ("a plan's lines", PLAN | {"entries": [{"text": "x"}] * 51}),
    ("a subject", ENDED | {"commits": [COMMIT | {"subject": "x" * 301}]}),
    ("a sha", ENDED | {"commits": [COMMIT | {"sha": "a" * 301}]}),
    ("an author", ENDED | {"commits": [COMMIT | {"author": "x" * 401}]}),
    ("a co-author", ENDED | {"commits": [COMMIT | {"co_authors": ["x" * 401]}]}),
    ("co-authors", ENDED | {"commits": [COMMIT | {"co_authors": ["x"] * 51}]}),
    ("commits", ENDED | {"commits": [COMMIT] * 501}),
]


@pytest.mark.parametrize("frame", [row[1] for row in TOO_MUCH], ids=[row[0] for row in TOO_MUCH])
def test_a_frame_beyond_its_bounds_is_refused(frame: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        frame_from_wire(frame)


def test_a_frame_at_its_bounds_is_taken() -> None:
    frame_from_wire(PLAN | {"entries": [{"text": "x" * 300}] * 50})
    commit = COMMIT | {"subject": "x" * 300, "author": "x" * 400, "co_authors": ["x" * 400] * 50}
    frame_from_wire(ENDED | {"commits": [commit]})


def at_work() -> Session:
    session = Log().ask().ask(2, GRACE, "and the docs").boot().ready().session
    assert session is not None and session.turn is not None
    return session


def heard(session: Session, *frames: dict[str, Any]) -> tuple[tuple[Event, ...], Session]:
    events = events_of(session, [frame_from_wire(frame) for frame in frames], 2_000.0)
    return events, fold(events, session) or session


STEP: dict[str, Any] = {"n": 1, "at": 0.0, "kind": "step", "turn": 1, "title": "x" * 300}
FULL_PLAN = PLAN | {"entries": [{"text": "x" * 300}] * 50}
FLOODS = {
    "steps": STEP,
    "plans": FULL_PLAN,
    "restatements": {"n": 1, "at": 0.0, "kind": "restated", "turn": 1, "text": "x" * 2_000},
    "beginnings": {"n": 1, "at": 0.0, "kind": "turn_started", "turn": 1},
    "phases": {"n": 1, "at": 0.0, "kind": "phase", "phase": "syncing"},
    "complaints": {"n": 1, "at": 0.0, "kind": "dropped", "reason": "x" * 2_000},
    "readiness": {"n": 1, "at": 0.0, "kind": "ready", "conversation": "c", "resumed": True, "head": ""},
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_ends_and_is_said_once(flood: str) -> None:
    events, session = heard(at_work(), *[FLOODS[flood]] * (TOLD_MOST + 100))
    assert len(events) <= TOLD_MOST + 1
    assert [event.text for event in events if isinstance(event, Noted)].count(UNTOLD) == 1
    assert sum(len(event_to_json(event)) for event in events) < 12 << 20
    assert heard(session, STEP, FULL_PLAN, FLOODS["complaints"])[0] == ()


def test_after_a_flood_the_turn_ends_and_the_next_one_is_told_again() -> None:
    events, session = heard(at_work(), *[STEP] * (TOLD_MOST + 5), ENDED)
    assert isinstance(events[-1], TurnEnded)
    log = Log()
    log.events = list(Log().ask().ask(2, GRACE, "and the docs").boot().ready().events)
    log.events += [event.model_copy(update={"seq": len(log.events) + n}) for n, event in enumerate(events, 1)]
    log.do(c.Tick())
    assert log.session is not None and log.session.turn is not None and log.session.turn.number == 2
    again = log.hear(f.Step(n=9, at=0, kind="step", turn=2, title="Read", tool="read"))
    assert isinstance(again.events[-1], StepStarted) and again.events[-1].title == "Read"


def test_a_runner_that_does_nothing_but_attach_does_not_fill_the_log() -> None:
    _, session = heard(at_work(), *[STEP] * TOLD_MOST)
    log = Log()
    log.events = [*Log().ask().ask(2, GRACE, "and the docs").boot().ready().events]
    log.events += heard(at_work(), *[STEP] * TOLD_MOST)[0]
    before = len(log.events)
    for epoch in range(2, 50):
        log.do(c.Attach(session.generation, epoch))
    assert len(log.events) == before
