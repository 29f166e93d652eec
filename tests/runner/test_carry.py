"""Two sides' changes to one tree, joined path by path. The real trees are in test_gate.py."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.runner.changes import GONE, Change, Entry, changes_of, joined
from sandbox.runner.git import plain

OLD, MINE, THEIRS = (Entry("100644", sha * 40) for sha in "123")
ADDED, EDITED, DELETED = Change(GONE, MINE), Change(OLD, MINE), Change(OLD, GONE)


class Case(NamedTuple):
    mine: dict[str, Change]
    theirs: dict[str, Change]
    kept: dict[str, Entry]
    both: list[str]


CASES = {
    "mine alone": Case({"a": EDITED, "b": DELETED}, {"c": Change(OLD, THEIRS)}, {"a": MINE, "b": GONE}, []),
    "the same on both sides": Case({"a": EDITED}, {"a": EDITED}, {}, []),
    "both, differently": Case({"a": EDITED}, {"a": Change(OLD, THEIRS)}, {}, ["a"]),
    "deleted there": Case({"a": EDITED}, {"a": DELETED}, {}, ["a"]),
    "deleted here": Case({"a": DELETED}, {"a": Change(OLD, THEIRS)}, {}, ["a"]),
    "added twice": Case({"a": ADDED}, {"a": Change(GONE, THEIRS)}, {}, ["a"]),
    "a file where they have a folder": Case({"a": ADDED}, {"a/b/c": Change(GONE, THEIRS)}, {}, ["a"]),
    "a folder where they have a file": Case({"a/b": ADDED}, {"a": Change(GONE, THEIRS)}, {}, ["a/b"]),
    "a folder where they took a file away": Case({"a/b": ADDED}, {"a": DELETED}, {"a/b": MINE}, []),
    "names that only begin alike": Case({"a": ADDED}, {"ab/c": Change(GONE, THEIRS)}, {"a": MINE}, []),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_kept_and_what_both_changed(case: Case):
    assert joined(case.mine, case.theirs) == (case.kept, case.both)


paths = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join)
entries = st.sampled_from([GONE, MINE, THEIRS])
sides = st.dictionaries(paths, st.builds(Change, st.just(OLD), entries), max_size=6)


@given(sides, sides)
def test_every_change_of_mine_is_kept_or_named_or_there_already(mine: dict[str, Change], theirs: dict[str, Change]):
    kept, both = joined(mine, theirs)
    for path, change in mine.items():
        there = path in theirs and theirs[path].after == change.after
        assert [path in kept, path in both, there].count(True) == 1


def test_paths_are_read_as_git_writes_them():
    sha = "a" * 40
    said = f':100644 000000 {sha} {"0" * 40} D\tgone\n:000000 100755 {"0" * 40} {sha} A\t"\\303\\274 \\t\\"x"\n'
    found = changes_of(said)
    assert found["gone"] == Change(Entry("100644", sha), GONE)
    assert [plain(path) for path in found] == ["gone", 'ü \t"x']
