"""What tests put into the record."""

from typing import Any

from jobs.records import Entry
from jobs.store import Store
from tests.logs import SID, Log


async def put(store: Store, log: Log, **more: Any) -> None:
    """Append what the log has and the store has not."""
    kept = await store.load(SID)
    expected = kept.seq if kept is not None else 0
    assert log.session is not None
    await store.append(SID, log.events[expected:], log.session, expected=expected, **more)


def words(*texts: str) -> list[Entry]:
    return [Entry("", 5.0, 1, "text", {"text": text}) for text in texts]
