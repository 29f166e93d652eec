"""An agent's Markdown as Slack's own markup, which has other signs for the same things. Pure.

`blocks.py` and `tool_blocks.py` show with it what agents say. Nothing is escaped here: it goes through `text.quiet`
afterwards, so a link becomes its words and its address. A thread is drawn anew at each look, so what was said before is
remembered; and whatever an agent says, reading it takes a moment only, for all threads wait meanwhile.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

_WITHOUT_TABLES, _MARKDOWN = MarkdownIt("commonmark"), MarkdownIt("commonmark").enable("table")
_DEEP = 20  # what stands within more than so many others is shown as it was written
_CELLS = 2_000  # a row may leave out its cells, so a short text may be a table of very many
_REMEMBERED = 4_096  # texts of some thousand characters at most


@lru_cache(_REMEMBERED)
def mrkdwn_of(text: str) -> str:
    """The same words for Slack: headings and what is strong in bold, lists with their bullets, code as code."""
    lines = text.split("\n")
    cells = len(lines) * max(line.count("|") for line in lines)
    tokens = (_MARKDOWN if cells <= _CELLS else _WITHOUT_TABLES).parse(text)
    return text if _depth(tokens) > _DEEP else _blocks(SyntaxTreeNode(tokens))


def _depth(tokens: Sequence[Token]) -> int:
    """How many stand within each other at most. The tree itself cannot even be made of very many."""
    within = accumulate(token.nesting for token in tokens)
    return max((n + _depth(token.children or ()) for token, n in zip(tokens, within, strict=True)), default=0)


def _blocks(node: SyntaxTreeNode, between: str = "\n\n") -> str:
    return between.join(said for child in node.children if (said := _said(child)))


def _said(node: SyntaxTreeNode) -> str:
    return _BLOCKS.get(node.type, _inline)(node)


def _inline(node: SyntaxTreeNode) -> str:
    if node.type in _INLINE:
        return _INLINE[node.type](node)
    return "".join(map(_inline, node.children)) if node.children else node.content


def _heading(node: SyntaxTreeNode) -> str:
    return f"*{_blocks(node).replace('*', '')}*"


def _list(node: SyntaxTreeNode) -> str:
    first = int(node.attrs.get("start", 1))
    numbered = node.type == "ordered_list"
    return "\n".join(_entry(f"{first + n}." if numbered else "•", item) for n, item in enumerate(node.children))


def _entry(mark: str, item: SyntaxTreeNode) -> str:
    first, *others = _blocks(item, "\n").split("\n")
    return "\n".join([f"{mark} {first}", *(f"    {line}" for line in others)])


def _quote(node: SyntaxTreeNode) -> str:
    return "\n".join(f"> {line}" for line in _blocks(node).split("\n"))


def _code(node: SyntaxTreeNode) -> str:
    return f"```\n{node.content.rstrip()}\n```"


def _table(node: SyntaxTreeNode) -> str:
    rows = [row for part in node.children for row in part.children]
    return "\n".join("  ·  ".join(map(_inline, row.children)) for row in rows)


def _link(node: SyntaxTreeNode) -> str:
    words, address = "".join(map(_inline, node.children)), str(node.attrs.get("href", ""))
    return words if not address or words == address else f"{words} ({address})"


def _between(sign: str) -> Callable[[SyntaxTreeNode], str]:
    return lambda node: f"{sign}{''.join(map(_inline, node.children))}{sign}"


_BLOCKS: Mapping[str, Callable[[SyntaxTreeNode], str]] = {
    "heading": _heading,
    "bullet_list": _list,
    "ordered_list": _list,
    "blockquote": _quote,
    "fence": _code,
    "code_block": _code,
    "table": _table,
    "html_block": lambda node: node.content.rstrip(),
    "hr": lambda _: "———",
}
_INLINE: Mapping[str, Callable[[SyntaxTreeNode], str]] = {
    "strong": _between("*"),
    "em": _between("_"),
    "code_inline": lambda node: f"`{node.content}`",
    "link": _link,
    "softbreak": lambda _: "\n",
    "hardbreak": lambda _: "\n",
}
