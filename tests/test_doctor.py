"""The doctor asks the real things: a Redis-compatible server, the playground's Slack, forge and model, this machine."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from bot import doctor
from bot.doctor import Finding
from bot.playground.server import Playground, playground
from bot.settings import BotSettings
from sandbox import probe

NOBODY = "http://127.0.0.1:1"  # a port that nobody may listen on
ISOLATED = probe.probe().allowed


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Playground]:
    async with playground(0, tmp_path / "playground") as running:
        yield running


@pytest.fixture
def told(house: Playground, redis_url: str, tmp_path: Path) -> dict[str, str]:
    """Settings with which all is well, on a machine that isolates."""
    return house.keys | {
        "REDIS_URL": redis_url,
        "SHIPMATE_DATA_DIR": str(tmp_path / "data"),
        "PATH": os.environ["PATH"],
    }


async def findings(told: dict[str, str]) -> dict[str, Finding]:
    return {one.what: one for one in await doctor.examine(BotSettings.from_env(told))}


async def test_where_all_is_well_nothing_is_to_be_mended(told: dict[str, str], tmp_path: Path) -> None:
    found = await findings(told)
    assert {one.what for one in found.values() if not one.well} == (set() if ISOLATED else {"isolation"})
    assert found["slack bot token"].said == "shipmate in Acme"
    assert found["slack scopes"].said == "all there"
    assert found["slack delivery"].said == "Socket Mode"
    assert found["github"].said == "may push to acme/rocket"
    assert found["archive"].said == f"0 closed sessions in {tmp_path / 'data' / 'archive'}"
    assert not (tmp_path / "data").exists(), "the doctor changes nothing"


async def test_files_of_the_archive_that_cannot_be_read_are_named(told: dict[str, str], tmp_path: Path) -> None:
    archive = tmp_path / "data" / "archive"
    archive.mkdir(parents=True)
    for name in ("s1.json.gz", "s2.json.gz", ".s3.7"):
        (archive / name).write_bytes(b"no gzip")
    one = (await findings(told))["archive"]
    assert one.said.startswith(f"2 closed sessions in {archive}; of the 2 written last 2 cannot be read: s")
    assert "s1.json.gz" in one.said and "s2.json.gz" in one.said and "from a backup" in one.mend


async def test_a_machine_without_boxes_needs_no_isolation_and_no_agent(told: dict[str, str]) -> None:
    far = {"SHIPMATE_PLACE": "modal", "SHIPMATE_PUBLIC_URL": "https://shipmate.example", "SHIPMATE_AGENT": "opencode"}
    nowhere = {"SHIPMATE_AGENTS_DIR": "/nowhere", "SHIPMATE_UNISOLATED": "1"}
    found = await findings(told | far | nowhere)
    assert (found["isolation"].said, found["isolation"].well) == ("that of modal: no box is on this machine", True)
    assert found["agent"].well
    both = await findings(told | far | nowhere | {"SHIPMATE_REPOSITORIES": "acme/rocket,acme/docs:local"})
    assert not both["isolation"].well and not both["agent"].well


NONE = ""
WRONG = [
    ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "redis", "Connect call failed", "start a Redis 6.2 or later"),
    ({"SLACK_BOT_TOKEN": NONE}, "slack", "off", "set SLACK_BOT_TOKEN"),
    ({"SLACK_BOT_TOKEN": "xoxb-no"}, "slack bot token", "refused: invalid_auth", "copy SLACK_BOT_TOKEN"),
    ({"SLACK_APP_TOKEN": "xapp-no"}, "slack app token", "refused: invalid_auth", "connections:write"),
    ({"SLACK_APP_TOKEN": NONE, "SLACK_SIGNING_SECRET": NONE}, "slack delivery", "none", "SLACK_SIGNING_SECRET (HTTP)"),
    ({"SLACK_API_URL": f"{NOBODY}/api/"}, "slack", f"{NOBODY}/api/ cannot be reached", "see SLACK_API_URL"),
    ({"SHIPMATE_REPOSITORIES": NONE}, "github", "no repository is enabled", "set SHIPMATE_REPOSITORIES=owner/name"),
    ({"GITHUB_TOKEN": NONE}, "github", "no credential", "set GITHUB_TOKEN, or GITHUB_APP_ID"),
    ({"GITHUB_TOKEN": "ghp_no"}, "github acme/rocket", "401", "set GITHUB_TOKEN, or the app's id and key, anew"),
    ({"SHIPMATE_REPOSITORIES": "acme/moon"}, "github acme/moon", "404", "correct the name in SHIPMATE_REPOSITORIES"),
    ({"GITHUB_API_URL": NOBODY}, "github acme/rocket", "could not be reached", "see GITHUB_API_URL and the network"),
    ({"SHIPMATE_UNISOLATED": "1"}, "isolation", "switched off: agents run with your rights", "unset"),
    ({"SHIPMATE_AGENT": "nobody"}, "agent", "there are: rehearsal, opencode", "correct SHIPMATE_AGENT"),
    (
        {"SHIPMATE_AGENT": "opencode", "SHIPMATE_AGENTS_DIR": "/nowhere"},
        "agent", "opencode is not installed", "shipmate agents install opencode",
    ),
    ({"SHIPMATE_MODEL": "gpt"}, "agent", "a model is written provider/name", "SHIPMATE_MODEL"),
    ({"SHIPMATE_AGENT": "opencode", "ANTHROPIC_API_KEY": NONE}, "model", "no key", "set ANTHROPIC_API_KEY"),
    (
        {"SHIPMATE_AGENT": "codex", "SHIPMATE_MODEL": NONE, "OPENAI_API_KEY": NONE},
        "model", "no key for openai", "set OPENAI_API_KEY",
    ),
    ({"SHIPMATE_AGENT": "custom"}, "agent", "the agent custom needs SHIPMATE_AGENT_COMMAND", "SHIPMATE_AGENT_COMMAND"),
    (
        {"SHIPMATE_AGENT": "opencode", "ANTHROPIC_API_KEY": "sk-no"},
        "model", "the provider refused the key (401)", "set ANTHROPIC_API_KEY anew",
    ),
    ({"SHIPMATE_AGENT": "opencode", "ANTHROPIC_BASE_URL": NOBODY}, "model", "cannot be reached", "see the address"),
    ({"SHIPMATE_AGENT": "opencode", "SHIPMATE_MODELS": "gpt-*"}, "model", "does not allow", "SHIPMATE_MODELS"),
    ({"SHIPMATE_AGENT": "opencode", "SHIPMATE_BUDGET": "5"}, "model", "no price is known", "SHIPMATE_MODEL_PRICES"),
    ({"PATH": "/nowhere"}, "git", "is not on PATH", "install it"),
    ({"SHIPMATE_DATA_DIR": "/proc/nowhere"}, "data folder", "/proc/nowhere: ", "set SHIPMATE_DATA_DIR"),
    ({"SHIPMATE_BOXES_DIR": "/proc/nowhere"}, "boxes folder", "/proc/nowhere: ", "set SHIPMATE_BOXES_DIR"),
]  # fmt: skip


@pytest.mark.parametrize(("otherwise", "what", "said", "mend"), WRONG)
async def test_what_is_wrong_is_said_with_how_to_mend_it(
    otherwise: dict[str, str], what: str, said: str, mend: str, told: dict[str, str]
) -> None:
    one = (await findings(told | otherwise))[what]
    assert said in one.said
    assert mend in one.mend


async def test_an_app_key_that_is_none_is_told_from_a_missing_right(told: dict[str, str], tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN RSA PRIVATE KEY-----\nbm8=\n-----END RSA PRIVATE KEY-----\n")
    app = {"GITHUB_TOKEN": NONE, "GITHUB_APP_ID": "5", "GITHUB_APP_PRIVATE_KEY": f"@{key}"}
    one = (await findings(told | app))["github acme/rocket"]
    assert "the app's private key cannot be used" in one.said
    assert "the app's id and key, anew" in one.mend


@pytest.mark.parametrize(
    ("events", "lacking"),
    [
        ((), ""),
        (doctor.HEARD, ""),
        (doctor.HEARD[:2], ", ".join(doctor.HEARD[2:])),
        (("push",), ", ".join(doctor.HEARD)),
    ],
)
def test_an_app_that_does_not_ask_for_what_is_heard_is_told(events: tuple[str, ...], lacking: str) -> None:
    one = doctor.webhooks_of(events, "https://ship.test/github/events")
    assert one.well is not bool(lacking)
    assert one.said.startswith("taken at https://ship.test/github/events")
    assert (f"does not ask for {lacking}:" in one.said) is bool(lacking)


@pytest.mark.parametrize(
    ("freezes", "tells_timers", "well"),
    [(True, True, True), (True, False, True), (False, True, True), (False, False, False)],
)
def test_a_kernel_that_lets_nobody_hold_boxes_still_is_told(freezes: bool, tells_timers: bool, well: bool) -> None:
    found = doctor.kept_while_alive(freezes, tells_timers)
    assert [(one.what, one.well) for one in found] == ([] if well else [("snapshots", False)])
    assert well or ("/proc/self/timers" in found[0].said and "CONFIG_CHECKPOINT_RESTORE" in found[0].mend)


async def test_a_redis_that_may_lose_work_is_not_well(told: dict[str, str]) -> None:
    safe = {"maxmemory-policy": "noeviction", "appendonly": "yes"}
    with redis.Redis.from_url(told["REDIS_URL"]) as server:
        try:
            for setting, value in {"maxmemory-policy": "allkeys-lru", "appendonly": "no"}.items():
                server.config_set(setting, value)
            found = await findings(told)
        finally:
            for setting, value in safe.items():
                server.config_set(setting, value)
    assert found["redis memory"].mend == "set maxmemory-policy to noeviction"
    assert found["redis log"].mend == "set appendonly to yes"


async def test_a_password_is_not_repeated(told: dict[str, str]) -> None:
    found = await findings(told | {"REDIS_URL": "redis://:open-sesame@127.0.0.1:1/0"})
    assert not any("open-sesame" in one.said + one.mend for one in found.values())


def test_every_setting_that_cannot_be_read_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"SHIPMATE_PORT": "x", "OPENAI_BASE_URL": "x", "SHIPMATE_REPOSITORIES": "x", "REDIS_URL": "x"}
    assert doctor.check(wrong, as_json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert sorted(one["said"].split()[0] for one in found) == sorted(wrong)
    assert all(one["mend"] for one in found)


def test_people_read_a_mark_a_matter_and_what_to_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = doctor.check({"REDIS_URL": f"unix://{tmp_path}/none", "SHIPMATE_DATA_DIR": str(tmp_path)}, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert code == 1
    assert f"ok     settings: read; data in {tmp_path}" in lines
    assert lines[lines.index("WRONG  slack: off") + 1].startswith("       → set SLACK_BOT_TOKEN")
