"""Whatever anybody says or is called, a thread shows it and does nothing else: no mention, no link, nothing hidden."""

import re

import pytest

from bot.cards import Card
from bot.slack import blocks, tool_blocks
from bot.slack import text as t
from bot.slack.block_kit import Message
from bot.slack.blocks import Where
from bot.slack.check_blocks import checks_message
from bot.slack.family import task_of
from bot.slack.family_blocks import steer_form, stop_offer_message
from bot.view import fold_view
from tests.logs import SID, Log
from tests.words.payloads import CHECK, FILE, INNOCENT, OURS, PAYLOADS, UNSEEN, asking, relative, relatives, story

VIEW = "https://ship.test/view/s1?signature=x"
MARKS = re.compile(r"<[^<>]*>|[<>]")
QUOTE = re.compile(r"^> ", re.MULTILINE)  # our own sign before each line of a quotation
MENTIONS_MANY = re.compile(r"@(?:here|channel|everyone|group)\b", re.IGNORECASE)


def everything(log: Log) -> list[Message]:
    """All messages of the thread, the cards also as they were while something ran."""
    view = fold_view(log.events)
    assert view is not None
    number = view.session.lineage.number if view.session.lineage is not None else 0
    where = Where(SID, view.session.repository or "", VIEW, number)
    shown = [blocks.card_message(card, where, log.now + 60) for card in view.cards]
    for upto in range(1, len(log.events)):
        part = fold_view(log.events[:upto])
        assert part is not None
        shown += [blocks.card_message(card, where, log.now) for card in part.cards if running(card)]
        shown += [blocks.question_message(part.question)] if part.question else []
    shown += [blocks.question_message(view.question)] if view.question else []
    shown += [stop_offer_message(offer, SID) for offer in view.offers]
    shown += [Message("", (steer_form(SID, 1, task_of(view.session), "C1 1.0")["blocks"][0],))]
    shown += [blocks.ending_message(ending) for ending in view.endings]
    shown += [tool_blocks.asked_message(asked, SID) for asked in view.asked]
    shown += [tool_blocks.file_message(file) for file in view.files]
    return shown + [checks_message(notice, SID) for notice in view.notices]


def running(card: Card) -> bool:
    return card.live and bool(card.steps or card.task)


def texts(message: Message) -> tuple[list[str], list[str]]:
    """All that Slack reads as mrkdwn, and all that it shows as it is."""
    mrkdwn, plain = [message.text], []
    for block in message.blocks:
        for part in block.get("elements") or [block]:
            said = part["text"]
            if isinstance(said, str):
                mrkdwn.append(said)
                assert part["verbatim"] is True
            else:
                (mrkdwn if said["type"] == "mrkdwn" else plain).append(said["text"])
                assert said["type"] != "mrkdwn" or said["verbatim"] is True
    return mrkdwn, plain


def allowed(mark: str) -> bool:
    """Whether this is a mention of who asked, or a link of our own making."""
    labels = ("Pull request #7", "Checks of pull request #7")
    to_us = any(mark == f"<{url}|{label}>" for url in OURS for label in labels)
    return mark == "<@U01ADA>" or to_us or mark.startswith((f"<{FILE}|", f"<{CHECK}|"))


@pytest.mark.parametrize("name", PAYLOADS | INNOCENT)
def test_a_thread_of_nothing_but_this_mentions_links_and_hides_nothing(name: str) -> None:
    payload = (PAYLOADS | INNOCENT)[name]
    for log in (story(payload), asking(payload), relatives(payload), relative(payload)):
        for message in everything(log):
            mrkdwn, plain = texts(message)
            for words in mrkdwn:
                assert [mark for mark in MARKS.findall(QUOTE.sub("", words)) if not allowed(mark)] == []
                assert not MENTIONS_MANY.search(words)
                assert words.count("```") % 2 == 0
            for words in mrkdwn + plain:
                assert not UNSEEN.search(words)
                assert "\n" not in words or words in mrkdwn
            addresses = [part["url"] for b in message.blocks for part in b.get("elements", ()) if "url" in part]
            assert set(addresses) <= {VIEW}


@pytest.mark.parametrize("name", INNOCENT)
def test_words_that_are_only_words_are_shown_as_they_were_written(name: str) -> None:
    said = INNOCENT[name]
    assert t.plain(t.quiet(said)) == said


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_title_and_a_label_are_one_line_of_what_people_see(name: str) -> None:
    label = t.plain_label(PAYLOADS[name], 60)
    assert 0 < len(label.encode("utf-16-le")) // 2 <= 60
    assert "\n" not in label and not UNSEEN.search(label)
