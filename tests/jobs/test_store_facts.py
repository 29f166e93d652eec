"""The smaller facts of the record: leases, stamps, posts, tokens."""

import asyncio
import uuid
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.records import Grant
from jobs.store import Store
from tests.jobs.logged import put
from tests.logs import SID, Log

SOON = 5.0
GRANT = Grant(SID, f"{SID}-1", 1, "acme/rocket", "serve", f"shipmate/{SID}")


async def test_one_owner_has_a_lease_until_it_is_given_back_or_over(store: Store) -> None:
    assert await store.lease("thread", "a", 60)
    assert await store.lease("thread", "a", 60)
    assert not await store.lease("thread", "b", 60)
    await store.release("thread", "b")
    assert not await store.lease("thread", "b", 60)
    await store.release("thread", "a")
    assert await store.lease("thread", "b", 0.02)
    async with asyncio.timeout(SOON):
        while not await store.lease("thread", "a", 60):
            await asyncio.sleep(0.005)


async def test_a_fact_is_kept_as_it_was_first_and_for_a_while(store: Store) -> None:
    assert await store.remember("k", "first", 60)
    assert not await store.remember("k", "second", 60)
    assert await store.recall("k") == "first"
    assert await store.remember("short", "x", 0.02)
    async with asyncio.timeout(SOON):
        while await store.recall("short") is not None:
            await asyncio.sleep(0.005)


async def test_the_first_stamp_stays(store: Store) -> None:
    await store.stamp(SID, "link", 1.5)
    await store.stamp(SID, "link", 9.0)
    await put(store, Log().ask(), stamps={"link": 10.0, "prompt": 2.25})
    assert await store.stamps(SID) == {"link": 1.5, "prompt": 2.25}


async def test_posts_are_remembered_by_card(store: Store) -> None:
    await store.save_post(SID, "card:1", "one")
    await store.save_post(SID, "card:1", "two")
    await store.save_post(SID, "status", "")
    assert await store.posts(SID) == {"card:1": "two", "status": ""}


async def test_a_token_allows_what_was_granted_until_its_box_goes(store: Store) -> None:
    build = Grant("", "image-1", 0, "acme/rocket", "build", "")
    await store.grant("hash-1", GRANT)
    await store.grant("hash-2", build)
    assert (await store.granted("hash-1"), await store.granted("hash-2")) == (GRANT, build)
    assert await store.granted("hash-3") is None
    await store.revoke(GRANT.box)
    await store.revoke(GRANT.box)
    assert (await store.granted("hash-1"), await store.granted("hash-2")) == (None, build)


async def test_the_server_keeps_everything_and_says_so(store: Store) -> None:
    said = await store.info()
    assert (said["aof_enabled"], said["maxmemory_policy"]) == ("1", "noeviction")


async def test_that_no_server_is_there_is_an_os_error(tmp_path: Path) -> None:
    store = await Store.open(f"unix://{tmp_path}/none.sock", archive=tmp_path)
    told = await asyncio.gather(store.ping(), store.info(), return_exceptions=True)
    assert all(isinstance(trouble, OSError) and "none.sock" in str(trouble) for trouble in told)
    await store.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(capacity=st.integers(1, 9), seconds=st.floats(0.2, 500.0), asked=st.integers(1, 20))
async def test_a_budget_never_gives_more_than_it_has_and_says_how_long_to_wait(
    store: Store, capacity: int, seconds: float, asked: int
) -> None:
    budget = str(uuid.uuid4())  # a fresh one for each example
    loop = asyncio.get_running_loop()
    began = loop.time()
    waits = [await store.spend(budget, capacity, seconds) for _ in range(asked)]
    grown = (loop.time() - began) * capacity / seconds
    given_out = waits.count(0.0)
    assert min(asked, capacity) <= given_out <= capacity + grown + 1e-6
    assert all(0.0 <= wait <= seconds / capacity + 1e-6 for wait in waits)


async def test_whoever_waits_as_long_as_told_is_given_one(store: Store) -> None:
    gone = [await store.spend("b", 2, 0.1) for _ in range(3)]
    assert gone[:2] == [0.0, 0.0]
    await asyncio.sleep(gone[2] + 0.001)
    assert await store.spend("b", 2, 0.1) == 0.0
    assert await store.spend("nothing", 0, 60.0) == 60.0


async def test_a_budget_that_rests_never_holds_more_than_its_capacity(store: Store) -> None:
    loop, capacity, seconds = asyncio.get_running_loop(), 3, 0.06
    await store.spend("b", capacity, seconds)
    await asyncio.sleep(5 * seconds)
    began = loop.time()
    waits = [await store.spend("b", capacity, seconds) for _ in range(8)]
    assert waits.count(0.0) <= capacity + (loop.time() - began) * capacity / seconds


async def test_a_budget_is_shared_by_all_processes(store: Store, other: Store) -> None:
    waits = await asyncio.gather(*(s.spend("b", 5, 1_000.0) for s in (store, other) for _ in range(10)))
    assert waits.count(0.0) == 5
