"""An agent's Markdown as the words of a heading, or of a link, where none of its signs means anything. Pure.

`bot/web/pages.py` calls it for the page of a session, `bot/slack/front.py` for the Home tab.
"""

from markdown_it import MarkdownIt

_MARKDOWN = MarkdownIt("commonmark", {"html": False, "linkify": False}).disable("image")


def to_words(text: str) -> str:
    """The words of one line of Markdown without its signs."""
    children = [child for token in _MARKDOWN.parseInline(text) for child in token.children or ()]
    return "".join(" " if child.type.endswith("break") else child.content for child in children)
