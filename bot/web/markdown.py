"""An agent's Markdown as HTML that can do nothing, and which addresses may be linked. Pure; `pages.py` shows it.

A page is fetched again every other second, so what was read lately is remembered.
"""

from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from sandbox.runner.visible import visible


def web_address(url: str) -> str:
    """The address, if it is one of the web's; else nothing."""
    return url if url.startswith(("https://", "http://")) else ""


_CELLS = 10_000  # a row may leave out its cells, so a short text may be a table of very many
_REMEMBERED = 64  # texts of some hundred thousand characters at most
_WITHOUT_TABLES = MarkdownIt("commonmark", {"html": False, "linkify": False}).disable("image")
_MARKDOWN = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table").disable("image")


@lru_cache(_REMEMBERED)
def to_html(text: str) -> Markup:
    """Markdown of an agent as HTML: no HTML of its own, no images, links only to the web and opening elsewhere."""
    said = visible(text)
    reader = _MARKDOWN if _cells(said) <= _CELLS else _WITHOUT_TABLES
    tokens = reader.parse(said)
    for token in tokens:
        for child in token.children or ():
            _mend_link(child)
    return Markup(reader.renderer.render(tokens, reader.options, {}))


def _cells(text: str) -> int:
    """How many cells tables may have at most: each ends at an empty line."""
    blocks = (block.split("\n") for block in text.split("\n\n"))
    return sum(len(lines) * max(line.count("|") for line in lines) for lines in blocks)


def to_words(text: str) -> str:
    """The words of one line of Markdown without its signs, for a heading."""
    children = [child for token in _MARKDOWN.parseInline(text) for child in token.children or ()]
    return "".join(" " if child.type.endswith("break") else child.content for child in children)


def _mend_link(token: Token) -> None:
    if token.type != "link_open":
        return
    if not web_address(str(token.attrGet("href") or "")):
        token.attrs = {}  # no address: words, not a link
        return
    token.attrSet("rel", "noopener noreferrer nofollow ugc")
    token.attrSet("target", "_blank")
