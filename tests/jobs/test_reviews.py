"""What reviewers say goes to the agent with the next prompt: whole, in order, as it is by then, and once."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from jobs import commands as c
from jobs import commands_tools as t
from jobs.commands_reviews import CommentOnLines, DeleteLineComment, DismissReview
from jobs.events import DiffLines, LineCommented, PromptReceived
from jobs.reviews import COMMENTS, SILENT
from tests.jobs.test_commands import working
from tests.logs import GRACE, Log, done

NEARLY = c.ReviewPullRequest(7, "changes_requested", "grace", "Nearly.", review=11)


def on(line: int, words: str, path: str = "a.py", **more: int | bool) -> CommentOnLines:
    """What grace says of this line, as part of the review."""
    fields: dict[str, int] = {"review": 11, "comment": 100 + line} | more
    return CommentOnLines(7, by="grace", where=DiffLines(path=path, last=line, code="x = 1"), words=words, **fields)


def told(log: Log, n: int = 9) -> tuple[str, ...]:
    """What the next prompt takes with it."""
    log.ask(n, text="do what they say")
    return [event for event in log.events if isinstance(event, PromptReceived)][-1].prompt.before


def after(*commands: c.Command) -> Log:
    log = done()
    for command in commands:
        log.do(command)
    return log


UNDER = CommentOnLines(7, 5, "grace", DiffLines(path=""), "Hm.")
WHOLE = (
    "grace reviewed pull request #7 (changes requested): Nearly.",
    "grace commented on a.py, line 3 of pull request #7, which says `x = 1`: Why?",
    "grace commented on b.py, line 1 of pull request #7, which says `x = 1`: Oh.",
)


@pytest.mark.parametrize("order", list(permutations([NEARLY, on(1, "Oh.", "b.py"), on(3, "Why?")])))
def test_a_review_is_told_whole_in_whatever_order_the_forge_tells_it(order: Sequence[c.Command]) -> None:
    assert told(after(*order)) == WHOLE
    assert told(after(*order, *order)) == WHOLE  # each was told twice


SAID = {
    "one comment alone": ([c.ReviewPullRequest(7, "commented", "grace", review=11), on(3, "Why?")], [WHOLE[1]]),
    "an approval with a comment": (
        [c.ReviewPullRequest(7, "approved", "grace", review=11), on(3, "Why?")],
        ["grace reviewed pull request #7 (approved)", WHOLE[1]],
    ),
    "a verdict alone is for people": ([c.ReviewPullRequest(7, "approved", "grace", review=11)], []),
    "a reply": (
        [on(3, "Ah.", reply=True)],
        ["grace replied to a comment on a.py, line 3 of pull request #7, which says `x = 1`: Ah."],
    ),
    "edited before it was told": ([on(3, "Wy?"), on(3, "Why?", edited=True)], [WHOLE[1]]),
    "edited, and then told as it was first": (
        [on(3, "Why?", edited=True), on(3, "Wy?")],
        ["grace changed a comment on a.py, line 3 of pull request #7, which says `x = 1` to: Why?"],
    ),
    "deleted before it was told": ([NEARLY, on(3, "Why?"), DeleteLineComment(7, 103)], [WHOLE[0]]),
    "a review that says something else by now": (
        [NEARLY, c.ReviewPullRequest(7, "changes_requested", "grace", "No.", review=11, edited=True)],
        ["grace reviewed pull request #7 (changes requested): No."],
    ),
    "of another pull request": ([CommentOnLines(8, 1, "grace", DiffLines(path="a.py"), "Why?")], []),
    "two reviews": (
        [on(3, "Why?"), on(1, "Oh.", "b.py", review=12), on(2, "And?")],
        [WHOLE[1].replace("line 3", "line 2").replace("Why", "And"), WHOLE[1], WHOLE[2]],
    ),
    "under the pull request, and edited there": (
        [UNDER, replace(UNDER, words="Why so?", edited=True)],
        ["grace commented on pull request #7: Why so?"],
    ),
    "dismissed before it was told": (
        [NEARLY, DismissReview(7, 11, "ada")], ["grace reviewed pull request #7 (dismissed): Nearly."],
    ),
    "of no review": (
        [on(3, "Why?", review=0), on(1, "Oh.", "b.py", review=0)],
        list(WHOLE[1:]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAID)
def test_what_the_agent_is_told_of(case: str) -> None:
    commands, expected = SAID[case]
    assert told(after(*commands)) == tuple(expected)


def test_what_was_told_is_told_again_only_if_it_was_changed_since() -> None:
    log = after(NEARLY, on(3, "Why?"))
    assert told(log) == WHOLE[:2]
    assert told(log.do(DeleteLineComment(7, 103)), 10) == ()
    log.do(on(3, "Why not?", edited=True))
    log.do(c.ReviewPullRequest(7, "changes_requested", "grace", "Well.", review=11, edited=True))
    assert told(log, 11) == (
        "grace changed a review of pull request #7 (changes requested) to: Well.",
        "grace changed a comment on a.py, line 3 of pull request #7, which says `x = 1` to: Why not?",
    )


def test_of_very_many_comments_the_newest_are_told_and_the_others_counted() -> None:
    log = after(*(on(n, f"{n} " + "x" * 90, comment=n) for n in range(1, COMMENTS + 11)))
    assert [len(e.words) > 0 for e in log.events if isinstance(e, LineCommented)] == [True] * COMMENTS + [False] * 10
    lines = told(log)
    assert sum(map(len, lines)) < 20_200
    assert lines[-1] == f"reviewers made {COMMENTS + 11 - len(lines)} more comments, for which there was no room here"
    assert f": {COMMENTS} x" in lines[-2]
    assert log.session is not None and (log.session.reviews, log.session.reviews_left_out) == ((), 0)


def test_a_comment_for_which_there_was_no_room_counts_once_and_not_when_it_is_gone_or_told() -> None:
    log = after(*(on(n, f"{n}.", comment=n) for n in range(1, COMMENTS + 11)))
    for words in ("a", "b", "b"):
        log.do(on(COMMENTS + 1, words, comment=COMMENTS + 1, edited=True))
    log.do(on(COMMENTS + 2, "again", comment=COMMENTS + 2))
    assert log.session is not None and log.session.reviews_left_out == 10
    log.do(DeleteLineComment(7, COMMENTS + 3)).do(DeleteLineComment(7, 1))
    log.do(on(COMMENTS + 4, "There is room by now.", comment=COMMENTS + 4, edited=True))
    assert log.session is not None and log.session.reviews_left_out == 8
    lines = told(log)
    assert lines[-1].startswith("reviewers made 8 more comments") and "There is room by now." in lines[-2]


def test_reviews_that_say_nothing_take_the_place_of_none_that_does() -> None:
    log = after(NEARLY, on(3, "Why?"))
    for n in range(500):
        log.do(c.ReviewPullRequest(7, "approved", "eve", review=1_000 + n))
    assert log.session is not None and len(log.session.reviews) == SILENT + 2
    assert told(log) == WHOLE[:2]


def test_a_prompt_that_takes_nothing_with_it_leaves_what_waits() -> None:
    log = working().do(t.AskPeople(1, "Which port?")).end().publish().do(NEARLY)
    log.do(t.AnswerQuestion("q1", "8080", GRACE, said="T1:C1:1.000002"))
    assert told(log) == WHOLE[:1]


def test_a_withdrawn_prompt_leaves_them_for_the_next() -> None:
    log = done().ask(2)
    log.do(NEARLY).do(on(3, "Why?")).ask(3).do(c.WithdrawPrompt("T1:C1:1.000003", "its message was deleted"))
    assert told(log) == WHOLE[:2]
