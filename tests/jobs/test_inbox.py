"""The door of the jobs floor against a real record: commands and frames of several processes at once."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from jobs import commands as c
from jobs.events import PromptReceived, SessionOpened, StepStarted
from jobs.fold import IllegalEvent
from jobs.frames import AnyFrame, frame_from_wire
from jobs.hints import Hints
from jobs.inbox import Inbox, hash_token, session_id
from jobs.records import Grant, StaleLink
from jobs.session import Rules, Session, Status
from jobs.store import Store
from jobs.wants import Operation
from tests.logs import ADA, GRACE, HEAD, PLACE, SID, Log

GRANT = Grant(SID, f"{SID}-1", 1, "acme/rocket", "serve", f"shipmate/{SID}")


def submit(n: int = 1, sid: str = SID, repository: str | None = "acme/rocket") -> c.Submit:
    event = Log().ask(n).events[-1]
    assert isinstance(event, PromptReceived)
    return c.Submit(sid, PLACE, event.prompt, c.Choice(repository, "main" if repository else ""), "rehearsal")


def frame(n: int, kind: str, **fields: Any) -> AnyFrame:
    turn = {} if kind in ("ready", "phase", "unready") else {"turn": 1}
    return frame_from_wire({"n": n, "at": 1_000.0 + n, "kind": kind, **turn, **fields})


def ready(n: int) -> AnyFrame:
    return frame(n, "ready", conversation="c", resumed=False, head=HEAD)


async def boot(inbox: Inbox) -> None:
    await inbox.handle(SID, submit())
    await inbox.handle(SID, c.BeginStart(0))
    await inbox.handle(SID, c.FinishStart(1, f"{SID}-1", "image", "img", True))


async def working(inbox: Inbox) -> int:
    """A session in its first turn, three frames heard; returns the epoch of its link."""
    await boot(inbox)
    attached = await inbox.attach(GRANT)
    assert await inbox.hear(GRANT, attached.epoch, [ready(1)]) == 1
    assert await inbox.hear(GRANT, attached.epoch, [frame(2, "turn_started"), frame(3, "text", text="0 ")]) == 3
    return attached.epoch


async def said(store: Store) -> str:
    return "".join(entry.body.get("text", "") for entry in await store.transcript(SID))


@pytest.fixture
async def twin(store: Store, redis_url: str, archive: Path) -> AsyncIterator[Inbox]:
    """The inbox of a second web process."""
    other = await Store.open(redis_url, archive=archive)
    yield Inbox(other, _no_hint, Rules())
    await other.close()


async def _no_hint(_session: Session, _operation: Operation) -> None:
    """Nobody works here."""


async def test_two_processes_that_see_one_mention_open_one_session(inbox: Inbox, twin: Inbox, store: Store) -> None:
    await asyncio.gather(*(one.handle(SID, submit()) for one in (inbox, twin, inbox, twin)))
    events = await store.events(SID)
    assert [type(event) for event in events].count(SessionOpened) == 1
    assert [type(event) for event in events].count(PromptReceived) == 1


async def test_prompts_that_come_at_once_are_all_kept(inbox: Inbox, twin: Inbox, store: Store) -> None:
    boxes = itertools.cycle((inbox, twin))
    await asyncio.gather(*(next(boxes).handle(SID, submit(n)) for n in range(1, 10)))
    session = await store.load(SID)
    assert session is not None
    assert sorted(session.seen) == [f"T1:C1:1.00000{n}" for n in range(1, 10)]
    assert [event.seq for event in await store.events(SID)] == list(range(1, session.seq + 1))


async def test_a_command_that_was_followed_before_changes_nothing(inbox: Inbox, store: Store) -> None:
    first = await inbox.handle(SID, submit())
    assert await inbox.handle(SID, submit()) == first
    assert len(await store.events(SID)) == first.seq


async def test_a_refusal_reaches_whoever_asked_and_is_not_on_record(inbox: Inbox, store: Store) -> None:
    with pytest.raises(c.Refused, match="no session here"):
        await inbox.handle(SID, c.Stop(ADA))
    await inbox.handle(SID, submit())
    await inbox.handle(SID, c.Stop(ADA))
    before = await store.events(SID)
    with pytest.raises(c.Refused, match="nothing left to stop"):
        await inbox.handle(SID, c.Stop(GRACE))
    assert await store.events(SID) == before


async def test_what_is_wanted_is_hinted(inbox: Inbox, hints: list[tuple[str, Operation]]) -> None:
    await inbox.handle(SID, submit())
    assert hints == [(SID, Operation("start", 0, 0))]
    await inbox.handle(SID, c.BeginStart(0))
    assert len(hints) == 1


@pytest.mark.parametrize("trouble", ["raises", "hangs"])
async def test_a_hint_that_fails_costs_nothing_and_nobody_waits_for_it(
    store: Store, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def enqueue(_session: Session, _operation: Operation) -> None:
        if trouble == "raises":
            raise ConnectionError("no queue")
        await asyncio.Event().wait()

    hints = Hints(enqueue)
    session = await Inbox(store, hints.give, Rules()).handle(SID, submit())
    assert await store.load(SID) == session
    await hints.given()
    assert "start was not hinted" in caplog.text


async def test_each_attach_has_a_newer_epoch_and_is_told_what_is_stored(inbox: Inbox, store: Store) -> None:
    epoch = await working(inbox)
    again = await inbox.attach(GRANT)
    assert (again.epoch, again.acked) == (epoch + 1, 3)
    assert (await store.load(SID)).status is Status.WORKING  # type: ignore[union-attr]


async def test_a_runner_that_is_faster_than_its_worker_comes_again(inbox: Inbox) -> None:
    await inbox.handle(SID, submit())
    await inbox.handle(SID, c.BeginStart(0))
    with pytest.raises(c.NotYet):
        await inbox.attach(GRANT)


@pytest.mark.parametrize(
    "grant", [GRANT._replace(generation=2), GRANT._replace(generation=0), GRANT._replace(session="s0")]
)
async def test_a_box_that_is_not_wanted_any_more_is_turned_away(inbox: Inbox, grant: Grant) -> None:
    epoch = await working(inbox)
    with pytest.raises(StaleLink, match="generation"):
        await inbox.attach(grant)
    with pytest.raises(StaleLink, match="generation"):
        await inbox.hear(grant, epoch, [frame(4, "step", title="Read")])


async def test_frames_that_are_sent_twice_are_heard_once(inbox: Inbox, store: Store) -> None:
    epoch = await working(inbox)
    words = [frame(n, "text", text=f"{n} ") for n in range(4, 8)]
    steps = [frame(8, "step", title="Read"), frame(9, "step", title="Edit")]
    assert await inbox.hear(GRANT, epoch, words[:2]) == 5
    assert await inbox.hear(GRANT, epoch, words[:2]) == 5
    assert await inbox.hear(GRANT, epoch, [*words, *steps]) == 9
    assert await inbox.hear(GRANT, epoch, steps) == 9
    assert await inbox.hear(GRANT, epoch, []) == 9
    assert await said(store) == "0 4 5 6 7 "
    assert [e.title for e in await store.events(SID) if isinstance(e, StepStarted)] == ["Read", "Edit"]


async def test_a_gap_is_refused_and_nothing_of_it_taken(inbox: Inbox, store: Store) -> None:
    epoch = await working(inbox)
    for late in ([frame(5, "text", text="x")], [frame(4, "text", text="x"), frame(6, "text", text="y")]):
        with pytest.raises(StaleLink, match="was due"):
            await inbox.hear(GRANT, epoch, late)
    assert await said(store) == "0 "
    assert await inbox.hear(GRANT, epoch, [frame(4, "text", text="4 ")]) == 4


async def test_an_older_link_is_not_heard(inbox: Inbox, twin: Inbox, store: Store) -> None:
    epoch = await working(inbox)
    newer = await twin.attach(GRANT)
    for stale in (epoch, newer.epoch + 1):
        with pytest.raises(StaleLink, match="epoch"):
            await inbox.hear(GRANT, stale, [frame(4, "text", text="late")])
    assert await twin.hear(GRANT, newer.epoch, [frame(4, "text", text="4 ")]) == 4
    assert await said(store) == "0 4 "


@pytest.mark.parametrize("heard_before", [True, False])
async def test_words_with_a_token_that_was_revoked_are_not_heard(
    inbox: Inbox, twin: Inbox, store: Store, heard_before: bool
) -> None:
    await store.grant("h", GRANT)
    epoch = await working(inbox)
    through = inbox if heard_before else twin
    assert await through.hear(GRANT, epoch, [], "h") == 3
    await inbox.hear(GRANT, epoch, [frame(4, "text", text="4 ")], "h")
    await store.revoke(GRANT.box)
    for late in ([frame(5, "text", text="late")], [frame(4, "text", text="4 ")], []):
        with pytest.raises(StaleLink, match="token"):
            await through.hear(GRANT, epoch, late, "h")
    assert await said(store) == "0 4 "


async def test_words_that_follow_heard_words_cost_one_question_to_the_record(
    inbox: Inbox, twin: Inbox, store: Store, redis_url: str
) -> None:
    epoch = await working(inbox)
    await twin.hear(GRANT, epoch, [frame(4, "text", text="4 ")])

    async def questions(through: Inbox, *frames: AnyFrame) -> int:
        with redis.Redis.from_url(redis_url) as record:
            before = record.info("commandstats")["cmdstat_evalsha"]["calls"]
            await through.hear(GRANT, epoch, frames)
            return int(record.info("commandstats")["cmdstat_evalsha"]["calls"]) - before

    assert await questions(twin, frame(5, "text", text="5 ")) == 1
    assert await questions(twin, frame(6, "step", title="Read")) == 1
    assert await questions(inbox, frame(7, "text", text="7 ")) == 2, (
        "another process has heard more: a look comes first"
    )
    await inbox.handle(SID, submit(2))
    assert await questions(inbox, frame(8, "text", text="8 ")) == 3, "a person has written: refused, a look, taken in"
    assert await said(store) == "0 4 5 7 8 "


async def test_two_processes_that_are_given_one_batch_store_it_once(inbox: Inbox, twin: Inbox, store: Store) -> None:
    epoch = await working(inbox)
    batch = [frame(4, "text", text="4 "), frame(5, "step", title="Read"), frame(6, "text", text="6 ")]
    for one in (inbox, twin):  # both have met the script before they race
        await one.hear(GRANT, epoch, [])
    answers = await asyncio.gather(*(one.hear(GRANT, epoch, batch) for one in (inbox, twin) * 4))
    assert set(answers) == {6}
    assert await said(store) == "0 4 6 "
    assert len([e for e in await store.events(SID) if isinstance(e, StepStarted)]) == 1


@pytest.mark.parametrize("seed", range(4))
async def test_over_any_reconnects_every_frame_is_stored_once_and_in_order(
    inbox: Inbox, twin: Inbox, store: Store, seed: int
) -> None:
    """A runner that never trusts an answer, between two web processes, with people and timers writing meanwhile."""
    chance = random.Random(seed)
    epoch = await working(inbox)
    frames: Sequence[AnyFrame] = [
        frame(n, "step", title=str(n)) if n % 3 else frame(n, "text", text=f"{n} ") for n in range(4, 64)
    ]
    stored, reached = 3, 3
    while stored < 63:
        through = chance.choice([inbox, twin])
        if chance.random() < 0.2:
            epoch, acked = await through.attach(GRANT)
            assert stored <= acked <= reached
            stored = acked
        batch = frames[stored - 3 : stored - 3 + chance.randint(1, 7)]
        sent = [through.hear(GRANT, epoch, batch)]
        if chance.random() < 0.3:
            sent.append(chance.choice([inbox, twin]).hear(GRANT, epoch, batch))
        answers = (await asyncio.gather(*sent, inbox.handle(SID, submit(chance.randint(2, 9)))))[: len(sent)]
        reached = max(reached, batch[-1].n)
        assert set(answers) == {reached}
        if chance.random() < 0.7:
            stored = reached  # else the answer was lost
    events = await store.events(SID)
    assert [e.title for e in events if isinstance(e, StepStarted)] == [str(n) for n in range(4, 64) if n % 3]
    assert await said(store) == "0 " + "".join(f"{n} " for n in range(4, 64) if n % 3 == 0)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


async def test_frames_that_cannot_be_true_now_change_nothing(inbox: Inbox, store: Store) -> None:
    await boot(inbox)
    epoch = (await inbox.attach(GRANT)).epoch
    await inbox.hear(GRANT, epoch, [frame(1, "phase", phase="syncing")])
    before = await store.events(SID)
    await inbox.handle(SID, c.LoseBox(1, "it died"))
    with pytest.raises((StaleLink, IllegalEvent)):
        await inbox.hear(GRANT, epoch, [ready(2), frame(3, "text", text="x")])
    assert len(await store.events(SID)) == len(before) + 1
    assert await said(store) == ""


async def test_a_tool_call_is_kept_whole_in_the_transcript(inbox: Inbox, store: Store) -> None:
    epoch = await working(inbox)
    diff = [{"path": "a.py", "old": "1", "new": "2"}]
    await inbox.hear(
        GRANT, epoch, [frame(4, "tool", id="t1", title="Edit", tool="edit", status="completed", diff=diff)]
    )
    entry = (await store.transcript(SID))[-1]
    assert (entry.kind, entry.turn, entry.at) == ("tool", 1, 1_004.0)
    assert (entry.body["id"], entry.body["title"], entry.body["diff"]) == ("t1", "Edit", diff)
    assert not {"n", "at", "turn", "kind"} & entry.body.keys()


async def test_the_moments_of_a_session_are_stamped_once(store: Store) -> None:
    now = itertools.count(100)
    inbox = Inbox(store, _no_hint, Rules(), clock=lambda: float(next(now)))
    await working(inbox)
    assert await inbox.handle(SID, c.SeeModelRequest(1))
    first = await store.stamps(SID)
    assert first.keys() == {
        "received",
        "repository",
        "box",
        "attached",
        "synced",
        "ready",
        "delivered",
        "model_request",
    }
    assert first["attached"] < first["delivered"] < first["model_request"]
    epoch = (await inbox.attach(GRANT)).epoch
    await inbox.handle(SID, c.SeeModelRequest(1))
    await inbox.hear(GRANT, epoch, [frame(4, "turn_started")])
    assert await store.stamps(SID) == first


async def test_the_end_of_a_turn_is_hinted_to_be_published(
    inbox: Inbox, hints: list[tuple[str, Operation]], store: Store
) -> None:
    epoch = await working(inbox)
    await inbox.hear(GRANT, epoch, [frame(4, "turn_ended", outcome="done", head=HEAD, pushed=True)])
    assert hints[-1] == (SID, Operation("publish", 1, 0))
    assert await store.active() == [SID]


def test_a_place_always_has_the_same_session_and_no_two_share_one() -> None:
    assert session_id("T1", "C1", "1.5") == session_id("T1", "C1", "1.5")
    places = [("T1", "C1", "1.5"), ("T1C", "1", "1.5"), ("T1", "C11", ".5"), ("T1", "C1", "1.50"), ("", "T1C1", "1.5")]
    ids = {session_id(*place) for place in places}
    assert len(ids) == len(places)
    assert all(len(sid) == 17 and sid[0] == "s" and int(sid[1:], 16) >= 0 for sid in ids)


def test_a_token_cannot_be_read_from_what_is_kept_of_it() -> None:
    assert hash_token("a") != hash_token("b")
    assert len(hash_token("a")) == 64
