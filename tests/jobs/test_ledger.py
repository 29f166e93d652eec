"""What a place of boxes writes down, and the slots that processes take turns at."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from jobs import store_connection
from jobs.ledger_scripts import INDEX, RECORD
from jobs.store_ledger import ASK_SECONDS, RedisLedger
from sandbox.ledger import Ledger
from sandbox.provider import Temporary

HOLD = 30.0
MANY = 40
# A process that takes a slot, says so, and holds it until it is killed.
HOLDER = """
import asyncio, sys
from jobs import store_connection
from jobs.store_ledger import RedisLedger
async def main():
    async with RedisLedger(store_connection.to(sys.argv[1])).slot("creates", 1, float(sys.argv[2])):
        print("held", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
async def ledger(redis_url: str) -> AsyncIterator[Ledger]:
    client = store_connection.to(redis_url)
    yield RedisLedger(client)
    await client.aclose()


async def test_a_record_is_what_was_written_last(ledger: Ledger) -> None:
    assert await ledger.get("box:a") is None
    await ledger.put("box:a", {"id": "sb-1", "why": "asked"})
    await ledger.put("box:a", {"id": "sb-2"})
    assert await ledger.get("box:a") == {"id": "sb-2"}
    await ledger.drop("box:a")
    await ledger.drop("box:a")
    assert (await ledger.get("box:a"), await ledger.keys("")) == (None, [])


CHANGES: dict[str, Callable[[Ledger], Awaitable[object]]] = {
    "written": lambda other: other.put("box:a", {"id": "2"}),
    "one more": lambda other: other.put_new("box:b", {"id": "2"}),
    "dropped": lambda other: other.drop("box:a"),
    "dropped if it is still so": lambda other: other.drop_if("box:a", {"id": "1"}),
    "one that expires": lambda other: other.put("box:b", {"id": "2"}, ttl=60.0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_what_another_process_changes_is_seen_at_once(
    redis_url: str, ledger: Ledger, change: Callable[[Ledger], Awaitable[object]]
) -> None:
    client = store_connection.to(redis_url)
    await ledger.put("box:a", {"id": "1"})
    await ledger.put("snapshot:a", {"id": "9"})
    assert await ledger.all("box:") == {"box:a": {"id": "1"}}
    await change(RedisLedger(client))
    expected = {key: await ledger.get(key) for key in await ledger.keys("box:")}
    assert await ledger.all("box:") == expected != {"box:a": {"id": "1"}}
    await client.aclose()


async def test_records_that_nobody_has_changed_are_not_read_again_unless_they_may_expire(
    redis_url: str, ledger: Ledger
) -> None:
    client = store_connection.to(redis_url)
    await ledger.put("box:a", {"id": "1"})
    await ledger.put("turn:a", {"id": "1"}, ttl=60.0)
    for kind in ("box:", "turn:"):
        assert await ledger.all(kind) == {f"{kind}a": {"id": "1"}}
        await client.hset(f"{RECORD}{kind}a", "id", "changed by no script")
    assert await ledger.all("box:") == {"box:a": {"id": "1"}}
    assert await ledger.all("turn:") == {"turn:a": {"id": "changed by no script"}}
    await ledger.put("box:b", {})
    assert (await ledger.all("box:"))["box:a"] == {"id": "changed by no script"}
    await client.aclose()


async def test_a_record_without_fields_is_there_all_the_same(ledger: Ledger) -> None:
    await ledger.put("ended:a", {})
    assert await ledger.get("ended:a") == {}
    assert not await ledger.put_new("ended:a", {"id": "x"})
    assert await ledger.all("ended:") == {"ended:a": {}}


async def test_of_many_who_write_a_new_record_at_once_one_does(ledger: Ledger) -> None:
    wrote = await asyncio.gather(*(ledger.put_new("name", {"by": str(n)}) for n in range(20)))
    assert wrote.count(True) == 1
    assert await ledger.get("name") == {"by": str(wrote.index(True))}


async def test_a_record_is_kept_longer_or_dropped_only_by_who_wrote_it(ledger: Ledger) -> None:
    await ledger.put("turn:a", {"who": "1"}, ttl=0.2)
    for other in ({"who": "2"}, {}, {"who": "1", "more": ""}):
        assert not await ledger.extend("turn:a", other, 60)
        assert not await ledger.drop_if("turn:a", other)
    assert await ledger.extend("turn:a", {"who": "1"}, 60)
    assert await ledger.drop_if("turn:a", {"who": "1"})
    assert not await ledger.drop_if("turn:a", {"who": "1"})
    assert not await ledger.extend("turn:a", {"who": "1"}, 60)
    assert (await ledger.get("turn:a"), await ledger.keys("turn:")) == (None, [])


async def test_keys_are_found_by_what_they_begin_with_and_nothing_else_is(ledger: Ledger) -> None:
    for name in ("box:a", "box:b", "boxes", "box", "snapshot:a", "bo*", "box:\u00e4", "box:a:b"):
        await ledger.put(name, {"is": name})
    assert await ledger.keys("box:") == ["box:a", "box:a:b", "box:b", "box:\u00e4"]
    assert await ledger.keys("bo*") == ["bo*"]
    assert await ledger.all("snapshot:") == {"snapshot:a": {"is": "snapshot:a"}}
    assert len(await ledger.keys("")) == 8


async def test_a_record_whose_time_is_over_is_gone_from_the_index_too(ledger: Ledger, redis_url: str) -> None:
    await ledger.put("box:a", {"id": "1"}, ttl=0.05)
    await ledger.put("box:b", {"id": "2"}, ttl=60)
    await ledger.put("box:b", {"id": "3"})
    async with asyncio.timeout(20):
        while await ledger.get("box:a") is not None:
            await asyncio.sleep(0.01)
    assert await ledger.put_new("box:c", {}, ttl=60)
    assert await ledger.all("box:") == {"box:b": {"id": "3"}, "box:c": {}}
    async with store_connection.to(redis_url) as client:
        assert await client.zcard(INDEX) == 2


async def test_no_more_hold_a_slot_than_may_and_all_get_their_turn(ledger: Ledger) -> None:
    inside, most, done, three = 0, 0, [], asyncio.Barrier(3)

    async def work(n: int) -> None:
        nonlocal inside, most
        async with ledger.slot("creates", 3, HOLD):
            inside += 1
            most = max(most, inside)
            await three.wait()
            inside -= 1
            done.append(n)

    async with asyncio.timeout(20):
        await asyncio.gather(*(work(n) for n in range(21)))
    assert (most, sorted(done)) == (3, list(range(21)))


async def test_whoever_comes_first_is_let_in_first(ledger: Ledger) -> None:
    order: list[int] = []
    waiting: list[asyncio.Task[None]] = []

    async def work(n: int) -> None:
        async with ledger.slot("creates", 1, HOLD):
            order.append(n)

    async with ledger.slot("creates", 1, HOLD):
        for n in range(5):
            waiting.append(asyncio.create_task(work(n)))
            await waits(ledger, n + 1)
    await asyncio.gather(*waiting)
    assert order == list(range(5))


async def test_a_slot_that_is_given_back_is_handed_to_whoever_is_next_in_whichever_process(redis_url: str) -> None:
    clients = [store_connection.to(redis_url) for _ in range(2)]
    ledgers = [RedisLedger(client) for client in clients]
    async with asyncio.timeout(0.5 * MANY * ASK_SECONDS):  # if each had to ask it would take twice as long
        await asyncio.gather(*(taken(ledgers[n % 2], HOLD) for n in range(MANY)))
    for client in clients:
        await client.aclose()


async def test_who_gives_up_waiting_keeps_nobody_waiting(ledger: Ledger) -> None:
    async def work() -> str:
        async with ledger.slot("creates", 1, HOLD):
            return "in"

    async with ledger.slot("creates", 1, HOLD):
        impatient = asyncio.create_task(work())
        await waits(ledger, 1)
        patient = asyncio.create_task(work())
        await waits(ledger, 2)
        impatient.cancel()
        await asyncio.wait({impatient})
        assert await queued(ledger) == 1
    assert await patient == "in"


async def test_slots_of_another_name_are_others(ledger: Ledger) -> None:
    async with ledger.slot("creates", 1, HOLD), ledger.slot("snapshots", 1, HOLD):
        assert await queued(ledger) == 0


async def test_a_slot_is_held_for_longer_than_its_hold_while_its_holder_lives(ledger: Ledger) -> None:
    async with ledger.slot("creates", 1, 0.4):
        waiting = asyncio.create_task(taken(ledger, 0.4))
        await waits(ledger, 1)
        done, _ = await asyncio.wait({waiting}, timeout=1.0)
        assert not done
    await waiting


@pytest.mark.parametrize("hold", [0.5])
async def test_the_slot_of_a_process_that_is_killed_is_free_again(ledger: Ledger, redis_url: str, hold: float) -> None:
    argv = (sys.executable, "-c", HOLDER, redis_url, str(hold))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as holder:
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == b"held\n"
        holder.kill()
        holder.wait()
        async with asyncio.timeout(20):
            await taken(ledger, HOLD)


async def test_a_record_that_cannot_be_reached_is_trouble_for_a_while(tmp_path: Path) -> None:
    async with store_connection.to(f"unix://{tmp_path}/none") as client:
        with pytest.raises(Temporary, match="the record cannot be reached"):
            await RedisLedger(client).get("box:a")


async def taken(ledger: Ledger, hold: float) -> None:
    async with ledger.slot("creates", 1, hold):
        pass


async def waits(ledger: Ledger, many: int) -> None:
    async with asyncio.timeout(20):
        while await queued(ledger) != many:
            await asyncio.sleep(0.01)


async def queued(ledger: Ledger) -> int:
    assert isinstance(ledger, RedisLedger)
    return int(await ledger._redis.zcard("shipmate:slot:{creates}:waiting"))
