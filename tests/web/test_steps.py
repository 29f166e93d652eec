"""What the page shows of tool calls: what changed, what came out, and no more than there is room for."""

from typing import Any

import pytest

from bot.web.steps import LINE, OUTPUT, ROOM, Details
from jobs.store import Entry


def tool(**body: Any) -> Entry:
    return Entry("", 1_000.0, 1, "tool", {"id": "t1", "title": "Edit", **body})


def edit(old: str, new: str) -> Entry:
    return tool(diff=[{"path": "fuel.py", "old": old, "new": new}])


CHANGES = [
    ("a line in the middle", "a\nb\nc\nd\ne\n", "a\nb\nC\nd\ne\n", [" a", " b", "-c", "+C", " d", " e"]),
    ("far lines are left out", "1\n2\n3\n4\n5\nx", "1\n2\n3\n4\n5\ny", [" 3", " 4", " 5", "-x", "+y"]),
    ("a new file", "", "a\nb\n", ["+a", "+b"]),
    ("a line twice", "a\n", "a\na\n", [" a", "+a"]),
    ("nothing", "a\n", "a\n", [" a"]),
]


@pytest.mark.parametrize(("old", "new", "lines"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_a_change_is_shown_with_the_lines_around_it(old: str, new: str, lines: list[str]) -> None:
    ((change,),) = [step["changes"] for step in Details().steps([edit(old, new)])]
    assert (change["path"], [sign + words for sign, words in change["lines"]]) == ("fuel.py", lines)


def test_a_call_is_shown_as_it_was_told_last() -> None:
    (step,) = Details().steps([tool(title="Run", output="half"), tool(title="", output="half, whole", exit=2), tool()])
    assert (step["title"], step["output"], step["exit"]) == ("Edit", "half, whole", 2)


def test_long_things_are_cut_and_what_a_page_has_no_room_for_is_a_title() -> None:
    many = [tool(id=f"t{n}", output="x" * 2 * OUTPUT) for n in range(2 * ROOM // OUTPUT)]
    steps = Details().steps(
        [*many, tool(id="last", diff=[{"path": "a", "old": "", "new": "y" * 2 * LINE + "\n" * 500}])]
    )
    assert {step["title"] for step in steps} == {"Edit"}
    assert len(steps[-1]["changes"][0]["lines"][0][1]) == LINE
    assert sum(len(step["output"]) for step in steps) <= ROOM
    assert (steps[0]["output"], steps[-2]["output"][-3:]) == ("", "xxx")


@pytest.mark.parametrize("body", [{"output": 7}, {"diff": "x"}, {"diff": [7, {"path": None, "old": 3}]}, {"exit": "1"}])
def test_what_has_the_wrong_shape_is_a_title(body: dict[str, Any]) -> None:
    (step,) = Details().steps([tool(**body)])
    assert (step["title"], step["exit"], step["output"]) == ("Edit", 0, "")
