"""The upkeep's sessions: read again when their log grew, and now and then all the same."""

from jobs.session import Session
from jobs.store import Store
from jobs.store_scripts import CHANGES, key
from jobs.under_way import ALL_SECONDS, UnderWay
from tests.jobs.logged import put
from tests.logs import SID, Log


class Clock:
    """A time that goes on when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def forged(store: Store, title: str) -> Session:
    """The session in the record, written behind everybody's back."""
    session = await store.load(SID)
    assert session is not None
    changed = session.model_copy(update={"title": title})
    await store._redis.set(key(SID, "session"), changed.model_dump_json())
    return changed


async def test_what_grew_is_read_again_and_what_did_not_is_not(store: Store) -> None:
    clock, log = Clock(), Log().ask()
    under_way = UnderWay(store, clock)
    assert await under_way.now() == []
    await put(store, log)
    assert await under_way.now() == [log.session]
    assert await under_way.now() == [log.session], "it is known by now how far the list of changes goes"
    await forged(store, "not read")
    assert await under_way.now() == [log.session]
    await put(store, log.boot())
    assert await under_way.now() == [log.session]


async def test_everything_is_read_when_it_is_time_or_nobody_knows_what_changed(store: Store) -> None:
    clock, log = Clock(), Log().ask()
    under_way = UnderWay(store, clock)
    await put(store, log)
    assert await under_way.now() == await under_way.now() == [log.session]
    late, clock.now = await forged(store, "late"), ALL_SECONDS + 1
    assert await under_way.now() == [late]
    lost = await forged(store, "lost")
    await store._redis.delete(CHANGES)
    assert await under_way.now() == [lost]


async def test_a_session_that_came_to_rest_is_under_way_no_more(store: Store) -> None:
    under_way, log = UnderWay(store), Log().ask()
    await put(store, log)
    assert await under_way.now() == [log.session]
    await store._redis.srem("shipmate:active", SID)
    assert await under_way.now() == []
