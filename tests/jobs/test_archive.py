"""Closed sessions as files: out of the record, and whole again whatever is read of them first."""

import asyncio
import gzip
import os
from pathlib import Path

import pytest
import redis.asyncio

from jobs import archive as files
from jobs import commands as c
from jobs.events import PullRequestReviewed
from jobs.inbox import Inbox
from jobs.records import Conflict, Heard
from jobs.session import Rules, Status
from jobs.store import Store
from jobs.store_scripts import CHANGES, TOTALS
from tests.jobs.logged import put, words
from tests.logs import ADA, SID, Log

RULES = Rules()
HOLLOW = files.Archived(session="{}", events=(), transcript=(), link={}, stamps={}, posts={})
# By name: a packed text carries the second in which it was packed, and a test's name must not.
BROKEN = {
    "another's form": gzip.compress(b'{"session": 7}'),
    "nothing": b"",
    "not packed": b"no gzip",
    "cut off": gzip.compress(b"{}")[:12],
    "nobody in it": gzip.compress(HOLLOW.model_dump_json().encode()),
}


def closed() -> Log:
    """A session that could not be started and was forgotten."""
    log = Log().ask().do(c.BeginStart(0)).do(c.FailStart(1, "no space", None))
    return log.do(c.Tick(), after=RULES.close_seconds + 1)


async def keep(store: Store, log: Log) -> None:
    """Put all that a session can have into the record."""
    await store.begin_epoch(SID, 1)
    await put(store, log, heard=Heard(1, 0, 4), transcript=words("hello", "wörld"), stamps={"link": 1.5})
    await store.save_post(SID, "card:1", '{"ts": "1.2"}')


async def keys(redis_url: str) -> list[str]:
    async with redis.asyncio.from_url(redis_url, decode_responses=True) as client:
        return sorted([key async for key in client.scan_iter("*") if key not in (TOTALS, CHANGES)])


async def test_an_archived_session_takes_no_memory_and_is_read_back_whole(
    store: Store, redis_url: str, archive: Path
) -> None:
    log = closed()
    await keep(store, log)
    transcript = await store.transcript(SID)
    assert await store.archive(SID)
    assert await keys(redis_url) == []
    assert [path.name for path in archive.iterdir()] == [f"{SID}.json.gz"]
    assert await store.all_sessions() == []
    assert await store.transcript(SID) == transcript
    assert await store.load(SID) == log.session
    assert await store.events(SID) == log.events
    assert await store.posts(SID) == {"card:1": '{"ts": "1.2"}'}
    assert await store.stamps(SID) == {"link": 1.5}
    assert await store.link(SID, 1) == (1, 4)
    assert await store.closed(1e12) == [SID]


@pytest.mark.parametrize("read", ["load", "events", "transcript", "posts", "stamps"])
async def test_whatever_is_read_first_brings_the_session_back(store: Store, read: str) -> None:
    await keep(store, closed())
    await store.archive(SID)
    assert await getattr(store, read)(SID)


async def test_a_reply_after_years_goes_on_in_the_same_session(store: Store, inbox: Inbox) -> None:
    await keep(store, closed())
    await store.archive(SID)
    log = closed().ask(2)
    prompt = log.events[-1].prompt  # type: ignore[union-attr]
    session = await inbox.handle(SID, c.Submit(SID, log.place, prompt, c.Choice("acme/rocket", "main"), "rehearsal"))
    assert (session.status, session.seen) == (Status.WAITING, ("T1:C1:1.000001", "T1:C1:1.000002"))
    assert len(await store.events(SID)) == len(log.events)
    assert await store.active() == [SID]


async def test_who_holds_a_session_that_is_archived_meanwhile_is_told_to_look_again(store: Store) -> None:
    log = closed()
    await keep(store, log)
    await store.archive(SID)
    log.ask(2)
    assert log.session is not None
    with pytest.raises(Conflict):
        await store.append(SID, log.events[-1:], log.session, expected=len(log.events) - 1)
    await put(store, log)
    assert await store.events(SID) == log.events


async def test_what_happens_while_a_session_is_archived_is_kept(store: Store, inbox: Inbox) -> None:
    log = Log().ask().boot().ready().work().end().publish().do(c.LoseBox(1, "it died"))
    log.do(c.Tick(), after=RULES.close_seconds + 1)
    await keep(store, log)
    for n in range(1, 21):
        await asyncio.gather(store.archive(SID), inbox.handle(SID, c.ReviewPullRequest(7, f"comment {n}", "grace")))
        reviews = [event.verdict for event in await store.events(SID) if isinstance(event, PullRequestReviewed)]
        assert reviews == [f"comment {k}" for k in range(1, n + 1)]


async def test_many_who_look_at_once_bring_a_session_back_once(store: Store, other: Store) -> None:
    log = closed()
    await keep(store, log)
    for _ in range(10):
        await store.archive(SID)
        found = await asyncio.gather(*(one.load(SID) for one in (store, other) * 8))
        assert found == [log.session] * 16
    assert await store.events(SID) == log.events
    assert [entry.body["text"] for entry in await store.transcript(SID)] == ["hello", "wörld"]


async def test_only_closed_sessions_are_archived(store: Store, redis_url: str, archive: Path) -> None:
    await put(store, Log().ask())
    before = await keys(redis_url)
    assert not await store.archive(SID)
    assert not await store.archive("s0")
    assert await keys(redis_url) == before
    assert not archive.exists()


async def test_a_session_that_was_brought_back_can_be_archived_again(store: Store, redis_url: str) -> None:
    await keep(store, closed())
    for _ in range(2):
        assert await store.archive(SID)
        await store.load(SID)
    await put(store, (log := closed().ask(2).do(c.Stop(ADA)).do(c.Tick(), after=1e8)))
    assert await store.archive(SID)
    assert await keys(redis_url) == []
    assert await store.events(SID) == log.events


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
async def test_a_broken_file_is_told_and_not_taken_for_nothing(
    store: Store, inbox: Inbox, archive: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await keep(store, closed())
    await store.archive(SID)
    (archive / f"{SID}.json.gz").write_bytes(content)
    with pytest.raises(c.Unreadable, match=rf"{SID}\.json\.gz.*new thread"):
        await inbox.handle(SID, c.Tick())
    assert f"session {SID} in {archive}: its file cannot be read" in caplog.text
    assert await store.all_sessions() == [], "nothing of it is brought back"


async def test_a_look_at_the_files_is_bounded_and_begins_with_those_written_last(store: Store, archive: Path) -> None:
    assert files.look(archive, most=9, seconds=9.0) == (0, 0, ())
    await keep(store, closed())
    await store.archive(SID)
    for at, name in enumerate(("s1", "s2")):
        (archive / f"{name}.json.gz").write_bytes(b"no gzip")
        os.utime(archive / f"{name}.json.gz", (at, at))
    assert files.look(archive, most=9, seconds=9.0) == (3, 3, ("s2.json.gz", "s1.json.gz"))
    assert files.look(archive, most=2, seconds=9.0) == (3, 2, ("s2.json.gz",))
    assert files.look(archive, most=9, seconds=-1.0) == (3, 0, ())


@pytest.mark.parametrize("name", ["../secret", "a/b", "", ".", "..", "x" * 65, "s\0", "s\n"])
async def test_nobody_reads_another_file_by_a_clever_name(store: Store, archive: Path, name: str) -> None:
    archive.mkdir()
    (archive.parent / "secret.json.gz").write_bytes(gzip.compress(b"{}"))
    assert not files.has(archive, name)
    assert await store.load(name) is None
