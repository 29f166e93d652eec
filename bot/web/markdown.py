"""An agent's Markdown as HTML that can do nothing, and which addresses may be linked. Pure; `pages.py` shows it.

A page is fetched again every other second, and a running turn says more each time: a long text is read in parts, and
what was read lately is remembered.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from sandbox.runner.visible import visible


def web_address(url: str) -> str:
    """The address, if it is one of the web's; else nothing."""
    return url if url.startswith(("https://", "http://")) else ""


PART = 8_000  # characters
_CELLS = 2_000  # a row may leave out its cells, so a short text may be a table of very many
_REMEMBERED = 512  # parts
_PARAGRAPH = re.compile(r"\n\n(?=\S)")
_FENCE = re.compile(r"^ {0,3}(`{3,}(?=[^`\n]*$)|~{3,})(.*)$", re.MULTILINE)
_WITHOUT_TABLES = MarkdownIt("commonmark", {"html": False, "linkify": False}).disable("image")
_MARKDOWN = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table").disable("image")


def to_html(text: str) -> Markup:
    """Markdown of an agent as HTML: no HTML of its own, no images, links only to the web and opening elsewhere."""
    return Markup("").join(map(_part_to_html, _parts(visible(text))))


def _parts(text: str) -> Iterator[str]:
    """A long text in parts that can be read one by one. More at its end changes the last one only; code that would be
    cut is closed and begun again."""
    begin, fence = 0, ""
    while begin < len(text):
        end = _end(text, begin)
        said = f"{fence}\n{text[begin:end]}" if fence else text[begin:end]
        fence, sign = _open_fence(said)
        yield f"{said}\n{sign}" if fence and end < len(text) else said
        begin = end


def _end(text: str, begin: int) -> int:
    """Where a part ends: before a paragraph if that can be, else before a line."""
    most = begin + PART
    if most >= len(text):
        return len(text)
    paragraphs = [found.end() for found in _PARAGRAPH.finditer(text, begin, most)]
    return paragraphs[-1] if paragraphs else text.rfind("\n", begin, most) + 1 or most


def _open_fence(text: str) -> tuple[str, str]:
    """The line that begins the code in whose midst a text ends, and its sign; empty if it does not."""
    line, sign = "", ""
    for found in _FENCE.finditer(text):
        if not line:
            line, sign = found[0], found[1]
        elif found[1].startswith(sign) and not found[2].strip():
            line, sign = "", ""
    return line, sign


@lru_cache(_REMEMBERED)
def _part_to_html(said: str) -> Markup:
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


def _mend_link(token: Token) -> None:
    if token.type != "link_open":
        return
    if not web_address(str(token.attrGet("href") or "")):
        token.attrs = {}  # no address: words, not a link
        return
    token.attrSet("rel", "noopener noreferrer nofollow ugc")
    token.attrSet("target", "_blank")
