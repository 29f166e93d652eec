"""What is begun before anybody asks for it, and that nobody waits for it or fails with it."""

import asyncio

from bot.ahead import LookAhead
from jobs import commands as c
from jobs import events as e
from jobs.claims import claimed
from jobs.fold import fold
from jobs.records import Offer
from jobs.session import Session
from tests.logs import ADA, SID, Log


class Below:
    """The floor below: answers every command with one session. What was begun is in `begun`."""

    def __init__(self, session: Session) -> None:
        self.session, self.begun = session, list[str]()
        self.door = LookAhead(self, lambda name: self.begun.append(f"fetch {name}"), self.warm_up, self.watch)

    async def handle(self, sid: str, command: c.Command) -> Session:
        return self.session

    async def warm_up(self, repository: str, reason: str) -> None:
        self.begun.append(f"warm {repository}")
        raise RuntimeError("nobody may notice")

    async def watch(self, session: Session) -> None:
        self.begun.append(f"watch {session.box}")
        await asyncio.Event().wait()

    async def after(self, command: c.Command) -> list[str]:
        assert await self.door.handle(SID, command) is self.session
        await asyncio.sleep(0)
        await self.door.close()
        return self.begun


def submit() -> c.Submit:
    event = Log().ask().events[-1]
    assert isinstance(event, e.PromptReceived)
    return c.Submit(SID, Log().place, event.prompt, c.Choice("acme/rocket", "main"), "rehearsal")


def session(repository: str | None = "acme/rocket") -> Session:
    found = Log().ask(repository=repository).session
    assert found is not None
    return found


def taken() -> Session:
    before = session()
    offer = Offer("warm-1", "acme/rocket", "rehearsal", None, True, "", "")
    after = fold(claimed(before, offer, before.since), before)
    assert after is not None
    return after


async def test_a_box_that_is_to_be_made_has_its_repository_fetched_meanwhile() -> None:
    assert await Below(session()).after(submit()) == ["fetch acme/rocket"]


async def test_a_warm_box_that_was_taken_is_watched_as_well() -> None:
    assert await Below(taken()).after(submit()) == ["fetch acme/rocket", "watch warm-1"]


async def test_while_people_are_asked_the_likeliest_repository_is_warmed_up() -> None:
    assert await Below(session(repository=None)).after(submit()) == ["warm acme/rocket"]


async def test_other_commands_begin_nothing() -> None:
    assert await Below(session()).after(c.Stop(ADA)) == []
