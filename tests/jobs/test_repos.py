"""Which repository a text means: the only one, a named one, or a question."""

import time
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.repos import base_branch, choose


class Repo(NamedTuple):
    name: str
    base_branch: str = "main"


ROCKET, SITE = Repo("acme/rocket"), Repo("acme/site", "trunk")
ONE, TWO = (ROCKET,), (ROCKET, SITE)
FORGE = "http://127.0.0.1:8765/forge"


@pytest.mark.parametrize(
    ("text", "enabled", "meant"),
    [
        ("fix the failing test", ONE, "acme/rocket"),
        ("fix rocket/fuel.py and/or tests/test_fuel.py", ONE, "acme/rocket"),
        ("mend the sum in rocket/fuel", ONE, "acme/rocket"),
        ("a test in tests/unit please", ONE, "acme/rocket"),
        ("the client/server split", ONE, "acme/rocket"),
        ("see https://stackoverflow.com/questions/1", ONE, "acme/rocket"),
        ("in acme/site: fix the header", TWO, "acme/site"),
        ("fix the header in ACME/Site.", TWO, "acme/site"),
        ("fix `acme/site`", TWO, "acme/site"),
        ("the header (acme/site)", TWO, "acme/site"),
        ("git clone acme/site.git", TWO, "acme/site"),
        ("https://github.com/acme/site/issues/3 is urgent", TWO, "acme/site"),
        ("<https://github.com/acme/site|this>", TWO, "acme/site"),
        ("git@github.com:acme/site.git is broken", TWO, "acme/site"),
        ("fix the header of the site", TWO, "acme/site"),
        ("acme/rocket, not the site", TWO, "acme/rocket"),
        ("in acme/site, fix src/header.css", TWO, "acme/site"),
    ],
)
def test_a_text_that_is_clear_chooses(text: str, enabled: tuple[Repo, ...], meant: str) -> None:
    choice = choose(text, enabled)
    assert (choice.repository, choice.options, choice.reason) == (meant, (), "")
    assert choice.base_branch == base_branch(meant, enabled)


@pytest.mark.parametrize(
    ("text", "only"),
    [
        ("acme/site", True),
        ("site, please", True),
        ("I meant the site repo. Sorry!", True),
        ("https://github.com/acme/site.git", True),
        ("https://github.com/acme/site/issues/3", False),
        ("site, but only its header", False),
        ("in acme/site: fix the header", False),
        ("acme/moon, then", False),
        ("Sorry, acme/moon", True),
    ],
)
def test_whether_a_text_says_only_which_repository_is_meant(text: str, only: bool) -> None:
    choice = choose(text, TWO)
    assert (choice.repository, choice.only) == (None if "moon" in text else "acme/site", only)


@pytest.mark.parametrize(
    ("text", "enabled", "options", "reason"),
    [
        ("fix the failing test", TWO, TWO, "Which repository do you mean?"),
        ("fix it in acme/moon", ONE, ONE, "acme/moon is not enabled"),
        ("fix it in nobody/nothing", ONE, ONE, "nobody/nothing is not enabled"),
        ("repo docs/guide: fix it", ONE, ONE, "docs/guide is not enabled"),
        ("repository: vercel/next.js", TWO, TWO, "vercel/next.js is not enabled"),
        ("https://github.com/nobody/nothing/pull/3", ONE, ONE, "nobody/nothing is not enabled"),
        ("copy it from acme/moon to acme/site", TWO, TWO, "acme/moon is not enabled"),
        ("acme/rocket and acme/site", TWO, TWO, "more than one"),
        ("in rocket, say that it fixes acme/site#1", TWO, TWO, "more than one"),
        ("both rocket and site", TWO, TWO, "more than one"),
        ("the rocket", (*TWO, Repo("nasa/rocket")), (ROCKET, Repo("nasa/rocket")), "more than one"),
        ("fix it", (), (), "No repository is enabled"),
    ],
)
def test_a_text_that_is_not_clear_asks_and_says_why(
    text: str, enabled: tuple[Repo, ...], options: tuple[Repo, ...], reason: str
) -> None:
    choice = choose(text, enabled)
    assert choice.repository is None
    assert choice.options == tuple(repo.name for repo in options)
    assert reason in choice.reason


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (f"{FORGE}/acme/site/pull/2", "acme/site"),
        ("http://127.0.0.1:8765/forge/acme/site.git", "acme/site"),
        ("https://github.com/acme/site", None),
        ("http://[::1/acme/site", None),
        ("http://127.0.0.1:8765/forge", None),
    ],
)
def test_an_address_counts_only_on_the_forge_that_is_used(text: str, meant: str | None) -> None:
    assert choose(text, TWO, FORGE).repository == meant


def test_the_base_branch_of_what_is_not_enabled_is_none() -> None:
    assert base_branch("Acme/Site", TWO) == "trunk"
    assert base_branch("acme/moon", TWO) is None


@pytest.mark.parametrize("piece", ["http://", "git@"])
def test_however_long_a_text_is_nobody_waits_for_its_reading(piece: str) -> None:
    began = time.process_time()
    assert choose(f"acme/rocket {piece * (40_000 // len(piece))}", ONE).repository
    assert time.process_time() - began < 1


@given(st.text())
def test_any_text_at_all_chooses_an_enabled_repository_or_asks_for_some(text: str) -> None:
    choice = choose(text, TWO)
    assert choice.repository in ("acme/rocket", "acme/site") or (choice.options and choice.reason)
