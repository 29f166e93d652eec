"""What the agent's tools ask of people: one answer each, given to whoever waits for it; files and the pull request's
words within their bounds."""

import pytest

from bot.view import fold_view
from jobs import commands as c
from jobs import commands_tools as t
from jobs import events as e
from jobs.asked import DESCRIBED_MOST, FILES_MOST, OPEN_MOST, answered_by_reply
from jobs.decide_tools import same_question
from jobs.session import Session
from jobs.wants import wants
from tests.logs import ADA, GRACE, RULES, Log, done

TABS = t.AskPeople(1, "Tabs or spaces?", ("tabs", "spaces"))
SPACES = t.AnswerQuestion("q1", "spaces", GRACE)


def session_of(log: Log) -> Session:
    assert log.session is not None
    return log.session


def asking() -> Log:
    return Log().ask().boot().ready().work().do(TABS)


def kinds(log: Log, after: int = 0) -> list[str]:
    return [event.kind for event in log.events[after:]]


def test_an_answer_in_time_goes_to_the_agent_and_becomes_no_prompt() -> None:
    log = asking().do(SPACES).do(t.TakeAnswer("q1")).end()
    assert session_of(log).queue == () and session_of(log).seen == ("T1:C1:1.000001",)
    assert kinds(log)[-4:] == ["question_asked", "question_answered", "answer_taken", "turn_ended"]


@pytest.mark.parametrize("late", ["before its end", "after its end", "asleep"])
def test_an_answer_that_nobody_waited_for_becomes_a_prompt_of_whoever_gave_it(late: str) -> None:
    log = asking()
    if late == "before its end":
        log.do(SPACES).end()
    else:
        log.end()
        if late == "asleep":
            log.do(c.BeginPark(1), after=RULES.idle_seconds).do(c.FinishPark(1, "snap"))
        log.do(SPACES)
    session = session_of(log)
    prompt = session.turn.prompt if session.turn is not None else session.queue[0]
    assert prompt.author == GRACE
    assert prompt.text == "spaces\n\n(My answer to your question: Tabs or spaces?)"
    assert prompt.id == "T1:C1:1.000001/stest/q1"
    assert len([one for one in log.events if isinstance(one, e.PromptReceived)]) == 2


def test_only_one_answer_counts_and_the_second_hears_whose_did() -> None:
    log = asking().do(SPACES)
    with pytest.raises(c.Refused, match="Grace has answered this already: spaces"):
        log.do(t.AnswerQuestion("q1", "tabs", ADA))
    before = len(log.events)
    assert len(log.do(SPACES).events) == before, "a press that is delivered twice is one"


def test_the_same_question_is_asked_once_and_its_answer_is_there_for_an_agent_that_asks_again() -> None:
    log = asking().do(TABS)
    assert kinds(log).count("question_asked") == 1
    log.do(SPACES).do(t.TakeAnswer("q1")).do(TABS)
    assert kinds(log).count("question_asked") == 1
    found = same_question(session_of(log), TABS.question, TABS.options)
    assert found is not None and found.answer == "spaces"


def test_in_another_turn_the_same_question_is_a_new_one() -> None:
    log = asking().do(SPACES).do(t.TakeAnswer("q1")).end().ask(2).work(2).do(TABS)
    assert [one.id for one in log.events if isinstance(one, e.QuestionAsked)] == ["q1", "q2"]


def test_what_a_later_turn_asks_again_while_it_is_open_is_answered_to_that_turn_and_only_once() -> None:
    log = asking().end().ask(2).work(2).do(TABS).do(TABS)
    assert [one.id for one in log.events if isinstance(one, e.QuestionAsked)] == ["q1", "q1"]
    assert answered_by_reply(session_of(log).inquiries, "T1:C1:1.000002") is not None
    log.do(SPACES).do(t.TakeAnswer("q1")).end(turn=2)
    assert session_of(log).queue == () and session_of(log).turn is None, "the agent was given it: it is no prompt"
    view = fold_view(log.events)
    assert view is not None and [(one.about, one.answer) for one in view.asked] == [("T1:C1:1.000002", "spaces")]


def test_the_answer_of_a_turn_that_lost_its_box_waits_for_the_agent_to_ask_again() -> None:
    log = asking().do(SPACES).do(c.LoseBox(1, "out of memory")).boot(start="snapshot").ready().work(2)
    assert [p.id for p in session_of(log).queue] == []
    log.do(t.AskPeople(2, TABS.question, TABS.options))
    assert kinds(log).count("question_asked") == 1
    log.end(turn=2)
    turn = session_of(log).turn
    assert turn is not None and turn.prompt.author == GRACE, "it did not take the answer, so it is told"


def test_nobody_answers_what_a_stopped_turn_had_asked() -> None:
    log = asking().do(c.Stop(ADA)).end(outcome="stopped", commits=0)
    with pytest.raises(c.Refused, match="Nobody waits for this answer any more"):
        log.do(SPACES)
    with pytest.raises(c.Refused, match="Nobody waits"):
        log.do(t.AnswerQuestion("q9", "spaces", GRACE))


def test_an_answer_to_a_prompt_that_is_withdrawn_after_its_box_was_lost_begins_nothing() -> None:
    log = asking().do(SPACES).do(c.LoseBox(1, "gone")).do(c.Stop(ADA))
    session = session_of(log)
    assert (session.queue, session.seen) == ((), ("T1:C1:1.000001",))


def test_so_many_questions_may_be_open_and_no_more() -> None:
    log = Log().ask().boot().ready().work()
    for n in range(OPEN_MOST):
        log.do(t.AskPeople(1, f"Question {n}?"))
    with pytest.raises(c.Refused, match="end your turn now"):
        log.do(TABS)
    log.do(t.AnswerQuestion("q1", "yes", ADA)).do(TABS)
    assert kinds(log)[-1] == "question_asked"


@pytest.mark.parametrize("command", [TABS, t.WantFile(1, "a.png"), t.DescribePullRequest(1, "Round up")])
def test_tools_work_only_in_a_turn_of_their_own_box(command: c.Command) -> None:
    with pytest.raises(c.Refused, match="No turn of yours is running"):
        done().do(command)
    with pytest.raises(c.Refused, match="No turn of yours is running"):
        Log().ask().boot().ready().work().do(c.LoseBox(1, "gone")).boot(start="snapshot").ready().do(command)


def test_a_reply_that_answered_is_no_prompt_however_often_it_comes() -> None:
    said = t.AnswerQuestion("q1", "spaces", GRACE, said="T1:C1:1.000002")
    log = asking().do(said)
    before = len(log.events)
    assert len(log.ask(2, GRACE, "spaces").events) == before


def working() -> Log:
    return Log().ask().boot().ready().work()


def test_a_file_is_wanted_once_and_attached_once() -> None:
    log = working().do(t.WantFile(1, "shot.png", "After")).do(t.WantFile(1, "shot.png", "After"))
    assert kinds(log).count("file_wanted") == 1
    here = t.AttachFile(1, "f1", "shot.png", "image/png", 7, "d1", "https://x/f1")
    log.do(here)
    assert log.events[-1].model_dump(exclude={"at", "seq", "kind"}) == {
        "id": "f1", "name": "shot.png", "title": "After", "mimetype": "image/png", "bytes": 7, "digest": "d1",
        "url": "https://x/f1",
    }  # fmt: skip
    with pytest.raises(c.Refused, match="nobody waits for this file"):
        log.do(here)
    log.do(t.WantFile(1, "shot.png")).do(t.AttachFile(1, "f2", "shot.png", "image/png", 7, "d1"))
    assert isinstance(log.events[-1], e.FileRefused) and "attached already" in log.events[-1].reason


def test_a_file_that_comes_when_the_turn_is_over_is_not_taken() -> None:
    log = working().do(t.WantFile(1, "shot.png")).end()
    with pytest.raises(c.Refused, match="nobody waits for this file"):
        log.do(t.AttachFile(1, "f1", "shot.png", "image/png", 7, "d1"))


def test_a_session_attaches_so_many_files_and_no_more() -> None:
    log = working()
    for n in range(FILES_MOST):
        log.do(t.WantFile(1, f"{n}.png")).do(t.RefuseFile(f"f{n + 1}", "it is not there"))
    with pytest.raises(c.Refused, match="as much as it may"):
        log.do(t.WantFile(1, "one-more.png"))


def test_words_for_a_pull_request_that_is_there_are_worth_publishing_again() -> None:
    log = done().ask(2).work(2)
    assert not session_of(log).publishable
    log.do(t.DescribePullRequest(1, "Round tanks up", "Because."))
    assert "publish" in [one.kind for one in wants(session_of(log), log.now + 1, RULES)]
    log.do(c.BeginPublish()).do(c.FinishPublish(7, "https://forge.test/7", f"{1:040x}", False, described=1))
    assert not session_of(log).publishable
    assert len(log.events) == len(log.do(t.DescribePullRequest(1, "Round tanks up", "Because.")).events)


def test_a_pull_request_is_described_so_often_and_no_more() -> None:
    log = working()
    for n in range(DESCRIBED_MOST):
        log.do(t.DescribePullRequest(1, f"Title {n}"))
    with pytest.raises(c.Refused, match="Leave it as it is"):
        log.do(t.DescribePullRequest(1, "one more"))
