"""What a thread looks like in Slack: golden messages, and limits that hold whatever anybody says."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.cards import Asked, BudgetQuestion, Card, Ending, Notice, Question, SharedFile
from bot.slack import blocks, family_blocks, front_blocks, tool_blocks
from bot.slack.block_kit import Block, Message
from bot.slack.blocks import Where
from bot.view import fold_view
from jobs.events import Author, Commit, PlanEntry
from jobs.family import Child
from tests.jobs import test_children as a_family
from tests.logs import ADA, done
from tests.slack.stories import WHERE, golden, working


@pytest.mark.parametrize("path", golden(), ids=lambda path: path.stem)
def test_a_thread_reads_as_its_golden_file_says(path: Path) -> None:
    assert golden()[path] == path.read_text()


def test_the_stop_button_carries_the_prompt_and_goes_when_there_is_nothing_to_stop() -> None:
    view = fold_view(working().events)
    assert view is not None
    card = view.cards[0]
    stop, look = blocks.card_message(card, WHERE).blocks[-1]["elements"]
    assert (stop["action_id"], stop["value"]) == ("stop", "T1:C1:1.000001")
    assert look["url"] == WHERE.view_url
    (look,) = blocks.card_message(replace(card, state="ended", outcome="done"), WHERE).blocks[-1]["elements"]
    assert look["action_id"] == "view"


def test_buttons_of_one_thread_are_told_apart_when_they_are_read_out() -> None:
    view = fold_view(working().events)
    assert view is not None
    stop, look = blocks.card_message(view.cards[0], WHERE).blocks[-1]["elements"]
    assert [one["accessibility_label"] for one in (stop, look)] == [
        "Stop: Fix the fuel test",
        "View: Fix the fuel test",
    ]


def test_in_a_private_place_view_is_a_button_without_an_address() -> None:
    view = fold_view(working().events)
    assert view is not None
    _, look = blocks.card_message(view.cards[0], Where("s1", "acme/rocket")).blocks[-1]["elements"]
    assert (look["action_id"], look["value"], look.get("url")) == ("view_private", "s1", None)


def test_every_repository_has_a_button_with_an_id_of_its_own() -> None:
    question = Question("question", 0.0, tuple(f"acme/r{n}" for n in range(40)), "Many fit.")
    buttons = blocks.question_message(question).blocks[1]["elements"]
    assert [button["value"] for button in buttons] == [f"acme/r{n}" for n in range(20)]
    assert len({button["action_id"] for button in buttons}) == 20


def test_elapsed_time_alone_does_not_change_the_digest_without_now() -> None:
    view = fold_view(working().events)
    assert view is not None
    card = view.cards[0]
    assert blocks.card_message(card, WHERE).digest == blocks.card_message(card, WHERE).digest
    assert blocks.card_message(card, WHERE, card.asked + 60) != blocks.card_message(card, WHERE, card.asked + 90)


def test_a_running_card_that_is_seldom_edited_says_no_few_seconds() -> None:
    view = fold_view(working().events)
    assert view is not None
    card, began = view.cards[0], view.cards[0].began or 0.0
    shown = [str(blocks.card_message(card, WHERE, began + seconds).blocks[1]) for seconds in (4, 15)]
    assert [" s  ·" in words or " s'" in words for words in shown] == [False, True]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "under 1 s"), (0.4, "under 1 s"), (42.9, "42 s"), (185, "3 min 5 s"), (7_800, "2 h 10 min")],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert blocks.duration(seconds) == said


anything = st.text(max_size=60) | st.sampled_from(
    [
        "<!channel>",
        "<@U99EVIL>",
        "<https://evil.test|Pull request #7>",
        "@here",
        "x" * 41_000,
        "```" + "y" * 5_000,
        "&" * 4_000,
        "*_~`",
    ]
)
lines = st.just("&\n" * 1_000)
people = st.builds(Author, id=st.sampled_from(["U01ADA", "<!here>", ""]), name=anything, email=anything)
children = st.builds(
    Child, id=st.just("s1111111111111111"), number=st.integers(1, 99), parent=st.just("s"), depth=st.just(1),
    repository=anything, base_branch=anything, agent=anything, model=anything, task=anything, author=people,
    cause=st.just("p"), waits=st.booleans(), since=st.just(0.0), outcome=st.sampled_from([None, "done", "failed"]),
    pull_request=st.just(7), url=st.sampled_from(["", "https://forge.test/7"]),
)  # fmt: skip
cards = st.builds(
    Card,
    id=st.just("T1:C1:1.1"),
    author=people,
    text=anything,
    attachments=st.lists(anything, max_size=30).map(tuple),
    asked=st.floats(0, 1e9),
    state=st.sampled_from(["waiting", "running", "ended", "withdrawn"]),
    phase=anything,
    task=anything,
    plan=st.lists(st.builds(PlanEntry, text=anything), max_size=50).map(tuple),
    steps=st.lists(anything, max_size=3).map(tuple),
    steps_taken=st.integers(0, 99),
    error=anything,
    outcome=st.sampled_from([None, "done", "failed"]),
    isolated=st.booleans(),
    children=st.lists(children, max_size=30).map(tuple),
)
endings = st.builds(
    Ending,
    id=st.just("end:1"),
    to=people,
    task=anything,
    turn=st.just(1),
    outcome=st.sampled_from(["done", "stopped", "failed", "timed_out", "interrupted"]),
    summary=anything,
    error=anything,
    commits=st.lists(st.builds(Commit, sha=anything, subject=anything, author=anything), max_size=500).map(tuple),
    ended=st.just(0.0),
    publishing=st.sampled_from(["nothing", "unpushed", "pending", "shown", "failed"]),
    settled=st.none(),
    branch=anything,
    pull_request=st.just(7),
    url=st.sampled_from(["https://forge.test/7", "javascript:alert(1)", "https://x.test/|<!here>"]),
    trouble=anything,
)
notices = st.builds(
    Notice,
    id=st.just("n"),
    at=st.just(0.0),
    text=anything,
    to=st.none() | people,
    label=anything,
    url=anything,
    quote=anything,
)
questions = st.builds(
    Question, id=st.just("q"), at=st.just(0.0), options=st.lists(anything, max_size=60).map(tuple), reason=anything,
    answer=st.none() | anything, by=anything,
)  # fmt: skip
asked = st.builds(
    Asked, id=st.just("a"), at=st.just(0.0), to=st.none() | people, about=st.just("p"), question=anything,
    options=st.lists(anything, max_size=5).map(tuple), answer=st.none() | anything, by=anything,
    withdrawn=st.booleans(),
)  # fmt: skip
budgets = st.builds(
    BudgetQuestion, id=st.just("b"), at=st.just(0.0), asked=st.just(3), used=st.floats(0, 1e6), limit=st.just(5.0),
    more=st.just(5.0), to=st.none() | people, answer=st.sampled_from(["", "raised", "declined"]), by=anything,
)  # fmt: skip
files = st.builds(
    SharedFile, id=st.just("f"), at=st.just(0.0), name=anything, title=anything, mimetype=anything, bytes=st.just(1),
    url=st.sampled_from(["", "https://ship.test/f"]),
)  # fmt: skip
messages = (
    st.builds(blocks.card_message, cards, st.just(WHERE), st.none() | st.just(2e9))
    | st.builds(blocks.ending_message, endings)
    | st.builds(blocks.notice_message, notices)
    | st.builds(blocks.question_message, questions)
    | st.builds(blocks.budget_message, budgets)
    | st.builds(tool_blocks.asked_message, asked, st.just("s1111111111111111"), st.integers(0, 3))
    | st.builds(tool_blocks.file_message, files)
    | st.builds(front_blocks.asked_message, st.just("U01ADA"), anything, anything, anything | lines)
)


@given(messages)
@settings(max_examples=150, deadline=None)
def test_whatever_anybody_says_slack_takes_it_and_nobody_else_is_mentioned(message: Message) -> None:
    assert len(message.blocks) <= 50
    assert 0 < units(message.text) <= 4_000
    assert units(json.dumps(message.blocks, ensure_ascii=False)) <= 13_200
    for label in [each.get("accessibility_label", "") for each in message.blocks[-1].get("elements", [])]:
        assert units(label) <= 75
    for text in texts(list(message.blocks)):
        limit = 75 if text["type"] == "plain_text" else 3_000
        assert 0 < units(text["text"]) <= limit
        if text["type"] == "mrkdwn":
            assert text["verbatim"] is True
            assert_quiet(text["text"])
    assert_quiet(message.text)


recent = st.builds(
    front_blocks.Recent, task=anything, repository=anything, phase=anything,
    link=st.sampled_from(["", "https://acme.slack.test/archives/C1/p1"]),
)  # fmt: skip
views = (
    st.builds(front_blocks.home, st.lists(recent, max_size=8))
    | st.builds(front_blocks.task_form, st.lists(anything, min_size=1, max_size=120), anything, anything, st.just("C1"))
    | st.builds(family_blocks.steer_form, st.just("s1"), st.integers(1, 9_999), anything, st.just("C1 1.1"))
)


@given(views)
@settings(max_examples=30, deadline=None)
def test_whatever_anybody_says_slack_shows_the_form_and_the_home_tab(view: Block) -> None:
    assert len(view["blocks"]) <= 100
    assert "title" not in view or 0 < units(view["title"]["text"]) <= 24
    for text in texts(view):
        assert 0 < units(text["text"]) <= (75 if text["type"] == "plain_text" else 3_000)
        assert text["type"] == "plain_text" or assert_quiet(text["text"]) is None


@pytest.mark.parametrize("many", [1, 100, 101, 250])
def test_a_form_offers_every_repository_however_many_there_are(many: int) -> None:
    names = [f"acme/r{n}" for n in range(many)]
    select = front_blocks.task_form(names, names[-1], "", "C1")["blocks"][0]["element"]
    rows = [row["options"] for row in select.get("option_groups", [select])]
    assert [option["value"] for row in rows for option in row] == names
    assert all(len(row) <= 100 for row in rows) and rows[-1][-1] == select["initial_option"]


def test_words_of_a_session_are_escaped_once_on_the_home_tab() -> None:
    for link, shown in (("", "a &lt; b"), ("https://acme.slack.test/p1", "<https://acme.slack.test/p1|a &lt; b>")):
        view = front_blocks.home([front_blocks.Recent("a < b", "acme/rocket", "Ready", link)])
        assert shown in [text["text"] for text in texts(view)]


def assert_quiet(said: str) -> None:
    """Angle brackets hold only the mention of the one person and links to the web, with no brackets inside."""
    for inside in re.findall(r"<([^>]*)>", said):
        assert inside == "@U01ADA" or re.fullmatch(r"https?://[^\s<>|]+\|[^<>|]*", inside), said
    assert not re.search(r"@(here|channel|everyone)\b", said)


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def texts(found: Any) -> list[dict[str, Any]]:
    if isinstance(found, list):
        return [text for item in found for text in texts(item)]
    if not isinstance(found, dict):
        return []
    mine = [found] if found.get("type") in ("mrkdwn", "plain_text") else []
    return mine + [text for value in found.values() for text in texts(value)]


def test_the_ending_names_only_the_person_who_asked() -> None:
    view = fold_view(done().events)
    assert view is not None
    assert blocks.ending_message(view.endings[0]).text.startswith(f"<@{ADA.id}> Done. <https://forge.test/")


def test_pull_requests_of_several_repositories_are_told_apart() -> None:
    (pad,) = a_family.of(a_family.reported()).children
    docs = pad.model_copy(update={"repository": "acme/docs"})
    shown = "<https://forge.test/acme/pad/pull/7|Pull request #7>"
    assert family_blocks.pull_links((pad, pad)) == [shown, shown]
    assert family_blocks.pull_links((pad, docs)) == [f"{shown} of acme/pad", f"{shown} of acme/docs"]
