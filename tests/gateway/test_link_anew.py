"""An agent whose earlier conversation is lost: the thread is told, and the agent is told with its next prompt."""

from bot.gateway.link_down import Line, begins_anew, earlier_turns, line_of, meant_for
from bot.view import ANEW, fold_view
from jobs import commands as c
from jobs import frames as f
from jobs.session import Session
from tests.logs import GRACE, RULES, Log, done


def session_of(log: Log) -> Session:
    assert log.session is not None
    return log.session


def ready(log: Log, conversation: str, resumed: bool) -> Log:
    frame = f.Ready(n=3, at=log.now, kind="ready", conversation=conversation, resumed=resumed, head=f"{7:040x}")
    return log.hear(frame)


def woken(conversation: str, resumed: bool) -> Log:
    """A session with a turn behind it, in a new box whose agent is ready again."""
    slept = (
        done().do(c.BeginPark(1), after=RULES.idle_seconds).do(c.FinishPark(1, "snap")).ask(2, GRACE, "and the docs")
    )
    return ready(slept.boot(start="snapshot"), conversation, resumed)


def newest(log: Log) -> Line:
    """What the newest prompt goes down as."""
    session, event = session_of(log), meant_for(2, log.events)[-1]
    earlier = earlier_turns(log.events, session.turns) if begins_anew(event, session) else []
    line = line_of(event, session, RULES, earlier)
    assert line is not None
    return line


def told(log: Log) -> list[str]:
    view = fold_view(log.events)
    assert view is not None
    return [notice.text for notice in view.notices]


def test_a_conversation_that_went_on_is_told_nothing() -> None:
    log = woken("c", resumed=True)
    assert newest(log)["earlier"] == [] and told(log) == []


def test_one_that_begins_anew_is_told_what_was_asked_and_done() -> None:
    log = woken("another", resumed=False)
    [line] = newest(log)["earlier"]
    assert line.startswith("Ada asked: Fix the fuel test — done: ")
    assert told(log) == [ANEW]


def test_it_is_told_once() -> None:
    log = woken("another", resumed=False).work(2).end(turn=2).ask(3)
    assert newest(log)["earlier"] == [] and told(log) == [ANEW]


def test_an_agent_that_loses_it_in_the_middle_of_a_turn_is_told_with_the_next() -> None:
    log = ready(woken("c", resumed=True).work(2), "another", resumed=False).end(turn=2).ask(3)
    assert [line.partition(" asked")[0] for line in newest(log)["earlier"]] == ["Ada", "Grace"]


def test_a_first_conversation_is_no_loss() -> None:
    log = ready(Log().ask().boot(), "first", resumed=False)
    assert session_of(log).anew is None and told(log) == []


def test_what_is_told_is_bounded() -> None:
    log = woken("c", resumed=True).work(2).end(turn=2)
    for number in range(3, 28):
        log = log.ask(number, GRACE, "word " * 500).work(number).end(turn=number)
    lines = earlier_turns(log.events, session_of(log).turns + 1)
    assert len(lines) == 20 and all(len(line) < 1100 for line in lines)
