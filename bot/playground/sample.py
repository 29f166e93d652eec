"""The repositories that the forge ships: histories written down in `sample/`, handed out as commits.

A sample is a folder with a `history.json` and one folder of files for each commit; a file's name ends in `.txt`, so
that no tool of this project takes a sample's sources (and its failing test) for its own. `bot/playground/forge.py`
reads it at first start. Names, dates and so the commits' hashes are the same on every machine.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

FOLDER = Path(__file__).parent / "sample"
SUFFIX = ".txt"


@dataclass(frozen=True)
class Written:
    """A commit to be made: `files` are added to those of the commit before it. `at`: seconds since the epoch."""

    author: str
    message: str
    files: dict[str, str]
    at: float


def history(name: str) -> list[Written]:
    """The commits of a sample, oldest first. Raises FileNotFoundError if there is no such sample."""
    folder = FOLDER / name
    return [_commit(folder, row) for row in json.loads((folder / "history.json").read_text(encoding="utf-8"))]


def _commit(folder: Path, row: dict[str, str]) -> Written:
    root = folder / row["folder"]
    files = {
        _real_name(path.relative_to(root)): path.read_text(encoding="utf-8")
        for path in sorted(root.rglob("*" + SUFFIX))
    }
    return Written(row["author"], row["message"], files, datetime.fromisoformat(row["date"]).timestamp())


def _real_name(path: Path) -> str:
    """`a/dot-b.txt` stands for `a/.b`: packagers leave out files whose names begin with a dot."""
    name = path.name.removesuffix(SUFFIX)
    return path.with_name("." + name.removeprefix("dot-") if name.startswith("dot-") else name).as_posix()
