"""The fold: what each event makes of a session, and that nothing which `TRANSITIONS` does not know can happen."""

import json
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs import commands as c
from jobs import events as e
from jobs.events import Event, Fact, event_from_json, event_to_json
from jobs.fold import IllegalEvent, apply, fold
from jobs.lifetimes import is_old
from jobs.session import ANY_TIME, TRANSITIONS, Session, Status
from tests.logs import ADA, HEAD, PLACE, RULES, Log, any_log, done, halves

S = Status
KINDS: tuple[type[Fact], ...] = get_args(get_args(Event)[0])
WITH_BOX = {S.CONNECTING, S.PREPARING, S.IDLE, S.WORKING, S.STOPPING, S.PARKING, S.FAILED}
SETTLED = {S.WAITING, S.ASLEEP, S.FAILED}
WITH_TURN = {S.WORKING, S.STOPPING, S.PARKING}
logs = st.integers(0, 10_000).map(any_log)
many = settings(max_examples=100, deadline=None)


def session_in(status: Status) -> Session:
    """Some session in this status, with all that a fold of any event may need."""
    session = done().ask(2).ask(3).session
    assert session is not None
    queue = () if status is S.ASLEEP else session.queue
    box = "b" if status in WITH_BOX else None
    return session.model_copy(update={"status": status, "queue": queue, "box": box})


def some(kind: type[Fact]) -> Fact:
    """An event of this kind, as far as the fold is concerned."""
    fields = {
        "at": 2_000.0, "session": "s", "place": PLACE, "by": None, "agent": "rehearsal", "options": (), "reason": "r",
        "repository": "acme/rocket", "base_branch": "main", "prompt_id": "T1:C1:1.000003", "text": "t", "generation": 1,
        "prompt": e.Prompt(id="T1:C1:1.000009", author=ADA, text="t"), "box": "b", "retry_at": 1.0, "start": "cold",
        "epoch": 1, "phase": "synced", "conversation": "c", "resumed": False, "head": HEAD, "turn": 2, "entries": (),
        "title": "t", "tool": "read", "outcome": "done", "snapshot": "snap", "number": 7, "url": "u", "opened": True,
        "merged": True, "verdict": "approved", "id": "q1", "question": "?", "answer": "yes", "path": "a.png",
        "name": "a.png", "bytes": 1, "digest": "d", "used": 5.1, "limit": 5.0, "more": 5.0, "trouble": "overloaded",
        "child": "c1", "parent": "s", "depth": 1, "model": "", "cause": "p", "waits": True, "upto": 3, "children": 1,
        "position": 2, "comment": 1, "check": "c", "review": 11, "conclusion": "failure", "passed": False,
        "where": e.DiffLines(path="a.py"),
    }  # fmt: skip
    if "number" in kind.model_fields:
        fields["by"] = "grace"
    if kind in (e.QuestionAnswered, e.BudgetRaised, e.BudgetDeclined, e.StopOffered, e.ChildrenStopRequested):
        fields["by"] = ADA
    if kind is e.SessionOpened:
        fields["parent"] = None
    return kind.model_validate({name: value for name, value in fields.items() if name in kind.model_fields})


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not e.SessionOpened])
def test_only_what_the_table_allows_can_happen(status: Status, kind: type[Fact]) -> None:
    before, event = session_in(status), some(kind)
    if kind in ANY_TIME:
        assert apply(before, event).status is status
    elif kind in TRANSITIONS[status]:
        leads_to = TRANSITIONS[status][kind]
        assert apply(before, event).status in (SETTLED if leads_to in (S.WAITING, S.ASLEEP) else {leads_to})
    else:
        with pytest.raises(IllegalEvent, match=f"{event.kind} while {status}"):  # type: ignore[attr-defined]
            apply(before, event)


def test_every_kind_of_event_has_a_place() -> None:
    placed = {kind for row in TRANSITIONS.values() for kind in row} | set(ANY_TIME) | {e.SessionOpened}
    assert placed == set(KINDS)
    assert set(TRANSITIONS) == set(Status)


def test_an_illegal_event_changes_nothing() -> None:
    before = done().session
    assert before is not None
    kept = before.model_dump_json()
    with pytest.raises(IllegalEvent):
        apply(before, e.BoxStarted(at=1, generation=1, box="b", start="cold"))
    assert before.model_dump_json() == kept


def test_a_log_begins_with_its_opening_and_has_only_one() -> None:
    with pytest.raises(IllegalEvent, match="before session_opened"):
        apply(None, e.SessionClosed(at=1, reason="r"))
    opened = Log().ask().events[0]
    with pytest.raises(IllegalEvent, match="opened once"):
        apply(fold([opened]), opened)
    assert fold([]) is None


def test_a_prompt_that_does_not_wait_cannot_be_delivered() -> None:
    idle = done().session
    with pytest.raises(IllegalEvent, match="does not wait"):
        apply(idle, e.PromptDelivered(at=1, generation=1, turn=2, prompt_id="nobody"))


def test_a_session_cannot_be_changed() -> None:
    session = done().session
    assert session is not None
    with pytest.raises(ValidationError):
        session.status = S.CLOSED  # type: ignore[misc]


@many
@given(logs)
def test_a_log_applied_in_two_halves_gives_the_same(events: list[Event]) -> None:
    whole = fold(events)
    for first, second in list(halves(events))[:: max(1, len(events) // 8)]:
        assert fold(second, fold(first)) == whole


@many
@given(logs)
def test_events_and_sessions_go_to_json_and_back(events: list[Event]) -> None:
    assert [event_from_json(event_to_json(event)) for event in events] == events
    session = fold(events)
    assert session is not None
    assert Session.model_validate_json(session.model_dump_json()) == session


def test_fields_of_a_newer_version_are_ignored_and_unknown_events_refused() -> None:
    line = json.loads(event_to_json(e.SessionClosed(at=1, reason="r")))
    assert event_from_json(json.dumps(line | {"colour": "red"})) == e.SessionClosed(at=1, reason="r")
    for wrong in ('{"kind": "session_danced", "at": 1}', "{}", "[]", "not json"):
        with pytest.raises(ValidationError):
            event_from_json(wrong)


@many
@given(logs)
def test_any_commands_and_redeliveries_fold_to_a_legal_session(events: list[Event]) -> None:
    session: Session | None = None
    ended: set[str] = set()
    given_up: set[str] = set()
    for number, event in enumerate(events, 1):
        turn = session.turn if session else None
        given_up |= given_up_by(session, event)
        assert not (isinstance(event, e.PromptDelivered) and event.prompt_id in given_up), "a stop or a no is final"
        session = apply(session, event)
        if isinstance(event, e.PromptWithdrawn):
            ended.add(event.prompt_id)
        if isinstance(event, e.TurnEnded) and turn is not None and event.outcome != "paused":
            ended.add(turn.prompt.id)
        assert session.seq == number
        check_legal(session, ended)
    assert session is not None
    deliverable = session.status is S.IDLE and session.queue and session.paused is None
    assert not deliverable or is_old(session, events[-1].at, RULES), (
        "what can be delivered is delivered in the same breath"
    )


def given_up_by(session: Session | None, event: Event) -> set[str]:
    """The prompts that a person does not want done any more, by this event."""
    if session is None or not isinstance(event, e.StopRequested | e.BudgetDeclined):
        return set()
    turn = {session.turn.prompt.id} if session.turn is not None else set()
    if isinstance(event, e.BudgetDeclined):
        return {prompt.id for prompt in session.queue}
    return turn if event.by is not None else set()


def check_legal(session: Session, ended: set[str]) -> None:
    has_box = session.box is not None
    assert session.status in WITH_BOX if has_box else session.status not in WITH_BOX - {S.FAILED}
    assert (session.turn is not None) <= (session.status in WITH_TURN)
    assert session.turn is not None or session.status not in (S.WORKING, S.STOPPING)
    waiting = [prompt.id for prompt in session.queue]
    running = [session.turn.prompt.id] if session.turn else []
    assert sorted([*waiting, *running, *ended]) == sorted(session.seen), "each prompt waits, runs or is over, once"
    wanted = bool(waiting) and session.paused is None
    assert wanted is (session.status is S.WAITING) or session.status not in (S.WAITING, S.ASLEEP)
    assert len({person.id for person in session.participants}) == len(session.participants)
    assert session.status is S.WAITING or not session.position
    assert session.lineage is not None or session.owed is None
    assert session.repository is not None or session.status in (S.OPENED, S.ASKING, S.CLOSED)


@many
@given(logs)
def test_generations_and_turns_only_grow(events: list[Event]) -> None:
    began = [event.generation for event in events if isinstance(event, e.StartBegan)]
    turns = [event.turn for event in events if isinstance(event, e.PromptDelivered)]
    assert began == list(range(1, len(began) + 1))
    assert turns == list(range(1, len(turns) + 1))


def test_a_failed_box_is_put_to_sleep_before_another_is_made() -> None:
    log = Log().ask().boot()
    unready = c.f.Unready(n=1, at=0, kind="unready", reason="the agent is missing")
    log.hear(unready).ask(2)
    session = log.session
    assert session is not None
    assert (session.status, [p.id for p in session.queue]) == (S.FAILED, ["T1:C1:1.000002"])
    parked = log.do(c.BeginPark(1)).do(c.FinishPark(1, "snap")).session
    assert parked is not None
    assert (parked.status, parked.snapshot, parked.box) == (S.WAITING, "snap", None)


def test_a_lost_box_puts_the_running_prompt_in_front_of_those_that_wait() -> None:
    session = Log().ask().boot().ready().ask(2).do(c.LoseBox(1, "out of memory")).session
    assert session is not None
    assert [prompt.id for prompt in session.queue] == ["T1:C1:1.000001", "T1:C1:1.000002"]
    assert (session.status, session.lost_box, session.interrupted) == (S.WAITING, "stest-1", "T1:C1:1.000001")


def test_only_the_newest_commits_are_kept_in_the_session() -> None:
    log = Log().ask().boot().ready().end(commits=499)
    session = log.ask(2).end(turn=2, commits=3).session
    assert session is not None
    assert len(session.commits) == 500
    assert session.commits[-1].subject == "Change 3"
