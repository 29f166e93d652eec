"""What passes between the logs of a family: handed over and reported once, whenever a worker dies. The real record."""

import asyncio
import dataclasses
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from jobs import commands as c
from jobs import commands_family as f
from jobs import frames
from jobs.children import hand_over, report_session
from jobs.events import Author, ChildReported, Lineage, Prompt, PromptReceived, Reported
from jobs.inbox import Inbox
from jobs.session import Session, Status
from jobs.store import Store
from jobs.wants import wants
from tests.jobs.shop import Bench, Interrupted, bench
from tests.logs import ADA, GRACE, HEAD

ROOT, CHILD, GRANDCHILD = "s0123456789abcdef", "s1111111111111111", "s2222222222222222"
LOST = "s9999999999999999"
READY = frames.Ready(n=1, at=0, kind="ready", conversation="c", resumed=False, head=HEAD)
STEPS = 3  # writes of one report: to the parent, to the root, to the child


class Killed(BaseException):
    """As a process that ends here and now."""


@pytest.fixture
async def at(store: Store, redis_url: str) -> AsyncIterator[Bench]:
    """A root at work on Ada's request."""
    async with bench(store, redis_url) as opened:
        await opened.ask()
        await at_work(opened, ROOT)
        yield opened


async def at_work(at: Bench, sid: str) -> None:
    """Give the session a box, as a worker and a runner do."""
    inbox = at.shop.inbox
    await inbox.handle(sid, c.BeginStart(0))
    await inbox.handle(sid, c.FinishStart(1, f"{sid}-1", "cold", None, False))
    await inbox.handle(sid, c.Attach(1, 1))
    await inbox.handle(sid, c.Hear(1, (READY,)))


async def session(at: Bench, sid: str) -> Session:
    found = await at.shop.store.load(sid)
    assert found is not None
    return found


async def start(at: Bench, sid: str = CHILD, parent: str = ROOT, waits: bool = True, who: Author = ADA) -> None:
    prompt = Prompt(id=f"{sid}:task", author=who, text="Paint the pad", received_at=1.0)
    spawned = f.SpawnChild(sid, parent, "acme/rocket", "main", "rehearsal", "", prompt, waits)
    await hand_over(at.shop.inbox, await at.shop.inbox.handle(ROOT, spawned))


async def end(at: Bench, sid: str = CHILD, outcome: str = "done", **more: str) -> None:
    turn = (await session(at, sid)).turns
    said = {"n": 2, "at": 0, "kind": "turn_ended", "turn": turn, "outcome": outcome, "summary": "Painted.", **more}
    await at.shop.inbox.handle(sid, c.Hear(1, (frames.Ended.model_validate(said),)))


async def reports(at: Bench, sid: str = ROOT) -> list[Prompt]:
    events = await at.shop.store.events(sid)
    return [event.prompt for event in events if isinstance(event, PromptReceived) and event.prompt.report_of]


async def count(at: Bench, sid: str, kind: type) -> int:
    return sum(isinstance(event, kind) for event in await at.shop.store.events(sid))


def due(at: Bench, session: Session) -> list[str]:
    """What is due for the session's family."""
    kinds = (operation.kind for operation in wants(session, at.clock(), at.shop.settings.rules))
    return [kind for kind in kinds if kind in ("report", "hand")]


def dying(at: Bench, step: int) -> Bench:
    """The same workshop for a worker that dies before its write number `step`."""
    inbox, left = Interrupted(at.shop.inbox), step

    async def die_in_time() -> None:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1

    inbox.before["handle"] = die_in_time
    return dataclasses.replace(at, shop=dataclasses.replace(at.shop, inbox=cast(Inbox, inbox)))


async def test_a_parent_that_waits_is_given_the_result_in_the_name_of_who_asked(at: Bench) -> None:
    await start(at, who=GRACE)
    await at_work(at, CHILD)
    await end(at)
    await report_session(at.shop, CHILD)
    (prompt,) = await reports(at)
    upto = (await at.shop.store.events(CHILD))[-2].seq
    assert (prompt.id, prompt.author, prompt.report_of) == (f"{CHILD}:{upto}", GRACE, 1)
    for words in (
        "Report of #1 (acme/rocket), the session that you started: done.",
        "Paint the pad",
        "Painted.",
        CHILD,
    ):
        assert words in prompt.text
    (child,) = (await session(at, ROOT)).children
    assert (child.outcome, child.summary, child.waits) == ("done", "Painted.", False)


async def test_one_that_does_not_wait_only_sees_its_line_change(at: Bench) -> None:
    await start(at, waits=False)
    await at_work(at, CHILD)
    await end(at, outcome="failed", error="No paint.")
    await report_session(at.shop, CHILD)
    assert await reports(at) == []
    (child,) = (await session(at, ROOT)).children
    assert (child.outcome, child.summary) == ("failed", "No paint.")


@pytest.mark.parametrize("step", range(STEPS))
async def test_a_report_is_made_once_wherever_its_worker_dies(at: Bench, step: int) -> None:
    await start(at)
    await at_work(at, CHILD)
    await end(at)
    with pytest.raises(Killed):
        await report_session(dying(at, step).shop, CHILD)
    assert due(at, await session(at, CHILD)) == ["report"]
    await asyncio.gather(report_session(at.shop, CHILD), report_session(at.shop, CHILD))
    await report_session(at.shop, CHILD)
    assert len(await reports(at)) == await count(at, ROOT, ChildReported) == await count(at, CHILD, Reported) == 1
    assert due(at, await session(at, CHILD)) == []


async def test_a_worker_that_is_killed_for_good_leaves_a_report_for_the_next_one(
    at: Bench, redis_url: str, tmp_path: Path
) -> None:
    await start(at)
    await at_work(at, CHILD)
    await end(at)
    told = (sys.executable, "-m", "tests.jobs.killed_report", redis_url, str(tmp_path), CHILD, "1")
    worker = await asyncio.create_subprocess_exec(*told)
    assert await worker.wait() == -9
    assert len(await reports(at)) == 1 and await count(at, CHILD, Reported) == 0
    await report_session(at.shop, CHILD)
    assert len(await reports(at)) == await count(at, ROOT, ChildReported) == await count(at, CHILD, Reported) == 1


@pytest.mark.parametrize("step", range(2))
async def test_a_prompt_is_handed_over_once_wherever_its_giver_dies(at: Bench, step: int) -> None:
    with pytest.raises(Killed):
        await start(dying(at, step + 1))
    root = await session(at, ROOT)
    assert due(at, root) == []
    at.clock.ahead = 5.0
    assert due(at, root) == ["hand"]
    await asyncio.gather(hand_over(at.shop.inbox, root), hand_over(at.shop.inbox, root))
    assert await count(at, CHILD, PromptReceived) == 1
    assert due(at, await session(at, ROOT)) == []


async def test_one_that_ended_before_it_was_noted_to_have_its_prompt_is_told_of_all_the_same(at: Bench) -> None:
    with pytest.raises(Killed):
        await start(dying(at, 2))
    await at_work(at, CHILD)
    await end(at)
    await report_session(at.shop, CHILD)
    assert len(await reports(at)) == 1 and not (await session(at, ROOT)).children[0].working


async def test_a_stop_of_all_reaches_each_and_what_stopped_is_not_brought_to_whom_a_person_stopped(at: Bench) -> None:
    await start(at)
    await at_work(at, CHILD)
    await start(at, GRANDCHILD, CHILD)
    await at.do(c.Stop(GRACE))
    await hand_over(at.shop.inbox, await at.do(f.StopChildren(GRACE)))
    assert (await session(at, CHILD)).status is Status.STOPPING
    assert (await session(at, GRANDCHILD)).queue == ()
    await end(at, outcome="stopped")
    for sid in (CHILD, GRANDCHILD):
        await report_session(at.shop, sid)
    assert (await reports(at), await reports(at, CHILD)) == ([], [])
    assert [child.outcome for child in (await session(at, ROOT)).children] == ["stopped", "stopped"]
    assert due(at, await session(at, ROOT)) == []


async def test_the_result_of_a_grandchild_goes_to_its_own_parent(at: Bench) -> None:
    await start(at)
    await at_work(at, CHILD)
    await start(at, GRANDCHILD, CHILD)
    await at_work(at, GRANDCHILD)
    await end(at, GRANDCHILD)
    await report_session(at.shop, GRANDCHILD)
    assert await reports(at) == []
    (prompt,) = await reports(at, CHILD)
    assert prompt.report_of == 2


async def test_a_family_whose_root_is_lost_owes_nothing_for_ever(at: Bench, store: Store) -> None:
    place, lineage = (await session(at, ROOT)).place, Lineage(parent=LOST, root=LOST, depth=1, number=1)
    prompt = Prompt(id="x", author=ADA, text="Paint")
    orphan = f.OpenChild(CHILD, place, lineage, "acme/rocket", "main", "rehearsal", "", prompt)
    await at.shop.inbox.handle(CHILD, orphan)
    await at_work(at, CHILD)
    await end(at)
    await report_session(at.shop, CHILD)
    assert (await session(at, CHILD)).owed is None
