"""Bad days of snapshots on Modal: taken, kept for longer, grown from. Part of `days.py`."""

import asyncio
import time
from dataclasses import replace

import modal

from sandbox.modal_keeping import RENEWED_AT_ONCE
from sandbox.provider import BoxSpec, BoxState, Gone, Hurried, Missing, SnapshotKind, Temporary, Unreachable
from tests.modal.bad_day import HOUR, alive, day, fails, noted, sh, spec
from tests.modal.places import Spot
from tests.modal_cloud.client import ModalCloud


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


@day(call_seconds=0.7)
async def a_box_cannot_even_be_asked_to_hold_still(cloud: ModalCloud, spot: Spot) -> str:
    """What is said to a box before it is copied is never answered: that ends by our own time, and the box goes on."""
    await spot.provider.create(spec(spot, "deaf"))
    await sh(spot, "deaf", "true")
    await cloud.fault("hang", rpc="TaskExecStart", times=None)
    async with asyncio.timeout(20.0):
        failed = await fails(spot.provider.snapshot("deaf", SnapshotKind.TURN, "turn 1"), Unreachable)
    await cloud.clear()
    assert await sh(spot, "deaf", "echo moves") == "moves"
    return f"Unreachable: {failed}"


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
async def nobody_names_what_is_just_taken_anew(cloud: ModalCloud, spot: Spot) -> str:
    """A snapshot is let go while it is taken anew: that waits, so that it is not on record again for ever."""
    await spot.provider.create(spec(spot, "asleep"))
    taken = await spot.provider.snapshot("asleep", SnapshotKind.BASE)
    await spot.provider.discard("asleep")
    copied = len(await cloud.calls("TaskSnapshotFilesystem"))
    await cloud.fault("slow", rpc="TaskSnapshotFilesystem", by=50.0)
    renewing = asyncio.create_task(spot.provider.renew(time.time() + 31 * 86_400))
    while len(await cloud.calls("TaskSnapshotFilesystem")) == copied:
        await asyncio.sleep(0.01)
    await fails(spot.provider.forget_snapshot(taken.id), Temporary)
    await cloud.step(51)
    assert await renewing == 1
    await spot.provider.forget_snapshot(taken.id)
    assert await spot.ledger.keys("snapshot:") == []
    return "Temporary, then gone"


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
