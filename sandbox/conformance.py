"""What every provider must do, as small checks that run against the real thing. Test suites go through `CHECKS`.

A check gets a `ProviderFixture`, makes boxes with fresh names, and raises `Violation` with a sentence if a promise of
`sandbox/provider.py` is not kept. It cleans up after itself. `conformance_snapshots.py` has more of them.
"""

import asyncio
import time

from sandbox import conformance_snapshots
from sandbox.promises import (
    CHECKS,
    DEADLINE,
    Check,
    Violation,
    box,
    check,
    expect,
    forget,
    fresh_name,
    read,
    refuses,
    write,
)
from sandbox.provider import BoxSpec, BoxState, Gone, Permanent, ProviderFixture, SnapshotKind

__all__ = ["CHECKS", "Check", "Violation", "conformance_snapshots", "expect"]


@check
async def a_new_box_runs_and_is_listed_with_its_labels(fixture: ProviderFixture) -> None:
    provider, before = fixture.provider, time.time()
    async with box(fixture) as name:
        info = await provider.status(name)
        expect(info.state is BoxState.RUNNING, "a new box runs")
        expect(info.labels == {"check": name}, "a box keeps its labels")
        expect(before - 5 < info.born < time.time() + 5, "a box knows when it was born")
        expect(name in [listed.name for listed in await provider.list()], "a running box is listed")
    expect((await provider.status(name)).state is BoxState.GONE, "a discarded box is gone")
    expect(name not in [listed.name for listed in await provider.list()], "a discarded box is not listed")


@check
async def an_unknown_box_is_gone_and_no_error(fixture: ProviderFixture) -> None:
    provider, name = fixture.provider, fresh_name()
    expect((await provider.status(name)).state is BoxState.GONE, "an unknown box is gone")
    await provider.terminate(name)
    await provider.discard(name)
    expect(await provider.last_state(name) is None, "an unknown box left nothing")
    await refuses(provider.exec(name, ("true",)), Gone, "exec in an unknown box raises Gone")
    await refuses(provider.snapshot(name, SnapshotKind.TURN), Gone, "a snapshot of an unknown box raises Gone")


@check
async def a_command_runs_in_the_repository_and_tells_how_it_ended(fixture: ProviderFixture) -> None:
    provider = fixture.provider
    async with box(fixture) as name:
        done = await provider.exec(name, ("sh", "-c", "pwd; echo oops >&2; exit 3"))
        expect(done.code == 3, "the exit code is the command's")
        expect(done.stdout.strip().endswith(b"work/repo"), "a command runs in the repository's folder")
        expect(done.stderr == b"oops\n" and not done.truncated, "both outputs come back apart")
        killed = await provider.exec(name, ("sh", "-c", "kill -9 $$"))
        expect(killed.code == -9, "a signal is a negative code")
        missing = await provider.exec(name, ("there-is-no-such-program",))
        expect(missing.code != 0, "a missing program is a failed command, not a failed box")


@check
async def a_command_reads_its_stdin_whole(fixture: ProviderFixture) -> None:
    sent = bytes(range(256)) * 4096
    async with box(fixture) as name:
        done = await fixture.provider.exec(name, ("cat",), stdin=sent)
        expect(done.stdout == sent, "a megabyte of any bytes comes back as it was sent")


@check
async def a_command_is_cut_short_in_time_and_output(fixture: ProviderFixture) -> None:
    provider = fixture.provider
    async with box(fixture) as name:
        began = time.monotonic()
        late = await provider.exec(name, ("sleep", "300"), timeout=0.3)
        expect(late.code < 0 and time.monotonic() - began < DEADLINE, "a command that takes too long is killed")
        long = await provider.exec(name, ("sh", "-c", "yes | head -c 100000"), limit=1000)
        expect(
            long.truncated and len(long.stdout) == 1000 and long.code == 0, "output is cut at the limit, and said so"
        )


@check
async def an_ended_box_is_dead_until_it_is_discarded(fixture: ProviderFixture) -> None:
    provider = fixture.provider
    async with box(fixture) as name:
        await provider.terminate(name)
        expect((await provider.status(name)).state is BoxState.DEAD, "a terminated box is dead at once")
        await provider.terminate(name)
        expect(name in [listed.name for listed in await provider.list()], "a dead box is listed")
        await refuses(provider.exec(name, ("true",)), Gone, "exec in a dead box raises Gone")
        await refuses(provider.snapshot(name, SnapshotKind.TURN), Gone, "a live snapshot of a dead box raises Gone")
        again = BoxSpec(name, fixture.greeting())
        await refuses(provider.create(again), Permanent, "the name of a box that has ended is not used again")


@check
async def terminate_is_kind_first_and_then_not(fixture: ProviderFixture) -> None:
    provider = fixture.provider
    async with box(fixture) as kind, box(fixture) as stubborn:
        await provider.exec(kind, ("true",))  # its runner listens to signals now
        await provider.terminate(kind)
        expect((await provider.status(kind)).exit_code == 0, "a runner that is told to end exits with 0")
        await provider.exec(stubborn, ("sh", "-c", "setsid sleep 300 >/dev/null 2>&1 &"))
        began = time.monotonic()
        await provider.terminate(stubborn, grace=0.0)
        expect(time.monotonic() - began < DEADLINE, "without grace a box ends at once")
        expect((await provider.status(stubborn)).exit_code != 0, "a killed box did not end well")


@check
async def two_makers_of_one_name_make_one_box(fixture: ProviderFixture) -> None:
    provider, name = fixture.provider, fresh_name()
    spec = BoxSpec(name, fixture.greeting())
    try:
        made = await asyncio.gather(*(provider.create(spec) for _ in range(4)))
        expect({info.name for info in made} == {name}, "all makers are told of the one box")
        expect(all(info.state is BoxState.RUNNING for info in made), "whoever comes second adopts it")
        await write(provider, name, "f", "x")
        adopted = await provider.create(spec)
        expect(adopted.born == made[0].born, "a box that lives is adopted, not made again")
        expect(await read(provider, name, "f") == "x", "an adopted box goes on")
    finally:
        await provider.discard(name)


@check
async def a_box_outlives_its_maker(fixture: ProviderFixture) -> None:
    provider, name = fixture.provider, fresh_name()
    process = await asyncio.create_subprocess_exec(*fixture.maker(name))
    try:
        expect(await process.wait() != 0, "the maker died")
        expect((await provider.status(name)).state is BoxState.RUNNING, "a box lives on when its maker dies")
        expect((await provider.exec(name, ("true",))).code == 0, "another process may use it")
        await provider.terminate(name)
        expect(await provider.last_state(name) is not None, "another process may end it and keep what it left")
    finally:
        left = await provider.last_state(name)
        await provider.discard(name)
        await forget(provider, left)


@check
async def what_is_wrongly_asked_is_refused_for_good(fixture: ProviderFixture) -> None:
    provider, greeting = fixture.provider, fixture.greeting()
    for name in ("", "Upper", "../escape", "a" * 49, "a/b", "-flag", "a b", "a\n"):
        await refuses(provider.create(BoxSpec(name, greeting)), Permanent, f"{name!r} is no name")
    for base in ("no-such-snapshot", "../..", "0" * 16):
        refused = provider.create(BoxSpec(fresh_name(), greeting, base=base))
        await refuses(refused, Permanent, f"there is no snapshot {base!r}")
        await provider.forget_snapshot(base)
    await refuses(provider.create(BoxSpec(fresh_name(), b"no newline")), Permanent, "a greeting is a line")
