"""An agent's Markdown as Slack's own markup, which has other signs for the same things. Pure.

`blocks.py` and `tool_blocks.py` show with it what agents say. Nothing is escaped here: it goes through `text.quiet`
afterwards, so a link becomes its words and its address.
"""

from collections.abc import Callable, Mapping

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

_MARKDOWN = MarkdownIt("commonmark").enable("table")
_DEEP = 20  # lists in lists and quotes in quotes beyond it are shown as they were written


def mrkdwn_of(text: str) -> str:
    """The same words for Slack: headings and what is strong in bold, lists with their bullets, code as code."""
    root = SyntaxTreeNode(_MARKDOWN.parse(text))
    return text if _depth(root) > _DEEP else _blocks(root)


def _depth(node: SyntaxTreeNode) -> int:
    return 1 + max(map(_depth, node.children), default=0)


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
