"""Writes every golden file anew, and the diagram of a session's statuses: `make golden`. Look at the difference.

`tests/test_golden.py` holds that all of them are as they would be written now.
"""

from collections import defaultdict
from pathlib import Path

from jobs.session import TRANSITIONS, Status
from tests.jobs import stories as jobs
from tests.slack import stories as slack

ARCHITECTURE = Path(__file__).parents[1] / "ARCHITECTURE.md"
BEGIN, END = "<!-- diagram: begin (make golden) -->", "<!-- diagram: end -->"


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


def architecture() -> str:
    """ARCHITECTURE.md with the diagram of now between its marks."""
    text = ARCHITECTURE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{diagram()}\n{END}{after}"


def golden() -> dict[Path, str]:
    """Every file that is written from code, and what it should say."""
    return {**jobs.golden(), **slack.golden(), ARCHITECTURE: architecture()}


def main() -> None:
    """Write what changed, and take away what no story tells any more."""
    wanted = golden()
    for folder in {path.parent for path in wanted if path != ARCHITECTURE}:
        folder.mkdir(exist_ok=True)
        for path in set(folder.iterdir()) - set(wanted):
            path.unlink()
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(path)


if __name__ == "__main__":
    main()
