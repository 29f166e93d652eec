"""Bad days on Modal, as they have hit others: what goes wrong, and what must come of it. `test_bad_days.py` plays them.

`python -m tests.modal` (or `make modal-days`) plays all and prints the table. Each day gets the stand-in and a fresh
provider on it, orders the trouble, and returns in a few words what came of it, or raises AssertionError.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import modal

from sandbox.modal_keeping import RENEWED_AT_ONCE
from sandbox.modal_records import SnapshotRecord
from sandbox.provider import BoxSpec, BoxState, Gone, Hurried, Missing, Permanent, SnapshotKind, Temporary, Unreachable
from tests.modal.places import Spot
from tests.modal_cloud.client import ModalCloud

HOUR = 3600.0
Play = Callable[[ModalCloud, Spot], Awaitable[str]]


@dataclass(frozen=True)
class Day:
    """One bad day. `settings`: of the place, beside the usual."""

    name: str
    play: Play
    settings: dict[str, float]

    @property
    def what(self) -> str:
        """What goes wrong, and what must come of it."""
        return (self.play.__doc__ or "").strip()


DAYS: list[Day] = []


def day(**settings: float) -> Callable[[Play], Play]:
    """Add a day to the list."""

    def add(play: Play) -> Play:
        DAYS.append(Day(play.__name__, play, settings))
        return play

    return add


def spec(spot: Spot, name: str, base: str | None = None, **labels: str) -> BoxSpec:
    """A box that does nothing but serve commands."""
    return BoxSpec(name, spot.greeting(), base=base, labels=labels or {"session": "s1", "generation": "1"})


async def sh(spot: Spot, name: str, command: str, timeout: float = 20.0) -> str:
    """What a command says in a box."""
    return (await spot.provider.exec(name, ("sh", "-c", command), timeout=timeout)).stdout.decode().strip()


async def fails(call: Awaitable[object], error: type[Exception]) -> Exception:
    """The error that a call ends with, which must be of this kind and no other."""
    try:
        await call
    except error as failed:
        assert type(failed) is error, f"{type(failed).__name__} instead of {error.__name__}: {failed}"
        return failed
    raise AssertionError(f"it did not end with {error.__name__}")


async def noted(spot: Spot, snapshot: str) -> SnapshotRecord:
    """What the ledger has of a snapshot."""
    return SnapshotRecord.read(await spot.ledger.get(f"snapshot:{snapshot}") or {})


async def alive(cloud: ModalCloud) -> list[str]:
    """The names of the boxes that run."""
    return sorted(box["name"] for box in await cloud.boxes(alive=True))


@day()
async def the_maker_is_cut_off_at_any_step(cloud: ModalCloud, spot: Spot) -> str:
    """A worker is ended while it makes a box, in or after each call: whoever comes next makes one box of it."""
    steps = [(kind, rpc) for rpc in ("SandboxCreateV2", "SandboxStdinWriteV2") for kind in ("hang", "late")]
    for number, (kind, rpc) in enumerate(steps):
        name, before = f"cut-{number}", len(await cloud.calls(rpc))
        await cloud.fault(kind, rpc=rpc, times=1, by=1000.0)
        making = asyncio.create_task(spot.provider.create(spec(spot, name)))
        while len(await cloud.calls(rpc)) == before:
            await asyncio.sleep(0.01)
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
        await cloud.clear()
        await spot.provider.create(spec(spot, name))
        assert await sh(spot, name, "echo hello") == "hello"
        assert await alive(cloud) == [name]
        await spot.provider.discard(name)
    return f"{len(steps)} times one box"


@day()
async def a_box_is_ended_while_it_is_made(cloud: ModalCloud, spot: Spot) -> str:
    """Nobody wants a box any more whose maker is still at it: its end waits for that, and nothing is left."""
    await cloud.fault("slow", rpc="SandboxStdinWriteV2", by=5.0)
    making = asyncio.create_task(spot.provider.create(spec(spot, "unwanted")))
    while not await cloud.calls("SandboxStdinWriteV2"):
        await asyncio.sleep(0.01)
    ending = asyncio.create_task(spot.provider.discard("unwanted"))
    await asyncio.wait({ending}, timeout=0.3)
    assert not ending.done()
    await cloud.step(6)
    await making
    await ending
    assert await alive(cloud) == [] and await spot.provider.list() == []
    return "made, then ended"


@day(box_seconds=8 * HOUR)
async def hard_timeout_in_mid_turn(cloud: ModalCloud, spot: Spot) -> str:
    """A turn runs into the box's lifetime: our own end comes before it, and what the box had is kept all the same."""
    provider = spot.provider
    assert provider.longest_seconds is not None and provider.longest_seconds <= 8 * HOUR - 600
    await provider.create(spec(spot, "late-1"))
    await sh(spot, "late-1", "echo work >kept")
    running = asyncio.create_task(provider.exec("late-1", ("sh", "-c", "echo more >>kept; sleep 60")))
    while await sh(spot, "late-1", "cat kept") != "work\nmore":
        await asyncio.sleep(0.01)
    await cloud.step(8 * HOUR + 1)
    await fails(running, Gone)
    assert (await provider.status("late-1")).exit_code == 124
    left = await provider.last_state("late-1")
    assert left is not None
    await provider.create(spec(spot, "late-2", left.id))
    assert await sh(spot, "late-2", "cat kept") == "work\nmore"
    return "Gone; its exit snapshot has the work"


@day()
async def a_snapshot_takes_longer_than_55_s(cloud: ModalCloud, spot: Spot) -> str:
    """A large tree takes 100 s to copy: that is waited for, and the image is kept for a time that we name."""
    await spot.provider.create(spec(spot, "large"))
    await sh(spot, "large", "echo 1 >f")
    await cloud.fault("slow", rpc="TaskSnapshotFilesystem", by=100.0)
    taking = asyncio.create_task(spot.provider.snapshot("large", SnapshotKind.TURN, "turn 1"))
    while not await cloud.calls("TaskSnapshotFilesystem"):
        await asyncio.sleep(0.01)
    await cloud.step(101)
    taken = await taking
    images = [image for image in await cloud.images() if image.get("expires")]
    assert images and min(image["expires"] - image["made"] for image in images) > 29 * 86_400
    assert await spot.provider.snapshot("large", SnapshotKind.TURN, "turn 1") == taken
    return f"kept, with {images[0]['expires'] - images[0]['made']:.0f} s to live"


@day(snapshot_seconds=1.0)
async def a_snapshot_never_comes(cloud: ModalCloud, spot: Spot) -> str:
    """Copying takes longer than we wait: try again later, and the box goes on meanwhile."""
    await spot.provider.create(spec(spot, "stuck"))
    await cloud.fault("hang", rpc="TaskSnapshotFilesystem", times=1)
    failed = await fails(spot.provider.snapshot("stuck", SnapshotKind.TURN, "turn 1"), Temporary)
    assert await sh(spot, "stuck", "echo moves", 5.0) == "moves"
    await cloud.clear()
    await spot.provider.snapshot("stuck", SnapshotKind.TURN, "turn 1")
    return f"Temporary: {failed}"


@day()
async def the_image_was_collected(cloud: ModalCloud, spot: Spot) -> str:
    """Modal has collected the image that a box is to grow from: Missing, so that the next best is taken."""
    await spot.provider.create(spec(spot, "old"))
    taken = await spot.provider.snapshot("old", SnapshotKind.BASE)
    await cloud.collect((await noted(spot, taken.id)).image)
    failed = await fails(spot.provider.create(spec(spot, "new", taken.id)), Missing)
    assert await alive(cloud) == ["old"]
    assert (await spot.provider.status("new")).state is BoxState.GONE
    return f"Missing: {failed}"


@day()
async def an_image_is_about_to_be_collected(cloud: ModalCloud, spot: Spot) -> str:
    """A snapshot that is still named nears its end: it is taken anew under the same id, and no box is left of that."""
    await spot.provider.create(spec(spot, "asleep"))
    await sh(spot, "asleep", "echo words >f")
    taken = await spot.provider.snapshot("asleep", SnapshotKind.BASE)
    await spot.provider.discard("asleep")
    assert await spot.provider.renew(time.time() + 86_400) == 0
    await cloud.step(29 * 86_400)
    assert await spot.provider.renew(time.time() + 31 * 86_400) == 1
    assert await alive(cloud) == []
    await cloud.step(29 * 86_400)
    await spot.provider.create(spec(spot, "awake", taken.id))
    assert await sh(spot, "awake", "cat f") == "words"
    return "the same snapshot after 58 days"


@day()
async def a_box_goes_on_while_it_is_copied(cloud: ModalCloud, spot: Spot) -> str:
    """What holds the box dies while Modal copies: files may have changed meanwhile, so that copy is not kept."""
    await spot.provider.create(spec(spot, "loose"))
    await cloud.fault("slow", rpc="TaskSnapshotFilesystem", by=50.0)
    taking = asyncio.create_task(spot.provider.snapshot("loose", SnapshotKind.TURN, "turn 1"))
    while not await cloud.calls("TaskSnapshotFilesystem"):
        await asyncio.sleep(0.01)
    client = await cloud.client()
    sandbox = await modal.Sandbox.from_name.aio("shipmate", "loose", client=client)
    found = "for p in /proc/[0-9]*; do grep -qs 'Passes bytes on' $p/cmdline && echo ${p#/proc/}; done; true"
    killing = await sandbox.exec.aio("sh", "-c", f"me=$$; for p in $({found}); do [ $p = $me ] || kill -9 $p; done")
    await killing.wait.aio()
    while await sh(spot, "loose", "echo moves") != "moves":
        await asyncio.sleep(0.01)
    await cloud.step(51)
    failed = await fails(taking, Unreachable)
    assert await spot.ledger.keys("snapshot:") == []
    await spot.provider.snapshot("loose", SnapshotKind.TURN, "turn 1")
    return f"Unreachable: {failed}"


@day()
async def the_app_was_stopped(cloud: ModalCloud, spot: Spot) -> str:
    """Somebody has stopped our app: it is looked up again, and no session loses its snapshot because of that."""
    await spot.provider.create(spec(spot, "before"))
    taken = await spot.provider.snapshot("before", SnapshotKind.BASE)
    looked = len(await cloud.calls("AppGetOrCreate"))
    await cloud.fault("error", rpc="SandboxCreateV2", times=1, status="NOT_FOUND")
    await spot.provider.create(spec(spot, "again", taken.id))
    assert len(await cloud.calls("AppGetOrCreate")) > looked
    await cloud.fault("error", rpc="SandboxCreateV2", times=None, status="NOT_FOUND")
    await fails(spot.provider.create(spec(spot, "later", taken.id)), Temporary)
    assert await spot.provider.renew(time.time() + 31 * 86_400) == 0
    await cloud.clear()
    await spot.provider.create(spec(spot, "later", taken.id))
    return "made anew, then Temporary; the snapshot is still there"


@day()
async def modal_forgot_one_box(cloud: ModalCloud, spot: Spot) -> str:
    """Modal does not know one box any more: it has ended and left nothing, and all others are listed."""
    for name in ("known", "forgotten", "odd"):
        await spot.provider.create(spec(spot, name))
    await cloud.kill("forgotten")
    await cloud.kill("odd")
    await cloud.fault("error", rpc="SandboxWaitV2", box="forgotten", times=None, status="NOT_FOUND")
    await cloud.fault("error", rpc="SandboxWaitV2", box="odd", times=None, status="INVALID_ARGUMENT")
    async with Spot(spot.url, spot.folder) as fresh:
        fresh.provider._clock = lambda: time.time() + 60.0
        found = {info.name: info.state for info in await fresh.provider.list()}
        assert await fresh.provider.last_state("forgotten") is None
    assert found == {"known": BoxState.RUNNING, "forgotten": BoxState.DEAD, "odd": BoxState.RUNNING}, found
    return "ended, with nothing left"


@day()
async def many_cannot_be_taken_anew(cloud: ModalCloud, spot: Spot) -> str:
    """More snapshots cannot be taken anew just now than one call takes: those behind them are not forgotten for it."""
    await spot.provider.create(spec(spot, "one"))
    taken = await spot.provider.snapshot("one", SnapshotKind.BASE)
    first = await noted(spot, taken.id)
    for number in range(RENEWED_AT_ONCE):
        record = replace(first, expires=first.expires + 1 + number)
        await spot.ledger.put(f"snapshot:{number}", record.written())
    await cloud.fault("quota", rpc="SandboxCreateV2", times=RENEWED_AT_ONCE)
    assert await spot.provider.renew(time.time() + 31 * 86_400) == 1
    assert (await noted(spot, taken.id)).image == first.image
    assert (await noted(spot, str(RENEWED_AT_ONCE - 1))).image != first.image
    return f"{RENEWED_AT_ONCE} later, the next one at once"


@day()
async def a_lost_box_is_not_asked_for_in_months(cloud: ModalCloud, spot: Spot) -> str:
    """A box dies and its session sleeps on: what it left is noted all the same, and then taken anew like the rest."""
    await spot.provider.create(spec(spot, "lost"))
    await sh(spot, "lost", "echo words >f")
    await cloud.kill("lost")
    while (await spot.provider.status("lost")).state is not BoxState.DEAD:
        await asyncio.sleep(0.01)
    assert await spot.provider.renew(time.time()) == 0 and await spot.ledger.keys("snapshot:") == []
    async with Spot(spot.url, spot.folder) as later:
        ahead = 1000.0
        later.provider._keeper._clock = lambda: time.time() + ahead
        assert await later.provider.renew(time.time()) == 0
        (key,) = await spot.ledger.keys("snapshot:")
        assert await later.provider.renew(time.time() + 15 * 86_400) == 1
        await later.provider.create(spec(later, "found", key.removeprefix("snapshot:")))
        assert await sh(later, "found", "cat f") == "words"
    return "noted, then taken anew"


@day()
async def a_snapshot_right_after_create(cloud: ModalCloud, spot: Spot) -> str:
    """A snapshot in the first moment of a box: a command has run there before Modal is asked to copy."""
    await cloud.fault("early", rpc="TaskSnapshotFilesystem", times=None)
    await spot.provider.create(spec(spot, "early"))
    await spot.provider.snapshot("early", SnapshotKind.TURN, "turn 1")
    order = [call["rpc"] for call in await cloud.calls() if call["rpc"] in ("TaskExecStart", "TaskSnapshotFilesystem")]
    assert order[:2] == ["TaskExecStart", "TaskSnapshotFilesystem"], order
    return "a command ran before"


@day()
async def an_orphan_builder(cloud: ModalCloud, spot: Spot) -> str:
    """A builder's worker died between Modal's answer and the note of it: the box is found by its tags, and ended."""
    await spot.provider.create(spec(spot, "image-1", image="acme/rocket", build="b1"))
    await spot.ledger.drop("box:image-1")
    found = {info.name: info for info in await spot.provider.list()}
    assert found["image-1"].labels == {"image": "acme/rocket", "build": "b1"}
    await spot.provider.discard("image-1")
    assert await alive(cloud) == []
    return "found by its tags, ended"


@day()
async def the_ledger_was_lost(cloud: ModalCloud, spot: Spot) -> str:
    """The record is empty after a disaster: boxes are found by their tags, and nothing is ended because of that."""
    await spot.provider.create(spec(spot, "one"))
    await spot.provider.create(spec(spot, "two", session="s2", generation="4"))
    await sh(spot, "two", "echo 1 >f")
    for key in await spot.ledger.keys(""):
        await spot.ledger.drop(key)
    found = {info.name: info.labels for info in await spot.provider.list()}
    assert found == {"one": {"session": "s1", "generation": "1"}, "two": {"session": "s2", "generation": "4"}}
    assert await sh(spot, "two", "cat f") == "1"
    return "both found, with their labels"


@day()
async def a_restored_box_without_fresh_token(cloud: ModalCloud, spot: Spot) -> str:
    """What a box was told is in no snapshot: the one that grows from it knows its own token alone."""
    await spot.provider.create(spec(spot, "first"))
    await sh(spot, "first", "echo 1 >f")
    await spot.provider.terminate("first")
    left = await spot.provider.last_state("first")
    assert left is not None
    greeting = spot.greeting().replace(b"the-token-of-a-box", b"another-token")
    await spot.provider.create(BoxSpec("second", greeting, base=left.id))
    assert await sh(spot, "second", "cat f") == "1"
    client = await cloud.client()
    sandbox = await modal.Sandbox.from_name.aio("shipmate", "second", client=client)
    searched = "grep -rlsF -e the-token-of-a-box -e another-token /work /run /opt /tmp /root /var/tmp; echo over"
    process = await sandbox.exec.aio("sh", "-c", searched)
    assert (await process.stdout.read.aio()).strip() == "over"
    told = {box["name"]: box for box in await cloud.boxes()}
    assert "another-token" not in str({key: told["second"][key] for key in told["second"] if key != "heard"})
    return "its token came down its stdin, and is nowhere else"


@day()
async def a_prompt_while_snapshotting(cloud: ModalCloud, spot: Spot) -> str:
    """Work comes while the box is copied: nothing moves in the copy, and whoever is in a hurry is not kept waiting."""
    from threading import Event

    await spot.provider.create(spec(spot, "busy"))
    moving = "setsid sh -c 'while :; do echo x >>t; sleep 0.01; done' >/dev/null 2>&1 </dev/null &"
    await sh(spot, "busy", f"{moving} while [ ! -s t ]; do sleep 0.01; done")
    await cloud.fault("slow", rpc="TaskSnapshotFilesystem", by=50.0)
    hurry = Event()
    taking = asyncio.create_task(spot.provider.snapshot("busy", SnapshotKind.TURN, "turn 1", hurry))
    while not await cloud.calls("TaskSnapshotFilesystem"):
        await asyncio.sleep(0.01)
    client = await cloud.client()
    sandbox = await modal.Sandbox.from_name.aio("shipmate", "busy", client=client)
    looking = await sandbox.exec.aio("sh", "-c", "cd /work/repo; wc -c <t; sleep 0.2; wc -c <t")
    sizes = (await looking.stdout.read.aio()).split()
    assert len(sizes) == 2 and sizes[0] == sizes[1], "nothing moves while the box is copied"
    prompt = asyncio.create_task(sh(spot, "busy", "echo begun"))
    await asyncio.wait({prompt}, timeout=0.5)
    assert not prompt.done(), "a command that comes while the box is copied waits"
    hurry.set()
    await fails(taking, Hurried)
    assert await prompt == "begun"
    await cloud.step(51)
    await spot.provider.snapshot("busy", SnapshotKind.TURN, "turn 1")
    return "it waited, then the copy gave way"


@day()
async def out_of_memory_looks_like_terminate(cloud: ModalCloud, spot: Spot) -> str:
    """Both end with 137: one that we ended ourselves is told apart."""
    await spot.provider.create(spec(spot, "eater"))
    await spot.provider.create(spec(spot, "ended"))
    await cloud.kill("eater", 137, "FAILURE")
    await spot.provider.terminate("ended", 0.0)
    eater, ended = [await spot.provider.status(name) for name in ("eater", "ended")]
    assert (eater.state, eater.exit_code) == (BoxState.DEAD, 137)
    assert (ended.state, ended.exit_code) == (BoxState.DEAD, -15)
    return "137 of its own, -15 by us"


@day()
async def the_reply_to_a_create_is_lost(cloud: ModalCloud, spot: Spot) -> str:
    """Modal has made the box, twice the answer does not come: one box, and it is greeted."""
    await cloud.fault("lost_reply", rpc="SandboxCreateV2", times=2)
    await spot.provider.create(spec(spot, "once"))
    assert len(await cloud.calls("SandboxCreateV2")) == 3 and await alive(cloud) == ["once"]
    assert await sh(spot, "once", "echo hello") == "hello"
    return "three calls, one box"


@day()
async def no_reply_to_a_create_at_all(cloud: ModalCloud, spot: Spot) -> str:
    """The box is made, and we never hear of it: the next attempt adopts it by its name, and greets it."""
    number = await cloud.fault("lost_reply", rpc="SandboxCreateV2", times=None)
    await fails(spot.provider.create(spec(spot, "unheard")), Temporary)
    assert (await spot.provider.status("unheard")).state is BoxState.RUNNING
    await cloud.clear(number)
    await spot.provider.create(spec(spot, "unheard"))
    assert await alive(cloud) == ["unheard"]
    assert await sh(spot, "unheard", "echo hello") == "hello"
    return "adopted; still one box"


@day()
async def a_greeting_was_cut_short(cloud: ModalCloud, spot: Spot) -> str:
    """The maker died while it greeted its box: nobody knows what that heard, so the next attempt makes another one."""
    await cloud.fault("error", rpc="SandboxStdinWriteV2", times=None, status="INVALID_ARGUMENT")
    await fails(spot.provider.create(spec(spot, "mumbled")), Permanent)
    await cloud.clear()
    first = (await cloud.boxes(alive=True))[0]["id"]
    await spot.provider.create(spec(spot, "mumbled"))
    second = await cloud.boxes(alive=True)
    assert len(second) == 1 and second[0]["id"] != first
    assert await sh(spot, "mumbled", "echo hello") == "hello"
    return "ended and made anew"


@day(call_seconds=0.7)
async def a_wait_that_never_returns(cloud: ModalCloud, spot: Spot) -> str:
    """Calls about a box, and commands in it, are never answered: each ends by our own time, and the box is kept."""
    await spot.provider.create(spec(spot, "mute"))
    assert await sh(spot, "mute", "echo hello") == "hello"
    for rpc in ("SandboxWaitV2", "TaskExecStdioRead"):
        await cloud.fault("hang", rpc=rpc, times=None)
    began = time.monotonic()
    await fails(spot.provider.status("mute"), Temporary)
    failed = await fails(spot.provider.exec("mute", ("true",), timeout=0.3), Unreachable)
    assert time.monotonic() - began < 15
    await cloud.clear()
    assert await sh(spot, "mute", "echo still") == "still"
    return f"Unreachable: {failed}"


@day()
async def a_box_is_killed_in_mid_command(cloud: ModalCloud, spot: Spot) -> str:
    """A box dies under a command: that is Gone, never a command that failed."""
    await spot.provider.create(spec(spot, "victim"))
    running = asyncio.create_task(spot.provider.exec("victim", ("sh", "-c", "touch begun; sleep 60")))
    while await sh(spot, "victim", "ls") != "begun":
        await asyncio.sleep(0.01)
    await cloud.kill("victim")
    await cloud.fault("error", rpc="SandboxGetTaskIdV2", status="FAILED_PRECONDITION", times=None)
    for _ in range(2):
        await fails(sh(spot, "victim", "true"), Gone)
    return f"Gone: {await fails(running, Gone)}"


@day()
async def quota_exhausted_for_ten_minutes(cloud: ModalCloud, spot: Spot) -> str:
    """The workspace's limit is reached: Temporary, with delays that let four tries outlast ten minutes."""
    await cloud.fault("quota", rpc="SandboxCreateV2", times=None, seconds=600.0)
    for tried in range(1, 5):
        try:
            await spot.provider.create(spec(spot, "patient"))
        except Temporary as failed:
            await cloud.step(failed.delay)
        else:
            return f"made at try {tried} of 4"
    raise AssertionError("four tries were not enough")


@day()
async def throttled_with_a_retry_policy(cloud: ModalCloud, spot: Spot) -> str:
    """Modal says when to come again: its client does, and nothing is doubled."""
    await cloud.fault("throttled", rpc="SandboxCreateV2", times=2, after=0.2)
    await spot.provider.create(spec(spot, "throttled"))
    assert await alive(cloud) == ["throttled"]
    return f"{len(await cloud.calls('SandboxCreateV2'))} calls, one box"


@day()
async def a_burst_of_unavailable(cloud: ModalCloud, spot: Spot) -> str:
    """Modal is away for a moment in each call: boxes are made, used and ended all the same."""
    for rpc in ("SandboxCreateV2", "TaskExecStart", "SandboxTerminateV2", "SandboxWaitV2"):
        await cloud.fault("error", rpc=rpc, times=2, status="UNAVAILABLE")
    await spot.provider.create(spec(spot, "lucky"))
    assert await sh(spot, "lucky", "echo hello") == "hello"
    await spot.provider.terminate("lucky", 0.0)
    assert (await spot.provider.status("lucky")).state is BoxState.DEAD
    return "nobody noticed"


@day()
async def output_is_cut_at_any_byte(cloud: ModalCloud, spot: Spot) -> str:
    """The stream of a command's output breaks again and again: what comes out is whole."""
    await spot.provider.create(spec(spot, "broken"))
    await sh(spot, "broken", "head -c 30000 /dev/urandom >f")
    whole = await sh(spot, "broken", "sha256sum <f")
    for size in (0, 1, 7, 100, 4096):
        await cloud.fault("cut", rpc="TaskExecStdioRead", times=1, bytes=size)
    done = await spot.provider.exec("broken", ("cat", "f"))
    again = await spot.provider.exec("broken", ("sha256sum",), stdin=done.stdout)
    assert again.stdout.decode().strip() == whole and len(done.stdout) == 30_000
    return "five cuts, no byte lost"


@day(snapshot_seconds=1.0)
async def the_exit_snapshot_is_late_or_lost(cloud: ModalCloud, spot: Spot) -> str:
    """What a box leaves is still being copied: try again. It is lost: None, and the snapshot before is used."""
    await spot.provider.create(spec(spot, "slow"))
    await spot.provider.create(spec(spot, "lost"))
    for name in ("slow", "lost"):
        await spot.provider.terminate(name, 0.0)
    number = await cloud.fault("exit_snapshot", rpc="*", times=None, answer="pending")
    await fails(spot.provider.last_state("slow"), Temporary)
    await cloud.clear(number)
    assert await spot.provider.last_state("slow") is not None
    await cloud.fault("exit_snapshot", rpc="*", times=None, answer="lost")
    assert await spot.provider.last_state("lost") is None
    return "Temporary, then there; or None"


@day()
async def stale_files_in_a_snapshot(cloud: ModalCloud, spot: Spot) -> str:
    """A snapshot has the sockets and an older runner of the box it was taken of: the new box begins with its own."""
    await spot.provider.create(spec(spot, "before"))
    client = await cloud.client()
    sandbox = await modal.Sandbox.from_name.aio("shipmate", "before", client=client)
    process = await sandbox.exec.aio(
        "sh", "-c", "echo old >/run/shipmate/stale; echo rubbish >/opt/shipmate/runner.pyz"
    )
    await process.wait.aio()
    await spot.provider.terminate("before", 0.0)
    left = await spot.provider.last_state("before")
    assert left is not None
    old = replace(await noted(spot, left.id), runner="an older one")
    await spot.ledger.put(f"snapshot:{left.id}", old.written())
    await spot.provider.create(spec(spot, "after", left.id))
    assert await sh(spot, "after", "echo alive; ls /run/shipmate 2>&1 | grep stale") == "alive"
    return "today's runner, and no stale file"


@day()
async def the_token_was_revoked(cloud: ModalCloud, spot: Spot) -> str:
    """Modal does not accept our token any more: for good, with what to do about it."""
    await cloud.fault("error", rpc="SandboxCreateV2", times=None, status="UNAUTHENTICATED")
    failed = await fails(spot.provider.create(spec(spot, "nobody")), Permanent)
    assert "MODAL_TOKEN_ID" in str(failed)
    return str(failed)


@day(creates=20)
async def a_hundred_creates_at_once(cloud: ModalCloud, spot: Spot) -> str:
    """A hundred people ask in one second: all get a box, and never more than allowed are being made at a time."""
    await spot.provider.prepare()
    began = time.monotonic()
    names = [f"crowd-{number}" for number in range(100)]
    await asyncio.gather(*(spot.provider.create(spec(spot, name)) for name in names))
    took = time.monotonic() - began
    calls = await cloud.calls("SandboxCreateV2")
    assert len(calls) == 100 and await alive(cloud) == sorted(names)
    at_once = (await cloud.stats())["at_once"]["SandboxCreateV2"]
    assert 1 < at_once <= 20
    return f"100 in {took:.1f} s, at most {at_once} at a time"
