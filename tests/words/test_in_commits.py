"""Whatever anybody says or is called, a commit is by those who took part and names nobody else. Real git reads it."""

import subprocess

import pytest

from sandbox.runner.branch import Work
from sandbox.runner.git import Person, identity
from sandbox.runner.history import with_trailers
from tests.words.payloads import INNOCENT, PAYLOADS, UNSEEN

ADA, GRACE = Person("Ada", "ada@acme.test"), Person("Grace", "grace@acme.test")
KEYS = ("co-authored-by", "signed-off-by", "reviewed-by", "acked-by", "tested-by", "approved-by", "on-behalf-of")


def git(*args: str, stdin: str = "", **env: str) -> str:
    where = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    run = subprocess.run(("git", *args), input=stdin.encode(), capture_output=True, check=True, env=where | env)
    return run.stdout.decode()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("repository")
    git("init", "-q", str(folder))
    return str(folder)


def people_named(message: str) -> list[str]:
    """Everybody whom git, or an eager reader of lines, finds in it."""
    found = git("interpret-trailers", "--parse", stdin=message).splitlines()
    lines = [line.strip() for line in message.splitlines()]
    named = {
        line for line in (*found, *lines) if line.lower().replace(" ", "").startswith(tuple(f"{k}:" for k in KEYS))
    }
    return sorted(named)


@pytest.mark.parametrize("name", PAYLOADS | INNOCENT)
def test_a_message_names_exactly_those_who_took_part(name: str) -> None:
    payload = (PAYLOADS | INNOCENT)[name]
    asked = Work("main", "shipmate/s1", ADA, [GRACE], payload, "").message
    for message in (asked, with_trailers(payload, ADA, [GRACE]), with_trailers(f"Do it\n\n{payload}", ADA, [GRACE])):
        assert people_named(message) == [f"Co-authored-by: {GRACE.signature}"]
        assert not UNSEEN.search(message)
        assert message.splitlines()[0].strip()


@pytest.mark.parametrize("name", PAYLOADS | INNOCENT)
def test_a_name_is_one_name_in_git(name: str, repository: str) -> None:
    payload = (PAYLOADS | INNOCENT)[name]
    odd = Person.of({"name": payload, "email": payload})
    message = with_trailers("Do it", GRACE, [odd])
    git("-C", repository, "commit", "-q", "--allow-empty", "-F", "-", stdin=message, **identity(odd, odd))
    author, body = git("-C", repository, "log", "-1", "--format=%an <%ae>%x00%B").split("\0")
    assert author == odd.signature
    assert people_named(body) == [f"Co-authored-by: {odd.signature}"]
    assert not UNSEEN.search(author + body)
