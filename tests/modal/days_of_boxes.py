"""Bad days of boxes on Modal: made, asked, ended, while Modal or we ourselves fail. Part of `days.py`."""

import asyncio
import time

from sandbox.provider import Barred, BoxState, Gone, Permanent, SnapshotKind, Temporary, Unreachable
from tests.modal.bad_day import alive, day, fails, sh, spec
from tests.modal.places import Spot
from tests.modal_cloud.client import ModalCloud


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
        fresh.provider._watch._clock = lambda: time.time() + 60.0
        found = {info.name: info.state for info in await fresh.provider.list()}
        assert await fresh.provider.last_state("forgotten") is None
    assert found == {"known": BoxState.RUNNING, "forgotten": BoxState.DEAD, "odd": BoxState.RUNNING}, found
    return "ended, with nothing left"


@day()
async def modal_does_not_know_a_box_for_a_moment(cloud: ModalCloud, spot: Spot) -> str:
    """A part of Modal has not heard yet of a box that lives: nobody takes it for ended, which could not be undone."""
    await spot.provider.create(spec(spot, "lives"))
    number = await cloud.fault("error", rpc="SandboxWaitV2", times=None, status="NOT_FOUND")
    failed = await fails(spot.provider.status("lives"), Temporary)
    await fails(spot.provider.terminate("lives"), Temporary)
    await cloud.clear(number)
    assert await sh(spot, "lives", "echo on") == "on"
    return f"Temporary: {failed}"


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
async def the_clock_is_put_back(cloud: ModalCloud, spot: Spot) -> str:
    """The host's clock jumps an hour back: a box that dies then is seen to be dead all the same."""
    ahead = 3600.0
    spot.provider._clock = spot.provider._watch._clock = lambda: time.time() + ahead
    await spot.provider.create(spec(spot, "one"))
    assert [info.state for info in await spot.provider.list()] == [BoxState.RUNNING]
    await cloud.kill("one")
    ahead = 0.0
    async with asyncio.timeout(10.0):
        while [info.state for info in await spot.provider.list()] != [BoxState.DEAD]:
            await asyncio.sleep(0.01)
    return "dead"


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


@day()
async def the_token_was_revoked(cloud: ModalCloud, spot: Spot) -> str:
    """Modal does not accept our token any more: for good, with what to do about it."""
    await cloud.fault("error", rpc="SandboxCreateV2", times=None, status="UNAUTHENTICATED")
    failed = await fails(spot.provider.create(spec(spot, "nobody")), Barred)
    assert "MODAL_TOKEN_ID" in str(failed)
    return str(failed)


@day()
async def the_environment_is_not_there(cloud: ModalCloud, spot: Spot) -> str:
    """Modal does not know the environment that is set: that is said, and what a dead box left is not taken for lost."""
    await spot.provider.create(spec(spot, "dead"))
    await spot.provider.terminate("dead", 0.0)
    await cloud.fault("error", rpc="AppGetOrCreate", times=None, status="NOT_FOUND")
    async with Spot(spot.url, spot.folder) as fresh:
        failed = await fails(fresh.provider.last_state("dead"), Barred)
        assert "MODAL_ENVIRONMENT" in str(failed)
    await cloud.clear()
    assert await spot.provider.last_state("dead") is not None
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
