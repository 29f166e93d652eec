"""The model providers that the settings mean: three well-known ones, and any that speak as one of them does. Pure.

`server.py` gives them to the model gateway, `bot/doctor.py` asks one of them whether it answers.
"""

from dataclasses import dataclass

from bot.gateway.model_wire import PROTOCOLS, Protocol
from bot.model_keys import ModelKey
from bot.settings import BotSettings


@dataclass(frozen=True)
class Upstream:
    """Where a provider is, and the key that it knows us by; None: nobody gave us one, or it wants none (`keyless`).

    `setting` and `url_setting` are the variables that a person would have to set.
    """

    name: str
    title: str
    protocol: Protocol
    url: str
    key: ModelKey | None
    setting: str
    url_setting: str

    @property
    def keyless(self) -> bool:
        """Whether it is asked without a key."""
        return not self.setting


def upstreams(settings: BotSettings) -> dict[str, Upstream]:
    """By name, which is how a box's address, and a model's name, begin."""
    known: tuple[tuple[str, str, str, ModelKey | None], ...] = (
        ("anthropic", "Anthropic", settings.anthropic_url, settings.anthropic_key),
        ("openai", "OpenAI", settings.openai_url, settings.openai_key),
        ("gemini", "Gemini", settings.gemini_url, settings.gemini_key),
    )
    found = {
        name: Upstream(
            name, title, PROTOCOLS[name], url, key, f"{name.upper()}_API_KEY", f"{name.upper()}_BASE_URL"
        )
        for name, title, url, key in known
    }  # fmt: skip
    for one in settings.jobs.upstreams:
        key = settings.upstream_keys.get(one.name)
        protocol = PROTOCOLS[one.protocol]
        found[one.name] = Upstream(
            one.name, one.name, protocol, one.url, key, one.key_variable, "SHIPMATE_UPSTREAMS"
        )  # fmt: skip
    return found
