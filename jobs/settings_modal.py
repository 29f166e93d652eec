"""What the environment says about boxes on Modal. `jobs/settings.py` reads it, `jobs/wiring.py` hands it on."""

import re
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from jobs.settings_reader import Reader, attempts, seconds, secret, web_url, word
from sandbox.modal_place import HARD_SECONDS

LOOPBACK = ("127.0.0.1", "localhost")
LEAST_BOX_SECONDS = 600.0


class ModalSettings(BaseModel):
    """Everything that is needed for boxes on Modal beside the gateway's address. `None` means: not given."""

    model_config = ConfigDict(frozen=True)

    token_id: SecretStr | None = None  # MODAL_TOKEN_ID: ak-…, for boxes on Modal, with
    token_secret: SecretStr | None = None  # MODAL_TOKEN_SECRET: as-…
    server_url: str = ""  # MODAL_SERVER_URL: another address of Modal's control plane than its own
    environment: str = ""  # MODAL_ENVIRONMENT: one of the workspace's; empty: its default
    app: str = "shipmate"  # SHIPMATE_MODAL_APP: the app that boxes belong to; one for each Shipmate
    region: str = ""  # SHIPMATE_MODAL_REGION: where boxes run, such as `us-east`; empty: anywhere
    cores: float = 1.0  # SHIPMATE_MODAL_CORES: cores of CPU that each box is sure of
    creates: int = 50  # SHIPMATE_MODAL_CREATES: boxes that are being made at a time, over all processes
    agents: tuple[str, ...] = ()  # SHIPMATE_MODAL_AGENTS: names,... that boxes there have beside SHIPMATE_AGENT
    hosts: tuple[str, ...] = ()  # SHIPMATE_MODAL_HOSTS: names,... that boxes there may reach beside the gateway
    box_seconds: float = 43200.0  # SHIPMATE_MODAL_BOX_SECONDS: Modal ends a box after so long; a day at most

    def secrets(self) -> tuple[str, ...]:
        """Every secret here."""
        return tuple(s.get_secret_value() for s in (self.token_id, self.token_secret) if s is not None)


def modal_settings(read: Reader) -> ModalSettings:
    """What the environment says."""
    usual, nothing = ModalSettings(), ()
    token_id, token_secret = read("MODAL_TOKEN_ID", secret, None), read("MODAL_TOKEN_SECRET", secret, None)
    if (token_id is None) != (token_secret is None) and not read.wrong:
        read.wrong.append("MODAL_TOKEN_ID and MODAL_TOKEN_SECRET are used together; one of them is missing")
    return ModalSettings(
        token_id=token_id,
        token_secret=token_secret,
        server_url=read("MODAL_SERVER_URL", web_url, usual.server_url),
        environment=read("MODAL_ENVIRONMENT", word, usual.environment),
        app=read("SHIPMATE_MODAL_APP", _app, usual.app),
        region=read("SHIPMATE_MODAL_REGION", word, usual.region),
        cores=read("SHIPMATE_MODAL_CORES", _cores, usual.cores),
        creates=read("SHIPMATE_MODAL_CREATES", attempts, usual.creates),
        agents=read("SHIPMATE_MODAL_AGENTS", _agents, nothing),
        hosts=read("SHIPMATE_MODAL_HOSTS", _hosts, nothing),
        box_seconds=read("SHIPMATE_MODAL_BOX_SECONDS", _box_seconds, usual.box_seconds),
    )


def reachable_from_afar(url: str) -> bool:
    """Whether a box elsewhere could dial this address, and in secret. Loopback is let pass for a stand-in on this
    machine."""
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    return safe and not parts.path.strip("/") and not parts.query


def _app(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        raise ValueError(f"must be a name of letters, digits, dots and dashes; it is {text!r}")
    return text


def _cores(text: str) -> float:
    if not re.fullmatch(r"\d{1,3}(\.\d{1,3})?", text) or not 0.125 <= float(text) <= 64:
        raise ValueError(f"must be a number from 0.125 to 64; it is {text!r}")
    return float(text)


def _agents(text: str) -> tuple[str, ...]:
    found = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in found:
        if not re.fullmatch(r"[a-z0-9-]{1,40}", name):
            raise ValueError(f"must be names of `shipmate agents list`, with commas; {name!r} is not")
    return found


def _hosts(text: str) -> tuple[str, ...]:
    found = tuple(host.strip().lower() for host in text.split(",") if host.strip())
    for host in found:
        if not re.fullmatch(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+", host):
            raise ValueError(f"must be names of hosts, such as example.com,*.example.org; {host!r} is not")
    return found


def _box_seconds(text: str) -> float:
    found = seconds(text)
    if not LEAST_BOX_SECONDS <= found <= HARD_SECONDS:
        raise ValueError(f"must be from {LEAST_BOX_SECONDS:.0f} to {HARD_SECONDS}; it is {text!r}")
    return found
