"""Whatever anybody says or is called, a pull request shows it and no more. Its Markdown is read by a parser."""

import re

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from jobs.publish import TITLE_CHARS, pull_request_body, pull_request_title
from tests.words.payloads import FILE, INNOCENT, OURS, PAYLOADS, UNSEEN, story

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
DOES = re.compile(r"@\w|#\d|\bGH-\d|<[\w/!?]|&#?\w+;", re.IGNORECASE)
CLOSES = re.compile(r"\b(?:close|fix|resolve)(?:[sd]|es|ed)?:?\s+(?:https?:|GH-\d|[\w./-]*#\d)", re.IGNORECASE)
HEADINGS = ["What was asked", "What was done", "Commits"]


def every(tokens: list[Token]) -> list[Token]:
    return [one for token in tokens for one in (token, *(token.children or ()))]


@pytest.mark.parametrize("name", PAYLOADS | INNOCENT)
def test_a_pull_request_of_nothing_but_this_is_only_words(name: str) -> None:
    payload = (PAYLOADS | INNOCENT)[name]
    log = story(payload)
    assert log.session is not None
    title, body = pull_request_title(log.session, log.events), pull_request_body(log.session, log.events)
    for words in (title, body):
        assert not UNSEEN.search(words)
        assert not DOES.search(words), "no mention, no reference, no HTML"
        assert not CLOSES.search(words)
    assert "\n" not in title and len(title) <= TITLE_CHARS

    tokens = MARKDOWN.parse(body)
    kinds = {token.type for token in every(tokens)}
    assert not kinds & {"html_block", "html_inline", "image"}
    addresses = [token.attrGet("href") for token in every(tokens) if token.type == "link_open"]
    assert addresses == [FILE, OURS[1]], "the only links are to the file and the thread"


@pytest.mark.parametrize("name", PAYLOADS | INNOCENT)
def test_nothing_swallows_our_own_headings_and_footer(name: str) -> None:
    log = story((PAYLOADS | INNOCENT)[name])
    assert log.session is not None
    tokens = MARKDOWN.parse(pull_request_body(log.session, log.events))
    titles = [after.content for token, after in zip(tokens, tokens[1:], strict=False) if token.type == "heading_open"]
    assert [title for title in titles if title in HEADINGS][-1] == "Commits" and titles[0] == HEADINGS[0]
    *_, rule, opened, footer, _ = tokens
    assert (rule.type, opened.type, opened.level) == ("hr", "paragraph_open", 0)
    assert footer.content.startswith("Made by Shipmate for ") and footer.content.endswith(
        "Reply in the thread to go on."
    )
