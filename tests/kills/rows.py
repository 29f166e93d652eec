"""One cell of the kill table: a session brought to a moment, a victim killed, a person going on, everything checked."""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from jobs import events as e
from tests.e2e.people import Thread
from tests.kills.checker import Before, begun_anew, check
from tests.kills.moments import Moment
from tests.kills.signs import Signs
from tests.kills.site import Site
from tests.kills.victims import Victim

SETTLE_SECONDS = 150.0


@dataclass(frozen=True)
class Row:
    """What came of one kill. `delivered`: how often a prompt was delivered at most; `seconds_to_recover`: from when a
    control process was up again, or from the kill of what is not started again, to the next thing that happened;
    `seconds_silent`: from the kill to it."""

    victim: str
    moment: str
    delivered: int
    events_lost: int
    events_doubled: int
    posts_lost: int
    posts_doubled: int
    commits_lost: int
    turn_ended: bool
    seconds_to_recover: float
    seconds_silent: float = 0.0
    outcomes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


async def play(site: Site, victim: Victim, moment: Moment, word: str) -> Row | None:
    """Kill this one at this moment; None if he does not live then. `word` is put into what is asked for."""
    reach = moment.boxed if victim.boxed else moment.reach
    if reach is None:
        return None
    async with AsyncExitStack() as watched:
        async with reach(site, word) as thread:
            before = await Before.of(thread)
            signs = await watched.enter_async_context(Signs.watched(thread, len(before.log)))
            killed = await victim.kill(site, thread)
            up = asyncio.create_task(_back(site, victim, killed))
            watched.callback(up.cancel)
        await site.quiet()
        thread = site.thread(thread)
        await site.office.grace.replies(thread, f"add a line to the README saying {word} after")
        began = await up
        asked = [said for said in await thread.messages() if said.who not in ("shipmate", "Slack")]
        await thread.settled(prompts=len(asked), seconds=SETTLE_SECONDS)
        sign = await _next_sign(thread, signs, killed, victim.boxed)
    seconds = (round(max(0.0, sign - began), 2), round(sign - killed, 2))
    return await _judged(thread, before, victim, moment, seconds)


async def _back(site: Site, victim: Victim, killed: float) -> float:
    """When it was up again; for what is not started again, when it was killed."""
    if victim.boxed:
        return killed
    await victim.back(site)
    return time.time()


async def _next_sign(thread: Thread, signs: Signs, killed: float, boxed: bool) -> float:
    """When the next thing came on record that is not somebody's message, nor what a box said before it was killed."""
    told = (e.PromptReceived, e.TaskRestated, e.PlanUpdated, e.StepStarted) if boxed else (e.PromptReceived,)
    times = signs.after(killed, besides=told)
    if not boxed:
        entries = await thread.office.shop.store.transcript(thread.sid, limit=100_000)
        times += [at for entry in entries if (at := int(entry.id.partition("-")[0]) / 1000) > killed]
    return min(times)


async def _judged(thread: Thread, before: Before, victim: Victim, moment: Moment, seconds: tuple[float, float]) -> Row:
    faults = await check(thread, before)
    log = await thread.log()
    delivered = [(event.turn, event.prompt_id) for event in log if isinstance(event, e.PromptDelivered)]
    anew = begun_anew(log)
    deliveries = [prompt for turn, prompt in delivered for _ in range(2 if turn in anew else 1)]
    return Row(
        victim=victim.name,
        moment=moment.name,
        delivered=max(deliveries.count(prompt) for prompt in deliveries),
        events_lost=len(faults.events_lost),
        events_doubled=len(faults.events_doubled),
        posts_lost=len(faults.posts_lost),
        posts_doubled=len(faults.posts_doubled),
        commits_lost=len(faults.commits_lost),
        turn_ended=not faults.unended,
        seconds_to_recover=seconds[0],
        seconds_silent=seconds[1],
        outcomes=[event.outcome for event in log if isinstance(event, e.TurnEnded)],
        faults=faults.all(),
    )
