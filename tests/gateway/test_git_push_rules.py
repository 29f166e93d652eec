"""What may be pushed, case by case."""

import pytest

from bot.gateway import push_rules
from bot.gateway.pktline import NOTHING, Command
from bot.gateway.push_rules import NewCommit, NewObject

A, B, C = "a" * 40, "b" * 40, "c" * 40
CI, RELEASE = ".github/workflows/ci.yml", ".github/workflows/release.yml"
OURS, NEIGHBOUR = "refs/heads/shipmate/s1", "refs/heads/shipmate/s12"


@pytest.mark.parametrize(
    ("commands", "refused"),
    [
        ([Command(A, B, OURS)], {}),
        ([Command(NOTHING, B, OURS)], {}),
        ([Command(A, NOTHING, OURS)], {OURS: "the session's branch may not be deleted"}),
        ([Command(A, B, "refs/heads/main")], {"refs/heads/main": "this session may push to shipmate/s1 only"}),
        ([Command(A, B, NEIGHBOUR)], {NEIGHBOUR: "this session may push to shipmate/s1 only"}),
        ([Command(A, B, OURS.upper())], {OURS.upper(): "this session may push to shipmate/s1 only"}),
        ([Command(A, B, OURS), Command(A, C, OURS)], {OURS: "shipmate/s1 has to be pushed alone"}),
    ],
)  # fmt: skip
def test_a_push_is_one_move_of_the_sessions_branch(commands: list[Command], refused: dict[str, str]) -> None:
    assert push_rules.of_commands(commands, "shipmate/s1") == refused


@pytest.mark.parametrize(
    ("author", "committer", "role"),
    [
        ("ada@x.example", "ada@x.example", None),
        ("ADA@x.example", "grace@X.example", None),
        ("eve@x.example", "ada@x.example", "author"),
        ("ada@x.example", "eve@x.example", "committer"),
        ("", "ada@x.example", "author"),
        ("ada@x.example ", "ada@x.example", "author"),
    ],
)
def test_commits_are_by_people_of_the_session(author: str, committer: str, role: str | None) -> None:
    why = push_rules.of_people([NewCommit(A, author, committer)], {"Ada@x.example", "grace@x.example"})
    assert (why or "").startswith(f"the {role} of aaaaaaaaaa, <" if role else "")
    assert (why is None) == (role is None)


@pytest.mark.parametrize(
    ("named", "fits"),
    [
        ("Grace <Grace@x.example>", True),
        ("Eve <eve@x.example>", False),
        ("Ada <ada@x.example> <eve@x.example>", False),
        ("Eve <eve@x.example> <ada@x.example>", False),
        ("ada@x.example", True),
        ("", False),
    ],
)
def test_commits_credit_nobody_who_takes_no_part(named: str, fits: bool) -> None:
    commit = NewCommit(A, "ada@x.example", "ada@x.example", ("Grace <grace@x.example>", named))
    why = push_rules.of_people([commit], {"ada@x.example", "grace@x.example"})
    assert why == (None if fits else f"the co-author of aaaaaaaaaa, {named}, does not take part in this session")


@pytest.mark.parametrize(
    ("tip", "grown_from", "changed"),
    [
        ({}, [{}], ""),
        ({}, [], ""),
        ({CI: A}, [{CI: A}], ""),
        ({CI: B}, [{CI: A}], CI),
        ({CI: A}, [], CI),
        ({}, [{CI: A}], CI),
        ({CI: A, RELEASE: B}, [{CI: A}], RELEASE),
        ({CI: B}, [{CI: A}, {CI: B}], ""),  # a merge takes one side's file
        ({CI: C}, [{CI: A}, {CI: B}], CI),  # or invents one
        ({CI: A, RELEASE: B}, [{CI: A}, {RELEASE: B}], ""),  # each file may come from another side
        ({f"{CI}{n}": A for n in range(5)}, [{}], f"{CI}0, {CI}1, {CI}2 and 2 more"),
    ],
)
def test_workflow_files_come_from_the_forge(
    tip: dict[str, str], grown_from: list[dict[str, str]], changed: str
) -> None:
    why = push_rules.of_workflows(tip, grown_from)
    assert why == (f"files under .github/workflows/ may not be changed from here: {changed}" if changed else None)


def test_a_file_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert push_rules.of_size([NewObject("a", 50 << 20)], 50 << 20) is None
    assert push_rules.of_size([NewObject("a", (50 << 20) + 1), NewObject("", 60 << 20)], 50 << 20) == (
        "files above 50 MB are not pushed: a (50 MB), a file (60 MB)"
    )
