"""How several processes share the tests: what belongs together stays so, and nothing is named that is not there."""

from pathlib import Path

from tests import order

ROOT = Path(__file__).parents[1]


def test_only_files_that_are_there_are_named() -> None:
    named = {*order.LONG, *order.WITH, *order.WITH.values()}
    assert [file for file in sorted(named) if not (ROOT / file).is_file()] == []


def test_what_shares_a_stack_is_one_unit_and_every_other_file_is_one_of_its_own() -> None:
    assert (
        order.unit_of("tests/e2e/test_stops.py::test_a")
        == order.OFFICE
        == order.unit_of(f"{order.OFFICE}::test_b[c::d]")
    )
    assert order.unit_of("tests/jobs/test_fold.py::test_c") == "tests/jobs/test_fold.py"


def test_the_longest_begins_first_and_then_what_has_most_tests() -> None:
    units = {"tests/a.py": 3, order.SITE: 2, "tests/b.py": 40, order.OFFICE: 1}
    assert sorted(units, key=lambda unit: order.rank(unit, units[unit])) == [
        order.OFFICE,
        order.SITE,
        "tests/b.py",
        "tests/a.py",
    ]
