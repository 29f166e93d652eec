"""Which messages a thread should have, and what is remembered of those that it has. Pure; called by `thread.py`.

A `Draft` is a message as it should be now; a `Posted` is what the record remembers of the one in Slack. What differs is
due, urgently or when there is room.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from bot.cards import Card, Ending, Notice, SharedFile, ThreadView
from bot.slack import blocks, tool_blocks
from bot.slack.block_kit import Message
from bot.slack.blocks import Where
from bot.slack.check_blocks import checks_message
from bot.slack.family_blocks import family_mark, stop_offer_message
from jobs.session import Status

REMEMBERED = 2_000  # messages: a thread has hundreds in the end, is looked at again and again, and few of them change


class Posted(BaseModel):
    """One message of ours. `wanted`: certainly not there; `posting`: a post is under way, or was when somebody died;
    `gone`: it cannot be edited any more. `mark` says how far the card was when last shown, `at` when that was; of a
    post that nobody has an answer to, when it began."""

    model_config = ConfigDict(frozen=True)

    state: Literal["wanted", "posting", "posted", "gone"]
    ts: str = ""
    digest: str = ""
    mark: str = ""
    at: float = 0.0


@dataclass(frozen=True)
class Draft:
    """A message as it should be. `digest` leaves out the elapsed time, which alone is no reason to hurry.
    With a `file`, the message is what stands for it if Slack does not take it."""

    id: str
    at: float
    message: Message
    digest: str
    mark: str
    ticking: bool = False
    has_words: bool = False
    file: SharedFile | None = None


@dataclass(frozen=True)
class Due:
    """What is to be done about one draft: at once, or as progress, in `seconds` at the earliest."""

    draft: Draft
    posted: Posted | None
    urgent: bool
    seconds: float = 0.0


def drafts(view: ThreadView, now: float, view_url: Callable[[float], str], settle_seconds: float) -> list[Draft]:
    """Everything that the thread should have by now, in the order in which it came about."""
    found = [_card(card, _where(view, card, view_url), now) for card in view.cards]
    if view.question is not None:
        found.append(_still("question", view.question.at, blocks.question_message, view.question, is_moot(view)))
    made = pull_of(view)
    found += [_still(asked.id, asked.at, blocks.budget_message, asked, *made) for asked in view.budgets]
    found += [_still(offer.id, offer.at, stop_offer_message, offer, view.session.id) for offer in view.offers]
    for ending in view.endings:
        if not _awaits_pull_request(ending, now, settle_seconds):
            at = ending.settled if ending.settled is not None else ending.ended + settle_seconds
            found.append(_still(ending.id, at, blocks.ending_message, ending))
    found += [
        _still(f"asked:{one.id}", one.at, tool_blocks.asked_message, one, view.session.id, _number(view))
        for one in view.asked
    ]
    found += [_shared(file) for file in view.files]
    found += [_notice(notice, view.session.id) for notice in view.notices]
    return sorted(found, key=lambda draft: draft.at)  # stable: a card comes before the question about it


def pull_of(view: ThreadView) -> tuple[str, int]:
    """Where it is, and its number; nothing, if there is none."""
    shown = view.session.pull_request
    return (shown.url, shown.number) if shown is not None else ("", 0)


def is_moot(view: ThreadView) -> bool:
    """Whether nothing waits any more to hear which repository is meant."""
    return view.session.status in (Status.ASKING, Status.CLOSED) and not view.session.queue


def next_settling(endings: tuple[Ending, ...], now: float, settle_seconds: float) -> float | None:
    """In how many seconds an ending will be told without its pull request; None if none waits for one."""
    waiting = [ending for ending in endings if _awaits_pull_request(ending, now, settle_seconds)]
    return min((ending.ended + settle_seconds - now for ending in waiting), default=None)


def _awaits_pull_request(ending: Ending, now: float, settle_seconds: float) -> bool:
    """Whether it is too early to tell it. One from the future (the clock was put back, or is late here) is told."""
    return ending.settled is None and 0 <= now - ending.ended < settle_seconds


def _where(view: ThreadView, card: Card, view_url: Callable[[float], str]) -> Where:
    private = view.session.place.private
    return Where(
        session=view.session.id,
        repository=view.session.repository or "",
        view_url="" if private else view_url(card.asked),
        number=_number(view),
    )


def _card(card: Card, where: Where, now: float) -> Draft:
    still = _still_card(card, where)
    if card.state != "running":
        return still
    return replace(still, message=blocks.card_message(card, where, now), ticking=True)


@lru_cache(REMEMBERED)
def _still_card(card: Card, where: Where) -> Draft:
    message = blocks.card_message(card, where)
    mark = f"{card.state}/{card.outcome or ''}/{'words' if card.task else ''}/{card.stop_by is not None}"
    mark += f"/{family_mark(card.children)}" if card.children else ""
    return Draft(
        id=card.id,
        at=card.asked,
        message=message,
        digest=message.digest,
        mark=mark,
        has_words=bool(card.task),
    )


def _shared(file: SharedFile) -> Draft:
    return replace(_still(f"file:{file.id}", file.at, tool_blocks.file_message, file), file=file)


def _notice(notice: Notice, session: str) -> Draft:
    """A review's comments come one by one, and so do checks, so there is no hurry to show each."""
    if notice.checks is not None:
        still = _still(notice.id, notice.at, checks_message, notice, session)
        return replace(still, mark=f"checks/{notice.checks.open}")
    still = _still(notice.id, notice.at, blocks.notice_message, notice)
    return still if notice.review is None else replace(still, mark=f"review/{notice.review.verdict}")


@lru_cache(REMEMBERED)
def _still(key: str, at: float, message_of: Callable[..., Message], *told: Hashable) -> Draft:
    message = message_of(*told)
    return Draft(id=key, at=at, message=message, digest=message.digest, mark=message.digest)


def due(draft: Draft, posted: Posted | None, now: float, edit_seconds: float, elapsed_seconds: float) -> Due | None:
    """What is to be done about this draft, or None."""
    if posted is None or posted.state in ("wanted", "posting"):
        return Due(draft, posted, urgent=True)
    if posted.state == "gone":
        return None
    if posted.digest == draft.digest:
        if not draft.ticking:
            return None
        return Due(draft, posted, urgent=False, seconds=_left(posted.at, elapsed_seconds, now))
    if posted.mark != draft.mark:
        return Due(draft, posted, urgent=True)
    return Due(draft, posted, urgent=False, seconds=_left(posted.at, edit_seconds, now))


def _left(since: float, seconds: float, now: float) -> float:
    """What is left of these seconds; never more than all, should the clock have been put back meanwhile."""
    return min(seconds, max(0.0, since + seconds - now))


def _number(view: ThreadView) -> int:
    """How people name a session that an agent started; 0: a person opened it."""
    return view.session.lineage.number if view.session.lineage is not None else 0
