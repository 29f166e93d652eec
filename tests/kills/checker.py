"""What must be true of a session once all is quiet, whatever was killed: over log, thread, forge and boxes.

`Before` is what was there before the kill; `check` says what of it, or of what should have come, is lost or doubled.
It believes nothing that the session says of itself which can be seen elsewhere.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from bot.cards import ThreadView
from bot.view import fold_view
from jobs import events as e
from jobs.events import Event
from jobs.fold import fold
from jobs.records import Entry
from jobs.session import Session
from sandbox.provider import BoxState
from tests.e2e.people import Thread, until

BOX_SECONDS = 20.0
ENTRIES = 100_000
COUNTED = re.compile(r"(?<![\d.])(\d+),")


@dataclass
class Faults:
    """What is wrong, in words, by kind. Nothing in any of them: all is well."""

    events_lost: list[str] = field(default_factory=list)
    events_doubled: list[str] = field(default_factory=list)
    posts_lost: list[str] = field(default_factory=list)
    posts_doubled: list[str] = field(default_factory=list)
    commits_lost: list[str] = field(default_factory=list)
    commits_doubled: list[str] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)
    boxes: list[str] = field(default_factory=list)

    def all(self) -> list[str]:
        """Each as a line."""
        return [f"{kind}: {words}" for kind, found in vars(self).items() for words in found]


@dataclass(frozen=True)
class Before:
    """What was on record, and so acknowledged, at one time."""

    log: tuple[Event, ...] = ()
    transcript: tuple[Entry, ...] = ()

    @classmethod
    async def of(cls, thread: Thread) -> "Before":
        """As it is now."""
        return cls(tuple(await thread.log()), tuple(await _transcript(thread)))


async def check(thread: Thread, before: Before = Before()) -> Faults:
    """Everything that is wrong with a session that has come to rest."""
    faults = Faults()
    log, session = await _at_one_moment(thread)
    transcript = await _transcript(thread)
    _check_log(log, session, faults)
    _check_kept(before, log, transcript, faults)
    _check_turns(log, faults)
    _check_words(log, transcript, faults)
    view = fold_view(log)
    assert view is not None
    await _check_thread(thread, view, faults)
    await _check_forge(thread, log, faults)
    await _check_boxes(thread, faults)
    return faults


async def _transcript(thread: Thread) -> list[Entry]:
    return await thread.office.shop.store.transcript(thread.sid, limit=ENTRIES)


async def _at_one_moment(thread: Thread) -> tuple[list[Event], Session | None]:
    """The log and the session beside it; what comes between the two looks (a snapshot of the turn) is no fault."""

    async def both() -> tuple[list[Event], Session | None]:
        return await thread.log(), await thread.session()

    return await until(both, lambda seen: seen[1] is not None and len(seen[0]) == seen[1].seq, BOX_SECONDS)


def _check_log(log: list[Event], session: Session | None, faults: Faults) -> None:
    numbers = [event.seq for event in log]
    if numbers != list(range(1, len(log) + 1)):
        faults.events_lost.append(f"the log's numbers are {numbers}")
    if fold(log) != session:
        faults.events_lost.append("the log folds into another session than the one beside it")


def _check_kept(before: Before, log: list[Event], transcript: list[Entry], faults: Faults) -> None:
    faults.events_lost += [f"{event.kind} {event.seq}" for event in before.log if event not in log]
    kept = {entry.id for entry in transcript}
    faults.events_lost += [f"transcript {entry.id}" for entry in before.transcript if entry.id not in kept]


def _check_turns(log: list[Event], faults: Faults) -> None:
    """Each prompt is done once, or was interrupted and then done; nothing of a turn is told twice, unless its agent was
    started again in it and so began anew."""
    ended = {event.turn: event for event in log if isinstance(event, e.TurnEnded)}
    withdrawn = {event.prompt_id for event in log if isinstance(event, e.PromptWithdrawn)}
    for prompt in (event.prompt for event in log if isinstance(event, e.PromptReceived)):
        deliveries = [v for v in log if isinstance(v, e.PromptDelivered) and v.prompt_id == prompt.id]
        if not deliveries and prompt.id not in withdrawn:
            faults.unended.append(f"{prompt.text!r} was never delivered")
        if deliveries and deliveries[-1].turn not in ended:
            faults.unended.append(f"turn {deliveries[-1].turn} has no end")
        if len(deliveries) > 2 or [v.again for v in deliveries] != [n > 0 for n in range(len(deliveries))]:
            faults.events_doubled.append(f"{prompt.text!r} was delivered {len(deliveries)} times")
    once = (e.TurnStarted, e.TurnEnded, e.TaskRestated, e.PromptDelivered)
    told = [f"{v.kind} of turn {v.turn}" for v in log if isinstance(v, once)]
    told += [f"prompt {v.prompt.id}" for v in log if isinstance(v, e.PromptReceived)]
    anew = begun_anew(log) | _turns_with("synced", log)  # what it had read may have been changed by that
    for step in (event for event in log if isinstance(event, e.StepStarted)):
        if step.turn not in anew and "test" not in step.title:  # the tests are run before and after a change
            told.append(f"step {step.title!r} of turn {step.turn}")
    faults.events_doubled += _doubled(told)


def begun_anew(log: list[Event]) -> set[int]:
    """The turns in which the agent ended, was started again and was given the prompt once more."""
    return _turns_with("agent_restarting", log)


def _turns_with(phase: str, log: list[Event]) -> set[int]:
    found, turn = set[int](), 0
    for event in log:
        if isinstance(event, e.PromptDelivered):
            turn = event.turn
        elif isinstance(event, e.TurnEnded):
            turn = 0
        elif isinstance(event, e.PhaseReached) and event.phase == phase:
            found.add(turn)
    return found


def _check_words(log: list[Event], transcript: list[Entry], faults: Faults) -> None:
    """Where the agent counts, every number comes once, and all of them if the turn was ended by it."""
    done = {event.turn for event in log if isinstance(event, e.TurnEnded) and event.outcome == "done"}
    for turn in {entry.turn for entry in transcript}:
        words = "".join(str(x.body.get("text", "")) for x in transcript if x.kind == "text" and x.turn == turn)
        if "I will count" not in words:
            continue
        if turn in begun_anew(log):
            words = words.rpartition("I will count")[2]
        numbers = [int(number) for number in COUNTED.findall(words)]
        faults.events_doubled += _doubled(f"word {number} of turn {turn}" for number in numbers)
        missing = set(range(1, max(numbers, default=0) + 1)) - set(numbers)
        faults.events_lost += [f"word {number} of turn {turn}" for number in missing]
        if turn in done and "done." not in words:
            faults.events_lost.append(f"the last words of turn {turn}")


async def _check_thread(thread: Thread, view: ThreadView, faults: Faults) -> None:
    """What the view has, the thread has, once, as it is now."""
    wanted = [card.id for card in view.cards] + [ending.id for ending in view.endings]
    wanted += [notice.id for notice in view.notices] + ([view.question.id] if view.question else [])
    shown = await thread.from_us()
    there = Counter(said.card for said in shown)
    faults.posts_lost += [card for card in wanted if card not in there]
    faults.posts_doubled += [f"{card} x {times}" for card, times in there.items() if times > 1 or card not in wanted]
    for card in view.cards:
        for said in shown:
            if said.card == card.id and card.phase not in said.words:
                faults.posts_lost.append(f"{card.id} does not say {card.phase!r}, but {said.text!r}")
            if said.card == card.id and not card.live and any(one.startswith("stop") for one in said.buttons):
                faults.posts_lost.append(f"{card.id} can still be stopped")


async def _check_forge(thread: Thread, log: list[Event], faults: Faults) -> None:
    """The commits that turns told of are on the branch, each once, in one pull request, with what they change."""
    endings = [event for event in log if isinstance(event, e.TurnEnded)]
    told = [commit.sha for event in endings for commit in event.commits]
    if not told:
        return
    branch = await _branch(thread)
    faults.commits_lost += [f"{sha[:10]} is not on the forge" for sha in told if sha not in branch]
    faults.commits_doubled += _doubled(told)
    faults.commits_doubled += _doubled(subject for subject in branch.values() if "README" in subject)
    pulls = await thread.office.pull_requests_of(thread)
    if len(pulls) != 1:
        faults.commits_doubled.append(f"{len(pulls)} pull requests")
        return
    if pulls[0]["head"]["sha"] != next(iter(branch)):
        faults.commits_lost.append("the pull request shows something else than the branch")
    patch = await thread.office.patch(pulls[0]["number"])
    done = {event.turn for event in endings if event.outcome == "done"}
    texts = {event.prompt.id: event.prompt.text for event in log if isinstance(event, e.PromptReceived)}
    texts |= {event.prompt_id: event.text for event in log if isinstance(event, e.PromptEdited)}
    for delivered in (v for v in log if isinstance(v, e.PromptDelivered) and v.turn in done):
        line = texts[delivered.prompt_id].partition(" saying ")[2]
        times = patch.splitlines().count(f"+{line}")
        if line and times != 1:
            (faults.commits_doubled if times else faults.commits_lost).append(
                f"the line {line!r} is there {times} times"
            )


async def _branch(thread: Thread) -> dict[str, str]:
    """The branch's commits that its base has not: sha and subject, the newest first."""
    pulls = await thread.office.pull_requests_of(thread)
    rows = await thread.office.asked_of_forge(f"pulls/{pulls[0]['number']}/commits?per_page=100") if pulls else []
    return {row["sha"]: row["commit"]["message"].splitlines()[0] for row in reversed(rows)}


async def _check_boxes(thread: Thread, faults: Faults) -> None:
    """Its own box runs, if it has one, and no other."""

    async def seen() -> tuple[list[str], str | None]:
        session = await thread.session()
        boxes = await thread.office.shop.provider.list()
        taken = {
            box for box, claim in (await thread.office.shop.store.warm.claims()).items() if claim.sid == thread.sid
        }
        ours = [box for box in boxes if box.labels.get("session") == thread.sid or box.name in taken]
        running = [box.name for box in ours if box.state is BoxState.RUNNING]
        return running, session.box if session is not None else None

    try:
        await until(seen, lambda found: found[0] == [name for name in [found[1]] if name], BOX_SECONDS)
    except AssertionError:
        running, own = await seen()
        faults.boxes.append(f"its box is {own}; {', '.join(running) or 'none'} runs")


def _doubled(words: Iterable[str]) -> list[str]:
    return [f"{word} x {times}" for word, times in Counter(words).items() if times > 1]
