"""What each command causes, by tables: in which session it is given, which facts come of it, or why it is refused."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import commands as c
from jobs import decide_family
from jobs import frames as f
from jobs.commands_checks import FinishCheck
from jobs.commands_family import TakeReport
from jobs.commands_reviews import CommentOnLines, DeleteLineComment, DismissReview
from jobs.decide import _DECIDE, _deliveries, decide
from jobs.decide_snapshots import DECIDE_SNAPSHOTS
from jobs.decide_tools import DECIDE_TOOLS
from jobs.events import DiffLines, Prompt
from jobs.fold import fold
from jobs.session import Rules, Session
from tests.logs import ADA, GRACE, HEAD, PLACE, RULES, SID, Log, any_log, done

ONE, TWO = "T1:C1:1.000001", "T1:C1:1.000002"
PUSHED = f"{1:040x}"
LONG = 40 * 86_400.0
LINT = FinishCheck(PUSHED, "run/5/lint", "lint", "failure", passed=False)
NEARLY = c.ReviewPullRequest(7, "approved", "grace", "Nearly.", review=11)
WHY = CommentOnLines(7, 5, "grace", DiffLines(path="a.py", last=3), "Why?")


def submit(n: int = 1, choice: c.Choice | None = None) -> c.Submit:
    prompt = Prompt(id=f"T1:C1:1.00000{n}", author=ADA, text="Fix the fuel test", received_at=1_001.0)
    return c.Submit(SID, PLACE, prompt, choice or c.Choice("acme/rocket", "main"), "rehearsal")


def asking() -> Log:
    return Log().ask(repository=None)


def waiting() -> Log:
    return Log().ask()


def booting() -> Log:
    return waiting().do(c.BeginStart(0))


def connecting() -> Log:
    return booting().do(c.FinishStart(1, "stest-1", "image", "img", True))


def preparing() -> Log:
    return connecting().do(c.Attach(1, 1))


def working() -> Log:
    return preparing().ready()


def stopping() -> Log:
    return working().do(c.Stop(GRACE))


def stopping_and_parking() -> Log:
    return stopping().do(c.BeginPark(1))


def idle() -> Log:
    return working().end()


def parking() -> Log:
    return idle().do(c.BeginPark(1))


def parking_for_long() -> Log:
    log = parking()
    for _ in range(3):
        log.do(c.FailPark(1, "busy", 2.0)).do(c.BeginPark(1), after=2)
    return log


def parking_in_a_turn() -> Log:
    return working().do(c.BeginPark(1))


def asleep() -> Log:
    return parking().do(c.FinishPark(1, "snap"))


def failed() -> Log:
    return booting().do(c.FailStart(1, "acme/rocket is not there", None))


def unready() -> Log:
    return preparing().do(hear(UNREADY))


def closed() -> Log:
    return failed().do(c.Tick(), after=LONG)


def closed_unasked() -> Log:
    return asking().do(c.Tick(), after=LONG)


def again_working() -> Log:
    return working().do(c.LoseBox(1, "out of memory")).boot().ready()


def publishing() -> Log:
    return idle().do(c.BeginPublish())


def unpublishable() -> Log:
    return publishing().do(c.FailPublish(PUSHED, "no rights", None))


def two() -> Log:
    """One runs and one waits."""
    return working().ask(2)


REACHED = c.ReachBudget(1, 5.1, 5.0, 5.0)


def pausing() -> Log:
    """The budget was reached; the runner has not ended the turn yet."""
    return working().do(REACHED)


def paused() -> Log:
    return pausing().end(outcome="stopped", commits=0)


def paused_asleep() -> Log:
    return paused().do(c.BeginPark(1)).do(c.FinishPark(1, "snap"))


def raised(log: Log) -> Log:
    return log.do(c.RaiseBudget(GRACE, asked(log)))


def asked(log: Log) -> int:
    """The number of the question for money."""
    return next(event.seq for event in reversed(log.events) if event.kind == "budget_reached")


MORE = c.RaiseBudget(GRACE, asked(working().do(REACHED)))
NO = c.DeclineBudget(GRACE, MORE.asked)


def hear(*frames: dict[str, object]) -> c.Hear:
    return c.Hear(1, tuple(f.frame_from_wire({"n": 1, "at": 0.0, **frame}) for frame in frames))


READY = {"kind": "ready", "conversation": "c", "resumed": False, "head": HEAD}
UNREADY = {"kind": "unready", "reason": "the agent is missing"}
ENDED = {"kind": "turn_ended", "turn": 1, "outcome": "done", "head": PUSHED, "pushed": True}
STEP = {"kind": "step", "turn": 1, "title": "Read"}
WORDS = {"kind": "text", "turn": 1, "text": "Hm"}
CUT = {"kind": "dropped", "reason": "too large"}
CHOICE = c.ChooseRepository("acme/rocket", "main", GRACE)
ONLY_MOON = c.Choice(options=("acme/rocket",), reason="acme/moon is not enabled", only=True)
ONLY_WHERE = c.Choice("acme/rocket", "main", only=True)
NOT_CLEAR = c.Choice(options=("acme/rocket",), reason="acme/moon is not enabled")


MERGED = c.FinishPublish(7, "u", PUSHED, False, state="merged")


def merged_early() -> Log:
    return publishing().do(c.ClosePullRequest(7, True, "grace"))


def gone(merged: bool) -> Log:
    return done().do(c.ClosePullRequest(7, merged, "grace"))


def asked_and_answered() -> Log:
    return asking().do(submit(2, ONLY_WHERE))


def stopped_asking() -> Log:
    return asking().do(c.Stop(GRACE))


CAUSES = [
    # -- people ask --
    ("a mention opens a session", Log, submit(), "session_opened repository_chosen prompt_received"),
    ("one that is not clear asks", Log, submit(choice=NOT_CLEAR), "session_opened repository_asked prompt_received"),
    ("a reply waits", waiting, submit(2), "prompt_received"),
    ("a reply while a turn runs waits its turn", working, submit(2), "prompt_received"),
    ("a reply in an idle session is delivered at once", idle, submit(2), "prompt_received prompt_delivered"),
    ("a reply wakes a sleeping session", asleep, submit(2), "prompt_received"),
    ("a reply tries again after a failure", failed, submit(2), "prompt_received"),
    ("a reply opens a closed session again", closed, submit(2), "prompt_received"),
    ("a reply that names the repository answers", asking, submit(2), "prompt_received repository_chosen"),
    ("a reply that says only where is no prompt", asking, submit(2, ONLY_WHERE), "repository_chosen"),
    ("one that says only where nobody may", asking, submit(2, ONLY_MOON), "repository_asked"),
    ("the same again is nothing", asked_and_answered, submit(2, ONLY_WHERE), ""),
    ("nothing waits to hear where", stopped_asking, submit(2, ONLY_WHERE), "prompt_received repository_chosen"),
    ("a reply that does not is asked again", asking, submit(2, NOT_CLEAR), "prompt_received repository_asked"),
    ("closed before it was known", closed_unasked, submit(2, NOT_CLEAR), "repository_asked prompt_received"),
    ("closed before it was known: named now", closed_unasked, submit(2), "repository_chosen prompt_received"),
    ("the same message again is nothing", working, submit(1), ""),
    ("the same message after it was done is nothing", done, submit(1), ""),
    # -- people change their minds --
    ("an edit of a waiting prompt", waiting, c.EditPrompt(ONE, "Rather the docs"), "prompt_edited"),
    ("an edit that changes nothing", waiting, c.EditPrompt(ONE, "Fix the fuel test"), ""),
    ("an edit of the running prompt is said to be late", working, c.EditPrompt(ONE, "Rather the docs"), "noted"),
    ("an edit of a prompt that is done", idle, c.EditPrompt(ONE, "Rather the docs"), ""),
    ("an edit of a message that we do not know", waiting, c.EditPrompt("T1:C1:9", "Rather"), ""),
    ("a waiting prompt is deleted", waiting, c.WithdrawPrompt(ONE, "its message was deleted"), "prompt_withdrawn"),
    ("the running prompt is deleted", working, c.WithdrawPrompt(ONE, "its message was deleted"), "noted"),
    ("a prompt that is done is deleted", idle, c.WithdrawPrompt(ONE, "its message was deleted"), ""),
    ("a button chooses", asking, CHOICE, "repository_chosen"),
    ("the same button again", waiting, CHOICE, ""),
    # -- people stop --
    ("stop while it waits", waiting, c.Stop(GRACE), "prompt_withdrawn"),
    ("stop while it boots", booting, c.Stop(GRACE), "prompt_withdrawn"),
    ("stop while it is asked where", asking, c.Stop(GRACE), "prompt_withdrawn"),
    ("stop while it connects", connecting, c.Stop(GRACE), "prompt_withdrawn"),
    ("stop while a turn runs", working, c.Stop(GRACE), "stop_requested"),
    ("stop everything", two, c.Stop(GRACE), "stop_requested prompt_withdrawn"),
    ("stop the one that waits", two, c.Stop(GRACE, TWO), "prompt_withdrawn"),
    ("stop the one that runs", two, c.Stop(GRACE, ONE), "stop_requested"),
    ("stop again", stopping, c.Stop(GRACE), ""),
    ("stop while its box is put to sleep", parking_in_a_turn, c.Stop(GRACE), "stop_requested"),
    # -- boxes are made --
    ("a worker takes it up", waiting, c.BeginStart(0), "start_began"),
    ("the box is there", booting, c.FinishStart(1, "stest-1", "cold", None, True), "box_started"),
    ("no box now", booting, c.FailStart(1, "no space", 2.0), "start_failed"),
    ("no box ever", booting, c.FailStart(1, "no isolation", None), "start_abandoned prompt_withdrawn"),
    ("no box for an older generation", working, c.FailStart(0, "no space", 2.0), ""),
    ("the runner attaches", connecting, c.Attach(1, 1), "link_attached"),
    ("the runner attaches again", working, c.Attach(1, 2), "link_attached"),
    # -- boxes sleep and die --
    ("an idle box is put to sleep", idle, c.BeginPark(1), "park_began"),
    ("and again by a second worker", parking, c.BeginPark(1), "park_began"),
    ("a box that failed is put to sleep", unready, c.BeginPark(1), "park_began"),
    ("it sleeps", parking, c.FinishPark(1, "snap"), "box_parked"),
    ("it slept already", asleep, c.FinishPark(1, "snap"), ""),
    ("it sleeps in mid-turn", parking_in_a_turn, c.FinishPark(1, "snap"), "box_parked"),
    ("a turn that was to stop is over then", stopping_and_parking, c.FinishPark(1, "snap"), "turn_ended box_parked"),
    ("it cannot be put to sleep now", parking, c.FailPark(1, "busy", 2.0), "park_failed"),
    ("it cannot, again and again", parking_for_long, c.FailPark(1, "busy", 2.0), "noted park_failed"),
    ("it can never be put to sleep", parking, c.FailPark(1, "the disk is broken", None), "noted box_parked"),
    ("a late failure", asleep, c.FailPark(1, "busy", 2.0), ""),
    ("an idle box dies", idle, c.LoseBox(1, "out of memory"), "box_lost"),
    ("a box dies before it was ready", connecting, c.LoseBox(1, "out of memory"), "box_lost"),
    ("a box dies in a turn", working, c.LoseBox(1, "out of memory"), "box_lost"),
    ("it dies in the same turn again", again_working, c.LoseBox(2, "out of memory"), "turn_ended box_lost"),
    ("it dies while it is stopped", stopping, c.LoseBox(1, "out of memory"), "turn_ended box_lost"),
    ("it dies while it is put to sleep", parking, c.LoseBox(1, "its processes ended"), ""),
    ("an older box dies", again_working, c.LoseBox(1, "out of memory"), ""),
    ("it was known to be dead", asleep, c.LoseBox(1, "its processes ended"), ""),
    # -- the runner speaks --
    ("ready, and the prompt goes down", preparing, hear(READY), "agent_ready prompt_delivered"),
    ("ready again after its agent was restarted", working, hear(READY), "agent_ready"),
    ("not ready for good", preparing, hear(UNREADY), "agent_unready prompt_withdrawn"),
    ("not ready any more", two, hear(UNREADY), "turn_ended agent_unready prompt_withdrawn"),
    ("not ready is said twice", unready, hear(UNREADY), ""),
    ("the end of a turn", working, hear(ENDED), "turn_ended"),
    ("the end, and the next goes down", two, hear(ENDED), "turn_ended prompt_delivered"),
    ("the end of a turn that is over", idle, hear(ENDED), ""),
    ("a frame after the end in one breath", working, hear(ENDED, STEP), "turn_ended"),
    ("words are for the transcript", working, hear(WORDS), ""),
    ("a report was cut", working, hear(CUT), "noted"),
    ("the model is asked", working, c.SeeModelRequest(1), "model_requested"),
    ("the model is asked once more", lambda: working().do(c.SeeModelRequest(1)), c.SeeModelRequest(1), ""),
    ("an older box asks the model", again_working, c.SeeModelRequest(1), ""),
    ("its provider is in trouble", working, c.TellModelTrouble(1, "overloaded"), "model_troubled"),
    ("as was told", lambda: working().do(c.TellModelTrouble(1, "overloaded")), c.TellModelTrouble(1, "overloaded"), ""),
    ("no trouble at all", working, c.TellModelTrouble(1, ""), ""),
    ("trouble between turns", idle, c.TellModelTrouble(1, "overloaded"), ""),
    ("its provider refuses the key", working, c.TellModelRefusal(1, "Set it anew."), "noted"),
    ("again", lambda: working().do(c.TellModelRefusal(1, "Set it anew.")), c.TellModelRefusal(1, "Set it anew."), ""),
    # -- money --
    ("the budget is reached", working, REACHED, "budget_reached stop_requested"),
    ("it is reached by a second request", pausing, REACHED, ""),
    ("it is reached while the turn is stopped", stopping, REACHED, ""),
    ("it is reached while its box is put to sleep", parking_in_a_turn, REACHED, ""),
    ("an older box reaches it", again_working, REACHED, ""),
    ("it is reached between turns", idle, REACHED, ""),
    ("a child reaches it", asleep, c.ReachBudget(None, 5.1, 5.0, 5.0), "budget_reached"),
    ("a child reaches it in a turn", working, c.ReachBudget(None, 5.1, 5.0, 5.0), "budget_reached stop_requested"),
    ("a child of a closed session reaches it", closed, c.ReachBudget(None, 5.1, 5.0, 5.0), ""),
    ("the turn has paused", pausing, hear(ENDED), "turn_ended"),
    ("somebody raises it", paused, MORE, "budget_raised prompt_delivered"),
    ("somebody raises it before the turn has paused", pausing, MORE, "budget_raised"),
    ("the turn pauses after that", lambda: raised(pausing()), hear(ENDED), "turn_ended prompt_delivered"),
    ("somebody raises it days later", paused_asleep, MORE, "budget_raised"),
    ("the root's budget was raised", paused, c.FollowBudget(GRACE, True), "budget_raised prompt_delivered"),
    ("it was raised, and nothing is paused here", working, c.FollowBudget(GRACE, True), ""),
    ("the root's budget was not raised", paused, c.FollowBudget(GRACE, False), "prompt_withdrawn budget_declined"),
    ("somebody does not", paused, NO, "prompt_withdrawn budget_declined"),
    ("somebody does not, before the turn has paused", pausing, NO, "stop_requested budget_declined"),
    ("a reply while it is paused waits", paused, submit(2), "prompt_received"),
    ("a reply while it is paused and asleep wakes nothing", paused_asleep, submit(2), "prompt_received"),
    ("what is paused is edited", paused_asleep, c.EditPrompt(ONE, "Rather the docs"), "prompt_edited"),
    ("what is paused is stopped", paused, c.Stop(GRACE), "prompt_withdrawn"),
    ("what pauses is stopped by a person", pausing, c.Stop(GRACE), "stop_requested"),
    ("a box dies while its turn pauses", pausing, c.LoseBox(1, "out of memory"), "turn_ended box_lost"),
    # -- the forge --
    ("a worker publishes", idle, c.BeginPublish(), "publish_began"),
    ("it is published", publishing, c.FinishPublish(7, "u", PUSHED, True), "pull_request_published"),
    ("it was merged by then", publishing, MERGED, "pull_request_published pull_request_closed"),
    ("it was merged by then, as was heard", merged_early, MERGED, "pull_request_published"),
    ("it is heard of early, and twice", merged_early, c.ClosePullRequest(7, True, "grace"), ""),
    ("it was published", done, c.FinishPublish(7, "u", PUSHED, True), ""),
    ("a late worker fails where another has not", done, c.FailPublish(PUSHED, "down", None), ""),
    ("the forge is down", publishing, c.FailPublish(PUSHED, "down", 5.0), "publish_failed"),
    ("merged", done, c.ClosePullRequest(7, True, "grace"), "pull_request_closed"),
    ("merged twice", lambda: gone(merged=True), c.ClosePullRequest(7, True, "grace"), ""),
    ("closed after it was merged", lambda: gone(merged=True), c.ClosePullRequest(7, False, "grace"), ""),
    ("closed twice", lambda: gone(merged=False), c.ClosePullRequest(7, False, "grace"), ""),
    ("opened again and merged", lambda: gone(merged=False), c.ClosePullRequest(7, True, "g"), "pull_request_closed"),
    ("somebody else's is merged", done, c.ClosePullRequest(8, True, "grace"), ""),
    ("reviewed", done, c.ReviewPullRequest(7, "approved", "grace"), "pull_request_reviewed"),
    ("somebody else's is reviewed", done, c.ReviewPullRequest(8, "approved", "grace"), ""),
    ("commented on", done, WHY, "line_commented"),
    ("commented on twice", lambda: done().do(WHY), WHY, ""),
    ("dismissed", done, DismissReview(7, 11, "ada"), "review_dismissed"),
    ("dismissed twice", lambda: done().do(NEARLY).do(DismissReview(7, 11, "ada")), DismissReview(7, 11, "ada"), ""),
    ("somebody else's is dismissed", waiting, DismissReview(7, 11, "ada"), ""),
    ("checked", done, LINT, "check_finished"),
    ("checked twice", lambda: done().do(LINT), LINT, ""),
    ("checked while nothing is there", waiting, LINT, ""),
    ("somebody else's is commented on", waiting, WHY, ""),
    ("a comment is deleted", done, DeleteLineComment(7, 5), "line_comment_deleted"),
    ("a comment elsewhere is deleted", done, DeleteLineComment(8, 5), ""),
    ("nothing is closed that is not there", waiting, c.ClosePullRequest(7, True, "grace"), ""),
    # -- time goes by --
    ("a moment", waiting, c.Tick(), ""),
    ("people should know something", working, c.Note("The image is old."), "noted"),
]  # fmt: skip


@pytest.mark.parametrize(("log", "command", "kinds"), [row[1:] for row in CAUSES], ids=[row[0] for row in CAUSES])
def test_a_command_causes_these_events(log: "type[Log]", command: c.Command, kinds: str) -> None:
    before = log()
    after = before.session
    events = decide(after, command, before.now + 1, RULES)
    assert " ".join(event.kind for event in events) == kinds
    assert fold(events, after) is not None, "what is decided can be folded"


REFUSED = [
    ("nobody asked here yet", Log, c.Stop(GRACE), "no session here yet"),
    ("nothing to stop", idle, c.Stop(GRACE), "nothing left to stop"),
    ("stop something that is over", two, c.Stop(GRACE, "T1:C1:9"), "nothing left to stop"),
    ("another repository", waiting, c.ChooseRepository("acme/site", "main", GRACE), "already works on acme/rocket"),
    ("an answer after it was closed", closed_unasked, CHOICE, "Reply here with the task"),
    ("an answer that nothing waits for", stopped_asking, CHOICE, "Reply here with the task"),
    ("a second start", booting, c.BeginStart(1), "not waiting for a box"),
    ("a start of an older generation", lambda: failed().ask(2), c.BeginStart(0), "not waiting for a box"),
    ("a start while a failed box is there", lambda: unready().ask(2), c.BeginStart(1), "not waiting for a box"),
    ("a start that nobody waits for", asleep, c.BeginStart(1), "not waiting for a box"),
    ("a box that comes too late", working, c.FinishStart(1, "b", "cold", None, True), "not wanted any more"),
    ("a box that is not there cannot sleep", asleep, c.BeginPark(1), "not to be parked"),
    ("an older box is not to sleep", again_working, c.BeginPark(1), "not to be parked"),
    ("a runner of an older generation", again_working, c.Attach(1, 3), "stale generation"),
    ("a runner whose box is not on record yet", booting, c.Attach(1, 1), "not on record yet"),
    ("a runner of a box that sleeps", asleep, c.Attach(1, 3), "stale generation"),
    ("words of an older generation", again_working, hear(READY), "stale generation"),
    ("words before it attached", connecting, hear(READY), "must attach"),
    ("nothing to publish", waiting, c.BeginPublish(), "nothing to publish"),
    ("all is published", done, c.BeginPublish(), "nothing to publish"),
    ("somebody publishes already", publishing, c.BeginPublish(), "another worker"),
    ("more, for nothing that is paused", working, MORE, "answered that already"),
    ("more, twice", lambda: raised(paused()), MORE, "answered that already"),
    ("no, after somebody said yes", lambda: raised(paused()), NO, "answered that already"),
    ("a start while it is paused", paused_asleep, c.BeginStart(1), "not waiting for a box"),
    ("a person has to act first", unpublishable, c.BeginPublish(), "nothing to"),
]  # fmt: skip


@pytest.mark.parametrize(("log", "command", "why"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_command_is_refused_with_a_sentence(log: "type[Log]", command: c.Command, why: str) -> None:
    before = log()
    with pytest.raises(c.Refused, match=re.escape(why)):
        decide(before.session, command, before.now + 1, RULES)


def test_a_runner_that_calls_a_moment_too_early_is_told_so() -> None:
    with pytest.raises(c.NotYet):
        decide(booting().session, c.Attach(1, 1), 1_000.0, RULES)


def test_every_command_has_its_cases() -> None:
    given_somewhere = {type(row[2]) for row in (*CAUSES, *REFUSED)}
    elsewhere = (
        set(DECIDE_TOOLS) | set(decide_family.DECIDE_FAMILY) | set(DECIDE_SNAPSHOTS) | {c.AwaitBox}
    )  # in files of their own
    assert given_somewhere == set(_DECIDE) - elsewhere


def _of(log: Log) -> Session:
    assert log.session is not None
    return log.session


@pytest.mark.parametrize(
    ("edit", "again"), [("Rather the docs", "Rather the docs"), ("Rather the docs", "Or the site")]
)
def test_what_is_said_of_the_running_message_is_said_once(edit: str, again: str) -> None:
    log = working().do(c.EditPrompt(ONE, edit)).do(c.EditPrompt(ONE, again))
    log.do(c.WithdrawPrompt(ONE, "deleted")).do(c.WithdrawPrompt(ONE, "deleted"))
    assert [event.kind for event in log.events].count("noted") == 2


def test_a_turn_beyond_its_limit_is_stopped_by_nobody() -> None:
    log = working()
    rules = Rules(turn_seconds=100, stop_seconds=10)
    assert decide(log.session, c.Tick(), log.now + 109, rules) == ()
    (stop,) = decide(log.session, c.Tick(), log.now + 111, rules)
    assert (stop.kind, stop.by) == ("stop_requested", None)  # type: ignore[union-attr]


def test_a_turn_parked_in_its_middle_is_put_back_and_delivered_again() -> None:
    log = parking_in_a_turn().do(c.FinishPark(1, "snap"))
    assert [prompt.id for prompt in _of(log).queue] == [ONE]
    log.boot(start="snapshot").ready()
    assert log.events[-1].model_dump(include={"kind", "again", "turn"}) == {
        "kind": "prompt_delivered", "again": True, "turn": 2,
    }  # fmt: skip


def test_a_turn_that_ends_while_its_box_is_put_to_sleep_is_not_done_again() -> None:
    session = _of(parking_in_a_turn().do(hear(ENDED)).do(c.FinishPark(1, "snap")))
    assert (session.queue, session.turn, session.head) == ((), None, PUSHED)


def test_new_work_after_a_merge_is_published_anew() -> None:
    log = done().do(c.ClosePullRequest(7, True, "grace")).ask(2).end(turn=2)
    session = _of(log)
    assert session.unpublished
    log.do(c.BeginPublish()).do(c.FinishPublish(8, "https://forge.test/8", f"{2:040x}", True))
    session = _of(log)
    assert session.pull_request is not None
    assert (session.pull_request.number, session.pull_request.state) == (8, "open")
    assert log.events[-1].opened  # type: ignore[union-attr]


def test_what_was_merged_before_its_number_is_on_record_is_merged() -> None:
    for log in (merged_early().do(c.FinishPublish(7, "u", PUSHED, True)), publishing().do(MERGED)):
        pull = _of(log).pull_request
        assert pull is not None and pull.state == "merged"


def test_what_is_merged_while_a_worker_brings_it_up_to_date_stays_so() -> None:
    log = done().ask(2).end(turn=2).do(c.BeginPublish()).do(c.ClosePullRequest(7, True, "grace"))
    pull = _of(log.do(c.FinishPublish(7, "u", f"{2:040x}", False))).pull_request
    assert pull is not None and (pull.state, pull.head) == ("merged", f"{2:040x}")


@pytest.mark.parametrize("delay", [8_000.0, None])
def test_a_person_who_says_something_has_the_pull_request_tried_at_once_and_a_report_does_not(
    delay: float | None,
) -> None:
    log = idle()
    for _ in range(3):
        log.do(c.BeginPublish()).do(c.FailPublish(PUSHED, "down", delay), after=1.0)
        if delay is None:
            break
    before, report = _of(log), Prompt(id="c1:9", author=ADA, text="Report of #1: done.", report_of=1)
    told = _of(log.do(TakeReport(report)))
    assert (told.publish_failures, told.publish_retry_at) == (before.publish_failures, before.publish_retry_at)
    session = _of(log.ask(2))
    assert (session.publish_failures, session.publish_retry_at, session.publishable) == (0, 0.0, True)


def test_a_failure_of_older_work_does_not_hold_up_the_newer() -> None:
    log = publishing().ask(2).end(turn=2).do(c.FailPublish(PUSHED, "no rights", None))
    assert _of(log).publishable


def test_a_reply_tries_again_what_the_forge_refused() -> None:
    log = unpublishable()
    assert not _of(log).publishable
    assert _of(log.ask(2)).publishable


def test_a_start_that_was_lost_is_taken_over_and_counts() -> None:
    log = booting()
    with pytest.raises(c.Refused):
        decide(log.session, c.BeginStart(1), log.now + 60, RULES)
    log.do(c.BeginStart(1), after=RULES.start_seconds + 1)
    assert (_of(log).generation, _of(log).failures) == (2, 1)
    with pytest.raises(c.Refused):
        decide(log.session, c.BeginStart(2), log.now + 60, RULES)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_message_that_is_delivered_again_causes_nothing(seed: int) -> None:
    events = any_log(seed)
    session = fold(events)
    assert session is not None
    for prompt_id in (known for known in session.seen if known.startswith("T1:C1:1.")):
        again = submit(int(prompt_id[-1]), NOT_CLEAR)
        assert decide(session, again, 10_000_000.0, RULES) == _deliveries(session, (), 10_000_000.0, RULES) == ()


@pytest.mark.parametrize(("wait", "outcome"), [(RULES.turn_seconds + 1, "timed_out"), (1.0, "stopped")])
def test_how_a_turn_ended_whose_box_was_stopped_says_whether_its_time_was_over(wait: float, outcome: str) -> None:
    log = working().do(c.Stop(GRACE), after=wait).do(c.BeginPark(1)).do(c.FinishPark(1, "snap"))
    assert log.events[-2].outcome == outcome  # type: ignore[union-attr]
    log = working().do(c.Stop(GRACE), after=wait).do(c.LoseBox(1, "out of memory"))
    assert log.events[-2].outcome == outcome  # type: ignore[union-attr]
