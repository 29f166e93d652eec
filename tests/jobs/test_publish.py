"""What a pull request says, and that nobody's words in it do more than say something."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import commands as c
from jobs import commands_tools as t
from jobs.commands_family import TakeReport
from jobs.events import Commit, Place, Prompt
from jobs.publish import BODY_CHARS, TITLE_CHARS, pull_request_body, pull_request_title, quiet
from jobs.session import Session
from sandbox.runner.visible import visible
from tests.logs import ADA, GRACE, PLACE, Log

LINK = "https://acme.slack.test/archives/C1/p1000001"


def body(log: Log) -> str:
    return pull_request_body(session_of(log), log.events)


def title(log: Log) -> str:
    return pull_request_title(session_of(log), log.events)


def session_of(log: Log) -> Session:
    assert log.session is not None
    return log.session


def ended(**more: str) -> Log:
    return Log(PLACE.model_copy(update={"link": LINK})).ask().boot().ready().work().end(**more)


def test_the_body_says_what_was_asked_by_whom_what_was_done_and_where_to_look() -> None:
    log = ended().ask(2, GRACE, "and the docs").end(turn=2, summary="The docs say so too.")
    assert body(log) == (
        "## What was asked\n\n**Ada**:\n\n> Fix the fuel test\n\n**Grace**:\n\n> and the docs\n\n"
        "## What was done\n\nTanks round up now.\n\nThe docs say so too.\n\n"
        "### Commits\n\n- `000000000` Change 1 (Ada <\u200bada@\u200bacme.test>)\n"
        "- `000000000` Change 1 (Ada <\u200bada@\u200bacme.test>)\n\n"
        f"---\nMade by Shipmate for Ada, Grace · session `stest` · [the thread]({LINK}). Reply in the thread to go on."
    )


def test_only_what_was_taken_up_is_in_it_with_the_words_it_had_then() -> None:
    log = Log().ask().ask(2, GRACE, "never mind").do(c.EditPrompt("T1:C1:1.000001", "Rather the docs"))
    log.do(c.WithdrawPrompt("T1:C1:1.000002", "deleted")).boot().ready().end()
    said = body(log)
    assert "> Rather the docs" in said
    assert "Fix the fuel test" not in said
    assert "never mind" not in said


def test_a_prompt_that_was_delivered_twice_is_in_it_once() -> None:
    log = Log().ask().boot().ready().do(c.LoseBox(1, "out of memory")).boot().ready().end(turn=2)
    assert body(log).count("> Fix the fuel test") == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("fix the failing test", "Fix the failing test"),
        ("<@U01BOT> fix\nthe   test", "Fix the test"),
        ("a < b && c > d", "A < b && c > d"),
        ("tell @ada about #12", "Tell @\u200bada about #\u200b12"),
        ("x" * 100, "X" + "x" * 70 + "…"),
        ("\ufb03" + "x" * 71, "FFI" + "x" * 68 + "…"),
        ("<@U01BOT>", "I will fix the rounding of tanks."),
        ("", "I will fix the rounding of tanks."),
    ],
)
def test_the_title_is_the_task_on_one_line(asked: str, said: str) -> None:
    assert title(Log().ask(text=asked).boot().ready().work().end()) == said


def test_the_title_is_of_what_was_begun_as_it_was_worded_by_then_and_no_report_is_anybodys_request() -> None:
    log = Log().ask(text="Fix tests").ask(2, text="Fix the fuel test")
    log.do(c.WithdrawPrompt("T1:C1:1.000001", "its message was deleted"))
    log.do(c.EditPrompt("T1:C1:1.000002", "Fix the tank test")).boot().ready().end()
    report = Prompt(id="c1:9", author=ADA, text="Report of #1: done.", report_of=1)
    log.do(TakeReport(report)).end(turn=2)
    assert title(log) == "Fix the tank test"
    assert "Fix the tank test" in body(log) and "Report of #1" not in body(log)


def test_without_any_words_there_is_a_title_all_the_same() -> None:
    assert title(Log().ask(text="").boot().ready().end()) == "Work by Shipmate"


@pytest.mark.parametrize(
    "words",
    [
        "@ada", "thanks @ada!", "(@acme/team)", "&commat;ada", "&#64;ada", "<script>alert(1)</script>",
        "</details><h1>", "<!-- hidden -->", "<?php", "#12", "acme/rocket#12", "GH-12", "gh-12",
        "Fixes #12", "closes: #12", "Resolved acme/site#3", "fix https://forge.test/acme/rocket/issues/1",
        "Closes https://github.com/acme/rocket/issues/1", "FIXED GH-3",
        "![](https://evil.test/pixel.png)", "[the docs](https://evil.test)", "[a]: https://evil.test",
    ],
)  # fmt: skip
def test_words_that_would_do_something_on_the_forge_are_only_words(words: str) -> None:
    said = quiet(words)
    assert said.replace("\u200b", "") == words, "it looks as it was"
    assert not re.search(r"@\w|#\w|<[\w/!?]|&[#\w]|\][(:]", said)
    assert not re.search(r"\bgh-\d", said, re.IGNORECASE)
    assert not re.search(r"\b(clos|fix|resolv)\w*:?\s+(http|gh-|[\w./-]*#)", said, re.IGNORECASE)


@pytest.mark.parametrize(
    "words", ["a < b", "fix the test", "R&D && more", "C# is # 1", "100 % @ noon", "closes the door", "if x <= y:"]
)
def test_words_that_do_nothing_are_left_alone(words: str) -> None:
    assert quiet(words).replace("R&\u200bD", "R&D") == words


def test_a_block_of_code_without_an_end_does_not_swallow_the_rest() -> None:
    said = body(ended(summary="Like this:\n```python\nprint(1)"))
    assert "print(1)\n```\n\n### Commits" in said
    closed = body(ended(summary="```\nprint(1)\n```"))
    assert closed.count("```") == 2
    longer = body(ended(summary="````\n```\n~~~\nstill code"))
    assert "still code\n````\n\n### Commits" in longer


def test_names_and_subjects_cannot_begin_a_line_of_their_own() -> None:
    log = Log().ask(who=ADA.model_copy(update={"name": "Ada\n# Approved\n"})).boot().ready()
    session = session_of(log.end(commits=0))
    commits = (Commit(sha="a" * 40, subject="x\n## Approved by @grace", author="Eve\n<e@x>"),)
    said = pull_request_body(session.model_copy(update={"commits": commits}), log.events)
    assert [line for line in said.splitlines() if line.startswith("#")] == [
        "## What was asked", "## What was done", "### Commits",
    ]  # fmt: skip


def test_a_body_too_long_for_the_forge_is_cut_and_keeps_its_footer() -> None:
    log = Log().ask().boot().ready()
    for turn in range(1, 60):
        log.end(turn=turn, summary="```\n" + "x" * 1_990).ask(turn + 1, text="more " * 400)
    said = body(log)
    assert BODY_CHARS - 100 < len(said) <= BODY_CHARS
    assert said.endswith("Reply in the thread to go on.")


def test_many_commits_are_counted_and_the_newest_shown() -> None:
    said = body(Log().ask().boot().ready().end(commits=120))
    assert "- … 20 before these\n" in said
    assert "Change 120" in said


def test_a_session_without_a_link_has_none() -> None:
    log = Log(Place(client="web", team="T1", channel="C1", thread="1")).ask().boot().ready().end()
    assert "the thread](" not in body(log)


@given(st.text(max_size=300))
def test_any_words_at_all_stay_readable_and_harmless(text: str) -> None:
    said = quiet(text)
    assert said.replace("\u200b", "") == visible(text)
    assert not re.search(r"@\w|#\w|<[\w/!?]|&[#\w]", said)
    log = Log().ask(text=text).boot().ready().end(summary=text)
    assert len(title(log)) <= TITLE_CHARS
    assert "\n" not in title(log)


def test_what_the_agent_wrote_stands_in_the_place_of_what_was_asked_and_done_also_later() -> None:
    log = ended().ask(2).work(2).do(t.DescribePullRequest(1, "Round tanks up", "Because *partly* filled ones count."))
    log.end(turn=2).ask(3).end(turn=3, summary="Done again.")
    assert title(log) == "Round tanks up"
    assert body(log) == (
        "Because *partly* filled ones count.\n\n"
        f"---\nMade by Shipmate for Ada · session `stest` · [the thread]({LINK}). Reply in the thread to go on."
    )


def test_files_are_named_with_their_links_and_nothing_in_a_name_ends_one() -> None:
    log = ended().ask(2).work(2)
    for n, (name, url) in enumerate((("a](http://evil)[b`.png", "https://x/f1"), ("log.txt", "")), 1):
        log.do(t.WantFile(1, name)).do(t.AttachFile(1, f"f{n}", name, "image/png", 1, str(n), url))
    assert "### Files\n\n- [a  http://evil b .png](https://x/f1)\n- log.txt (in the thread)" in body(log).replace(
        "\u200b", ""
    )


@given(st.text())
def test_what_the_agent_wrote_mentions_nobody_and_closes_nothing(said: str) -> None:
    log = ended().ask(2).work(2).do(t.DescribePullRequest(1, f"{said} @ada fixes #1", f"{said} @ada fixes #1 <b>"))
    assert "@ada" not in body(log) + title(log) and "fixes #1" not in body(log) + title(log)
    assert "<b>" not in body(log) and "\n" not in title(log)
