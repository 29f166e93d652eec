"""An agent's Markdown as HTML that can do nothing, and which addresses may be linked. Pure; `pages.py` shows it."""

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from sandbox.runner.visible import visible


def web_address(url: str) -> str:
    """The address, if it is one of the web's; else nothing."""
    return url if url.startswith(("https://", "http://")) else ""


_MARKDOWN = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table").disable("image")


def to_html(text: str) -> Markup:
    """Markdown of an agent as HTML: no HTML of its own, no images, links only to the web and opening elsewhere."""
    tokens = _MARKDOWN.parse(visible(text))
    for token in tokens:
        for child in token.children or ():
            _mend_link(child)
    return Markup(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


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
