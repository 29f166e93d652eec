"""What a provider on Modal is told: whose account, which app, how long boxes live, what they may reach. Pure.

`jobs/wiring.py` fills it from the settings; `sandbox/modal.py` goes by it.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from sandbox.provider import Limits, Permanent, SnapshotKind

DAY = 86_400.0
HARD_SECONDS = DAY  # Modal ends every sandbox after so long: https://modal.com/docs/guide/sandboxes
MARGIN_SECONDS = 900.0  # before Modal ends a box, we have: its last turn, and its tree, need time
TLS = 443
MIB = 1 << 20
LEAST_MEMORY = 1024  # MiB that a box is sure of; it may use as much as its limits say
# How long Modal is told to keep a snapshot. Those that nobody names are let go of long before; those that are still
# there when this is nearly over are taken anew, but for turns.
KEPT_SECONDS: Mapping[SnapshotKind, float] = {
    SnapshotKind.BASE: 30 * DAY,
    SnapshotKind.TURN: 90 * DAY,
    SnapshotKind.FOLLOW_UP: 30 * DAY,
}


@dataclass(frozen=True)
class ModalPlace:
    """One app of one Modal account, and how boxes are made there.

    `gateway`: the address that runners dial, `https://host[:port]`; its host is on every box's list. `more_hosts` are
    too. `ca`: certificates (PEM) that boxes are to believe beside the usual. `cores`: CPU cores that a box is sure of.
    `box_seconds`: after so long Modal ends a box. `region`: None for any. `creates`: how many boxes are being made at a
    time, over all processes. `agents`: which agents the base image has. `snapshot_seconds`: how long a snapshot may
    take. `call_seconds`: how long one call may take, and a box to answer. `server_url`: None for Modal itself.
    """

    token_id: str
    token_secret: str = field(repr=False)
    gateway: str
    app: str = "shipmate"
    environment: str | None = None
    region: str | None = None
    more_hosts: tuple[str, ...] = ()
    ca: bytes = b""
    agents: tuple[str, ...] = ()
    cores: float = 1.0
    box_seconds: float = 12 * 3600.0
    creates: int = 50
    snapshot_seconds: float = 300.0
    call_seconds: float = 30.0
    server_url: str | None = None

    @property
    def longest_seconds(self) -> float:
        """How old we let a box become ourselves."""
        return self.box_seconds - min(MARGIN_SECONDS, self.box_seconds / 4)

    def check(self) -> None:
        """Raise Permanent for what cannot work."""
        if not 0 < self.box_seconds <= HARD_SECONDS:
            raise Permanent(f"a box on Modal lives at most {HARD_SECONDS / 3600:.0f} hours, not {self.box_seconds} s")
        if not urlsplit(self.gateway).hostname:
            raise Permanent(f"boxes on Modal need the address of the gateway, https://…; it is {self.gateway!r}")


class Outbound(NamedTuple):
    """What a box may reach: networks, and names at port 443."""

    networks: tuple[str, ...]
    names: tuple[str, ...]


def outbound(place: ModalPlace, hosts: Iterable[str] = ()) -> Outbound:
    """The gateway, what the place adds, and `hosts`. Names with a port count for their port 443 alone."""
    address = urlsplit(place.gateway)
    networks: list[str] = []
    names: list[str] = []
    for host in dict.fromkeys((address.hostname or "", *place.more_hosts, *(host.partition(":")[0] for host in hosts))):
        network = _network(host)
        (names if network is None else networks).append(network or host)
    if names and address.hostname in names and address.port not in (None, TLS):
        raise Permanent(f"Modal lets boxes reach names at port {TLS} only, and the gateway is at {place.gateway}")
    return Outbound(tuple(networks), tuple(names))


def _network(host: str) -> str | None:
    try:
        return str(ipaddress.ip_network(host))
    except ValueError:
        return None


def cores(place: ModalPlace, limits: Limits) -> float:
    """What a box is sure of: what its recipe asks for, if that is less than what the settings say."""
    return min(place.cores, limits.cores or place.cores)


def memory(limits: Limits) -> tuple[int, int] | None:
    """What a box is sure of, and the most that it may use, in MiB; None: as Modal has it."""
    if limits.memory_bytes is None:
        return None
    most = max(1, limits.memory_bytes // MIB)
    return min(LEAST_MEMORY, most), most
