"""Which model a demo's agent speaks with, by whose key is there."""

import pytest

from bot.demo_model import model_settings
from sandbox import agents

SCRIPT = {
    f"{name}_{what}": f"script {name}" for name in ("ANTHROPIC", "OPENAI", "GEMINI") for what in ("API_KEY", "BASE_URL")
}
OTHER = {"SLACK_BOT_TOKEN": "xoxb"}


@pytest.mark.parametrize(
    ("agent", "model"),
    [
        ("opencode", "anthropic/shipmate-scripted"),
        ("gemini", "gemini/shipmate-scripted"),
        ("codex", ""),
        ("rehearsal", ""),
    ],
)
def test_without_a_key_everything_is_the_scripts(agent: str, model: str) -> None:
    assert model_settings(SCRIPT | OTHER, {}, agent) == SCRIPT | OTHER | {"SHIPMATE_MODEL": model}


@pytest.mark.parametrize(
    ("agent", "key", "model"),
    [
        ("opencode", "ANTHROPIC", agents.DEFAULT_MODELS["anthropic"]),
        ("opencode", "GEMINI", agents.DEFAULT_MODELS["gemini"]),
        ("claude", "ANTHROPIC", ""),
        ("codex", "OPENAI", ""),
        ("gemini", "GEMINI", ""),
    ],
)
def test_with_a_key_of_the_agents_provider_nothing_is_the_scripts(agent: str, key: str, model: str) -> None:
    mine = {f"{key}_API_KEY": "sk-mine", f"{key}_BASE_URL": "https://mine"}
    assert model_settings(SCRIPT | OTHER, mine | {"HOME": "/"}, agent) == OTHER | mine | {"SHIPMATE_MODEL": model}


def test_a_key_that_the_agent_has_no_use_for_changes_nothing() -> None:
    found = model_settings(SCRIPT, {"OPENAI_API_KEY": "sk-mine"}, "claude")
    assert found == SCRIPT | {"SHIPMATE_MODEL": "anthropic/shipmate-scripted"}
