"""Which warm boxes are made and which are ended. Pure."""

import pytest

from jobs.warm_rules import QUIET_SECONDS, PoolCount, Wanted, WarmBox, counted, plan, wanted

NOW, MOST = 10_000.0, 3_600.0


def box(name: str, age: float = 60.0, **more: object) -> WarmBox:
    known = {"repository": "a/r", "fit": "f", "base": "img", "runs": True, "offered": True, "quiet_since": NOW} | more
    return WarmBox(name=name, born=NOW - age, **known)  # type: ignore[arg-type]


def a(number: int = 1, fit: str = "f", base: str | None = "img") -> Wanted:
    return Wanted("a/r", number, fit, base)


GETTING_READY = box("g", 3, offered=False)
CASES = {
    "none is there": ([], a(), [], ["a/r"]),
    "none is wanted": ([], a(0), [], []),
    "without an image there is nothing to grow from": ([], a(1, base=None), [], []),
    "enough wait": ([box("x"), box("y")], a(2), [], []),
    "one of two waits": ([box("x")], a(2), [], ["a/r"]),
    "one is being made, and no other is begun meanwhile": ([GETTING_READY], a(2), [], []),
    "more wait than are wanted: the older ones end": ([box("x", 9), box("y", 5)], a(1), ["x"], []),
    "nothing is wanted any more": ([box("x"), GETTING_READY], a(0), ["g", "x"], []),
    "a new image: the old box stays until a new one waits": ([box("x", base="old")], a(1), [], ["a/r"]),
    "a new image, and a box of it that gets ready": ([box("x", base="old"), GETTING_READY], a(1), [], []),
    "a new image, and a box of it that waits": ([box("x", base="old"), box("y")], a(1), ["x"], []),
    "too old: as if a new image had come": ([box("x", MOST + 1)], a(1), [], ["a/r"]),
    "too old, and a new one waits": ([box("x", MOST + 1), box("y")], a(1), ["x"], []),
    "started otherwise by now": ([box("x", fit="g")], a(1), ["x"], ["a/r"]),
    "its runner ended": ([box("x", runs=False, offered=False)], a(1), ["x"], ["a/r"]),
    "it never got ready": ([box("x", offered=False, quiet_since=NOW - QUIET_SECONDS - 1)], a(1), ["x"], ["a/r"]),
    "its gateway is away for a moment": ([box("x", 900, offered=False, quiet_since=NOW - 5)], a(1), [], []),
    "its repository is not enabled": ([box("x", repository="b/s")], a(0), ["x"], []),
}


@pytest.mark.parametrize("case", CASES)
def test_what_outlived_its_use_ends_and_what_is_missing_is_made(case: str) -> None:
    boxes, want, end, fill = CASES[case]
    due = plan(boxes, [want], NOW, MOST)
    assert ([one.name for one, _ in due.end], list(due.fill)) == (end, fill)
    assert all(why for _, why in due.end)


def test_repositories_are_judged_one_by_one() -> None:
    due = plan([box("x")], [a(1), Wanted("b/s", 1, "f", "other")], NOW, MOST)
    assert (due.end, due.fill) == ((), ("b/s",))


def test_what_is_wanted_is_what_the_settings_say_and_one_more_where_somebody_is_about_to_ask() -> None:
    found = wanted({"a/r": 2}, ["a/r", "c/t", "gone/x"], dict.fromkeys(["c/t", "b/s", "a/r"], "f"), {"a/r": "img"})
    assert [(one.repository, one.number, one.base) for one in found] == [
        ("a/r", 3, "img"), ("b/s", 0, None), ("c/t", 1, None),
    ]  # fmt: skip


def test_pools_are_counted_where_there_is_something() -> None:
    found = counted([box("x"), GETTING_READY, box("z", runs=False)], [a(2), Wanted("b/s", 0, "f", None)])
    assert found == (PoolCount("a/r", 2, 1, 1),)
