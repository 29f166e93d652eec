"""The pull request of a session: opened when there is work to show, kept up to date by later turns.

An RQ worker of the queue `publish` runs `publish`. The forge is asked which pull request shows the work before one is
opened, so a second worker, or a second try after a lost answer, finds the first one's. What people and models said goes
in as words only: it mentions nobody, closes nothing and is no HTML.
"""

import logging
import re
from collections.abc import Sequence

from jobs.commands import BeginPublish, FailPublish, FinishPublish, Refused
from jobs.events import (
    Event,
    FileAttached,
    Prompt,
    PromptDelivered,
    PromptEdited,
    PromptReceived,
    PullRequestDescribed,
    TurnEnded,
)
from jobs.github import ForgeDown, ForgeRefused, Published
from jobs.seals import session_line
from jobs.session import Session
from jobs.wiring import Workshop, workshop
from sandbox.runner.visible import visible

log = logging.getLogger(__name__)
TITLE_CHARS, CALLED_CHARS = 72, 150
ASKED_CHARS = 1_500
BODY_CHARS = 60_000  # GitHub refuses more than 65,536
COMMITS_SHOWN = 100
RETRY_SECONDS = 2.0  # most troubles of a forge pass in a moment
DOUBLINGS = 12  # of the delay: in the end it is tried every 2.3 hours, or when a person says something
_ZERO_WIDTH = "\u200b"
_BEGINS_SOMETHING = re.compile(r"(?<=[@#<&])(?=[\w/!?#])|(?<=\bGH-)(?=\d)|(?<=\])(?=[(:])", re.IGNORECASE)
_CLOSES = re.compile(r"\b(close|fix|resolve)(?=(?:[sd]|es|ed)?:?\s+(?:https?:|GH-|[\w./-]*#))", re.IGNORECASE)
_SIGNS = re.compile(r"[\[\]()<>`*_|\\!~]")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)


async def publish(sid: str) -> None:
    """Bring the pull request of this session up to date with what it has pushed."""
    async with workshop() as shop:
        await publish_session(shop, sid)


async def publish_session(shop: Workshop, sid: str) -> None:
    """As `publish`, with everything it needs handed in. What comes of it is on record, whatever it was."""
    try:
        session = await shop.inbox.handle(sid, BeginPublish())
    except Refused as refused:
        log.info("publish is not due: %s", refused)
        return
    head, delay = session.head, 2.0 ** min(session.publish_failures, DOUBLINGS)
    try:
        done = await _bring_up_to_date(shop, session)
    except ForgeDown as down:
        await shop.inbox.handle(sid, FailPublish(head, str(down), max(down.delay, RETRY_SECONDS * delay)))
    except ForgeRefused as refused:
        await shop.inbox.handle(sid, FailPublish(head, str(refused), None))
    except Exception as fault:
        reason = f"something unexpected went wrong ({type(fault).__name__})"
        await shop.inbox.handle(sid, FailPublish(head, reason, RETRY_SECONDS * delay))
        raise
    else:
        finish = FinishPublish(done.number, done.url, head, done.opened, session.described, done.state)
        await shop.inbox.handle(sid, finish)
        await shop.store.stamp(sid, "pull_request", shop.clock())


async def _bring_up_to_date(shop: Workshop, session: Session) -> Published:
    assert session.repository is not None, "a session with pushed work has a repository"
    events = await shop.store.events(session.id)
    return await shop.forge.publish(
        session.repository,
        branch=session.branch,
        head=session.head,
        base=session.base_branch,
        title=pull_request_title(session, events),
        body=pull_request_body(session, events),
        draft=(described := _described(events)) is not None and described.draft,
    )


def pull_request_title(session: Session, events: Sequence[Event]) -> str:
    """One line: what the agent called it, else the task in the person's words, else in the agent's. GitHub shows it as
    it is, so there is no HTML."""
    described = _described(events)
    if described is not None and (called := _one_line(described.title)):
        return called if len(called) <= CALLED_CHARS else called[: CALLED_CHARS - 1].rstrip() + "…"
    asked = next((prompt.text for prompt in _taken_up(events)), "")
    words = _one_line(asked) or _one_line(session.title) or "Work by Shipmate"
    title = words[0].upper() + words[1:]
    return title if len(title) <= TITLE_CHARS else title[: TITLE_CHARS - 1].rstrip() + "…"


def pull_request_body(session: Session, events: Sequence[Event]) -> str:
    """What the agent wrote for it, else what was asked, by whom, and what was done; the files, and where to look."""
    footer = _footer(session)
    parts = ["## What was asked", *_asked(events), "## What was done", *_done(events), *_commits(session)]
    described = _described(events)
    if described is not None and described.body.strip():
        parts = [_closed(quiet(described.body.strip()))]
    parts += _files(events)
    words = "\n\n".join(parts)
    room = BODY_CHARS - len(footer) - 2
    return f"{words if len(words) <= room else _closed(words[: room - 20]) + ' …'}\n\n{footer}"


def _asked(events: Sequence[Event]) -> list[str]:
    return [f"**{_one_line(prompt.author.name)}**:\n\n{_quoted(prompt.text)}" for prompt in _taken_up(events)]


def _taken_up(events: Sequence[Event]) -> list[Prompt]:
    """What people asked and was begun, with the text that it had by then. What other sessions came to nobody asked."""
    prompts = {e.prompt.id: e.prompt for e in events if isinstance(e, PromptReceived)}
    for event in events:
        if isinstance(event, PromptEdited) and event.prompt_id in prompts:
            prompts[event.prompt_id] = prompts[event.prompt_id].model_copy(update={"text": event.text})
    delivered = dict.fromkeys(e.prompt_id for e in events if isinstance(e, PromptDelivered))
    taken_up = (prompts[prompt_id] for prompt_id in delivered if prompt_id in prompts)
    return [prompt for prompt in taken_up if not prompt.report_of]


def _done(events: Sequence[Event]) -> list[str]:
    summaries = (e.summary.strip() for e in events if isinstance(e, TurnEnded))
    return [_closed(quiet(summary)) for summary in summaries if summary]


def _commits(session: Session) -> list[str]:
    shown = session.commits[-COMMITS_SHOWN:]
    lines = [f"- `{c.sha[:9]}` {_one_line(c.subject)} ({_one_line(c.author)})" for c in shown]
    left = len(session.commits) - len(shown)
    lines = [f"- … {left} before these", *lines] if left else lines
    return ["### Commits", "\n".join(lines)] if lines else []


def _described(events: Sequence[Event]) -> PullRequestDescribed | None:
    """What the agent said last of the pull request."""
    return next((e for e in reversed(events) if isinstance(e, PullRequestDescribed)), None)


def _files(events: Sequence[Event]) -> list[str]:
    """What the agent attached, with the link that it was given."""
    files = [e for e in events if isinstance(e, FileAttached)]
    lines = [f"- [{_label(e)}]({e.url})" if e.url else f"- {_label(e)} (in the thread)" for e in files]
    return ["### Files", "\n".join(lines)] if lines else []


def _label(file: FileAttached) -> str:
    """What a link may say: no sign in it that ends the link or means something else."""
    return " ".join(_SIGNS.sub(" ", _one_line(file.title or file.name)).split()) or "file"


def _footer(session: Session) -> str:
    people = ", ".join(_one_line(person.name) for person in session.participants)
    where = f" · [the thread]({session.place.link})" if session.place.link else ""
    return f"---\nMade by Shipmate for {people} · {session_line(session.id)}{where}. Reply in the thread to go on."


def quiet(text: str) -> str:
    """Words of a person or a model as they may stand on the forge: no HTML, nobody is mentioned, nothing is closed, no
    picture is fetched, and no address hides behind other words.

    A character that nobody sees takes the meaning from what would have one, so that code and quotes look as they were.
    """
    harmless = _BEGINS_SOMETHING.sub(_ZERO_WIDTH, visible(text))
    return _CLOSES.sub(lambda found: found[0][0] + _ZERO_WIDTH + found[0][1:], harmless)


def _quoted(text: str) -> str:
    cut = text if len(text) <= ASKED_CHARS else text[:ASKED_CHARS] + " …"
    return "\n".join("> " + line for line in quiet(cut).splitlines())


def _one_line(text: str) -> str:
    without_mentions = re.sub(r"<[@#!][^>]*>", "", text)
    return " ".join(quiet(without_mentions).split())


def _closed(text: str) -> str:
    """With an end for a block of code that has none, so that it does not swallow what comes after."""
    opened = ""
    for fence in _FENCE.findall(text):
        if not opened:
            opened = fence
        elif fence[0] == opened[0] and len(fence) >= len(opened):
            opened = ""
    return f"{text}\n{opened}" if opened else text
