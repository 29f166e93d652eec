"""What goes down a link, made of log events: the down events of docs/wire.md. Pure; `link_stream.py` sends it.

Only what a runner acts on is sent, and only to the generation that it is meant for. Nothing is kept between two sends,
so any gateway process can send any of it again from the log.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from bot.gateway.house_rules import RULES
from jobs import events as e
from jobs.events import Attachment, Author, Event, Prompt
from jobs.session import Rules, Session
from jobs.shelf import clean_name
from jobs.wants import turn_seconds
from sandbox.runner.visible import visible

Line = dict[str, Any]
BEAT: Line = {"kind": "beat"}
REPLACED: Line = {"kind": "replaced"}
WAITING_CHARS, SUMMARY_CHARS, TURNS_TOLD = 300, 700, 20


def meant_for(generation: int, events: Iterable[Event]) -> tuple[Event, ...]:
    """The events that the runner of this generation acts on."""
    acted_on = (e.PromptDelivered, e.StopRequested, e.FileWanted)
    return tuple(v for v in events if isinstance(v, acted_on) and v.generation == generation)


def superseded(generation: int, epoch: int, events: Iterable[Event]) -> bool:
    """Whether a newer attachment, or a newer box, took the place of this one."""
    for event in events:
        if isinstance(event, e.LinkAttached) and event.generation == generation and event.epoch > epoch:
            return True
        if isinstance(event, e.StartBegan) and event.generation > generation:
            return True
    return False


def line_of(event: Event, session: Session, rules: Rules, earlier: Sequence[str] = ()) -> Line | None:
    """What the runner is told of an event; None if its turn is over. `session` is at least as new as the event.

    `earlier`: what was asked and done before, for an agent that does not know it.
    """
    if isinstance(event, e.FileWanted):
        waited_for = any(file.id == event.id for file in session.wanted_files)
        return {"seq": event.seq, "kind": event.kind, "id": event.id, "path": event.path} if waited_for else None
    if session.turn is None or not isinstance(event, e.PromptDelivered | e.StopRequested):
        return None
    if event.turn != session.turn.number:
        return None
    if isinstance(event, e.StopRequested):
        return {"seq": event.seq, "kind": event.kind, "turn": event.turn}
    prompt = session.turn.prompt
    return {
        "seq": event.seq,
        "kind": event.kind,
        "turn": event.turn,
        "prompt_id": prompt.id,
        "again": event.again,
        "text": prompt.text,
        "author": _person(prompt.author),
        "co_authors": [_person(one) for one in session.participants if one.id != prompt.author.id],
        "attachments": [_attachment(file, event.turn, n) for n, file in enumerate(prompt.attachments)],
        "rules": list(RULES),
        "others": _came_with(prompt) + _said_before(prompt) + [_waiting(one) for one in session.queue],
        "earlier": list(earlier),
        "seconds": turn_seconds(session, rules),
    }


def begins_anew(event: Event, session: Session) -> bool:
    """Whether the agent that gets this prompt knows nothing of the turns before."""
    return isinstance(event, e.PromptDelivered) and session.anew is not None and event.turn > session.anew


def earlier_turns(events: Iterable[Event], before: int) -> list[str]:
    """What was asked and done in the turns before this one, oldest first: a paragraph for each of the last ones."""
    prompts: dict[str, Prompt] = {}
    asked: dict[int, str] = {}
    told: dict[int, str] = {}
    for event in events:
        if isinstance(event, e.PromptReceived):
            prompts[event.prompt.id] = event.prompt
        elif isinstance(event, e.PromptDelivered) and event.turn < before and event.prompt_id in prompts:
            prompt = prompts[event.prompt_id]
            asked[event.turn] = f"{prompt.author.name} asked: {_short(prompt.text, WAITING_CHARS)}"
        elif isinstance(event, e.TurnEnded) and event.turn in asked:
            told[event.turn] = (
                f"{event.outcome}: {_short(event.summary or event.error or 'nothing was said', SUMMARY_CHARS)}"
            )
    return [f"{words} — {told.get(turn, 'interrupted')}" for turn, words in sorted(asked.items())][-TURNS_TOLD:]


def _came_with(prompt: Prompt) -> list[str]:
    """A word on its files, for runners of before that fetch none."""
    if not prompt.attachments:
        return []
    names = ", ".join(" ".join(visible(file.name).split()) for file in prompt.attachments)
    return [f"Files came with this request: {names}. Those whose place you are not told are not in the box."]


def _said_before(prompt: Prompt) -> list[str]:
    """What people said to each other, or in a review, before they turned to us: the request may be about that."""
    return [f"Before this request, {visible(line).strip()}" for line in prompt.before]


def _attachment(file: Attachment, turn: int, n: int) -> Line:
    """What the runner fetches, and where; the name is cleaned here, once."""
    path = f"/link/attachment?turn={turn}&n={n}"
    return {"name": clean_name(file.name), "mimetype": file.mimetype, "bytes": file.bytes, "path": path}


def _person(author: Author) -> Line:
    return {"id": author.id, "name": author.name, "email": author.email}


def _waiting(prompt: Prompt) -> str:
    short = _short(prompt.text, WAITING_CHARS)
    return f"{prompt.author.name} asked for something that comes later, as a request of its own: {short}"


def _short(text: str, most: int) -> str:
    words = " ".join(text.split())
    return words if len(words) <= most else words[: most - 1] + "…"
