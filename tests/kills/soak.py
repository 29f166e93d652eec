"""`make soak`: random kills, round after round, while five sessions are at work; all of them are checked each time.

The seed decides who is killed, after how many events, and what people ask for meanwhile; what the machine does in
between is its own affair, so a seed makes a run likely to happen again, not certain. Exit code 1 if anything was wrong.
"""

import argparse
import asyncio
import logging
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs.operations import park_box
from tests.e2e.people import Thread
from tests.kills.checker import Before, check
from tests.kills.site import Site
from tests.kills.victims import SECONDS, VICTIMS, Victim

SESSIONS = 5
PROMPTS_MOST = 8  # then another session takes the place of one
EVENTS_MOST = 25
SETTLE_SECONDS = 180.0
ASKS = (
    "add a line to the README saying {word}",
    "add a line to the README saying {word}",
    "count slowly to 1.5",
    "run a slow command for 1 seconds",
    "what is this repository?",
)


@dataclass
class Soak:
    """What came of the rounds so far."""

    rounds: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    prompts: int = 0
    sessions: int = 0
    slowest: float = 0.0
    faults: list[str] = field(default_factory=list)

    def lines(self) -> str:
        """The summary."""
        killed = ", ".join(f"{name} {times}" for name, times in sorted(self.kills.items()))
        return (
            f"{self.rounds} rounds, {sum(self.kills.values())} kills ({killed})\n"
            f"{self.sessions} sessions, {self.prompts} prompts; the slowest round took {self.slowest:.1f} s\n"
            f"{len(self.faults)} faults"
        )


def main() -> int:
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(prog="python -m tests.kills.soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    soak = asyncio.run(run(args.rounds, args.seed))
    print(f"\nseed {args.seed}\n{soak.lines()}", flush=True)
    return 1 if soak.faults else 0


async def run(rounds: int, seed: int) -> Soak:
    """A site of its own, so many rounds."""
    soak = Soak()
    async with Site.open() as site:
        await rounds_on(site, soak, rounds, random.Random(seed))
    return soak


async def rounds_on(
    site: Site,
    soak: Soak,
    rounds: int,
    rng: random.Random,
    victims: Sequence[Victim] = VICTIMS,
    sessions: int = SESSIONS,
) -> None:
    """Play rounds on this site; what is wrong is in `soak` and said at once."""
    threads: list[Thread] = []
    for number in range(rounds):
        threads = [site.thread(thread) for thread in threads]
        if len(threads) == sessions and await _is_old(threads[0]):
            await park_box(site.office.shop, threads.pop(0).sid)
        before = [await Before.of(thread) for thread in threads]
        began = time.monotonic()
        threads = await _ask_all(site, threads, rng, f"soak{number}", sessions)
        victim, target = rng.choice(victims), rng.choice(threads)
        await _some_events(site, rng.randint(1, EVENTS_MOST))
        await _kill(site, victim, target, soak)
        threads = [site.thread(thread) for thread in threads]
        faults = await _all_checked(threads, before)
        soak.rounds += 1
        soak.prompts += len(threads)
        soak.sessions += len(threads) - len(before)
        soak.slowest = max(soak.slowest, time.monotonic() - began)
        soak.faults += [f"round {number}, {victim.name}: {fault}" for fault in faults]
        print(f"{number:4} {victim.name:18} {time.monotonic() - began:6.1f} s", *faults, sep="\n     ", flush=True)


async def _is_old(thread: Thread) -> bool:
    session = await thread.session()
    return session is not None and len(session.seen) >= PROMPTS_MOST


async def _ask_all(site: Site, threads: list[Thread], rng: random.Random, word: str, sessions: int) -> list[Thread]:
    """Somebody asks for something in every thread; the threads, with new ones where there were too few."""
    asked = []
    for number in range(sessions):
        words = rng.choice(ASKS).format(word=f"{word}.{number}")
        who = rng.choice((site.office.ada, site.office.grace))
        if number < len(threads):
            await who.replies(threads[number], words)
            asked.append(threads[number])
        else:
            asked.append(await who.says(f"@shipmate {words}"))
    return asked


async def _some_events(site: Site, count: int) -> None:
    """Until so much has happened in all sessions together, or nothing happens any more."""
    bells = site.office.shop.store.bells()
    try:
        async with asyncio.timeout(10):
            for _ in range(count):
                await anext(bells)
    except TimeoutError:
        return
    finally:
        await bells.aclose()  # type: ignore[attr-defined]


async def _kill(site: Site, victim: Victim, target: Thread, soak: Soak) -> None:
    """Kill; a box that has no process just now cannot be killed."""
    soak.kills[victim.name] += 1
    session = await target.session()
    if victim.boxed and (session is None or session.box is None):
        site.kill("web", "web2", "boxes")
    else:
        async with asyncio.timeout(SECONDS):
            await victim.kill(site, target)
    await site.quiet()
    await victim.back(site)


async def _all_checked(threads: list[Thread], before: list[Before]) -> list[str]:
    """What is wrong with any of them once all are at rest."""
    faults = []
    for number, thread in enumerate(threads):
        asked = [said for said in await thread.messages() if said.who not in ("shipmate", "Slack")]
        try:
            await thread.settled(prompts=len(asked), seconds=SETTLE_SECONDS)
        except AssertionError as stuck:
            faults.append(f"{thread.sid} came to no rest: {str(stuck)[:600]}")
            continue
        found = await check(thread, before[number] if number < len(before) else Before())
        faults += [f"{thread.sid} {fault}" for fault in found.all()]
    return faults


if __name__ == "__main__":
    sys.exit(main())
