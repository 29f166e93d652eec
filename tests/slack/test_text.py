"""Words to and from Slack."""

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.slack import text as t


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("<@U0BOT> fix it", "fix it"),
        ("hey <@U0BOT>, fix it", "hey fix it"),
        ("fix it <@U0BOT>", "fix it"),
        ("<@U0BOT|shipmate>: fix it", "fix it"),
        ("<@U0BOT>", ""),
        ("<@U0BOT>\n```\n  indented\n```", "```\n  indented\n```"),
        ("ask <@U02GRACE> about <@U0BOT>", "ask <@U02GRACE> about"),
        ("<@U0BOT> <@U0BOT>\n<@U0BOT> fix\t<@U0BOT>  it", "fix it"),
    ],
)
def test_our_mention_is_taken_out_and_nothing_else(raw: str, said: str) -> None:
    assert t.without_mention(raw, "U0BOT") == said


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("a &lt;b&gt; &amp;amp;", "a <b> &amp;"),
        ("<https://acme.test/a?b=1&amp;c=2>", "https://acme.test/a?b=1&c=2"),
        ("<https://acme.test|the site>", "the site (https://acme.test)"),
        ("<http://acme.test|acme.test>", "http://acme.test"),
        ("<mailto:ada@acme.test|ada@acme.test>", "ada@acme.test"),
        ("<@U02GRACE> and <@U03|alan>", "@U02GRACE and @alan"),
        ("<#C1|dev> <!here> <!subteam^S1|@team>", "#dev @here @team"),
        ("if a < b and c > d", "if a < b and c > d"),
        ("🚀 `code` ```fence```", "🚀 `code` ```fence```"),
    ],
)
def test_slacks_own_brackets_become_plain_words(raw: str, plain: str) -> None:
    assert t.plain(raw) == plain


@pytest.mark.parametrize("said", [" " * 40_000 + ".", "<@U0BOT|" * 5_000, "<@U0BOT>" * 5_000, "<!a|" * 10_000])
def test_nothing_that_fits_in_a_message_takes_long_to_read(said: str) -> None:
    began = time.process_time()
    t.mentions(said)
    t.plain(t.without_mention(said, "U0BOT"))
    assert time.process_time() - began < 0.1


def test_everybody_who_is_mentioned_is_found_in_order() -> None:
    assert t.mentions("<@U1> and <@W2|bob> but not &lt;@U3&gt;") == ("U1", "W2")


@given(st.text(max_size=400), st.integers(20, 300))
@example("<!channel> <@U1> @here " * 9, 60)
@example("```\n" + "x" * 300, 50)
@example("&" * 300, 40)
@example("👩‍👩‍👧‍👦" * 40, 41)
def test_whatever_is_said_is_harmless_and_fits(said: str, limit: int) -> None:
    quiet = t.quiet(said, limit)
    assert len(quiet.encode("utf-16-le")) // 2 <= limit
    assert "<" not in quiet and ">" not in quiet
    assert all(entity in ("&amp;", "&lt;", "&gt;") for entity in re.findall(r"&\w*;?", quiet))
    assert not re.search(r"@(here|channel|everyone)", quiet, re.IGNORECASE)
    assert quiet.count("```") % 2 == 0


@pytest.mark.parametrize("emoji", ["👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "❤️", "é", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"])
def test_a_cut_falls_between_characters_as_people_see_them(emoji: str) -> None:
    for limit in range(20, 60):
        cut = t.quiet(emoji * 90, limit)
        assert cut.endswith("…")
        assert cut.removesuffix("…").replace(emoji, "") == ""


def test_a_code_block_that_is_cut_is_closed_and_what_is_short_is_untouched() -> None:
    assert t.quiet("```\n" + "line\n" * 100, 60).endswith("…\n```")
    assert t.quiet("```\ncode\n```") == "```\ncode\n```"


def test_only_an_id_of_slacks_becomes_a_mention_and_only_a_web_address_a_link() -> None:
    assert t.person("U01ADA", "Ada") == "<@U01ADA>"
    assert t.person("U1> <!channel", "<!channel>") == "&lt;!channel&gt;"
    assert t.link("https://forge.test/7", "Pull request #7") == "<https://forge.test/7|Pull request #7>"
    assert t.link("javascript:alert(1)", "see") == "see"
    assert t.link("https://a.test/|x> <!channel", "see") == "see"
