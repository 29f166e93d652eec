"""Which model the agent of a demo speaks with: the playground's script, or the one whose key is there. Pure.

`bot/stack.py` asks. A real key counts if the agent speaks its provider's protocol; then none of the script's settings
is handed on, so that no request goes to the wrong place.
"""

from collections.abc import Mapping

from bot.playground.model import MODEL
from sandbox import agents


def model_settings(told: Mapping[str, str], env: Mapping[str, str], agent: str) -> dict[str, str]:
    """`told`, which the playground says, with the model's settings for this agent. `env`: of whoever runs the demo."""
    row = agents.row(agent)
    real = [provider for provider in row.speaks or agents.DEFAULT_MODELS if env.get(f"{provider.upper()}_API_KEY")]
    if not real:
        scripted = f"{row.speaks[0]}/{MODEL}" if row.speaks and row.takes_any_model else ""
        return {**told, "SHIPMATE_MODEL": scripted}
    scripts = tuple(f"{provider.upper()}_" for provider in agents.DEFAULT_MODELS)
    mine = [f"{provider.upper()}_{what}" for provider in real for what in ("API_KEY", "BASE_URL")]
    kept = {name: value for name, value in told.items() if not name.startswith(scripts)}
    chosen = agents.DEFAULT_MODELS[real[0]] if len(row.speaks) > 1 else ""  # else the agent's own choice
    return kept | {name: env[name] for name in mine if env.get(name)} | {"SHIPMATE_MODEL": chosen}
