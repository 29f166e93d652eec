"""What the checks of a provider are made of: a box for a moment, its files, and promises that are kept or not.

`conformance.py` and `conformance_snapshots.py` are written with it.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sandbox.provider import BoxSpec, Provider, ProviderFixture, Snapshot

Check = Callable[[ProviderFixture], Awaitable[None]]
CHECKS: list[Check] = []
DEADLINE = 20.0


class Violation(AssertionError):
    """The provider does not keep a promise."""


def check(function: Check) -> Check:
    """Add a check to the list."""
    CHECKS.append(function)
    return function


def expect(kept: bool, promise: str) -> None:
    """Raise Violation unless the promise is kept."""
    if not kept:
        raise Violation(promise)


def fresh_name() -> str:
    """A name that no box has had."""
    return f"check-{secrets.token_hex(6)}"


@asynccontextmanager
async def box(fixture: ProviderFixture, base: str | None = None) -> AsyncIterator[str]:
    """A new box, gone afterwards."""
    name = fresh_name()
    await fixture.provider.create(BoxSpec(name, fixture.greeting(), base=base, labels={"check": name}))
    try:
        yield name
    finally:
        await fixture.provider.discard(name)


async def write(provider: Provider, name: str, path: str, text: str) -> None:
    """Write a file in a box."""
    done = await provider.exec(name, ("tee", path), stdin=text.encode())
    expect(done.code == 0, f"tee {path} works: {done.stderr!r}")


async def read(provider: Provider, name: str, path: str) -> str:
    """Read a file of a box; empty if there is none."""
    return (await provider.exec(name, ("cat", path))).stdout.decode()


async def forget(provider: Provider, *snapshots: Snapshot | None) -> None:
    """Let go of snapshots."""
    for snapshot in snapshots:
        if snapshot is not None:
            await provider.forget_snapshot(snapshot.id)


async def refuses(call: Awaitable[object], error: type[Exception], promise: str) -> None:
    """Expect `error` of a call."""
    try:
        await call
    except error:
        return
    raise Violation(promise)
