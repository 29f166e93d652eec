"""Writes what is made from code anew: golden files, the diagram of statuses, the README's settings: `make golden`.

Look at the difference before you commit it.

`tests/test_golden.py` holds that all of them are as they would be written now.
"""

from collections import defaultdict
from pathlib import Path

from jobs.session import TRANSITIONS, Status
from tests import settings_table
from tests.jobs import stories as jobs
from tests.slack import stories as slack

ARCHITECTURE = Path(__file__).parents[1] / "ARCHITECTURE.md"
README = ARCHITECTURE.with_name("README.md")


def diagram() -> str:
    """`TRANSITIONS` as Mermaid draws it: what leads from one status to another; what leads nowhere is left out."""
    ways: dict[tuple[str, str], list[str]] = defaultdict(list)
    for status, row in TRANSITIONS.items():
        for kind, leads_to in row.items():
            if leads_to is not status:
                ways[status, leads_to].append(kind.model_fields["kind"].default)
    arrows = [f"    {one} --> {other}: {', '.join(kinds)}" for (one, other), kinds in ways.items()]
    lines = ["stateDiagram-v2", "    direction LR", f"    [*] --> {Status.OPENED}: session_opened", *arrows]
    return "\n".join(["```mermaid", *lines, "```"])


def marks(what: str) -> tuple[str, str]:
    """What stands before and after a part of a page that is made from code."""
    return f"<!-- {what}: begin (make golden) -->", f"<!-- {what}: end -->"


def between_marks(page: Path, what: str, text: str) -> str:
    """The page with `text` between its marks for `what`."""
    begin, end = marks(what)
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{text}\n{end}{after}"


def pages() -> dict[Path, str]:
    """The pages with a part that is made from code."""
    return {
        ARCHITECTURE: between_marks(ARCHITECTURE, "diagram", diagram()),
        README: between_marks(README, "settings", settings_table.table()),
    }


def golden() -> dict[Path, str]:
    """Every file that is written from code, and what it should say."""
    return {**jobs.golden(), **slack.golden(), **pages()}


def main() -> None:
    """Write what changed, and take away what no story tells any more."""
    wanted = golden()
    for folder in {path.parent for path in wanted if path not in pages()}:
        folder.mkdir(exist_ok=True)
        for path in set(folder.iterdir()) - set(wanted):
            path.unlink()
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(path)


if __name__ == "__main__":
    main()
