"""Snapshots of live boxes: when they are due, what comes of them, and what people are told. Then with real boxes."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Callable

import pytest

from jobs import commands as c
from jobs.commands_snapshots import FailSnapshot, FinishSnapshot, PutOffSnapshot
from jobs.decide import decide
from jobs.events import BoxStarted, Noted, SnapshotFailed, SnapshotTaken
from jobs.image_records import Image
from jobs.operations import park_box, start_box
from jobs.records import Unnamed
from jobs.session import Session, Status
from jobs.snapshots import keep_turn
from jobs.store import Store
from jobs.upkeep import UNNAMED_SECONDS, Upkeep
from jobs.wants import wants
from sandbox.provider import BoxSpec, Permanent, Snapshot, SnapshotKind, Temporary
from tests.jobs import test_commands as given_a
from tests.jobs.shop import ROCKET, Bench, bench
from tests.logs import RULES, Log, done

S = Status
FULL = "the disk of the boxes is full"


def of(log: Log) -> Session:
    assert log.session is not None
    return log.session


def kept() -> Log:
    return done().do(FinishSnapshot(1, 1, "one"))


def again() -> Log:
    """The second turn has ended, too."""
    return kept().ask(2).work(2).end(turn=2)


def lost_and_starting(log: Callable[[], Log] = again) -> Log:
    return log().do(c.LoseBox(1, "out of memory")).ask(3).do(c.BeginStart(1))


CAUSES = [
    ("it is taken", done, FinishSnapshot(1, 1, "one"), "snapshot_taken"),
    ("it is taken while the next turn runs", lambda: done().ask(2), FinishSnapshot(1, 1, "one"), "snapshot_taken"),
    ("it was taken before", kept, FinishSnapshot(1, 1, "one"), ""),
    ("it fails for a moment", done, FailSnapshot(1, 1, FULL, 5.0), "snapshot_failed"),
    ("it fails again", lambda: failed(1), FailSnapshot(1, 1, FULL, 5.0), "snapshot_failed noted"),
    ("it fails and people know", lambda: failed(2), FailSnapshot(1, 1, FULL, 5.0), "snapshot_failed"),
    ("it cannot be", done, FailSnapshot(1, 1, "names too long", None), "snapshot_failed noted"),
    ("it is put off", done, PutOffSnapshot(1, 1), "snapshot_failed"),
    ("one of an older turn is put off", again, PutOffSnapshot(1, 1), ""),
    ("one of an older turn fails", again, FailSnapshot(1, 1, FULL, 5.0), ""),
    ("one of an older box fails", done, FailSnapshot(0, 1, FULL, 5.0), ""),
    ("the box sleeps meanwhile", lambda: done().do(c.BeginPark(1)), FailSnapshot(1, 1, FULL, 5.0), ""),
]  # fmt: skip


def failed(times: int) -> Log:
    log = done()
    for _ in range(times):
        log.do(FailSnapshot(1, 1, FULL, 5.0))
    return log


@pytest.mark.parametrize(("log", "command", "kinds"), [row[1:] for row in CAUSES], ids=[row[0] for row in CAUSES])
def test_a_command_about_snapshots_causes_these_events(log: Callable[[], Log], command: c.Command, kinds: str) -> None:
    events = decide(of(log()), command, 5_000.0, RULES)
    assert " ".join(event.kind for event in events) == kinds


@pytest.mark.parametrize(
    ("log", "command"),
    [
        (kept, FinishSnapshot(1, 1, "another")),
        (lambda: done().do(c.BeginPark(1)), FinishSnapshot(1, 1, "one")),
        (given_a.asleep, FinishSnapshot(1, 1, "one")),
        (done, FinishSnapshot(0, 1, "one")),
    ],
    ids=["of a turn that has one", "of a box that is put to sleep", "of no box", "of an older box"],
)
def test_a_snapshot_that_is_not_needed_is_refused(log: Callable[[], Log], command: c.Command) -> None:
    with pytest.raises(c.Refused):
        decide(of(log()), command, 5_000.0, RULES)


def due(log: Log, after: float = 0.0) -> list[int]:
    """The attempts at snapshots that are wanted then."""
    return [o.attempt for o in wants(of(log), log.now + after, RULES) if o.kind == "snapshot"]


def test_one_is_due_after_each_turn_until_it_is_taken_and_whether_or_not_the_next_has_begun() -> None:
    assert due(given_a.working()) == []
    assert due(done()) != []
    assert due(done().ask(2)) == due(done())
    assert due(kept()) == []
    assert due(again()) != [] and due(again()) != due(done())
    assert due(again().do(FinishSnapshot(1, 2, "two"))) == []


def test_none_is_due_after_a_turn_that_was_stopped_before_the_agent_had_its_prompt() -> None:
    def stopped(log: Log, turn: int) -> Log:
        return log.ask(turn).end(turn=turn, outcome="stopped", commits=0, head="")

    log = stopped(kept(), 2)
    assert (of(log).snapshot, of(log).saved.turn, due(log)) == ("one", 2, [])
    assert due(log.ask(3).work(3).end(turn=3)) != []
    assert due(stopped(done(), 2)) != [] and due(stopped(again(), 3)) != [], "what was done before is due"
    assert due(kept().ask(2).end(turn=2, outcome="stopped", commits=0)) != [], "somebody looked at the tree"


def test_one_that_comes_after_the_next_turn_has_ended_leaves_another_one_due() -> None:
    log = done().ask(2).work(2).end(turn=2).do(FinishSnapshot(1, 1, "one"))
    assert (of(log).snapshot, of(log).saved.turn, of(log).saved.due) == ("one", 1, 2)
    assert due(log) != []


def test_one_that_failed_is_tried_again_after_its_delay_as_another_job_and_not_at_all_if_that_cannot_help() -> None:
    log = failed(1)
    assert due(log, 4.9) == [] and due(log, 5.0) != due(done())
    for command in (FailSnapshot(1, 1, "names too long", None), PutOffSnapshot(1, 1)):
        assert due(done().do(command), 500.0) == []
        assert due(done().do(command).ask(2).work(2).end(turn=2)) != [], "the next turn is kept"


def test_none_is_due_of_a_box_that_is_to_be_put_to_sleep_or_is_gone() -> None:
    assert [o.kind for o in wants(of(done()), 10_000.0, RULES)] == ["park"]
    assert due(done().do(c.LoseBox(1, "out of memory"))) == []


def test_a_person_is_told_what_else_there_is() -> None:
    notes = [e.text for e in again().do(FailSnapshot(1, 2, "names too long", None)).events if isinstance(e, Noted)]
    assert notes == [
        "What I did up to turn 2 could not be saved: names too long. I will try again after the next turn. Should its"
        " box be lost: `shipmate/stest` on the forge has all that was pushed. The newest snapshot is after turn 1, 1"
        " January 00:16 UTC."
    ]


WAYS = [
    ("the last state of the lost box", lost_and_starting, ("snapshot", "left", ""), ""),
    ("the snapshot before", lost_and_starting, ("snapshot", "one", "it is damaged"),
     "What the lost box had could not be read (it is damaged). I go on from the snapshot after turn 1, 1 January 00:16"
     " UTC, with all that was pushed."),
    ("the branch", lost_and_starting, ("image", "img", "snapshot one is damaged"),
     "What the last box had left is not there any more (snapshot one is damaged). I begin from the branch, with all"
     " that was pushed."),
    ("the branch, after a box of which nothing was left", lambda: lost_and_starting(done), ("cold", None, ""),
     "What the last box had left is not there any more. I begin from the branch, with all that was pushed."),
    ("an image, at first", given_a.booting, ("image", "img", ""), ""),
]  # fmt: skip


@pytest.mark.parametrize(("log", "origin", "told"), [row[1:] for row in WAYS], ids=[row[0] for row in WAYS])
def test_what_a_new_box_grew_from_is_told_unless_it_is_what_the_last_one_had(
    log: Callable[[], Log], origin: tuple[str, str | None, str], told: str
) -> None:
    before, (start, base, instead) = of(log()), origin
    finish = c.FinishStart(before.generation, "b", start, base, True, instead)  # type: ignore[arg-type]
    events = decide(before, finish, 9_000.0, RULES)
    assert [event.text for event in events if isinstance(event, Noted)] == ([told] if told else [])


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (kept, ""),
        (again, "has all that was pushed. The newest snapshot is after turn 1, 1 January 00:16 UTC."),
        (given_a.working, "is lost. Nothing was pushed yet."),
        (lambda: Log().ask().boot(), ""),
    ],
    ids=["all was kept", "its last turn was not", "in its first turn", "it had not begun"],
)
def test_a_box_that_was_gone_before_it_slept_is_told_with_what_else_there_is(log: Callable[[], Log], told: str) -> None:
    parking = log().do(c.BeginPark(1))
    events = decide(of(parking), c.FinishPark(1, None), parking.now, RULES)
    notes = [event.text for event in events if isinstance(event, Noted)]
    lost = "The box was gone before it could be put to sleep, and what only it had is lost."
    assert [note.startswith(lost) and note.endswith(told) for note in notes] == ([True] if told else [])


def test_what_could_not_be_read_is_named_no_more() -> None:
    log = lost_and_starting().do(c.FinishStart(2, "b", "image", "img", True, "damaged"))
    assert (of(log).snapshot, of(log).saved.turn) == (None, 0)


@pytest.fixture
async def at(store: Store, redis_url: str) -> AsyncIterator[Bench]:
    async with bench(store, redis_url) as opened:
        yield opened


async def worked(at: Bench, turn: int, words: str) -> str:
    """A turn of the session's box has ended, and left these words in its tree; the box."""
    if turn == 1:
        await at.ask()
        await start_box(at.shop, at.sid)
        await at.do(c.Attach(1, 1))
        await at.do(given_a.hear(given_a.READY))
    else:
        await at.ask()
    box = (await at.session()).box or ""
    await say(at, box, words)
    await at.do(given_a.hear({**given_a.ENDED, "turn": turn}))
    return box


async def say(at: Bench, box: str, words: str) -> None:
    wrote = await at.shop.provider.exec(box, ("sh", "-c", f"echo {words} >>words"))
    assert wrote.code == 0, wrote.stderr


async def said(at: Bench, box: str) -> str:
    return (await at.shop.provider.exec(box, ("cat", "words"))).stdout.decode()


async def restarted(at: Bench) -> str:
    await at.ask()
    await start_box(at.shop, at.sid)
    return (await at.session()).box or ""


async def test_each_turn_is_kept_and_the_snapshot_before_it_is_named_no_more(at: Bench) -> None:
    await worked(at, 1, "one")
    await keep_turn(at.shop, at.sid)
    first = (await at.session()).snapshot
    await worked(at, 2, "two")
    await keep_turn(at.shop, at.sid)
    await keep_turn(at.shop, at.sid)
    session = await at.session()
    taken = [event for event in await at.events() if isinstance(event, SnapshotTaken)]
    assert [(event.turn, event.snapshot) for event in taken] == [(1, first), (2, session.snapshot)]
    assert await at.shop.store.leftovers.unnamed(at.clock() + 1) == [Unnamed(at.sid, first or "")]


async def test_a_worker_that_died_before_it_could_say_so_has_left_nothing_that_is_not_found(at: Bench) -> None:
    box = await worked(at, 1, "one")
    taken = await at.shop.provider.snapshot(box, SnapshotKind.TURN, "turn 1")
    await say(at, box, "later")
    await keep_turn(at.shop, at.sid)
    assert (await at.session()).snapshot == taken.id


async def test_a_box_that_is_lost_with_all_it_had_goes_on_from_the_last_turn_and_says_so(at: Bench) -> None:
    box = await worked(at, 1, "one")
    await keep_turn(at.shop, at.sid)
    await say(at, box, "later")
    await at.shop.provider.discard(box)
    await at.do(c.LoseBox(1, "the disk broke"))
    fresh = await restarted(at)
    assert await said(at, fresh) == "one\n"
    (note,) = [event.text for event in await at.events() if isinstance(event, Noted)]
    assert note.startswith("What the lost box had could not be read. I go on from the snapshot after turn 1, ")


async def test_a_lost_box_whose_state_cannot_be_kept_goes_on_from_the_snapshot_before(at: Bench) -> None:
    box = await worked(at, 1, "one")
    await keep_turn(at.shop, at.sid)
    await at.shop.provider.terminate(box)
    await at.do(c.LoseBox(1, "out of memory"))
    at.fails("last_state", Permanent("its names are too long"))
    fresh = await restarted(at)
    assert await said(at, fresh) == "one\n"
    (note,) = [event.text for event in await at.events() if isinstance(event, Noted)]
    assert note.startswith(
        "What the lost box had could not be read (its names are too long). I go on from the snapshot"
    )


async def test_a_snapshot_that_is_damaged_on_disk_is_told_and_the_session_begins_from_its_branch(at: Bench) -> None:
    await worked(at, 1, "one")
    await park_box(at.shop, at.sid)
    snapshot = (await at.session()).snapshot
    (at.shop.settings.boxes_dir / f"layers/{snapshot}/tree/work/repo/words").unlink()
    await restarted(at)
    (started,) = [event for event in (await at.events())[-5:] if isinstance(event, BoxStarted)]
    (note,) = [event.text for event in await at.events() if isinstance(event, Noted)]
    assert started.start == "cold" and (await at.session()).snapshot is None
    assert "is not there any more (snapshot" in note and "is damaged: files of its layer" in note


async def test_a_copy_that_takes_long_is_given_up_for_a_prompt_and_a_quick_one_is_not(at: Bench) -> None:
    box = await worked(at, 1, "one")
    await at.ask()
    await keep_turn(at.shop, at.sid)
    first = (await at.session()).snapshot
    assert first is not None, "a quick one"
    await say(at, box, "two")
    await at.do(given_a.hear({**given_a.ENDED, "turn": 2}))
    with (at.shop.settings.boxes_dir / f"box/{box}/frozen").open("w") as marker:
        fcntl.flock(marker, fcntl.LOCK_EX)  # as one who holds the box still
        keeping = asyncio.create_task(keep_turn(at.shop, at.sid))
        await at.ask()
        await keeping
    session = await at.session()
    assert (session.snapshot, session.saved.due, session.saved.retry_at) == (first, 2, None)
    assert not [event for event in await at.events() if isinstance(event, Noted)], "nothing is wrong"


async def test_what_is_not_needed_any_more_is_let_go(at: Bench) -> None:
    box = await worked(at, 1, "one")

    async def parked_meanwhile() -> None:
        at.provider.before.clear()
        await at.do(c.BeginPark(1))

    at.provider.before["snapshot"] = parked_meanwhile
    await keep_turn(at.shop, at.sid)
    assert [path.name for path in (at.shop.settings.boxes_dir / "layers").iterdir() if path.name != ".lock"] == []
    assert (await at.shop.provider.status(box)).state.value == "running"


async def test_a_full_disk_is_tried_again_and_told_once(at: Bench) -> None:
    await worked(at, 1, "one")
    at.fails("snapshot", Temporary(f"box b cannot be copied: {FULL}", 20.0))
    for _ in range(3):
        await keep_turn(at.shop, at.sid)
    events = await at.events()
    tries = [event for event in events if isinstance(event, SnapshotFailed)]
    assert [round((event.retry_at or 0) - event.at) for event in tries] == [20, 20, 20]
    assert len([event for event in events if isinstance(event, Noted)]) == 1
    at.fails("snapshot", None)
    await keep_turn(at.shop, at.sid)
    assert (await at.session()).snapshot is not None and (await at.session()).saved.failures == 0


async def test_what_a_box_left_that_nobody_can_read_does_not_stay_for_ever(at: Bench) -> None:
    box = await worked(at, 1, "one")
    await keep_turn(at.shop, at.sid)
    await at.shop.provider.terminate(box)
    await at.do(c.LoseBox(1, "out of memory"))
    at.fails("last_state", Permanent("its names are too long"))
    await restarted(at)
    at.clock.ahead = 120.0
    await Upkeep(at.shop).sweep()
    assert box not in [info.name for info in await at.shop.provider.list()]


async def test_a_turn_is_restored_days_later_after_the_image_it_grew_from_was_let_go(at: Bench) -> None:
    image = await _image(at)
    await at.shop.store.images.add(Image(repository=ROCKET, snapshot=image.id, built_at=1.0, bytes=1))
    await worked(at, 1, "one")
    await keep_turn(at.shop, at.sid)
    snapshot = (await at.session()).snapshot
    await park_box(at.shop, at.sid)
    await at.shop.provider.forget_snapshot(image.id)
    at.clock.ahead = 5 * 86_400.0 + UNNAMED_SECONDS
    await Upkeep(at.shop).sweep()
    assert not (at.shop.settings.boxes_dir / f"layers/{snapshot}").exists(), "a later one is named instead"
    fresh = await restarted(at)
    done = await at.shop.provider.exec(fresh, ("cat", "words", "../home/image"))
    assert done.stdout == b"one\nof the image\n" and (await at.session()).conversation == "c"


async def _image(at: Bench) -> Snapshot:
    line = b'{"wire": 1, "token": "t", "mode": "idle", "gateway": null}\n'
    await at.shop.provider.create(BoxSpec("image", line))
    await at.shop.provider.exec("image", ("sh", "-c", "echo of the image >../home/image"))
    await at.shop.provider.terminate("image")
    left = await at.shop.provider.last_state("image", SnapshotKind.BASE)
    await at.shop.provider.discard("image")
    assert left is not None
    return left
