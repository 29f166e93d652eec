"""A session's log as cards, endings, notices and a question: what a person in the thread is told, and when."""

from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.cards import Card, ThreadView
from bot.phases import _PHASE_OF
from bot.slack.blocks import notice_message
from bot.slack.check_blocks import checks_message
from bot.view import fold_view
from jobs import commands as c
from jobs import frames as f
from jobs.commands_checks import FinishCheck
from jobs.commands_reviews import CommentOnLines, DeleteLineComment, DismissReview
from jobs.events import DiffLines, PlanEntry
from jobs.session import Status
from tests.jobs.test_children import child_ended
from tests.logs import ADA, GRACE, SID, Log, any_log, done, halves


def view_of(log: Log) -> ThreadView:
    view = fold_view(log.events)
    assert view is not None
    return view


def only_card(log: Log) -> Card:
    (card,) = view_of(log).cards
    return card


def test_every_status_has_a_human_word() -> None:
    assert set(_PHASE_OF) == set(Status)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_log_folded_in_two_halves_gives_the_same_view(seed: int) -> None:
    events = any_log(seed)
    whole = fold_view(events)
    for first, second in list(halves(events))[:: max(1, len(events) // 6)]:
        assert fold_view(second, fold_view(first)) == whole


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_in_any_legal_log_every_prompt_has_one_card_with_words_for_its_phase(seed: int) -> None:
    view = fold_view(any_log(seed))
    assert view is not None
    assert [card.id for card in view.cards] == list(view.session.seen)
    assert all(card.phase for card in view.cards)
    waiting = [card.id for card in view.cards if card.state == "waiting"]
    assert waiting == sorted((prompt.id for prompt in view.session.queue), key=list(view.session.seen).index)
    assert [card.id for card in view.cards if card.state == "running"] == (
        [view.session.turn.prompt.id] if view.session.turn else []
    )


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_ids_are_unique_and_never_change_while_a_log_grows(seed: int) -> None:
    events = any_log(seed)
    seen: list[str] = []
    view = None
    for event in events:
        view = fold_view([event], view)
        assert view is not None
        ids = [card.id for card in view.cards] + [e.id for e in view.endings] + [n.id for n in view.notices]
        assert len(set(ids)) == len(ids)
        assert set(seen) <= set(ids)
        seen = ids


@pytest.mark.parametrize(
    ("log", "phase"),
    [
        (Log().ask(repository=None), "Waiting to hear which repository"),
        (Log().ask(), "Waiting for a box"),
        (Log().ask().do(c.BeginStart(0)), "Making a box"),
        (Log().ask().do(c.BeginStart(0)).do(c.FailStart(1, "no space", 5.0)), "Trying again: no space"),
        (
            Log().ask().do(c.BeginStart(0)).do(c.FinishStart(1, "b", "cold", None, True)),
            "Box started from scratch, connecting",
        ),
        (Log().ask().boot(), "Box started from the repository's image, getting ready"),
        (Log().ask().boot(start="snapshot"), "Box woken from its snapshot, getting ready"),
        (
            Log().ask().boot().hear(f.Phase(n=1, at=0, kind="phase", phase="syncing")),
            "Box started from the repository's image, fetching the repository",
        ),
        (Log().ask().boot().ready(), "Working"),
        (Log().ask().boot().ready().do(c.Stop(GRACE)), "Stopping, as Grace asked"),
        (Log().ask().boot().ready().do(c.LoseBox(1, "killed")), "Trying again: the box was lost (killed)"),
        (Log().ask().do(c.Stop(GRACE)), "Withdrawn: stopped by Grace before it began"),
        (Log().ask().boot().ready().end(outcome="timed_out"), "Ran out of time"),
        (done(), "Done"),
    ],
)  # fmt: skip
def test_a_card_says_how_far_it_is(log: Log, phase: str) -> None:
    assert only_card(log).phase == phase


def test_a_second_prompt_waits_its_turn_and_says_how_many_are_ahead() -> None:
    log = Log().ask(1).boot().ready().ask(2, GRACE).ask(3, ADA)
    assert [card.phase for card in view_of(log).cards] == [
        "Working",
        "Waiting its turn (1 ahead)",
        "Waiting its turn (2 ahead)",
    ]
    log.end()
    assert [card.phase for card in view_of(log).cards] == ["Done", "Working", "Waiting its turn (1 ahead)"]


def test_a_turn_that_is_delivered_again_after_its_box_was_lost_says_so() -> None:
    log = Log().ask().boot().ready().work().do(c.LoseBox(1, "killed")).boot(start="snapshot").ready()
    card = only_card(log)
    assert card.phase == "Working on it again, after it was interrupted"
    assert card.turn == 2
    assert card.task


def test_the_last_steps_are_kept_and_all_are_counted() -> None:
    log = Log().ask().boot().ready()
    steps = [f.Step(n=n, at=0, kind="step", turn=1, title=f"step {n}") for n in range(1, 6)]
    card = only_card(log.hear(*steps))
    assert card.steps == ("step 3", "step 4", "step 5")
    assert card.steps_taken == 5


def test_the_plan_is_the_newest_one() -> None:
    log = Log().ask().boot().ready()
    for status in ("pending", "in_progress", "completed"):
        entries = (PlanEntry(text="Find it", status=status),)
        log.hear(f.Plan(n=1, at=0, kind="plan", turn=1, entries=entries))
    assert only_card(log).plan == (PlanEntry(text="Find it", status="completed"),)


def test_a_box_that_is_not_isolated_is_told_on_the_cards_of_its_time() -> None:
    log = Log().ask().boot(isolated=False).ready().ask(2, GRACE)
    assert [card.isolated for card in view_of(log).cards] == [False, False]


def test_the_question_is_answered_by_whoever_pressed_the_button() -> None:
    log = Log().ask(repository=None)
    question = view_of(log).question
    assert question is not None and question.options == ("acme/rocket", "acme/site") and question.answer is None
    log.do(c.ChooseRepository("acme/site", "main", GRACE))
    question = view_of(log).question
    assert question is not None and (question.answer, question.by) == ("acme/site", "Grace")


def test_an_ending_waits_for_its_pull_request_and_then_has_its_link() -> None:
    log = Log().ask().boot().ready().end()
    (ending,) = view_of(log).endings
    assert (ending.publishing, ending.settled, ending.to) == ("pending", None, ADA)
    (ending,) = view_of(log.publish()).endings
    assert (ending.publishing, ending.url, ending.settled) == (
        "shown",
        "https://forge.test/acme/rocket/pull/7",
        log.now,
    )


def test_an_ending_without_commits_is_settled_at_once() -> None:
    (ending,) = view_of(Log().ask().boot().ready().end(commits=0)).endings
    assert (ending.publishing, ending.settled) == ("nothing", ending.ended)


@pytest.mark.parametrize("pushed", [True, False])
def test_what_a_prompt_committed_before_a_pause_counts_at_its_end(pushed: bool) -> None:
    log = Log().ask().boot().ready().work().do(c.ReachBudget(1, 4.8, 4.5, 5.0)).end(pushed=pushed)
    assert log.session is not None and log.session.paused is not None
    (ending,) = view_of(log.do(c.RaiseBudget(GRACE, log.session.paused.asked)).end(2, commits=2)).endings
    assert (len(ending.commits), ending.publishing) == (3, "pending")


def test_commits_that_could_not_be_pushed_are_said_to_be_kept() -> None:
    (ending,) = view_of(Log().ask().boot().ready().end(pushed=False, error="no way to the forge")).endings
    assert (ending.publishing, ending.error) == ("unpushed", "no way to the forge")


def test_a_pull_request_that_could_not_be_opened_is_told_and_its_later_success_too() -> None:
    log = Log().ask().boot().ready().end().do(c.BeginPublish()).do(c.FailPublish(f"{1:040x}", "the forge is down", 5.0))
    (ending,) = view_of(log).endings
    assert ending.publishing == "failed"
    assert ending.trouble == "the forge is down. I will keep trying."
    for delay in (1_800.0, 8_000.0):
        (ending,) = view_of(log.do(c.BeginPublish()).do(c.FailPublish(f"{1:040x}", "the forge is down", delay))).endings
        assert ending.trouble == "the forge is down. I will keep trying, but rarely. Reply here and I try at once."
    view = view_of(log.publish())
    assert view.endings[0].publishing == "shown"
    assert [(n.label, n.text, n.to) for n in view.notices] == [("Pull request #7", "is there now.", ADA)]


def test_a_pull_request_shows_only_the_turns_up_to_its_head() -> None:
    log = Log().ask().boot().ready().end(1).ask(2, GRACE).do(c.BeginPublish()).end(2)
    log.do(c.FinishPublish(7, "https://forge.test/7", f"{1:040x}", True))
    assert [ending.publishing for ending in view_of(log).endings] == ["shown", "pending"]


def test_a_turn_that_pushed_only_what_an_earlier_one_could_not_is_settled_by_the_pull_request() -> None:
    log = Log().ask().boot().ready().work().end(pushed=False, error="no way to the forge")
    log.ask(2, GRACE, "again").end(turn=2, head=f"{1:040x}").publish()
    first, second = view_of(log).endings
    assert (first.publishing, second.publishing) == ("unpushed", "shown")
    assert second.settled is not None


def test_prompts_that_could_not_be_done_at_all_are_told_to_their_people() -> None:
    log = Log().ask(1).ask(2, GRACE).do(c.BeginStart(0)).do(c.FailStart(1, "the repository is gone", None))
    view = view_of(log)
    assert [notice.to for notice in view.notices] == [ADA, GRACE]
    assert view.notices[0].text == "I could not do this: the repository is gone. Reply here and I will try again."
    assert [(card.state, card.outcome) for card in view.cards] == [("ended", "failed"), ("ended", "failed")]


def test_what_the_forge_says_later_becomes_a_notice() -> None:
    log = done().do(c.ReviewPullRequest(7, "changes_requested", "grace")).do(c.ClosePullRequest(7, True, "grace"))
    texts = [f"{notice.label} {notice.text}" for notice in view_of(log).notices]
    assert texts == [
        "Pull request #7 needs changes, says grace. Reply here with what I should change.",
        "Pull request #7 was merged by grace.",
    ]


def test_what_a_reviewer_says_is_shown_and_goes_to_the_agent_with_the_next_prompt() -> None:
    log = done().do(c.ReviewPullRequest(7, "changes_requested", "grace", "Use *ceil*, <!channel>."))
    view = view_of(log)
    (notice,) = view.notices
    assert notice.text == "needs changes, says grace. Reply here and I will take it up."
    blocks = notice_message(notice).blocks
    assert blocks[1]["text"]["text"] == "> Use _ceil_, &lt;!channel&gt;."
    session = view_of(log.ask(2).ask(3)).session
    said = "grace reviewed pull request #7 (changes requested): Use *ceil*, <!channel>."
    assert session.turn is not None and session.turn.prompt.before == (said,)
    assert [prompt.before for prompt in session.queue] == [()]


NEARLY = c.ReviewPullRequest(7, "changes_requested", "grace", "Nearly.", review=11)


def on_line(line: int, words: str, review: int = 11, edited: bool = False, id: int = 0) -> CommentOnLines:
    where = DiffLines(path="a.py", last=line, code="x = `1`")
    return CommentOnLines(7, id or 100 + line, "grace", where, words, review, edited=edited)


@pytest.mark.parametrize("order", list(permutations([NEARLY, on_line(3, "Why?"), on_line(1, "Oh.")])))
def test_a_review_with_its_comments_is_one_notice_in_whatever_order_they_come(order: Sequence[c.Command]) -> None:
    log = done()
    for said in order:
        log.do(said)
    (notice,) = view_of(log).notices
    assert notice.text == "needs changes, says grace. Reply here and I will take it all up."
    assert notice.label == "Pull request #7" and notice.url and notice.quote == "Nearly."
    assert [block["text"]["text"] for block in notice_message(notice).blocks[1:]] == [
        "> Nearly.", "*a.py, line 1*  ·  `x = '1'`\n> Oh.", "*a.py, line 3*  ·  `x = '1'`\n> Why?",
    ]  # fmt: skip


def test_what_is_edited_or_deleted_on_the_forge_is_so_in_its_notice() -> None:
    log = done().do(NEARLY).do(on_line(3, "Why?")).do(on_line(5, "Oh.", review=12)).ask(2)
    log.do(on_line(3, "Why not?", edited=True)).do(DeleteLineComment(7, 105)).do(DeleteLineComment(7, 999))
    log.do(c.ReviewPullRequest(7, "dismissed", "grace", "Well.", review=11, edited=True))
    one, other = view_of(log).notices
    assert one.review is not None and [(x.words, x.edited) for x in one.review.comments] == [("Why not?", True)]
    assert one.quote == "Well." and one.text.startswith("needs changes, says grace.")
    assert (
        other.text == "was commented on by grace, who deleted that."
        and other.review is not None
        and not other.review.comments
    )


def test_checks_of_a_session_that_an_agent_started_are_named_with_its_number_and_fixed_in_it() -> None:
    log = child_ended().publish()
    assert log.session is not None
    (notice,) = view_of(log.do(FinishCheck(log.session.head, "run/5/lint", "lint", "failure", passed=False))).notices
    message = checks_message(notice, SID)
    said = "failed: lint. Reply here, #1 in front, and I will see to it."
    assert message.text.endswith(f"|Checks of #1's pull request #7> {said}")
    [fix] = message.blocks[-1]["elements"]
    assert (fix["action_id"], fix["value"]) == ("fix_checks", f"{SID} {log.session.head}")
    assert checks_message(view_of(log.do(c.ClosePullRequest(7, True, "ada"))).notices[0], SID).blocks[1:] == ()


def test_a_dismissed_review_says_so_and_what_it_asked_for_is_still_there() -> None:
    log = done().do(NEARLY).do(on_line(3, "Why?")).do(DismissReview(7, 11, "ada")).do(on_line(4, "And?"))
    (notice,) = view_of(log.do(DismissReview(7, 99, "ada"))).notices
    assert notice.text.startswith("was reviewed by grace; ada dismissed that. Reply here") and notice.quote == "Nearly."
    assert notice.review is not None and len(notice.review.comments) == 2


def test_a_comment_that_was_not_heard_of_until_it_was_edited_is_a_notice() -> None:
    (notice,) = view_of(done().do(on_line(3, "Why?", review=0, edited=True))).notices
    assert notice.text == "was commented on by grace. Reply here and I will take it up."


def test_very_many_comments_are_one_message_that_slack_takes() -> None:
    log = done().do(NEARLY)
    for n in range(1, 131):
        log.do(on_line(n, f"{n} " + "<&>" * 600, id=n))
    view = view_of(log)
    message = notice_message(view.notices[0])
    assert len(view.notices) == 1 and len(message.blocks) <= 50
    texts = [(block.get("text") or block["elements"][0])["text"] for block in message.blocks]
    assert all(len(text) <= 3_000 for text in texts) and sum(map(len, texts)) <= 12_000
    assert texts[-1] == f"… and {130 - (len(texts) - 3)} more comments on the pull request"


def test_an_edit_of_a_message_that_is_being_worked_on_is_noted_for_its_author() -> None:
    log = Log().ask().boot().ready().do(c.EditPrompt("T1:C1:1.000001", "Something else"))
    (notice,) = view_of(log).notices
    assert notice.to == ADA and "already begun" in notice.text
