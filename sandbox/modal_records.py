"""What is written down of boxes and snapshots on Modal (`sandbox/ledger.py`): records, and under which keys. Pure.

Modal knows which boxes run. It does not keep whom a name belonged to once its box has ended, why it ended, or which
snapshot was of which moment and until when it is there: that is kept here.
"""

import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from sandbox.provider import BoxInfo, BoxState, Snapshot, SnapshotKind

BOX, SNAPSHOT, LEASE = "box:", "snapshot:", "lease:"
JSON = "json"
NEW_SECONDS = 15.0  # for so long a box may be missing in Modal's list
OURS, NAME = "shipmate", "box"  # tags that each box has: our mark, and its name


class _Flat:
    """A record that is written as one text: thousands of them are read every few seconds."""

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> Self:
        """From the ledger. What a later version has added is left out."""
        known: Mapping[str, Any] = cls.__dataclass_fields__  # type: ignore[attr-defined]
        return cls(**{name: value for name, value in json.loads(fields[JSON]).items() if name in known})

    def written(self) -> dict[str, str]:
        """For the ledger."""
        return {JSON: json.dumps(vars(self))}


@dataclass(frozen=True)
class BoxRecord(_Flat):
    """One box, from the intent to make it until it is discarded.

    `sandbox`: Modal's id, empty until it is known. `greeting`: empty, `begun` or `done`: whether its runner has been
    told what it is for. `runner`, `agents`: the digests of those in it. `ending`: when we told it to end, 0 for never.
    `ended`: when that was seen, 0 while it lives; `code`: how.
    """

    labels: Mapping[str, str]
    born: float
    base: str | None = None
    runner: str = ""
    agents: str = ""
    sandbox: str = ""
    greeting: str = ""
    ending: float = 0.0
    ended: float = 0.0
    code: int | None = None

    def has_ended(self, now: float, code: int | None) -> "BoxRecord":
        """As it is once its end was seen."""
        return self if self.ended else replace(self, ended=now, code=code)

    def is_told(self, running: Container[str], at: float) -> bool:
        """Whether what ran at that moment says whether this box does: else it must be asked itself."""
        is_new = abs(at - self.born) < NEW_SECONDS  # a clock may have been put back
        return bool(self.ended) or self.sandbox in running or (bool(self.sandbox) and is_new)

    def info(self, name: str) -> BoxInfo:
        """As the protocol has it."""
        state = BoxState.DEAD if self.ended else BoxState.RUNNING
        return BoxInfo(name, state, self.labels, self.born, exit_code(self.code, self.ending))


@dataclass(frozen=True)
class SnapshotRecord(_Flat):
    """One snapshot. `image`: Modal's id. `expires`: when Modal collects it, 0 for never. The others are as of a box."""

    image: str
    kind: str
    taken: float
    expires: float = 0.0
    runner: str = ""
    agents: str = ""

    def snapshot(self, id: str) -> Snapshot:
        """As the protocol has it. Modal does not tell how large it is."""
        return Snapshot(id, SnapshotKind(self.kind), 0, self.taken)


def snapshot_id(box: str, moment: str) -> str:
    """The id of the snapshot of this moment of a box: the same for whoever comes after one who was killed."""
    return hashlib.sha256(f"{box}\0{moment}".encode()).hexdigest()[:24]


def last_id(box: str) -> str:
    """The id of the snapshot of what a box left; no moment has such a name."""
    return snapshot_id(box, "\0last")


KILLED_BY_US, KILLED = -15, 137


def exit_code(code: int | None, ending: float) -> int | None:
    """How a box ended. A box that runs out of memory ends just like one that we end ourselves, so we note that."""
    return KILLED_BY_US if code == KILLED and ending else code
