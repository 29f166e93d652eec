"""Boxes do not get too old, sessions do not work for ever, and a turn that is cut by either is told and goes on."""

from pathlib import Path

import pytest

from jobs import commands as c
from jobs.decide import decide
from jobs.events import Noted, PromptDelivered, TurnEnded
from jobs.fold import fold
from jobs.lifetimes import ends_at, last_turn_at, leaves_at
from jobs.session import Rules, Session, Status
from jobs.settings import JobSettings
from jobs.wants import wants
from jobs.wiring import workshop
from tests.jobs import test_commands as given_a
from tests.logs import ADA, PLACE, SID, Log, done

S = Status
LIFE = Rules(box_seconds=10_000, turn_seconds=1_000, stop_seconds=20, park_seconds=40, idle_seconds=100_000)


def of(log: Log) -> Session:
    assert log.session is not None
    return log.session


def due(session: Session, now: float) -> list[str]:
    return [o.kind for o in wants(session, now, LIFE) if o.kind in ("start", "park")]


def test_a_box_begins_its_last_turn_when_one_more_would_still_end_and_leaves_time_to_put_it_to_sleep() -> None:
    session = of(done())
    born = session.box_since
    assert (ends_at(session, LIFE) - born, leaves_at(session, LIFE) - born) == (10_000, 9_900)
    assert last_turn_at(session, LIFE) - born == 10_000 - 1_000 - 20 - 80


def test_a_warm_box_was_older_when_it_was_taken() -> None:
    warm = of(done()).model_copy(update={"start": "warm"})
    assert ends_at(warm, LIFE) == warm.box_since + 10_000 - LIFE.warm_seconds


async def test_a_box_waits_for_half_its_life_at_most_so_that_whoever_takes_it_has_the_rest(tmp_path: Path) -> None:
    told = {
        "SHIPMATE_DATA_DIR": str(tmp_path), "REDIS_URL": f"unix://{tmp_path}/none", "SHIPMATE_UNISOLATED": "1",
        "SHIPMATE_BOX_SECONDS": "3000", "SHIPMATE_WARM_SECONDS": "3600",
    }  # fmt: skip
    async with workshop(JobSettings.from_env(told)) as shop:
        assert shop.settings.rules.warm_seconds == 1_500


def test_an_old_box_that_has_nothing_to_do_is_put_to_sleep() -> None:
    session = of(done())
    assert due(session, last_turn_at(session, LIFE) - 1) == []
    assert due(session, last_turn_at(session, LIFE)) == ["park"]


def test_a_prompt_for_an_old_box_waits_for_the_next_one() -> None:
    session = of(done())
    late = last_turn_at(session, LIFE) + 1
    ask = of(Log().ask(2)).queue[0]
    events = decide(session, c.Submit(SID, PLACE, ask, c.Choice("acme/rocket", "main"), "rehearsal"), late, LIFE)
    assert [event.kind for event in events] == ["prompt_received"]
    early = decide(session, c.Submit(SID, PLACE, ask, c.Choice("acme/rocket", "main"), "rehearsal"), late - 2, LIFE)
    assert isinstance(early[-1], PromptDelivered)


def test_a_new_box_begins_a_turn_however_short_its_life_is() -> None:
    session = of(given_a.working())
    assert session.box_turns == 1
    fresh = session.model_copy(update={"box_turns": 0})
    assert last_turn_at(fresh, Rules(box_seconds=1)) == float("inf")


def test_a_turn_that_runs_too_near_the_end_goes_on_in_the_next_box_and_its_person_is_told() -> None:
    log = given_a.working()
    session = of(log)
    end = leaves_at(session, LIFE)
    assert due(session, end - 1) == [] and due(session, end) == ["park"]
    note, parked = decide(session, c.BeginPark(1), end, LIFE)
    assert isinstance(note, Noted) and note.prompt_id == given_a.ONE
    assert note.text.startswith("The box of this thread has reached its age (2.78 h). I go on in a new one")
    parking = fold((note, parked), session)
    assert [event.kind for event in decide(parking, c.BeginPark(1), end + 60, LIFE)] == ["park_began"], "told once"
    asleep = log.do(c.BeginPark(1)).do(c.FinishPark(1, "snap"))
    assert (of(asleep).status, of(asleep).interrupted) == (S.WAITING, given_a.ONE)


def test_a_turn_that_outlives_two_boxes_ends() -> None:
    again = given_a.parking_in_a_turn().do(c.FinishPark(1, "snap")).boot(start="snapshot").ready()
    session = of(again)
    assert session.turn is not None and session.turn.again
    ended, parked = decide(session, c.BeginPark(2), leaves_at(session, LIFE), LIFE)
    assert isinstance(ended, TurnEnded) and ended.outcome == "interrupted" and parked.kind == "park_began"
    assert "reached its age (2.78 h), and this turn had been interrupted before" in (ended.error or "")


def test_a_turn_that_is_put_to_sleep_for_another_reason_is_not_told_of_age() -> None:
    assert [event.kind for event in decide(of(given_a.working()), c.BeginPark(1), 1_010.0, LIFE)] == ["park_began"]


def test_all_turns_of_a_session_count_those_that_were_interrupted_too() -> None:
    once = given_a.working()
    began = of(once).turn
    assert began is not None
    assert of(once.end()).worked == once.now - began.began > 0
    lost = given_a.working().do(c.LoseBox(1, "out of memory"), after=50.0)
    assert of(lost).worked >= 50.0


def test_a_session_that_has_worked_for_too_long_takes_nothing_more_and_says_why() -> None:
    tired = of(done()).model_copy(update={"worked": 7_200.0})
    prompt = of(Log().ask(2, ADA)).queue[0]
    submit = c.Submit(SID, PLACE, prompt, c.Choice("acme/rocket", "main"), "rehearsal")
    with pytest.raises(c.Refused, match="has worked for 2 h, the most that it may. Mention me in a new one"):
        decide(tired, submit, 5_000.0, Rules(session_seconds=7_200))
    assert decide(tired, submit, 5_000.0, Rules(session_seconds=7_201)) != ()
