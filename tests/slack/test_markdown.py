"""What agents say in Markdown, as Slack shows it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.markdown import mrkdwn_of
from bot.slack.text import quiet

DEEP = "*a **b " * 150 + "b** a*" * 150
WIDE = "|a" * 300 + "\n" + "|-" * 300 + "\n|" * 300 + "\nb"
SAID = [
    ("plain words", "Tanks round up now.\nAll of them.", "Tanks round up now.\nAll of them."),
    ("words with signs", "2 * 3 and snake_case_name at 5 ~ 6", "2 * 3 and snake_case_name at 5 ~ 6"),
    ("what is strong", "It was **one** *small* __step__.", "It was *one* _small_ *step*."),
    ("a heading", "## What **I** did\nMuch.", "*What I did*\n\nMuch."),
    ("a list", "- one\n- two\n  - three\n    more", "• one\n• two\n    • three\n        more"),
    ("numbers", "3. three\n4. four", "3. three\n4. four"),
    ("a link", "See [fuel.py](https://x.test/f) and <https://x.test>.", "See fuel.py (https://x.test/f) and https://x.test."),
    ("code", "Run `make **test**`:\n\n```sh\nmake *\n```", "Run `make **test**`:\n\n```\nmake *\n```"),
    ("a quote", "> so\n> be it", "> so\n> be it"),
    ("a table", "| a | b |\n| - | - |\n| 1 | 2 |", "a  ·  b\n1  ·  2"),
    ("HTML", "Done <b>now</b>\n\n<br>", "Done <b>now</b>\n\n<br>"),
    ("nothing", "", ""),
    ("what stands in far too much", DEEP, DEEP),
    ("a table of far too many cells", WIDE, WIDE),
]  # fmt: skip


@pytest.mark.parametrize(("said", "shown"), [row[1:] for row in SAID], ids=[row[0] for row in SAID])
def test_what_an_agent_says_reads_in_slack_as_it_was_meant(said: str, shown: str) -> None:
    assert mrkdwn_of(said) == shown


@given(st.text(alphabet="ab<@!*_`[]()>-#1.| \n\\", max_size=200))
@settings(max_examples=200, deadline=None)
def test_whatever_it_says_it_is_shown_and_mentions_nobody(said: str) -> None:
    shown = quiet(mrkdwn_of(said))
    assert "<" not in shown
    assert {"a", "b"} & set(said) <= set(shown)
