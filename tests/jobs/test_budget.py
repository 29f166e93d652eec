"""A session whose budget is reached: it pauses with all that it has, asks once, and goes on when somebody says so."""

import pytest

from bot.view import fold_view
from jobs import commands as c
from jobs.commands_family import FinishHanding, TakeChildReport
from jobs.events import BoxLost, TurnEnded
from jobs.family import BUDGET, BudgetAnswer
from jobs.session import Session, Status
from jobs.wants import wants
from tests.jobs.test_children import one
from tests.jobs.test_commands import GRACE, ONE, REACHED, TWO, asked, hear, paused, paused_asleep, pausing, working
from tests.logs import ADA, RULES, Log, a_child

DAYS = 5 * 86_400.0


def of(log: Log) -> Session:
    assert log.session is not None
    return log.session


def more(log: Log, after: float = 1.0) -> Log:
    return log.do(c.RaiseBudget(GRACE, asked(log)), after)


@pytest.mark.parametrize("outcome", ["stopped", "failed", "done"])
def test_however_the_agent_took_it_its_turn_is_paused_without_an_error_of_its_own(outcome: str) -> None:
    log = pausing().end(outcome=outcome, commits=0, error="402 from the model")
    ended = log.events[-1]
    assert isinstance(ended, TurnEnded)
    assert (ended.outcome, ended.error) == ("paused", None)


def test_what_was_paused_waits_in_front_of_everything_else() -> None:
    log = working().ask(2).do(REACHED).end(outcome="stopped")
    assert [prompt.id for prompt in of(log).queue] == [ONE, TWO]
    assert of(log).status is Status.IDLE, "nothing is delivered"
    more(log)
    turn = of(log).turn
    assert turn is not None
    assert (turn.prompt.id, turn.again, turn.number) == (ONE, True, 2)


def test_what_is_paused_sleeps_like_anything_and_wakes_when_it_is_answered_days_later() -> None:
    log = paused_asleep().ask(2)
    assert of(log).status is Status.ASLEEP
    assert wants(of(log), log.now, RULES) == ()
    assert of(log).at_rest
    more(log, DAYS)
    assert of(log).status is Status.WAITING
    assert [operation.kind for operation in wants(of(log), log.now, RULES)] == ["start"]
    log.boot(start="snapshot").ready()
    assert of(log).turn is not None
    assert of(log).turn.prompt.id == ONE  # type: ignore[union-attr]


def test_it_may_be_reached_and_raised_again_and_again() -> None:
    log, used = paused(), REACHED.used
    for turn in (2, 3, 4):
        more(log)
        limit = 5.0 + of(log).raised
        assert limit == pytest.approx(used + 5.0), "what was offered can be spent, however much was used already"
        used = 7.0 * turn
        log.do(c.ReachBudget(1, used, limit, 5.0)).end(turn=turn, outcome="stopped", commits=0)
    assert [prompt.id for prompt in of(log).queue] == [ONE]


def test_an_answer_to_an_older_question_counts_for_nothing() -> None:
    log = paused()
    first = asked(log)
    more(log).do(c.ReachBudget(1, 10.1, 10.0, 5.0)).end(turn=2, outcome="stopped")
    with pytest.raises(c.Refused):
        log.do(c.RaiseBudget(GRACE, first))
    assert of(log).paused is not None


def test_a_no_gives_up_what_waits_and_the_next_prompt_begins_anew() -> None:
    log = paused().ask(2)
    log.do(c.DeclineBudget(GRACE, asked(log)))
    assert (of(log).queue, of(log).paused, of(log).raised) == ((), None, 0.0)
    log.ask(3)
    assert of(log).turn is not None


def test_a_person_who_stops_a_turn_that_pauses_has_stopped_it() -> None:
    log = pausing().do(c.Stop(GRACE)).end(outcome="stopped")
    assert log.events[-1].outcome == "stopped"  # type: ignore[union-attr]
    assert of(log).queue == ()


def test_a_box_that_is_put_to_sleep_before_the_turn_has_paused_changes_nothing() -> None:
    log = pausing().do(c.BeginPark(1), after=RULES.stop_seconds).do(c.FinishPark(1, "snap"))
    assert [prompt.id for prompt in of(log).queue] == [ONE]
    assert of(log).status is Status.ASLEEP
    assert of(more(log)).status is Status.WAITING


def test_what_nobody_answers_is_closed_in_the_end_and_a_reply_opens_it() -> None:
    log = paused_asleep().do(c.Tick(), after=RULES.close_seconds + 1)
    assert (of(log).status, of(log).paused, of(log).queue) == (Status.CLOSED, None, ())
    assert of(log.ask(2)).status is Status.WAITING


def test_what_a_turn_took_is_told_with_its_end() -> None:
    log = working()
    log.do(hear({"kind": "turn_ended", "turn": 1, "outcome": "done"}), cost=0.42)
    assert log.events[-1].cost == 0.42  # type: ignore[union-attr]


def test_a_turn_that_is_cut_off_and_begun_once_more_costs_both_times() -> None:
    log = working().do(c.LoseBox(1, "killed"), cost=0.25).boot().ready().work(2).end(2, cost=0.5)
    view = fold_view(log.events)
    assert view is not None
    assert [card.cost for card in view.cards] == [0.75]


def test_a_turn_whose_box_goes_while_it_is_stopped_tells_its_cost_once() -> None:
    log = working()
    log.do(c.Stop(ADA)).do(c.LoseBox(1, "killed"), cost=0.25)
    assert [event.cost for event in log.events if isinstance(event, TurnEnded | BoxLost)] == [0.25, None]


@pytest.mark.parametrize(("answer", "raised"), [(c.RaiseBudget, True), (c.DeclineBudget, False)])
def test_what_a_person_says_to_a_root_is_handed_to_all_that_work_for_it(
    answer: type[c.RaiseBudget] | type[c.DeclineBudget], raised: bool
) -> None:
    log = one().do(c.ReachBudget(None, 5.1, 5.0, 5.0)).end(outcome="stopped", commits=0)
    log.do(answer(GRACE, asked(log)))
    (child,) = of(log).children
    assert child.budget == BudgetAnswer(by=GRACE, raised=raised)
    assert "hand" in [operation.kind for operation in wants(of(log), log.now, RULES)]
    assert child.waits is raised, "after a no nothing that it comes to makes its parent go on"
    log.do(FinishHanding(child.id, BUDGET))
    assert of(log).children[0].budget is None


def test_a_child_that_people_gave_work_after_its_end_hears_the_answer_too() -> None:
    log = one().do(TakeChildReport("c1", 9, "done", "It is done.", None, "")).do(c.ReachBudget(None, 5.1, 5.0, 5.0))
    more(log)
    assert of(log).children[0].budget == BudgetAnswer(by=GRACE, raised=True)


def test_a_child_asks_although_the_turn_of_its_root_is_being_stopped_which_stays_stopped() -> None:
    log = one().do(c.Stop(GRACE)).do(c.ReachBudget(None, 5.1, 5.0, 5.0))
    assert of(log).paused is not None
    log.end(outcome="stopped", commits=0)
    assert log.events[-1].outcome == "stopped"  # type: ignore[union-attr]
    assert of(log).queue == ()


def test_a_limit_that_was_raised_meanwhile_asks_nobody_again() -> None:
    log = more(paused())
    log.do(c.ReachBudget(None, 5.1, 5.0, 5.0))
    assert of(log).paused is None
    assert of(log.do(c.ReachBudget(None, 10.1, 10.0, 5.0))).paused is not None


def test_a_child_is_paused_by_the_limit_of_its_root_however_much_it_was_given_itself() -> None:
    child = a_child().boot().ready().do(c.ReachBudget(1, 50.0, 5.0, 5.0)).end(outcome="stopped", commits=0)
    child.do(c.FollowBudget(GRACE, True)).do(c.ReachBudget(1, 10.2, 10.1, 5.0))
    assert of(child).paused is not None


@pytest.mark.parametrize("reached_first", [True, False])
def test_a_no_while_the_box_is_put_to_sleep_is_a_no(reached_first: bool) -> None:
    log = pausing() if reached_first else working()
    log.do(c.BeginPark(1), after=RULES.stop_seconds)
    if not reached_first:
        log.do(c.ReachBudget(None, 5.1, 5.0, 5.0))
    log.do(c.DeclineBudget(GRACE, asked(log))).do(c.FinishPark(1, "snap"))
    assert (of(log).status, of(log).queue) == (Status.ASLEEP, ())
