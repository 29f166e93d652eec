"""Boxes at two places: work on each goes to its own workers, and a repository whose place was changed moves over.

Both places are real ones without isolation; the far one is called Modal here.
"""

import dataclasses
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from jobs import berths, census, images
from jobs import commands as c
from jobs.commands_snapshots import FinishSnapshot
from jobs.events import Noted
from jobs.frames import Ended
from jobs.image_records import Build, Image, Standing
from jobs.inbox import Inbox
from jobs.operations import park_box, park_if_due, start_box
from jobs.records import Offer
from jobs.session import Status
from jobs.settings import JobSettings
from jobs.store import Store
from jobs.upkeep import ORPHAN_SECONDS, Upkeep
from jobs.warm import WarmPool
from jobs.wiring import ask_for, fit_for, fit_of, modal_place, suit_for
from sandbox.provider import BoxSpec, BoxState, Snapshot, SnapshotKind, Temporary
from sandbox.side_by_side import FAR, HERE, SideBySide, place_of
from sandbox.unisolated import UnisolatedProvider
from tests.jobs.shop import ROCKET, Bench, Interrupted, bench
from tests.jobs.test_upkeep import READY, forget_jobs

S = Status
PLACES = (HERE, *FAR)
IDLE = b'{"wire": 1, "token": "", "box": "b", "gateway": null, "mode": "idle"}\n'
ENDED = Ended(n=2, at=2.0, kind="turn_ended", turn=1, outcome="done", summary="", head="a" * 40, pushed=True)
PUBLIC = {"SHIPMATE_PUBLIC_URL": "https://shipmate.example"}


@pytest.fixture
async def at(store: Store, redis_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    far = UnisolatedProvider(tmp_path / "far", gateway=tmp_path / "gateway", agents=tmp_path / "agents")
    async with bench(store, redis_url, SHIPMATE_BOXES="1", **PUBLIC) as opened:
        near = opened.provider._real
        opened.shop = dataclasses.replace(opened.shop, provider=Interrupted(SideBySide({HERE: near, "modal": far})))  # type: ignore
        yield opened
        for box in await far.list():
            await far.discard(box.name)


def move(at: Bench, place: str) -> None:
    """Change SHIPMATE_PLACE, and start all processes again."""
    settings = at.shop.settings.model_copy(update={"usual_place": place})
    ask, fit = partial(ask_for, at.shop.queue, settings), partial(fit_for, settings)
    inbox = Inbox(at.shop.store, ask, settings.rules, at.clock, fit, partial(suit_for, at.shop.store, settings))
    at.shop = dataclasses.replace(at.shop, settings=settings, inbox=inbox)


async def idle(at: Bench) -> str:
    """A session that has done its turn, in a box with a file that no commit has; the box."""
    await at.ask()
    await start_box(at.shop, at.sid)
    session = await at.session()
    assert session.box is not None
    done = await at.shop.provider.exec(session.box, ("tee", "words"), stdin=b"kept")
    assert done.code == 0
    await at.do(c.Attach(session.generation, 1))
    for frame in (READY, ENDED):
        await at.do(c.Hear(session.generation, (frame,)))
    await at.do(FinishSnapshot(session.generation, 1, (await kept(at, session.box)).id))
    assert (await at.session()).status is S.IDLE
    return session.box


async def kept(at: Bench, box: str) -> Snapshot:
    return await at.shop.provider.snapshot(box, SnapshotKind.TURN, "turn 1")


async def jobs(at: Bench) -> dict[str, int]:
    return {name: count for name, count in (await at.shop.queue.depth()).items() if count}


async def test_work_on_a_box_goes_to_the_workers_of_its_place(at: Bench) -> None:
    move(at, "modal")
    await at.ask()
    assert await jobs(at) == {"boxes-modal": 1}
    await Upkeep(at.shop).sweep()
    assert await jobs(at) == {"boxes-modal": 1, "images-modal": 1}
    await start_box(at.shop, at.sid)
    session = await at.session()
    assert session.box == f"modal-{at.sid}-1" and session.isolated
    assert (await at.shop.provider.status(session.box)).labels["session"] == at.sid


async def test_the_runner_of_a_box_elsewhere_is_told_the_public_address(at: Bench) -> None:
    assert at.shop.gateway_address(ROCKET) == f"unix:{at.shop.settings.gateway_dir}"
    move(at, "modal")
    assert at.shop.gateway_address(ROCKET) == "https://shipmate.example"


async def test_a_box_that_has_nothing_to_do_is_put_to_sleep_where_it_is_when_its_repository_moves(at: Bench) -> None:
    box = await idle(at)
    await forget_jobs(at)
    await Upkeep(at.shop).sweep()
    assert "boxes" not in await jobs(at), "it stays where it is"
    move(at, "modal")
    await Upkeep(at.shop).sweep()
    assert (await jobs(at))["boxes"] == 1 and "boxes-modal" not in await jobs(at)
    await park_if_due(at.shop, at.sid)
    session = await at.session()
    assert session.status is S.ASLEEP and place_of(session.snapshot or "") == HERE
    assert (await at.shop.provider.status(box)).state is BoxState.GONE


async def test_a_session_whose_repository_moved_begins_anew_there_and_says_so(at: Bench) -> None:
    await idle(at)
    await park_box(at.shop, at.sid)
    left = (await at.session()).snapshot
    assert left is not None
    move(at, "modal")
    await at.ask()
    await start_box(at.shop, at.sid)
    session = await at.session()
    assert (session.box, session.start, session.snapshot) == (f"modal-{at.sid}-2", "cold", None)
    assert (await at.shop.provider.exec(session.box, ("cat", "words"))).code != 0  # type: ignore[arg-type]
    told = [event.text for event in await at.events() if isinstance(event, Noted)]
    assert any(f"its last box was not at modal, where boxes of {ROCKET} run now" in text for text in told), told
    await at.shop.provider.forget_snapshot(left)  # as the upkeep does after a day, by its name alone


async def test_what_a_box_left_that_was_lost_elsewhere_is_noted_at_once(at: Bench) -> None:
    move(at, "modal")
    box = await idle(at)
    await at.shop.provider.terminate(box, 0.0)
    asked: list[str] = []

    async def twice() -> None:
        asked.append(box)
        if len(asked) == 1:
            raise Temporary("it is still being copied")

    at.provider.before["last_state"] = twice
    upkeep = Upkeep(at.shop)
    for _ in range(3):
        await upkeep.sweep()
    assert (await at.session()).lost_box == box and len(asked) == 2, "until it is noted, and then no more"


async def test_a_box_that_was_lost_at_the_other_place_is_forgotten_there(at: Bench) -> None:
    move(at, "modal")
    box = await idle(at)
    move(at, HERE)
    await at.shop.provider.terminate(box, 0.0)
    await at.ask()
    await Upkeep(at.shop).sweep()
    assert (await at.session()).lost_box == box
    await start_box(at.shop, at.sid)
    session = await at.session()
    assert (session.box, session.lost_box) == (f"{at.sid}-2", None)
    at.clock.ahead = ORPHAN_SECONDS + 1
    await Upkeep(at.shop).sweep()
    assert [one.name for one in await at.shop.provider.list()] == [session.box]


async def test_an_image_at_another_place_is_none_and_one_is_asked_for_once_there(at: Bench) -> None:
    here, far = (Image(repository=ROCKET, snapshot=s, built_at=1.0, bytes=1, id=s) for s in ("0" * 16, "modal:im-1"))
    await at.shop.store.images.add(here)
    await at.shop.store.images.save_standing(ROCKET, Standing(next_at=at.clock() + 900))
    assert (await at.shop.newest_image(ROCKET), await images.due(at.shop)) == (here, {})
    move(at, "modal")
    assert await at.shop.newest_image(ROCKET) is None
    assert list(await images.due(at.shop)) == [ROCKET]
    await at.shop.store.images.answered(ROCKET)
    failed = Build(id="b", state="failed", began=1.0)
    await at.shop.store.images.save_standing(ROCKET, Standing(next_at=at.clock() + 900).ended(failed, at.clock()))
    assert await images.due(at.shop) == {}, "one that failed waits its time"
    await at.shop.store.images.add(far)
    assert await at.shop.newest_image(ROCKET) == far
    move(at, HERE)
    assert await at.shop.newest_image(ROCKET) == here


async def test_a_warm_box_at_another_place_is_taken_by_nobody_and_ends(at: Bench) -> None:
    near, far = (
        fit_of(at.shop.settings.model_copy(update={"usual_place": p}), ROCKET, "rehearsal", "") for p in PLACES
    )
    assert near != far
    await at.shop.store.images.add(Image(repository=ROCKET, snapshot="0" * 16, built_at=1.0, bytes=1))
    await at.shop.store.warm.make(Offer("warm-1", ROCKET, near, None, False, "hash", ""))
    await at.shop.provider.create(BoxSpec("warm-1", IDLE, labels={"warm": ROCKET}))
    boxes = {box.name: box for box in await at.shop.provider.list()}
    move(at, "modal")
    [(box, why)] = (await WarmPool(at.shop).plan(boxes)).end
    assert (box.name, why) == ("warm-1", "its agent is started otherwise by now")


async def test_the_ceiling_is_on_boxes_of_this_machine(at: Bench) -> None:
    await at.shop.store.warm.make(Offer("modal-warm-1", ROCKET, "f", None, True, "hash", ""))
    assert await at.shop.store.berths.room(1) == 1
    assert await at.shop.store.berths.take("other", 1.0, at.clock(), 1) == 0
    await at.ask()
    assert not await berths.admitted(at.shop, await at.session())
    move(at, "modal")
    assert await berths.admitted(at.shop, await at.session())
    await start_box(at.shop, at.sid)
    await berths.see_to(at.shop, [await at.session()])
    assert await at.shop.store.berths.queued() == []


async def test_who_counts_sees_the_boxes_of_both_and_the_queues_that_are_in_use(at: Bench) -> None:
    near = await census.take(at.shop)
    assert not any(far in queue for queue in near.queues for far in FAR)
    for name in ("s1-1", "modal-s1-1"):
        await at.shop.provider.create(BoxSpec(name, IDLE, labels={"session": "s1"}))
    move(at, "modal")
    seen = await census.take(at.shop)
    assert seen.boxes is not None and seen.boxes["running"] == 2
    assert seen.queues.keys() == seen.workers.keys() == {*near.queues, "boxes-modal", "images-modal"}


def test_modal_is_a_place_only_with_a_token_and_an_address_that_can_be_dialled() -> None:
    token = {"MODAL_TOKEN_ID": "ak-1", "MODAL_TOKEN_SECRET": "as-1"}
    assert modal_place(JobSettings.from_env(PUBLIC)) is None
    assert modal_place(JobSettings.from_env(token)) is None
    told = {
        "SHIPMATE_MODAL_REGION": "us-east",
        "SHIPMATE_MODAL_CREATES": "7",
        "SHIPMATE_MODAL_HOSTS": "a.example, *.b.example",
    }
    found = modal_place(JobSettings.from_env(PUBLIC | token | told))
    assert found is not None and found.gateway == PUBLIC["SHIPMATE_PUBLIC_URL"]
    assert (found.app, found.region, found.creates, found.more_hosts) == (
        "shipmate",
        "us-east",
        7,
        ("a.example", "*.b.example"),
    )
    assert "as-1" not in repr(found)
