"""The stories whose logs are kept as golden files, each with the session that it comes to (`make golden`)."""

from pathlib import Path

from jobs import commands as c
from jobs import commands_tools as t
from jobs import frames as f
from jobs.commands_checks import FinishCheck
from jobs.commands_reviews import CommentOnLines, DeleteLineComment, DismissReview
from jobs.events import DiffLines, event_to_json
from tests.jobs import test_children as a_family
from tests.jobs import test_commands as given_a
from tests.logs import GRACE, RULES, Log, done

GOLDEN = Path(__file__).parent / "golden"
ONE, TWO = given_a.ONE, given_a.TWO
FUEL = DiffLines(path="rocket/fuel.py", first=10, last=12, code="return int(fuel // tank)")


def abandoned() -> Log:
    log = Log().ask()
    for generation in range(RULES.max_failures):
        log.do(c.BeginStart(generation)).do(c.FailStart(generation + 1, "no space left", 2.0))
    return log


def checked() -> Log:
    """Two checks failed, and one of them passes now."""
    lint = ("run/5/lint", "lint")
    return (
        done()
        .do(FinishCheck(given_a.PUSHED, *lint, "failure", False, 41, "https://forge.test/runs/41", "E501: too *long*"))
        .do(FinishCheck(given_a.PUSHED, "status/ci", "ci/build", "error", False, 3, "https://ci.test/3?a=1&b=2"))
        .do(FinishCheck(given_a.PUSHED, *lint, "success", True, 43, "https://forge.test/runs/43"))
    )


STORIES = {
    "happy_path": done(),
    "follow_up_while_running": Log()
    .ask().boot().ready().ask(2, GRACE, "and the docs").work().end().work(2).end(turn=2)
    .publish(turn=2),
    "edited_and_deleted_while_waiting": Log()
    .ask().ask(2, GRACE, "and the docs")
    .do(c.EditPrompt(ONE, "Fix the fuel test, with a comment")).do(c.WithdrawPrompt(TWO, "its message was deleted"))
    .boot().ready(),
    "edited_and_deleted_too_late": given_a.working()
    .do(c.EditPrompt(ONE, "Rather the docs")).do(c.WithdrawPrompt(ONE, "its message was deleted")).end(),
    "repository_asked": Log()
    .ask(repository=None).ask(2, GRACE, "the rocket, I think", repository=None)
    .do(c.ChooseRepository("acme/rocket", "main", GRACE)),
    "stopped_while_waiting": Log().ask().do(c.Stop(GRACE)),
    "stopped_while_cold": given_a.booting().do(c.Stop(GRACE)).do(c.FinishStart(1, "stest-1", "cold", None, True)),
    "stopped_while_running": given_a.two().work().do(c.Stop(GRACE)).end(outcome="stopped", commits=0),
    "beyond_its_limit": Log()
    .ask().boot().ready().work().do(c.Tick(), after=RULES.turn_seconds + RULES.stop_seconds + 1)
    .do(c.BeginPark(1), after=RULES.stop_seconds).do(c.FinishPark(1, "snap")),
    "box_lost_once": Log()
    .ask().boot().ready().work().do(c.LoseBox(1, "out of memory")).boot(start="snapshot").ready().work(2).end(turn=2)
    .publish(turn=2),
    "box_lost_twice": Log()
    .ask().boot().ready().do(c.LoseBox(1, "out of memory")).boot().ready().do(c.LoseBox(2, "out of memory")),
    "start_fails_then_succeeds": Log()
    .ask().do(c.BeginStart(0)).do(c.FailStart(1, "no space left", 2.0)).boot().ready(),
    "start_abandoned": abandoned(),
    "read_before_it_was_synced": Log()
    .ask().boot().phase("syncing").ready(synced=False).work().phase("synced").end().publish(),
    "never_synced": Log()
    .ask().boot().phase("syncing").ready(synced=False).ask(2).work()
    .hear(f.Unready(n=5, at=0, kind="unready", reason="The repository could not be fetched.")),
    "agent_not_ready": given_a.unready().ask(2).do(c.BeginPark(1)).do(c.FinishPark(1, "snap")),
    "people_asked_in_time": given_a.working()
    .do(t.AskPeople(1, "Tabs or spaces?", ("tabs", "spaces"))).do(t.AnswerQuestion("q1", "spaces", GRACE))
    .do(t.TakeAnswer("q1")).end(),
    "people_answer_late": given_a.working()
    .do(t.AskPeople(1, "Which port?")).end().do(t.AnswerQuestion("q1", "8080", GRACE, said=TWO)),
    "shown_and_described": given_a.working()
    .do(t.WantFile(1, "shot.png", "After")).do(t.AttachFile(1, "f1", "shot.png", "image/png", 7, "d", "https://x/f1"))
    .do(t.WantFile(1, "none")).do(t.RefuseFile("f2", "There is no regular file of this name."))
    .do(t.DescribePullRequest(1, "Round tanks up", "Because.", True)).end(),
    "parked_and_woken": done()
    .do(c.BeginPark(1), after=RULES.idle_seconds).do(c.FinishPark(1, "snap")).ask(2).boot(start="snapshot").ready(),
    "parked_in_a_turn": given_a.parking_in_a_turn().do(c.FinishPark(1, "snap")).boot(start="snapshot").ready(),
    "budget_reached_and_raised": given_a.raised(given_a.paused_asleep().ask(2)).boot(start="snapshot").ready(),
    "budget_reached_and_declined": given_a.paused().do(given_a.NO).ask(2),
    "publish_fails_then_succeeds": given_a.publishing().do(c.FailPublish(given_a.PUSHED, "down", 10.0)).publish(),
    "merged_and_followed_up": done()
    .do(c.ReviewPullRequest(7, "approved", "grace")).do(c.ClosePullRequest(7, True, "grace")).ask(2).work(2).end(turn=2)
    .do(c.BeginPublish()).do(c.FinishPublish(8, "https://forge.test/acme/rocket/pull/8", f"{2:040x}", True)),
    "reviewed_line_by_line": done()
    .do(CommentOnLines(7, 12, "grace", FUEL, "Round *up*.", review=11))
    .do(c.ReviewPullRequest(7, "changes_requested", "grace", "Nearly.", review=11))
    .do(CommentOnLines(7, 13, "grace", DiffLines(path="README.md"), "Say so here.", review=11))
    .do(CommentOnLines(7, 12, "grace", FUEL, "Round up.", review=11, edited=True))
    .do(CommentOnLines(7, 15, "hedy", FUEL, "Oh.", review=14)).do(DeleteLineComment(7, 15))
    .do(CommentOnLines(7, 16, "hedy", DiffLines(path=""), "And a *changelog*.")).do(DismissReview(7, 11, "ada")).ask(2),
    "checks_failed_and_were_seen_to": checked().ask(2),
    "closed_after_long_sleep": given_a.asleep()
    .do(c.FailPublish(given_a.PUSHED, "no rights", None)).do(c.Tick(), after=RULES.close_seconds + 1),
    "started_another_and_was_stopped": a_family.two_levels().do(c.Stop(GRACE)).end(outcome="stopped", commits=0)
    .do(a_family.f.StopChildren(GRACE)).do(a_family.f.FinishHanding("c1", "")).do(a_family.f.FinishHanding("c2", ""))
    .do(a_family.f.TakeChildReport("c1", 9, "stopped", "", None, "")),
    "started_by_another": a_family.child_ended().publish().do(a_family.f.FinishReport(12)),
    "closed_unanswered_and_opened_again": given_a.closed_unasked().ask(2),
}  # fmt: skip


def told(log: Log) -> str:
    """A log, an event a line, and the session that it folds to on the last one."""
    assert log.session is not None
    return "".join(event_to_json(event) + "\n" for event in log.events) + log.session.model_dump_json() + "\n"


def golden() -> dict[Path, str]:
    """Every golden file of this folder, and what it should say."""
    return {GOLDEN / f"{story}.jsonl": told(log) for story, log in STORIES.items()}
