"""The golden files and the made parts of pages are as the code would write them now."""

from pathlib import Path

import pytest

from jobs.events import event_from_json
from jobs.fold import fold
from jobs.session import Session
from tests import golden
from tests.jobs import stories

WANTED = golden.golden()


@pytest.mark.parametrize("path", WANTED, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_golden_files_are_up_to_date(path: Path) -> None:
    assert path.read_text() == WANTED[path], "if the change is meant: make golden, and read the difference"


@pytest.mark.parametrize("folder", sorted({path.parent for path in WANTED if path not in golden.pages()}))
def test_every_golden_file_has_its_story(folder: Path) -> None:
    assert set(folder.iterdir()) == {path for path in WANTED if path.parent == folder}


@pytest.mark.parametrize("path", sorted(stories.GOLDEN.glob("*.jsonl")), ids=lambda path: path.stem)
def test_a_log_that_was_kept_still_folds_to_its_session(path: Path) -> None:
    *events, session = path.read_text().splitlines()
    assert fold(event_from_json(line) for line in events) == Session.model_validate_json(session)


@pytest.mark.parametrize("what", ["diagram", "settings"])
def test_what_is_made_from_code_stands_between_its_marks_once(what: str) -> None:
    text = "".join(page.read_text() for page in golden.pages())
    assert [text.count(mark) for mark in golden.marks(what)] == [1, 1]
