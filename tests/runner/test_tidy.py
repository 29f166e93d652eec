"""What an image must not hold is found: processes that go on, and credentials, wherever they are."""

import json
import os
from pathlib import Path

import pytest

from sandbox.runner.tidy import CHUNK, search
from tests.runner.boxes import RunningBox, command_of, descendants, git

SECRET = b"our-own-secret-0123456789"
KEY = b"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA1234567890abcdef\n"
HOLDS = {
    "a private key": KEY,
    "a GitHub token": b"token: ghp_" + b"a" * 36,
    "a Slack token": b"xoxb-" + b"1" * 24,
    "a model provider's key": b"sk-ant-" + b"b" * 48,
    "an AWS key": b"AKIA" + b"Q" * 16,
    "a registry's token": b"//registry.example/:_authToken=" + b"c" * 20,
}
NOTHING = {"words": b"risk-free gh xoxb AKIA sk-short PRIVATE KEY----- _authToken=${TOKEN}", "empty": b""}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for name in ("name", "email"):
        git(folder, "config", f"user.{name}", "ada")
    return folder


def found(repo: Path) -> dict[str, str]:
    return {Path(one["path"]).name: one["what"] for one in search([str(repo)], [SECRET], str(repo), "")}


@pytest.mark.parametrize("what", HOLDS)
def test_what_looks_like_a_credential_is_found(repo: Path, what: str) -> None:
    (repo / "left.txt").write_bytes(b"x" * 100 + b"\n" + HOLDS[what])
    assert found(repo) == {"left.txt": what}


def test_words_that_only_remind_of_one_are_none(repo: Path) -> None:
    for name, text in NOTHING.items():
        (repo / name).write_bytes(text)
    assert found(repo) == {}


def test_our_own_secrets_are_found_in_what_git_keeps_packed_or_not_but_for_the_history_of_the_forge(repo: Path) -> None:
    (repo / "of-the-forge").write_bytes(b"old " + SECRET)
    git(repo, "add", ".")
    git(repo, "commit", "--quiet", "-m", "1")
    git(repo, "rm", "--quiet", "of-the-forge")
    git(repo, "commit", "--quiet", "-m", "2")
    head = git(repo, "rev-parse", "HEAD")

    def searched() -> list[str]:
        return [one["path"].partition(" object ")[0] for one in search([str(repo)], [SECRET], str(repo), head)]

    assert searched() == []
    (repo / "left").write_bytes(b"\0" * (CHUNK - 5) + SECRET)
    git(repo, "add", "left")
    git(repo, "stash", "--quiet")
    assert searched() == ["git's"], "a loose object"
    git(repo, "repack", "-adq", "--keep-unreachable")
    git(repo, "stash", "clear")
    assert searched() == ["git's"], "a packed one, that nothing names any more"
    (next((repo / ".git/objects/pack").glob("*.pack"))).chmod(0o600)
    (next((repo / ".git/objects/pack").glob("*.pack"))).write_bytes(b"PACK")
    assert searched() == ["git's objects"], "what cannot be read counts as found"


def test_our_own_secrets_are_found_wherever_they_are(repo: Path) -> None:
    (repo / "node_modules").mkdir()
    (repo / "node_modules/in.js").write_bytes(b"\0" * (CHUNK - 10) + SECRET)
    (repo / f"named-{SECRET.decode()}").touch()
    (repo / "link").symlink_to(SECRET.decode())
    (repo / ".git/description").write_bytes(SECRET)
    (repo / "known").write_bytes(SECRET)
    git(repo, "add", "known")
    staged = f"git's object {git(repo, 'rev-parse', ':known')}"
    names = {"in.js", f"named-{SECRET.decode()}", "link", "description", "known", staged}
    assert found(repo) == dict.fromkeys(names, "a credential of Shipmate's")


def test_what_the_repository_or_a_registry_has_may_look_like_one(repo: Path) -> None:
    (repo / "test-key.pem").write_bytes(KEY)
    git(repo, "add", "test-key.pem")
    (repo / "node_modules").mkdir()
    (repo / "node_modules/fixture.pem").write_bytes(KEY)
    (repo / "made.pem").write_bytes(KEY)
    assert found(repo) == {"made.pem": "a private key"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_counts_as_found(repo: Path) -> None:
    for name in ("file", "folder"):
        (repo / name).touch() if name == "file" else (repo / name).mkdir()
        (repo / name).chmod(0)
    assert set(found(repo)) == {"file", "folder"}
    (repo / "folder").chmod(0o700)


async def test_pipes_and_devices_are_not_waited_for(repo: Path) -> None:
    os.mkfifo(repo / "pipe")
    assert found(repo) == {}


async def test_processes_that_go_on_are_ended_however_they_hide(box: RunningBox) -> None:
    await box.start(mode="idle", gateway=None, agent=None)
    stubborn = "trap '' TERM; sleep 61 & touch up; while :; do wait; done"
    await box.exec("sh", "-c", f'setsid sh -c "{stubborn}" >/dev/null 2>&1 & until [ -e up ]; do sleep 0.02; done')
    said = json.loads(await box.exec("{python}", "-I", "-S", "-B", "{runner}", "quiet"))
    assert said["left"] == []
    assert "sleep 61" in said["ended"]
    assert box.process is not None
    assert not [pid for pid in descendants(box.process.pid) if command_of(pid)]


async def test_a_box_is_searched_from_outside(box: RunningBox) -> None:
    await box.start(mode="idle", gateway=None, agent=None)
    await box.exec("true")  # it listens, so its folders are there
    (box.repo / "left").write_bytes(SECRET)
    asked = json.dumps(
        {"secrets": [SECRET.decode()], "roots": [str(box.root / "work")], "repo": str(box.repo), "head": ""}
    ).encode()
    argv = ["{python}", "-I", "-S", "-B", "{runner}", "search"]
    _, said = await box.control({"op": "exec", "argv": argv, "stdin_bytes": len(asked)}, asked)
    assert json.loads(said) == [{"path": str(box.repo / "left"), "what": "a credential of Shipmate's"}]
