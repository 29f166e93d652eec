"""What no prompt has taken to the agent yet goes with the next one, whatever became of the prompt before."""

from jobs import commands as c
from jobs import commands_tools as t
from jobs.events import Prompt, PromptReceived
from jobs.untold import ALL, CUT, EACH, LEFT_OUT
from tests.jobs.stories import ONE, abandoned
from tests.logs import ADA, GRACE, PLACE, SID, Log, done

SAID = "Grace: main is red"


def before(log: Log) -> tuple[str, ...]:
    return [event for event in log.events if isinstance(event, PromptReceived)][-1].prompt.before


def test_who_replies_again_after_a_start_was_given_up_means_what_was_asked_before() -> None:
    assert before(abandoned().ask(2, GRACE, "again")) == ("Ada: Fix the fuel test",)


def test_an_answer_that_its_agent_was_not_given_before_it_was_given_up_is_not_asked_for_again() -> None:
    log = done().ask(2).do(t.AskPeople(1, "Which port?")).do(c.LoseBox(1, "it died"))
    log.do(t.AnswerQuestion("q1", "8080", GRACE)).do(c.BeginStart(1)).do(c.FailStart(2, "no space", None))
    answer = "Grace: 8080 (the answer to: Which port?)"
    assert before(log.ask(3, GRACE, "again")) == ("Ada: Fix the fuel test", answer)


def test_what_was_said_in_the_thread_stays_though_the_message_below_it_is_deleted() -> None:
    first = Prompt(id=ONE, author=ADA, text="Fix it", before=(SAID,))
    log = Log().do(c.Submit(SID, PLACE, first, c.Choice("acme/rocket", "main"), "rehearsal"))
    log.do(c.WithdrawPrompt(ONE, "its message was deleted"))
    assert before(log.ask(2, text="Mend the fuel test")) == (SAID,)
    assert before(log.ask(3, text="and the docs")) == ()


def test_what_is_not_told_whole_says_so() -> None:
    log = abandoned()
    for n in range(2, 14):
        log.ask(n, text=f"{n} " + "x" * 3_000).do(c.BeginStart(log.session.generation if log.session else 0))
        log.do(c.FailStart(log.session.generation if log.session else 0, "no space", None))
    told = before(log.ask(20, GRACE, "again"))
    assert [line.startswith(LEFT_OUT) for line in told] == [True] + [False] * (len(told) - 1)
    whole = [line.removeprefix(LEFT_OUT) for line in told]
    assert [line.split()[1] for line in whole] == [str(n) for n in range(14 - len(told), 14)]
    assert {(line.endswith(CUT), len(line)) for line in whole} == {(True, EACH)}
    assert sum(map(len, whole)) <= ALL < sum(map(len, whole)) + EACH


def test_the_newest_reviews_wait_for_the_next_prompt_as_far_as_there_is_room() -> None:
    log = done()
    for n in range(20):
        log.do(c.ReviewPullRequest(7, "commented", "hedy", f"{n} " + "x" * 1_990))
    told = before(log.ask(2, GRACE, "do what she says"))
    assert [line.split(": ")[1].split()[0] for line in told[:-1]] == [str(n) for n in range(11, 20)]
    assert told[-1] == "reviewers made 11 more comments, for which there was no room here"
