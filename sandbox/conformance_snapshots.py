# ruff: noqa: D103 - a check's name is its sentence
"""What every provider must keep of its boxes: last states, live snapshots, and what grows from them.

Part of `conformance.py`, through which test suites find these checks too.
"""

import asyncio
import contextlib
from threading import Event

from sandbox.promises import box, check, expect, forget, fresh_name, read, refuses, write
from sandbox.provider import BoxSpec, Hurried, Permanent, ProviderFixture, SnapshotKind

BACKGROUND = """\
setsid sh -c 'echo $$ >pid; exec sleep 300' >/dev/null 2>&1 </dev/null &
while [ ! -s pid ]; do sleep 0.01; done
"""


@check
async def the_last_state_is_the_same_each_time_and_grows_new_boxes(fixture: ProviderFixture) -> None:
    provider = fixture.provider
    async with box(fixture) as name:
        await write(provider, name, "kept", "words")
        await provider.terminate(name)
        first = await provider.last_state(name)
        expect(first is not None, "a dead box left its tree")
        expect(await provider.last_state(name) == first, "the last state is the same each time it is asked")
    assert first is not None
    async with box(fixture, first.id) as one, box(fixture, first.id) as two:
        expect(await read(provider, one, "kept") == "words", "a box sees the files of the snapshot it grew from")
        await write(provider, one, "kept", "changed")
        expect(await read(provider, two, "kept") == "words", "two boxes from one snapshot do not see each other")
    async with box(fixture, first.id) as three:
        expect(await read(provider, three, "kept") == "words", "a snapshot never changes")
    await forget(provider, first)


@check
async def deleted_and_replaced_things_stay_so_in_a_snapshot(fixture: ProviderFixture) -> None:
    provider = fixture.provider
    async with box(fixture) as name:
        await provider.exec(name, ("sh", "-ec", "mkdir -p a/b c; echo 1 >a/b/f; echo 2 >c/g; ln -s c link; echo 3 >x"))
        below = await provider.snapshot(name, SnapshotKind.BASE)
    async with box(fixture, below.id) as name:
        await provider.exec(name, ("sh", "-ec", "rm -r a; mkdir -p a; echo 4 >a/h; rm x; chmod 700 c; echo 5 >>c/g"))
        live = await provider.snapshot(name, SnapshotKind.TURN)
        await provider.terminate(name)
        last = await provider.last_state(name)
    assert last is not None
    shown = "find . | sort; cat a/h c/g; readlink link; stat -c %a c"
    for snapshot in (live, last):
        async with box(fixture, snapshot.id) as name:
            done = await provider.exec(name, ("sh", "-c", shown))
            expect(done.stdout == b".\n./a\n./a/h\n./c\n./c/g\n./link\n4\n2\n5\nc\n700\n", f"files are right: {done}")
    await forget(provider, live, last, below)


@check
async def a_box_that_somebody_needs_now_goes_on_at_once(fixture: ProviderFixture) -> None:
    provider, hurry = fixture.provider, Event()
    hurry.set()
    async with box(fixture) as name:
        await write(provider, name, "kept", "words")
        with contextlib.suppress(Hurried):  # a place where no box stands still may take its time
            await provider.snapshot(name, SnapshotKind.TURN, "turn 1", hurry)
        expect(await read(provider, name, "kept") == "words", "the box goes on")
        taken = await provider.snapshot(name, SnapshotKind.TURN, "turn 1", Event())
    async with box(fixture, taken.id) as name:
        expect(await read(provider, name, "kept") == "words", "what was given up can be had later")
    await forget(provider, taken)


@check
async def a_live_snapshot_lets_the_box_go_on(fixture: ProviderFixture) -> None:
    provider = fixture.provider
    async with box(fixture) as name:
        await write(provider, name, "f", "before")
        await provider.exec(name, ("sh", "-c", BACKGROUND))
        snapshot = await provider.snapshot(name, SnapshotKind.TURN)
        expect(snapshot.kind is SnapshotKind.TURN and snapshot.bytes >= 0, "a snapshot says what it is")
        await write(provider, name, "f", "after")
        moving = await provider.exec(name, ("sh", "-c", 'kill -0 "$(cat pid)" && ps -o stat= -p "$(cat pid)"'))
        expect(moving.code == 0 and moving.stdout[:1] != b"T", "processes go on after a snapshot")
    async with box(fixture, snapshot.id) as name:
        expect(await read(provider, name, "f") == "before", "a live snapshot holds the moment it was taken")
    await forget(provider, snapshot)


@check
async def the_same_moment_is_the_same_snapshot_and_the_next_has_what_changed(fixture: ProviderFixture) -> None:
    provider, tree = fixture.provider, "cat a b c/d 2>&1; readlink l"
    async with box(fixture) as name:
        await provider.exec(name, ("sh", "-ec", "mkdir c; echo 1 >a; echo 2 >b; echo 3 >c/d; ln -s a l; sleep 0.1"))
        asked = [provider.snapshot(name, SnapshotKind.TURN, "turn 1") for _ in range(3)]
        first = (await asyncio.gather(*asked))[0]
        await provider.exec(name, ("sh", "-ec", "rm b; echo 4 >c/d; touch -r a b; echo 5 >>a; ln -sf c/d l"))
        again = await provider.snapshot(name, SnapshotKind.TURN, "turn 1")
        expect(again.id == first.id, "asked again for the same moment, it is the same snapshot")
        second = await provider.snapshot(name, SnapshotKind.TURN, "turn 2")
        expect(second.id != first.id, "another moment is another snapshot")
    async with box(fixture, first.id) as one, box(fixture, second.id) as two:
        seen = [(await provider.exec(each, ("sh", "-c", tree))).stdout for each in (one, two)]
        expect(seen == [b"1\n2\n3\na\n", b"1\n5\n4\nc/d\n"], f"each snapshot has its moment: {seen}")
    await forget(provider, first)
    async with box(fixture, second.id) as two:
        expect(await read(provider, two, "a") == "1\n5\n", "a snapshot does not need the one before it")
    await forget(provider, second)


@check
async def a_forgotten_snapshot_grows_nothing_and_takes_nothing_along(fixture: ProviderFixture) -> None:
    provider = fixture.provider
    async with box(fixture) as name:
        await write(provider, name, "old", "1")
        below = await provider.snapshot(name, SnapshotKind.BASE)
    async with box(fixture, below.id) as name:
        await write(provider, name, "new", "2")
        above = await provider.snapshot(name, SnapshotKind.TURN)
        await provider.forget_snapshot(below.id)
        await provider.forget_snapshot(below.id)
        expect(await read(provider, name, "old") == "1", "a living box keeps the layers it stands on")
    refused = provider.create(BoxSpec(fresh_name(), fixture.greeting(), base=below.id))
    await refuses(refused, Permanent, "nothing grows from a forgotten snapshot")
    async with box(fixture, above.id) as name:
        both = await read(provider, name, "old") + await read(provider, name, "new")
        expect(both == "12", "a snapshot keeps the layers that it grew from")
    await forget(provider, above)
