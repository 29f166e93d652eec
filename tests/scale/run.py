"""The measures, one after the other in one town: a burst, many alive, prompts, words, web killed. For `__main__`.

Times are seconds, sizes bytes. A share of processor is of one core.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs import events as e
from jobs.events import Event
from tests.bench.measure import percentile
from tests.scale.town import CREATES, Town, until

IDLE_SECONDS = 30.0  # whatever is done now and then is done in it: nothing comes less often but once a minute
SETTLE_SECONDS, WAVE, FILL_LOOK_SECONDS = 10.0, 150, 0.3
PATIENCE, QUIET_SECONDS, RECOVERY_SECONDS = 600.0, 120.0, 300.0
SLACKS_PATIENCE = 420.0  # beyond the last mention: what was not taken is delivered again after 0, 60 and 300 s
PROMPTS, TALKERS, WORDS, TALK_SECONDS = 100, 100, 5.0, 10.0


@dataclass(frozen=True)
class Measure:
    """One line: what, how much, of which unit, and how it came about."""

    name: str
    value: float
    unit: str
    note: str = ""


@dataclass
class Run:
    """What was measured so far."""

    town: Town
    a_second: float
    measures: list[Measure] = field(default_factory=list)
    sids: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str, note: str = "") -> None:
        """One more line, printed at once."""
        self.measures.append(Measure(name, round(value, 3), unit, note))
        print(f"  {name:<44}{value:>14.2f} {unit:<11}{note}", flush=True)


async def everything(town: Town, burst: int, alive: int, a_second: float, fill_seconds: float) -> list[Measure]:
    """All of it. `a_second`: how many people mention us in a second of a burst; `fill_seconds`: the most that it may
    take until as many as wanted are alive."""
    run = Run(town, a_second)
    await started(run, burst)
    await filled(run, alive, time.monotonic() + fill_seconds)
    await at_rest(run)
    await prompts(run)
    await words(run)
    await web_killed(run)
    return run.measures


async def started(run: Run, burst: int) -> None:
    """So many people ask at once; how long each waits for a box, and whether who asked first has it first."""
    memory, web = await run.town.memory(), run.town.programs()["web"].rss
    began = time.monotonic()
    await more(run, burst)
    took = time.monotonic() - began
    made = [moments(await run.town.shop.store.events(sid)) for sid in run.sids]
    stats = await run.town.cloud.stats()
    run.add("burst: sessions", burst, "", f"{run.a_second:g} mentions a second")
    run.add("burst: first mention → all turns done", took, "s", f"{burst / took:.1f} sessions/s")
    for name, moment in (("box made", "box"), ("prompt delivered", "delivered")):
        waits = [one[moment] - one["asked"] for one in made]
        for share in (0.5, 0.95, 1.0):
            run.add(f"burst: asked → {name}, p{share * 100:.0f}", percentile(waits, share), "s")
    run.add(
        "burst: creates under way at once, at most", stats["at_once"].get("SandboxCreateV2", 0), "", f"of {CREATES}"
    )
    run.add("burst: overtaken by, at most", overtaken(made), "sessions", "who asked later and had a box before")
    run.add("burst: memory of Redis a session", (await run.town.memory() - memory) / burst, "bytes", "after one turn")
    run.add("burst: memory of web a session", (run.town.programs()["web"].rss - web) / burst, "bytes")


async def more(run: Run, count: int) -> None:
    """So many new threads, one soon after the other; returns when each has had its turn."""
    before, began = len(run.sids), time.monotonic()

    async def ask(number: int) -> str:
        await asyncio.sleep(max(0.0, began + (number - before) / run.a_second - time.monotonic()))
        return await run.town.mention(number)

    run.sids += await asyncio.gather(*(ask(before + number) for number in range(count)))
    wanted = len(run.sids)

    async def all_done() -> bool:
        return int((await run.town.held.do("count"))["turns"]) >= wanted

    try:
        await until(all_done, count / run.a_second + SLACKS_PATIENCE)
    except TimeoutError:
        taken = [session.id async for session in run.town.shop.store.counts.several(run.sids)]
        run.add(
            "not taken before Slack gave up",
            len(run.sids) - len(taken),
            "sessions",
            "it tries again after 0, 60, 300 s",
        )
        run.sids = taken


async def filled(run: Run, alive: int, end: float) -> None:
    """More sessions, from another client than Slack, `WAVE` under way at a time, until there are so many or time is
    over. Whoever does not get ready is said to be missing."""
    began, before, quiet_since = time.monotonic(), len(run.sids), time.monotonic()
    done = before
    while done < alive and time.monotonic() < end and time.monotonic() - quiet_since < QUIET_SECONDS:
        counted = int((await run.town.held.do("count"))["turns"])
        if counted > done:
            done, quiet_since = counted, time.monotonic()
        room = range(len(run.sids), min(alive, done + WAVE))
        run.sids += await asyncio.gather(*(run.town.ask_elsewhere(number) for number in room))
        await asyncio.sleep(FILL_LOOK_SECONDS)
    if done > before:
        took = time.monotonic() - began
        run.add("more, one after the other", done - before, "sessions", f"{(done - before) / took:.1f} a second")


def moments(events: Sequence[Event]) -> dict[str, float]:
    """When a session's first prompt was asked and delivered, and when its box was there."""
    found: dict[str, float] = {}
    for event in events:
        if isinstance(event, e.PromptReceived):
            found.setdefault("asked", event.prompt.received_at or event.at)
        elif isinstance(event, e.BoxStarted):
            found.setdefault("box", event.at)
        elif isinstance(event, e.PromptDelivered):
            found.setdefault("delivered", event.at)
    return found


def overtaken(made: Sequence[dict[str, float]]) -> int:
    """By how many that asked later the unluckiest was overtaken."""
    boxes = [one["box"] for one in sorted(made, key=lambda one: one["asked"])]
    return max(sum(later < box for later in boxes[place + 1 :]) for place, box in enumerate(boxes))


async def at_rest(run: Run) -> None:
    """All are alive and nobody says anything: what does it cost to be there?"""
    town = run.town
    await asyncio.sleep(SETTLE_SECONDS)  # what the last burst left to do is done
    calls, before, began = await town.calls(), town.programs(), time.monotonic()
    sweeps = await town.sweeps(IDLE_SECONDS)
    after, passed, later = town.programs(), time.monotonic() - began, await town.calls()
    counted = await town.held.do("count")
    run.add("alive: sessions", len(run.sids), "")
    run.add("alive: links attached", counted["attached"], "")
    for name in before:
        share = (after[name].cpu - before[name].cpu) / passed
        note = f"{after[name].rss / 1e6:.0f} MB, {after[name].files} files"
        run.add(f"alive: {name}", 100 * share, "% of core", note)
    run.add("alive: commands of Redis", (sum(later.values()) - sum(calls.values())) / passed, "a second")
    run.add("alive: a sweep of the upkeep", passed / max(1, sweeps), "s", "2 s of it rest")
    run.add("alive: memory of Redis", await town.memory(), "bytes")


async def prompts(run: Run) -> None:
    """Follow-ups in sessions that are there: what each costs, beyond what being there costs."""
    town = run.town
    idle, quiet, began = await town.calls(), town.programs(), time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    still, later, rate_seconds = await town.calls(), town.programs(), time.monotonic() - began
    rate = (sum(still.values()) - sum(idle.values())) / rate_seconds
    turns = (await town.held.do("count"))["turns"]
    asked = [sid for sid in run.sids if sid in town.threads][:PROMPTS]
    before, cpu, began = await town.calls(), town.programs(), time.monotonic()
    for number, sid in enumerate(asked):
        await town.reply(sid, number)

    async def all_done() -> bool:
        counted = await town.held.do("count")
        return bool(counted["turns"] >= turns + len(asked) and not counted["waiting"])

    await until(all_done, PATIENCE)
    passed, after, then = time.monotonic() - began, await town.calls(), town.programs()
    own = sum(after.values()) - sum(before.values()) - rate * passed
    run.add("prompt: commands of Redis", max(0.0, own) / len(asked), "", "20 frames; those of scripts included")
    scripts = after["evalsha"] - before["evalsha"] - (still["evalsha"] - idle["evalsha"]) * passed / rate_seconds
    run.add("prompt: scripts of Redis", max(0.0, scripts) / len(asked), "", "each with some of these commands")
    for name in ("web", "redis", "boxes-modal"):
        being_there = (later[name].cpu - quiet[name].cpu) / rate_seconds * passed
        own = max(0.0, then[name].cpu - cpu[name].cpu - being_there)
        run.add(f"prompt: {name}", 1000 * own / len(asked), "ms of core", "beyond what being there takes")


async def words(run: Run) -> None:
    """Many agents talk at once: how many frames one web process stores."""
    town = run.town
    before = town.programs()["web"].cpu
    told = await town.held.do("talk", links=TALKERS, each=WORDS, seconds=TALK_SECONDS)
    cpu = town.programs()["web"].cpu - before
    run.add("words: frames stored", told["frames"] / told["seconds"], "a second", f"{told['links']} links talk")
    for share in (0.5, 0.95):
        run.add(f"words: said → stored, p{share * 100:.0f}", percentile(told["lags"], share), "s")
    run.add("words: web", 1e6 * cpu / max(1, told["frames"]), "µs of core", "a frame")


async def web_killed(run: Run) -> None:
    """kill -9 to web, which is started again: when is every link back?"""
    town = run.town
    pid = town.stack.supervisor.pid("web")
    assert pid is not None
    links = (await town.held.do("count"))["links"]
    os.kill(pid, signal.SIGKILL)
    await town.held.do("mark")

    async def all_back() -> bool:
        return int((await town.held.do("back"))["back"]) >= links

    with contextlib.suppress(TimeoutError):
        await until(all_back, RECOVERY_SECONDS)
    seconds = (await town.held.do("back"))["seconds"] or [RECOVERY_SECONDS]
    run.add("web killed: links back", len(seconds), "", f"of {links}")
    run.add("web killed: first link back", min(seconds), "s", "until then it started")
    for share in (0.5, 0.95, 1.0):
        run.add(f"web killed: links back, p{share * 100:.0f}", percentile(seconds, share), "s")
