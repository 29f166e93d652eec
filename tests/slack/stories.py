"""The stories whose threads are kept as golden files; `make golden` writes them again."""

from pathlib import Path

from bot.slack import blocks, tool_blocks
from bot.slack.block_kit import Message
from bot.slack.blocks import Where
from bot.slack.check_blocks import checks_message
from bot.slack.family_blocks import stop_offer_message
from bot.slack.posts import is_moot, pull_of
from bot.view import fold_view
from jobs import commands as c
from jobs import commands_tools as t
from jobs import frames as f
from jobs.events import PlanEntry
from tests.jobs import stories as jobs_stories
from tests.jobs import test_children as a_family
from tests.jobs.stories import given_a
from tests.logs import GRACE, Log, done

WHERE = Where("s1", "acme/rocket", "https://ship.test/view/s1?signature=x")
GOLDEN = Path(__file__).parent / "golden"
PLAN = (
    PlanEntry(text="Find the bug", status="completed"),
    PlanEntry(text="Mend it", status="in_progress"),
    PlanEntry(text="Run the tests"),
)


def working() -> Log:
    return Log().ask().boot().ready().work().hear(f.Plan(n=1, at=0, kind="plan", turn=1, entries=PLAN))


def pausing() -> Log:
    return working().do(c.ReachBudget(1, 4.8, 4.5, 5.0))


def answered(kind: type[c.RaiseBudget] | type[c.DeclineBudget]) -> Log:
    log = pausing().end(outcome="stopped", commits=0)
    assert log.session is not None and log.session.paused is not None
    return log.do(kind(GRACE, log.session.paused.asked))


def resumed() -> Log:
    """Paused with a commit, and gone on with."""
    log = pausing().end(outcome="stopped")
    assert log.session is not None and log.session.paused is not None
    return log.do(c.RaiseBudget(GRACE, log.session.paused.asked))


def words(message: Message) -> str:
    """Everything that a person reads in a message, a line for each block."""
    lines = []
    for block in message.blocks:
        parts = block.get("elements") or [block]
        for part in parts:
            said = part["text"]["text"] if isinstance(part["text"], dict) else part["text"]
            lines.append(f"[{said}]" if part["type"] == "button" else said)
    return "\n".join(lines)


def everything(log: Log) -> str:
    """The whole thread, as a person reads it a minute after its last event."""
    view = fold_view(log.events)
    assert view is not None
    lineage = view.session.lineage
    where = WHERE if lineage is None else Where(view.session.id, "acme/pad", number=lineage.number)
    messages = [blocks.card_message(card, where, log.now + 60) for card in view.cards]
    messages += [stop_offer_message(offer, view.session.id) for offer in view.offers]
    messages += [blocks.question_message(view.question, is_moot(view))] if view.question else []
    messages += [blocks.budget_message(question, *pull_of(view)) for question in view.budgets]
    messages += [tool_blocks.asked_message(one, "s1") for one in view.asked]
    messages += [tool_blocks.file_message(file) for file in view.files]
    messages += [blocks.ending_message(ending) for ending in view.endings]
    messages += [checks_message(notice, "s1") for notice in view.notices]
    return "\n--\n".join(f"({message.text})\n{words(message)}" for message in messages) + "\n"


def curious() -> Log:
    return working().do(t.AskPeople(1, "Tabs or *spaces*?", ("tabs", "spaces")))


STORIES = {
    "question_open": curious().do(t.AskPeople(1, "Which port?")),
    "question_answered": curious().do(t.AnswerQuestion("q1", "spaces", GRACE)).do(t.TakeAnswer("q1")),
    "question_stopped": curious().do(c.Stop(GRACE)).end(outcome="stopped", commits=0),
    "file_attached": working()
    .do(t.WantFile(1, "a.png", "After"))
    .do(t.AttachFile(1, "f1", "a.png", "image/png", 7, "d", "https://ship.test/f1")),
    "waiting": Log().ask().ask(2, GRACE, "and the docs").do(c.EditPrompt("T1:C1:1.000002", "and the README")),
    "asking": Log().ask(repository=None),
    "stopped_asking": Log().ask(repository=None).do(c.Stop(GRACE)),
    "stopped": working().do(c.Stop(GRACE)).end(outcome="stopped", commits=0),
    "chosen": Log().ask(repository=None).do(c.ChooseRepository("acme/site", "main", GRACE)),
    "working": working(),
    "reading": Log().ask().boot().phase("syncing").ready(synced=False).work(),
    "reading_for_long": Log().ask().boot().ready(synced=False).work().phase("syncing_again"),
    "read_and_synced": Log().ask().boot().phase("syncing").ready(synced=False).work().phase("synced"),
    "not_isolated": Log().ask().boot(isolated=False).ready().work(),
    "stopping": working().do(c.Stop(GRACE)),
    "done": done(),
    "no_commits": Log().ask().boot().ready().work().end(commits=0),
    "failed": Log().ask().boot().ready().end(outcome="failed", commits=0, error="The model refused: no credit left."),
    "not_pushed": Log().ask().boot().ready().end(pushed=False, error="The forge could not be reached."),
    "publish_failed": Log().ask().boot().ready().end().do(c.BeginPublish()).do(c.FailPublish("h", "no rights", None)),
    "given_up": Log().ask().do(c.BeginStart(0)).do(c.FailStart(1, "acme/rocket is not there", None)),
    "budget_reached": pausing(),
    "budget_reached_again": done().ask(2).work(2).do(c.ReachBudget(1, 9.6, 9.5, 5.0)),
    "budget_paused": pausing().end(outcome="stopped", commits=0).ask(2, GRACE, "and the docs"),
    "budget_raised": answered(c.RaiseBudget),
    "budget_raised_and_done": resumed().end(2, commits=0).publish(),
    "closed_asking": given_a.closed_unasked(),
    "budget_declined": answered(c.DeclineBudget),
    "model_overloaded": working().do(c.TellModelTrouble(1, "overloaded")),
    "cost": working().end(cost=0.424),
    "started_others": a_family.two_levels(),
    "others_reported": a_family.reported().end(commits=0).do(a_family.reporting()),
    "others_made_it": a_family.reported().end(commits=0).do(a_family.reporting()).end(2, commits=0),
    "others_go_on": a_family.two_levels().do(c.Stop(GRACE)).end(outcome="stopped", commits=0),
    "others_stopped": a_family.two_levels().do(c.Stop(GRACE)).do(a_family.f.StopChildren(GRACE)),
    "others_ended": a_family.one().do(c.Stop(GRACE)).do(a_family.f.TakeChildReport("c1", 12, *a_family.ENDED)),
    "started_by_an_agent": a_family.child_ended().publish(),
    "one_of_several_gave_up": a_family.child().do(c.BeginStart(0)).do(c.FailStart(1, "no such branch", None)),
    "one_of_several_was_stopped": a_family.child()
    .boot()
    .ready()
    .work()
    .do(c.Stop(GRACE))
    .end(outcome="stopped", commits=0),
    "steered_by_a_person": a_family.child().boot().ready().work().ask(2, GRACE, "Paint it red"),
    "reviewed": jobs_stories.STORIES["reviewed_line_by_line"],
    "checks_failed": jobs_stories.checked(),
    "checks_seen_to": jobs_stories.STORIES["checks_failed_and_were_seen_to"],
    "merged": done().do(c.ClosePullRequest(7, True, "grace")),
}


def golden() -> dict[Path, str]:
    """Every golden file of this folder, and what it should say."""
    return {GOLDEN / f"{story}.txt": everything(log) for story, log in STORIES.items()}
