"""The record against a real server: logs, sessions, transcripts, links."""

import asyncio
from pathlib import Path

import pytest
import redis.asyncio

from jobs import commands as c
from jobs.records import Conflict, Fence, Heard, Link, StaleLink
from jobs.store import Store
from tests.jobs.logged import put, words
from tests.jobs.servers import Forgetful
from tests.logs import ADA, GRACE, SID, Log, any_log

SOON = 5.0


async def test_nobody_is_at_a_place_where_nothing_was_asked(store: Store) -> None:
    assert await store.load("s0") is None
    assert await store.events("s0") == []
    assert await store.transcript("s0") == []
    assert await store.stamps("s0") == {}


@pytest.mark.parametrize("seed", range(5))
async def test_a_log_is_read_as_it_was_written_and_the_session_beside_it_is_its_fold(store: Store, seed: int) -> None:
    log = Log()
    for event in any_log(seed):
        log.events.append(event)
        await put(store, log)
    assert await store.load(SID) == log.session
    assert await store.events(SID) == log.events
    assert await store.events(SID, after=3) == log.events[3:]
    assert await store.events(SID, after=len(log.events)) == []


async def test_of_two_writers_who_saw_the_same_log_one_is_told_to_look_again(store: Store, other: Store) -> None:
    await put(store, Log().ask())
    one, two = Log().ask().ask(2, ADA), Log().ask().ask(3, GRACE)
    told = await asyncio.gather(
        *(s.append(SID, log.events[3:], log.session, expected=3) for s, log in ((store, one), (other, two))),  # type: ignore[arg-type]
        return_exceptions=True,
    )  # fmt: skip
    assert [isinstance(answer, Conflict) for answer in told].count(True) == 1
    winner = one if told[0] is None else two
    assert await store.events(SID) == winner.events
    assert await store.load(SID) == winner.session


async def test_an_append_whose_answer_was_lost_is_not_done_twice(redis_url: str, store: Store, archive: Path) -> None:
    way = Forgetful(redis_url)
    async with way.listening() as url:
        writer = await Store.open(url, archive=archive)
        await put(writer, Log().ask())  # the script is known to the server from here on
        way.lose_next = True
        await put(writer, Log().ask().boot(), transcript=words("once"))
        await writer.close()
    assert way.lost == 1
    assert await store.events(SID) == Log().ask().boot().events
    assert [entry.body for entry in await store.transcript(SID)] == [{"text": "once"}]


async def test_the_transcript_is_read_in_pages(store: Store) -> None:
    await put(store, Log().ask(), transcript=words(*"abcde"))
    first = await store.transcript(SID, limit=3)
    rest = await store.transcript(SID, after=first[-1].id, limit=3)
    assert [entry.body["text"] for entry in first + rest] == list("abcde")
    assert first[0][1:] == (5.0, 1, "text", {"text": "a"})
    assert await store.transcript(SID, after=rest[-1].id) == []


async def test_a_transcript_has_a_limit_of_entries_and_of_bytes(store: Store) -> None:
    log = Log().ask()
    await put(store, log)
    assert log.session is not None
    await store.append(SID, (), log.session, expected=3, transcript=words(*["x"] * 11_000, "last"))
    few = await store.transcript(SID, limit=100_000)
    assert 9_990 < len(few) <= 10_000
    assert few[-1].body["text"] == "last"
    for n in range(40):
        await store.append(SID, (), log.session, expected=3, transcript=words("y" * (1 << 20), f"after {n}"))
    big = await store.transcript(SID, limit=100_000)
    assert 14 << 20 < sum(len(entry.body["text"]) for entry in big) <= 16 << 20
    assert big[-1].body["text"] == "after 39"


async def test_words_alone_do_not_move_the_log(store: Store) -> None:
    log = Log().ask()
    await put(store, log)
    await store.shown(SID, 3)
    assert log.session is not None
    await store.append(SID, (), log.session, expected=2, transcript=words("hello"))
    assert await store.unshown() == []
    assert len(await store.transcript(SID)) == 1


async def test_frames_count_once_however_often_they_are_appended(store: Store) -> None:
    log = Log().ask().boot()
    await put(store, log)
    assert log.session is not None
    assert await store.begin_epoch(SID, 1) == 1
    for heard, taken in (
        (Heard(1, 0, 2), True),
        (Heard(1, 0, 2), False),
        (Heard(1, 2, 3), True),
        (Heard(1, 4, 5), False),
    ):
        append = store.append(
            SID, (), log.session, expected=log.session.seq, fence=Fence(1, 1), heard=heard,
            transcript=words(str(heard.upto)),
        )  # fmt: skip
        if taken:
            await append
        else:
            with pytest.raises(Conflict):
                await append
    assert await store.link(SID, 1) == Link(epoch=1, acked=3)
    assert [entry.body["text"] for entry in await store.transcript(SID)] == ["2", "3"]


@pytest.mark.parametrize("fence", [Fence(1, 1), Fence(1, 3), Fence(2, 2), Fence(0, 0)])
async def test_an_append_of_an_older_epoch_or_generation_changes_nothing(store: Store, fence: Fence) -> None:
    log = Log().ask().boot()
    await put(store, log)
    await store.begin_epoch(SID, 1)
    await store.begin_epoch(SID, 1)
    with pytest.raises(StaleLink):
        await put(store, log.ready(), fence=fence, transcript=words("late"), stamps={"late": 1.0})
    assert await store.link(SID, 1) == Link(epoch=2, acked=0)
    assert len(await store.events(SID)) < len(log.events)
    assert (await store.transcript(SID), await store.stamps(SID)) == ([], {})
    await put(store, log, fence=Fence(1, 2))
    assert await store.load(SID) == log.session


async def test_a_new_generation_begins_with_frames_and_epochs_of_its_own(store: Store) -> None:
    log = Log().ask().boot()
    await put(store, log)
    await store.begin_epoch(SID, 1)
    await put(store, log.ready(), fence=Fence(1, 1), heard=Heard(1, 0, 1))
    await put(store, log.do(c.LoseBox(1, "it died")).boot())
    assert await store.link(SID, 2) == Link(0, 0)
    assert await store.begin_epoch(SID, 2) == 1
    with pytest.raises(StaleLink, match="generation"):
        await put(store, log.ready(), fence=Fence(1, 1))
    await put(store, log, fence=Fence(2, 1), heard=Heard(2, 0, 1))
    looked = await store.look(SID, 2)
    assert (looked.session, looked.link) == (log.session, Link(1, 1))


async def test_a_session_is_active_until_it_is_at_rest(store: Store) -> None:
    log = Log().ask()
    await put(store, log)
    assert (await store.active(), await store.sleeping(1e12)) == ([SID], [])
    await put(store, log.do(c.BeginStart(0)).do(c.FailStart(1, "no space", None)))
    assert log.session is not None
    slept = log.session.since
    assert (await store.active(), await store.sleeping(slept + 1), await store.sleeping(slept)) == ([], [SID], [])
    await put(store, log.ask(2))
    assert (await store.active(), await store.sleeping(1e12)) == ([SID], [])
    await put(store, log.do(c.BeginStart(1)).do(c.FailStart(2, "no space", None)).do(c.Tick(), after=1e8))
    assert (await store.active(), await store.sleeping(1e12), await store.closed(1e12)) == ([], [], [SID])
    assert await store.all_sessions() == [SID]


async def test_a_session_is_unshown_until_its_last_event_is_shown(store: Store) -> None:
    log = Log().ask()
    await put(store, log)
    await store.shown(SID, 2)
    assert await store.unshown() == [SID]
    await put(store, log.boot())
    await store.shown(SID, 3)  # a relay that had read before the box came
    assert await store.unshown() == [SID]
    await store.shown(SID, len(log.events))
    assert await store.unshown() == []


async def test_a_bell_rings_for_whoever_listens(store: Store, other: Store, redis_url: str) -> None:
    bells = other.bells()
    heard = asyncio.ensure_future(anext(bells))
    async with asyncio.timeout(SOON), redis.asyncio.from_url(redis_url) as client:
        while not (await client.pubsub_numsub("shipmate:bell"))[0][1]:
            await asyncio.sleep(0.01)
        log = Log().ask()
        assert log.session is not None
        await store.append("s0", (), log.session, expected=0, transcript=words("words alone ring for nobody"))
        await put(store, log)
        assert await heard == SID
    await bells.aclose()  # type: ignore[attr-defined]
