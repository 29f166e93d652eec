"""What the faces are told by the environment. Read once, in `bot/cli.py`; nothing else looks at the environment.

The jobs' own settings (`jobs/settings.py`) are part of it. Every field names its variable, unit and default; `doctor`
and the README's table are made from the same places.
"""

import contextlib
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from bot import model_settings
from bot.gateway.egress_rules import REGISTRIES, Target, hosts_of, targets_of
from bot.model_keys import ModelKey, model_key
from bot.model_prices import Prices
from jobs.settings import JobSettings
from jobs.settings_reader import Reader, secret, web_url, word

VARIABLES = {
    "host": "SHIPMATE_HOST",
    "port": "SHIPMATE_PORT",
    "metrics_token": "SHIPMATE_METRICS_TOKEN",
    "egress_hosts": "SHIPMATE_EGRESS_HOSTS",
    "egress_private": "SHIPMATE_EGRESS_PRIVATE",
    "egress_proxy": "SHIPMATE_EGRESS_PROXY",
    "slack_bot_token": "SLACK_BOT_TOKEN",
    "slack_app_token": "SLACK_APP_TOKEN",
    "slack_signing_secret": "SLACK_SIGNING_SECRET",
    "slack_api_url": "SLACK_API_URL",
    "github_webhook_secret": "GITHUB_WEBHOOK_SECRET",
    "openai_url": "OPENAI_BASE_URL",
    "openai_key": "OPENAI_API_KEY",
    "anthropic_url": "ANTHROPIC_BASE_URL",
    "anthropic_key": "ANTHROPIC_API_KEY",
    "gemini_url": "GEMINI_BASE_URL",
    "gemini_key": "GEMINI_API_KEY",
    "models": "SHIPMATE_MODELS",
    "model_prices": "SHIPMATE_MODEL_PRICES",
    "budget": "SHIPMATE_BUDGET",
}


class SettingsError(ValueError):
    """Settings that cannot be used; the message has one line for each, saying what is wrong."""


class BotSettings(BaseModel):
    """Everything that the web process needs. `None` means: that face is off."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    jobs: JobSettings
    host: str = "127.0.0.1"  # SHIPMATE_HOST: where the web process listens
    port: int = 8080  # SHIPMATE_PORT: its port
    metrics_token: SecretStr | None = None  # SHIPMATE_METRICS_TOKEN: for /metrics, open without it on loopback alone
    egress_hosts: tuple[str, ...] = REGISTRIES  # SHIPMATE_EGRESS_HOSTS: where boxes may go; default: `registries`
    egress_private: tuple[Target, ...] = ()  # SHIPMATE_EGRESS_PRIVATE: host:port,... of your own network, for boxes
    egress_proxy: SecretStr | None = None  # SHIPMATE_EGRESS_PROXY: http://[user:password@]host:port, if needed
    slack_bot_token: SecretStr | None = None  # SLACK_BOT_TOKEN: xoxb-…; without it Slack is off
    slack_app_token: SecretStr | None = None  # SLACK_APP_TOKEN: xapp-…: Socket Mode; without it signed HTTP
    slack_signing_secret: SecretStr | None = None  # SLACK_SIGNING_SECRET: for signed HTTP
    slack_api_url: str = "https://slack.com/api/"  # SLACK_API_URL: where the Web API is
    allowed_bots: tuple[str, ...] = ()  # SHIPMATE_ALLOWED_BOTS: bot ids that may give prompts
    github_webhook_secret: SecretStr | None = None  # GITHUB_WEBHOOK_SECRET: without it, webhooks are off
    openai_url: str = "https://api.openai.com/v1"  # OPENAI_BASE_URL: or any server that speaks its protocol
    openai_key: ModelKey | None = None  # OPENAI_API_KEY: stays in the gateway; or @FILE, read again when it changes
    anthropic_url: str = "https://api.anthropic.com"  # ANTHROPIC_BASE_URL: or any server that speaks its protocol
    anthropic_key: ModelKey | None = None  # ANTHROPIC_API_KEY: likewise
    gemini_url: str = "https://generativelanguage.googleapis.com"  # GEMINI_BASE_URL: likewise
    gemini_key: ModelKey | None = None  # GEMINI_API_KEY: likewise
    upstream_keys: Mapping[str, ModelKey] = {}
    models: tuple[str, ...] = ()  # SHIPMATE_MODELS: the models that agents may ask, such as `claude-*,gpt-5*`; else all
    model_prices: Prices = {}  # SHIPMATE_MODEL_PRICES: `{"name*": [in, out]}` in $ for a million tokens, or @FILE
    budget: float = 0.0  # SHIPMATE_BUDGET: dollars after which a session pauses and asks its thread; 0: no limit

    @property
    def url(self) -> str:
        """The address that links in Slack and on the forge begin with; no slash at its end."""
        return self.jobs.public_url.rstrip("/") or f"http://{self.host}:{self.port}"

    @property
    def only_here(self) -> bool:
        """Whether nobody but this machine can reach the web process: neither directly nor through a proxy."""
        return _is_loopback(self.host) and _is_loopback(urlsplit(self.url).hostname or "")

    def secrets(self) -> tuple[str, ...]:
        """Every secret here and in the jobs' settings, so that the log can leave them out."""
        mine = (
            self.metrics_token,
            self.egress_proxy,
            self.slack_bot_token,
            self.slack_app_token,
            self.slack_signing_secret,
            self.github_webhook_secret,
            self.openai_key,
            self.anthropic_key,
            self.gemini_key,
            *self.upstream_keys.values(),
        )
        return self.jobs.secrets() + tuple(s.get_secret_value() for s in mine if s is not None)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "BotSettings":
        """Read the settings; raise with a line for each that cannot be used."""
        read = Reader(env)
        given: dict[str, Any] = {field: read(name, _parser(field), None) for field, name in VARIABLES.items()}
        bots = tuple(bot.strip() for bot in env.get("SHIPMATE_ALLOWED_BOTS", "").split(",") if bot.strip())
        try:
            jobs = JobSettings.from_env(env)
        except ValueError as more:
            raise SettingsError("\n".join([*read.wrong, str(more)])) from None
        keys = {one.name: read(one.key_variable, model_key, None) for one in jobs.upstreams if one.key_variable}
        if read.wrong:
            raise SettingsError("\n".join(read.wrong))
        told = {field: value for field, value in given.items() if value is not None}
        told["upstream_keys"] = {name: key for name, key in keys.items() if key is not None}
        return cls.model_validate({"jobs": jobs, "allowed_bots": bots, **told})


def _parser(field: str) -> Callable[[str], object]:
    """How the text of this field's variable is read; it raises `ValueError`, saying what is wrong."""
    by_name: dict[str, Callable[[str], object]] = {
        "port": _port,
        "host": word,
        "egress_hosts": lambda text: hosts_of(text.split(",")),
        "egress_private": lambda text: targets_of(text.split(",")),
        "egress_proxy": lambda text: SecretStr(web_url(text)),
        "slack_api_url": lambda text: web_url(text) + "/",
        "github_webhook_secret": SecretStr,
        "models": model_settings.models,
        "model_prices": model_settings.prices,
        "budget": model_settings.dollars,
        "openai_key": model_key,
        "anthropic_key": model_key,
        "gemini_key": model_key,
    }
    return by_name.get(field, web_url if field.endswith("_url") else secret)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 65_536):
        raise ValueError(f"must be a number, such as 8080; it is {text!r}")
    return int(text)


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host == "::1" or host.startswith("127.")


def view_secret(data_dir: Path) -> str:
    """The key that View links are signed with, made once and kept beside the data (mode 0600)."""
    path = data_dir / "view-secret"
    data_dir.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        fresh = path.with_suffix(f".{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(32))
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)  # the first of several processes wins
        fresh.unlink()
    return path.read_text()
