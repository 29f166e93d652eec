"""What a provider on Modal is told: whose account, which app, how long boxes live, what they may reach. Pure.

`jobs/wiring.py` fills it from the settings; `sandbox/modal.py` goes by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

HARD_SECONDS = 86_400  # Modal ends every sandbox after a day: https://modal.com/docs/guide/sandboxes
FOR_EVER: float | None = None


@dataclass(frozen=True)
class ModalPlace:
    """One app of one Modal account, and how boxes are made there.

    `gateway`: the address that runners dial, `https://host[:port]`; its host is on every box's list. `more_hosts` are
    too (a mirror that the base image needs, say). `ca`: certificates (PEM) that boxes are to believe beside the usual.
    `cores`: CPU cores that a box is sure of. `box_seconds`: after so long Modal ends a box. `region`: None for any.
    `creates`: how many boxes are being made at a time, over all processes. `agents`: which agents the base image has.
    `snapshot_seconds`: how long a snapshot may take. `server_url`: None for Modal itself.
    """

    token_id: str
    token_secret: str = field(repr=False)
    gateway: str
    app: str = "shipmate"
    environment: str | None = None
    region: str | None = None
    more_hosts: tuple[str, ...] = ()
    ca: bytes | None = None
    agents: tuple[str, ...] = ()
    cores: float = 1.0
    box_seconds: float = 12 * 3600.0
    creates: int = 50
    snapshot_seconds: float = 300.0
    kept_seconds: Mapping[str, float | None] = field(default_factory=dict)
    server_url: str | None = None
