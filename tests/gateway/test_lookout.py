"""One look a second for all streams: what it rings for, whom it ends, and what it does when it cannot see."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bot.gateway import link_stream, lookout
from bot.gateway.link_stream import Stream
from bot.gateway.lookout import AT_ONCE, Lookout
from jobs.inbox import hash_token
from jobs.records import Grant
from jobs.session import Rules
from jobs.store_changes import Changed
from tests.gateway.conftest import Site
from tests.waiting import until


class Kept:
    """A record of changes, lengths and tokens that says what it was asked."""

    def __init__(self) -> None:
        self.length, self.revoked, self.away, self.silent = 0, "", False, False
        self.complete = True
        self.logs, self.tokens = frozenset[str](), frozenset[str]()
        self.asked: list[int] = []
        self.looks = 0

    @property
    def changes(self) -> "Kept":
        return self

    async def since(self, upto: str) -> Changed:
        self.looks += 1
        if self.away:
            raise ConnectionError("the record is away")
        if self.silent:
            await asyncio.Event().wait()
        return Changed(str(self.looks), bool(upto) and self.complete, self.logs, self.tokens)

    async def lengths(self, sids: Sequence[str]) -> list[int]:
        self.asked.append(len(sids))
        return [self.length] * len(sids)

    async def allowed(self, token_hashes: Sequence[str]) -> list[bool]:
        return [token != self.revoked for token in token_hashes]


def streams(count: int) -> list[Stream]:
    nothing: Any = None
    grants = [Grant(f"s{n}", f"s{n}-1", 1, "acme/rocket", "serve", "b") for n in range(count)]
    return [Stream(nothing, Rules(), grant, f"t{n}", 1, 5) for n, grant in enumerate(grants)]


@asynccontextmanager
async def looking(record: Any, open_ones: list[Stream]) -> Any:
    out = Lookout(record, lambda: open_ones)
    out.start()
    try:
        yield
    finally:
        await out.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"LOOK_SECONDS": 0.02, "BLIND_SECONDS": 0.2}.items():
        monkeypatch.setattr(lookout, name, seconds)


async def test_those_whose_log_has_grown_are_rung_for_and_no_others() -> None:
    record, some = Kept(), streams(3)
    record.length = 5
    async with looking(record, some):
        await until(lambda: record.looks > 2)
        assert not any(one.bell.is_set() for one in some), "they know it all"
        record.length, record.logs = 6, frozenset({"s1"})
        await until(some[1].bell.is_set)
    assert not some[0].bell.is_set()


async def test_who_says_nothing_is_not_asked_for_again_and_who_comes_is_once() -> None:
    record, some = Kept(), streams(2)
    record.length = 5
    async with looking(record, some):
        await until(lambda: record.looks > 3)
        assert record.asked == [2]
        some += streams(3)[2:]
        await until(lambda: record.looks > 6)
        assert record.asked == [2, 1]


@pytest.mark.parametrize("why", ["more has changed than is told", "it is time"])
async def test_everybody_is_looked_at_when(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record, some = Kept(), streams(2)
    record.complete = why == "it is time"
    if record.complete:
        monkeypatch.setattr(lookout, "ALL_SECONDS", 0.05)
    async with looking(record, some):
        await until(lambda: len(record.asked) > 2)
        record.length, record.revoked = 6, "t1"
        await until(lambda: some[0].bell.is_set() and some[1].ended)


async def test_thousands_are_asked_for_in_a_few_questions() -> None:
    record = Kept()
    async with looking(record, streams(2 * AT_ONCE + 1)):
        await until(lambda: len(record.asked) >= 3)
    assert record.asked[:3] == [AT_ONCE, AT_ONCE, 1]


async def test_only_the_one_whose_token_was_revoked_is_ended() -> None:
    record, all_of_them = Kept(), streams(3)
    async with looking(record, all_of_them):
        await until(lambda: record.looks > 1)
        record.revoked, record.tokens = "t1", frozenset({"t1"})
        await until(all_of_them[1].bell.is_set)
        looks = record.looks
        await until(lambda: record.looks > looks + 1)
    assert [stream.ended for stream in all_of_them] == [False, True, False]


async def test_a_record_that_is_away_for_a_moment_ends_nobody_and_one_that_stays_away_ends_all() -> None:
    record, all_of_them = Kept(), streams(2)
    async with looking(record, all_of_them):
        record.away = True
        await until(lambda: record.looks > 2)
        assert not any(stream.ended for stream in all_of_them)
        await until(lambda: all(stream.ended for stream in all_of_them))


async def test_a_record_that_takes_questions_and_never_answers_is_away_too() -> None:
    record, all_of_them = Kept(), streams(2)
    record.silent = True
    async with looking(record, all_of_them):
        await until(lambda: all(stream.ended for stream in all_of_them))


class Reader:
    """The other end of a stream: counts what it is told, and takes it or not."""

    def __init__(self) -> None:
        self.heard, self.left, self.gone = 0, 0, False

    async def write(self, data: bytes) -> None:
        if self.gone:
            raise ConnectionResetError("it hung up")
        self.heard += data.count(b"beat")

    def unsent(self) -> int:
        return self.left


@asynccontextmanager
async def told(reader: Reader) -> Any:
    (one,) = streams(1)
    sending = asyncio.create_task(one.send(reader, [], reader.unsent))  # type: ignore[arg-type]
    await until(lambda: reader.heard == 1)
    try:
        yield one, sending
    finally:
        one.end()
        await asyncio.gather(sending, return_exceptions=True)


async def test_a_stream_on_which_nothing_was_said_for_a_while_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader()
    async with told(reader) as (one, _):
        await one.beat()
        assert reader.heard == 1, "it has just said something"
        monkeypatch.setattr(link_stream, "BEAT_SECONDS", 0.0)
        await one.beat()
        assert reader.heard == 2


async def test_a_reader_that_takes_nothing_is_told_no_more_and_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader()
    monkeypatch.setattr(link_stream, "BEAT_SECONDS", 0.0)
    async with told(reader) as (one, sending):
        reader.left = 1
        await one.beat()
        assert (reader.heard, one.ended) == (1, False)
        monkeypatch.setattr(link_stream, "STUCK_SECONDS", 0.0)
        await one.beat()
        with pytest.raises(TimeoutError):
            await sending


async def test_a_reader_that_has_hung_up_ends_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader()
    monkeypatch.setattr(link_stream, "BEAT_SECONDS", 0.0)
    async with told(reader) as (one, sending):
        reader.gone = True
        await one.beat()
        await sending


async def test_streams_beat_while_the_record_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, record = Reader(), Kept()
    monkeypatch.setattr(link_stream, "BEAT_SECONDS", 0.0)
    record.away = True
    async with told(reader) as (one, _), looking(record, [one]):
        await until(lambda: reader.heard > 3)


async def test_the_record_answers_for_all_at_once(site: Site) -> None:
    await site.box("s1", "t-1")
    kept = len(await site.log("s1"))
    assert await site.store.changes.lengths(["s1", "sunknown"]) == [kept, 0]
    assert await site.store.allowed(["nobody's"]) == [False]


async def test_the_record_tells_what_has_changed_and_when_it_cannot(site: Site) -> None:
    changes = site.store.changes
    first = await changes.since("")
    assert not first.complete, "whoever asks first knows nothing"
    await site.box("s1", "t-1")
    assert not (await changes.since(first.upto)).complete, "there was nothing to count from"
    await site.box("s2", "t-2")
    some = await changes.since("")
    assert await changes.since(some.upto) == Changed(some.upto, True, frozenset(), frozenset())
    session = await site.store.load("s2")
    assert session is not None and session.box is not None
    await site.store.revoke(session.box)
    await site.box("s3", "t-3")
    later = await changes.since(some.upto)
    assert (later.complete, later.logs, later.tokens) == (True, frozenset({"s3"}), frozenset({hash_token("t-2")}))
    assert not (await changes.since("1-1")).complete, "so far back nothing is kept"
