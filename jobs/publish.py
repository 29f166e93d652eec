"""The pull request of a session: opened when there is work to show, kept up to date by later turns.

An RQ worker of the queue `publish` runs `publish`. The forge is asked which pull request the branch has before one is
opened, so a second worker, or a second try after a lost answer, finds the first one's.
"""

import logging
import re

from jobs.commands import BeginPublish, FailPublish, FinishPublish, Refused
from jobs.events import Event, PromptDelivered, PromptReceived, TurnEnded
from jobs.github import ForgeDown, ForgeRefused
from jobs.session import Session
from jobs.wiring import Workshop, workshop

log = logging.getLogger(__name__)
TITLE_CHARS = 72
ASKED_CHARS = 1_500
BODY_CHARS = 60_000  # GitHub refuses more than 65,536


async def publish(sid: str) -> None:
    """Bring the pull request of this session up to date with what it has pushed."""
    async with workshop() as shop:
        await publish_session(shop, sid)


async def publish_session(shop: Workshop, sid: str) -> None:
    """As `publish`, with everything it needs handed in."""
    try:
        session = await shop.inbox.handle(sid, BeginPublish())
    except Refused as refused:
        log.info("publish is not due: %s", refused)
        return
    head, repository = session.head, session.repository
    assert repository is not None, "a session with pushed work has a repository"
    events = await shop.store.events(sid)
    try:
        done = await shop.forge.publish(
            repository,
            branch=session.branch,
            base=session.base_branch,
            title=pull_request_title(session, events),
            body=pull_request_body(session, events),
        )
    except ForgeDown as down:
        delay = down.delay * 2 ** min(session.publish_failures, 5)
        await shop.inbox.handle(sid, FailPublish(head, str(down), delay))
    except ForgeRefused as refused:
        await shop.inbox.handle(sid, FailPublish(head, str(refused), None))
    else:
        await shop.inbox.handle(sid, FinishPublish(done.number, done.url, head, done.opened))
        await shop.store.stamp(sid, "pull_request", shop.clock())


def pull_request_title(session: Session, events: list[Event]) -> str:
    """One line: the task in the agent's words, else in the person's."""
    asked = next((e.prompt.text for e in events if isinstance(e, PromptReceived)), "")
    words = _one_line(asked) or _one_line(session.title) or "Work by Shipmate"
    title = words if len(words) <= TITLE_CHARS else words[: TITLE_CHARS - 1].rstrip() + "…"
    return title[:1].upper() + title[1:]


def pull_request_body(session: Session, events: list[Event]) -> str:
    """What was asked, by whom, what was done, and where to look."""
    delivered = {e.prompt_id: e.turn for e in events if isinstance(e, PromptDelivered)}
    endings = {e.turn: e for e in events if isinstance(e, TurnEnded)}
    parts = ["## What was asked"]
    for event in events:
        if isinstance(event, PromptReceived) and event.prompt.id in delivered:
            parts.append(f"**{quiet(event.prompt.author.name)}**:\n\n{_quoted(event.prompt.text)}")
    parts.append("## What was done")
    for turn in sorted(endings):
        summary = endings[turn].summary.strip()
        if summary:
            parts.append(quiet(summary))
    commits = [f"- `{commit.sha[:9]}` {quiet(commit.subject)} ({quiet(commit.author)})" for commit in session.commits]
    parts += ["### Commits", "\n".join(commits)] if commits else []
    parts.append(_footer(session))
    return "\n\n".join(parts)[:BODY_CHARS]


def _footer(session: Session) -> str:
    people = ", ".join(quiet(person.name) for person in session.participants)
    where = f" · [the thread]({session.place.link})" if session.place.link else ""
    return f"---\nMade by Shipmate for {people} · session `{session.id}`{where}. Reply in the thread to go on."


def quiet(text: str) -> str:
    """Text of a person or a model as it may stand in a pull request: no HTML, nobody is mentioned, no issue is closed."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"(?<=[@#])(?=\w)", "\u200b", escaped)


def _quoted(text: str) -> str:
    cut = text if len(text) <= ASKED_CHARS else text[:ASKED_CHARS] + " …"
    return "\n".join("> " + line for line in quiet(cut).splitlines())


def _one_line(text: str) -> str:
    without_mentions = re.sub(r"<[@#!][^>]*>", "", text)
    return " ".join(quiet(without_mentions).split())
