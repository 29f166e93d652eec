"""What takes long at a place far away holds up nothing else, and is not begun twice."""

import asyncio
import dataclasses

from jobs.beside import Beside
from jobs.upkeep import ORPHAN_SECONDS, Upkeep
from sandbox.provider import BoxSpec, BoxState
from sandbox.side_by_side import HERE, SideBySide
from tests.jobs.shop import Bench, Interrupted
from tests.jobs.test_places_apart import IDLE, at

__all__ = ["at"]


async def test_an_orphan_at_a_place_that_does_not_answer_holds_up_no_other(at: Bench) -> None:
    near, far = (at.provider._real._places[name] for name in (HERE, "modal"))  # type: ignore[attr-defined]
    mute, asked, answers = Interrupted(far), [0], asyncio.Event()

    async def wait() -> None:
        asked[0] += 1
        await answers.wait()

    mute.before["terminate"] = wait
    both = SideBySide({HERE: near, "modal": mute})  # type: ignore[dict-item]
    at.shop = dataclasses.replace(at.shop, provider=both)
    await at.ask()
    names = (f"{at.sid}-7", f"modal-{at.sid}-8")
    for name in names:
        await both.create(BoxSpec(name, IDLE, labels={"session": at.sid, "generation": "7"}))
    at.clock.ahead = ORPHAN_SECONDS + 1
    upkeep = Upkeep(at.shop)
    async with asyncio.timeout(20):
        while (await both.status(names[0])).state is not BoxState.GONE or not asked[0]:
            await upkeep.look()
        await upkeep.look()
        assert asked == [1] and (await both.status(names[1])).state is BoxState.RUNNING
        answers.set()
        await upkeep.sweep()
    assert await both.list() == []


async def test_one_that_goes_wrong_leaves_the_others_alone_and_all_of_it_can_be_given_up() -> None:
    beside, done, began = Beside(), [], asyncio.Event()

    async def do(item: str) -> None:
        if item == "bad":
            raise ValueError(item)
        done.append(item)

    async def never(_: str) -> None:
        began.set()
        await asyncio.Event().wait()

    beside.begin("a", ["bad", "good", "modal-good"], str, do)
    await beside.done()
    assert sorted(done) == ["good", "modal-good"]
    beside.begin("b", ["one"], str, never)
    await began.wait()
    await beside.end()
    await asyncio.gather(beside.done(), return_exceptions=True)
