"""`shipmate agents check`: whether an agent works on this machine, in one sentence with what to do."""

import json
from pathlib import Path

import pytest

from bot.cli import main
from sandbox import probe


def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, **env: str) -> tuple[int, str]:
    """The exit code, and what it said."""
    for variable, value in env.items():
        monkeypatch.setenv(variable, value)
    code = main(["agents", "check", name])
    said = capsys.readouterr()
    return code, (said.out + said.err).splitlines()[-1]


def test_an_agent_that_is_not_installed_is_named_with_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, said = told(capsys, monkeypatch, "codex", SHIPMATE_AGENTS_DIR=str(tmp_path))
    assert (code, said) == (
        1,
        "shipmate: codex does not work here: it is not installed. Run: shipmate agents install codex",
    )


@pytest.mark.skipif(not probe.probe().allowed, reason="boxes cannot be isolated here")
def test_an_agent_that_crashes_at_its_start_is_quoted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = "/bin/sh -c 'echo no licence >&2; exit 3'"
    code, said = told(capsys, monkeypatch, "custom", SHIPMATE_AGENT_COMMAND=command)
    why = "The agent could not be started: the agent ended with code 3: no licence. See SHIPMATE_AGENT_COMMAND."
    assert (code, said) == (1, f"shipmate: custom does not work here: {why}")


def test_the_list_says_what_each_agent_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agents", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"rehearsal", "opencode", "claude", "codex", "gemini", "custom"} == set(rows)
    assert all(row["licence"] and row["lacks"] for row in rows.values())
