"""The moments of a session at which something is killed, each brought about and recognised by what can be seen.

Each `reach` asks for something in a thread and holds the session where the moment is, for as long as its context is
open: by processes that are stopped, a forge that is slow, an agent at something that takes its time. Nothing here goes
by the clock. `boxed` says whether there is a box to kill.
"""

import asyncio
import contextlib
import fcntl
import struct
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from jobs.commands import BeginPark, FailPark
from jobs.events import Event
from jobs.operations import park_box
from jobs.session import Session, Status
from tests.e2e.people import Thread, until
from tests.kills.site import WEBS, Site, agent_of, frozen, runner_of

SECONDS = 60.0
TRIES = 12
ASK_SECONDS = 6.0
CALM_LOOKS = 4
Reach = Callable[[Site, str], AbstractAsyncContextManager[Thread]]


@dataclass(frozen=True)
class Moment:
    """`reach` brings a new thread there, with a word of its own; `boxed`: likewise when the box is to be killed."""

    name: str
    reach: Reach
    boxed: Reach | None


@asynccontextmanager
async def _queued(site: Site, word: str) -> AsyncIterator[Thread]:
    with site.still("boxes"):
        thread = await _ask(site, word)
        await thread.until(lambda s: s.status is Status.WAITING, SECONDS)
        yield thread


@asynccontextmanager
async def _booting(site: Site, word: str) -> AsyncIterator[Thread]:
    """The worker has said that it begins, and is stopped before it can say that it is done."""
    for attempt in range(TRIES):
        thread = None
        async with _caught(site, Status.BOOTING, ("boxes",)) as caught:
            thread = await _ask(site, f"{word}.{attempt}")
            if await caught(thread, Status.BOOTING):
                yield thread
                return
        await thread.settled(seconds=SECONDS)
    raise AssertionError(f"no worker was caught while it made a box, in {TRIES} tries")


@asynccontextmanager
async def _connecting(site: Site, word: str) -> AsyncIterator[Thread]:
    """There is a box whose runner reaches nobody."""
    for attempt in range(TRIES):
        async with _caught(site, Status.BOOTING, WEBS) as caught:
            thread = await _ask(site, f"{word}.{attempt}")
            if await caught(thread, Status.CONNECTING):
                yield thread
                return
        await thread.settled(seconds=SECONDS)
    raise AssertionError(f"no runner was caught before it attached, in {TRIES} tries")


@asynccontextmanager
async def _starting(site: Site, word: str) -> AsyncIterator[Thread]:
    """The agent stands still before it has said that it can be prompted, and the repository comes slowly."""
    await site.office.forge(slow=1.5)
    for attempt in range(TRIES):
        thread = await _ask(site, f"{word}.{attempt}")
        agent = await until(lambda thread=thread: _first_agent(site, thread), bool, SECONDS)  # type: ignore[misc]
        with frozen([agent]):
            session = await thread.until(lambda s: s.status in (Status.PREPARING, Status.IDLE, Status.WORKING), SECONDS)
            if session.status is Status.PREPARING:
                yield thread
                return
        await thread.settled(seconds=SECONDS)
    raise AssertionError(f"no agent was caught while it started, in {TRIES} tries")


async def _first_agent(site: Site, thread: Thread) -> int | None:
    """The agent in the box of the session's first start, which may not be on record yet."""
    return agent_of(site.box(f"{thread.sid}-1"))


@asynccontextmanager
async def _in_text(site: Site, word: str) -> AsyncIterator[Thread]:
    thread = await site.office.ada.says(f"@shipmate count slowly to 2 for {word}")
    await said(thread, " 3,")
    yield thread


@asynccontextmanager
async def _in_tool(site: Site, word: str) -> AsyncIterator[Thread]:
    thread = await site.office.ada.says(f"@shipmate run a slow command for 1.5 seconds, {word}")
    await _logged(thread, lambda event: event.kind == "step_started" and "sleep" in event.title)
    yield thread


@asynccontextmanager
async def _asking(site: Site, word: str) -> AsyncIterator[Thread]:
    """The agent has asked whether it may write, and its runner, which stands still, has not heard it."""
    for attempt in range(TRIES):
        thread = await site.office.ada.says(f"@shipmate fix the failing test, {word}.{attempt}")
        await _logged(thread, lambda event: event.kind == "step_started" and event.title.startswith("Read "))
        session = await thread.session()
        assert session is not None
        runner, agent = runner_of(site.box(session.box)), agent_of(site.box(session.box))
        assert runner is not None and agent is not None
        with frozen([runner]):
            if await _asks(agent):
                yield thread
                return
        await thread.settled(seconds=SECONDS)
    raise AssertionError(f"no agent was caught while it asked, in {TRIES} tries")


async def _asks(agent: int) -> bool:
    """Whether the agent waits for an answer of its runner; False: it had no more to ask when that stood still."""
    try:
        return await until(lambda: _unread(agent), bool, ASK_SECONDS) > 0
    except AssertionError:
        return False


async def _unread(agent: int) -> int:
    """How much the agent has written that nobody has read; 0 while it still writes."""
    before = _pipe(agent)
    for _ in range(CALM_LOOKS):
        await asyncio.sleep(0.1)
        if _pipe(agent) != before:
            return 0
    return before


def _pipe(agent: int) -> int:
    with Path(f"/proc/{agent}/fd/1").open("rb", buffering=0) as out:
        return int(struct.unpack("i", fcntl.ioctl(out, termios.FIONREAD, b"\0\0\0\0"))[0])


@asynccontextmanager
async def _pushing(site: Site, word: str) -> AsyncIterator[Thread]:
    """The gateway has the push and hands it to a slow forge."""
    thread = await _warm(site)
    quarantines = site.office.stack.settings.jobs.data_dir / "git/quarantine"
    before = set(quarantines.glob("push-*"))
    await site.office.forge(slow=1.0)
    await site.office.ada.replies(thread, f"add a line to the README saying {word}")

    async def under_way() -> set[Path]:
        return set(quarantines.glob("push-*")) - before

    await until(under_way, bool, SECONDS)
    yield thread


@asynccontextmanager
async def _publishing(site: Site, word: str) -> AsyncIterator[Thread]:
    """A worker is at the pull request, and the forge is slow."""
    thread = await _warm(site)
    await site.office.forge(slow=0.7)
    await site.office.ada.replies(thread, f"add a line to the README saying {word}")
    await thread.until(lambda s: s.publish_began is not None, SECONDS)
    yield thread


@asynccontextmanager
async def _parking(site: Site, word: str) -> AsyncIterator[Thread]:
    """A worker waits for a runner that is told to end and does not."""
    thread = await _ask(site, word)
    session = await thread.settled(seconds=SECONDS)
    runner = runner_of(site.box(session.box))
    assert runner is not None
    with frozen([runner]):
        for so_far in (BeginPark(session.generation), FailPark(session.generation, "it is tried again", 0.0)):
            await site.office.shop.inbox.handle(session.id, so_far)
        await thread.until(lambda s: s.status is Status.PARKING and not s.retry_at, SECONDS)
        yield thread


def _restoring(programs: tuple[str, ...], status: Status) -> Reach:
    """As for a new session, with what an earlier box left."""

    @asynccontextmanager
    async def reach(site: Site, word: str) -> AsyncIterator[Thread]:
        thread = await _ask(site, word)
        for attempt in range(TRIES):
            session = await thread.settled(prompts=attempt + 1, seconds=SECONDS)
            await park_box(site.office.shop, session.id)
            async with _caught(site, Status.BOOTING, programs) as caught:
                await site.office.ada.replies(thread, "what is this repository?")
                if await caught(thread, status):
                    yield thread
                    return
        raise AssertionError(f"nobody was caught while a box was restored, in {TRIES} tries")

    return reach


MOMENTS = (
    Moment("queued", _queued, None),
    Moment("box booting", _booting, _connecting),
    Moment("agent starting", _starting, _starting),
    Moment("mid-text", _in_text, _in_text),
    Moment("mid-tool", _in_tool, _in_tool),
    Moment("permission parked", _asking, _asking),
    Moment("pushing", _pushing, _pushing),
    Moment("publishing", _publishing, _publishing),
    Moment("parking", _parking, _parking),
    Moment("restoring", _restoring(("boxes",), Status.BOOTING), _restoring(WEBS, Status.CONNECTING)),
)


# -- how a moment is brought about -------------------------------------------------------------------------------------


async def _ask(site: Site, word: str) -> Thread:
    return await site.office.ada.says(f"@shipmate add a line to the README saying {word}")


async def _warm(site: Site) -> Thread:
    thread = await site.office.ada.says("@shipmate what is this repository?")
    await thread.settled(seconds=SECONDS)
    return thread


async def _logged(thread: Thread, true_of: Callable[[Event], bool]) -> None:
    await until(thread.log, lambda log: any(true_of(event) for event in log), SECONDS)


async def said(thread: Thread, words: str) -> str:
    """All that the agent has said, once these words are in it."""

    async def everything() -> str:
        entries = await thread.office.shop.store.transcript(thread.sid, limit=100_000)
        return "".join(str(entry.body.get("text", "")) for entry in entries if entry.kind == "text")

    return await until(everything, lambda text: words in text, SECONDS)


Caught = Callable[[Thread, Status], Awaitable[bool]]


@asynccontextmanager
async def _caught(site: Site, status: Status, programs: tuple[str, ...]) -> AsyncIterator[Caught]:
    """Stops these programs in the moment in which some session gets this status. What it gives waits for a thread's
    session to be where it should be then; False: it had got further before they stood still."""
    stopped: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    with contextlib.ExitStack() as held:
        watching = asyncio.create_task(_stop_at(site, status, programs, stopped, held))

        async def caught(thread: Thread, wanted: Status) -> bool:
            async with asyncio.timeout(SECONDS):
                await asyncio.shield(stopped)
            before = {Status.WAITING, Status.ASLEEP, status} - {wanted}
            session = await thread.until(lambda s: s.status not in before, SECONDS)
            return session.status is wanted

        try:
            yield caught
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _stop_at(
    site: Site, status: Status, programs: tuple[str, ...], stopped: "asyncio.Future[str]", held: contextlib.ExitStack
) -> None:
    store = site.office.shop.store
    async for sid in store.bells():
        session: Session | None = await store.load(sid)
        if session is not None and session.status is status:
            held.enter_context(site.still(*programs))
            stopped.set_result(sid)
            return
