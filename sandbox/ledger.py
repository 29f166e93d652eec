"""What a provider writes down of boxes and snapshots because their place does not keep it: a small table of records.

`sandbox/modal.py` reads and writes it; the floor above says where it is kept (`jobs/store_ledger.py`). It is shared by
all processes and outlives each of them. Keys are the provider's own; values are small flat records of texts.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Ledger(Protocol):
    """Records by key, and slots that processes take. Every call is bounded in time; a ledger that cannot be reached
    raises `sandbox.provider.Temporary`."""

    async def get(self, key: str) -> dict[str, str] | None:
        """The record; None if there is none, or its time is over."""
        ...

    async def put(self, key: str, fields: Mapping[str, str], ttl: float | None = None) -> None:
        """Write the record in the place of whatever is there. `ttl`: seconds that it is kept; None: until dropped."""
        ...

    async def put_new(self, key: str, fields: Mapping[str, str], ttl: float | None = None) -> bool:
        """Write the record unless there is one, in one step; whether it was written."""
        ...

    async def drop(self, key: str) -> None:
        """Forget the record; nothing happens if there is none."""
        ...

    async def extend(self, key: str, fields: Mapping[str, str], ttl: float) -> bool:
        """Keep the record for so many seconds from now, if it still says just this, in one step; whether it does."""
        ...

    async def drop_if(self, key: str, fields: Mapping[str, str]) -> bool:
        """Forget the record, if it still says just this, in one step; whether it did."""
        ...

    async def keys(self, prefix: str) -> list[str]:
        """Every key that begins so."""
        ...

    async def all(self, prefix: str) -> dict[str, dict[str, str]]:
        """Every record whose key begins so, by key; in few round trips, however many there are."""
        ...

    def slot(self, name: str, of: int, hold: float) -> AbstractAsyncContextManager[None]:
        """Be one of at most `of` holders of this name, over all processes, for as long as the block runs.

        Whoever comes first is let in first. A holder that dies frees its place after `hold` seconds, and one that is
        still at it then may be joined by another. Cancelling the one who waits takes it out of the line.
        """
        ...
