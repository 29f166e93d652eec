"""What the agent's tools add to a thread: questions to people, and files. Pure; part of `bot/view.py`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bot.cards import Asked, SharedFile, ThreadView
from jobs import events as e

Change = dict[str, Any]


def _asked(view: ThreadView, event: e.QuestionAsked) -> Change:
    turn = view.session.turn
    if any(one.id == event.id for one in view.asked):  # a later turn asks the same
        again = (replace(one, about=turn.prompt.id) if turn and one.id == event.id else one for one in view.asked)
        return {"asked": tuple(again)}
    asked = Asked(
        id=event.id,
        at=event.at,
        to=turn.prompt.author if turn else None,
        about=turn.prompt.id if turn else "",
        question=event.question,
        options=event.options,
    )
    return {"asked": (*view.asked, asked)}


def _answered(view: ThreadView, event: e.QuestionAnswered) -> Change:
    asked = (
        replace(one, answer=event.answer, by=event.by.name) if one.id == event.id else one for one in view.asked
    )  # fmt: skip
    return {"asked": tuple(asked)}


def questions_over(view: ThreadView, about: str) -> Change:
    """Nobody waits for the answers that were asked for this prompt: its turn was stopped, or it was withdrawn."""
    return {
        "asked": tuple(replace(one, withdrawn=True) if one.open and one.about == about else one for one in view.asked)
    }


def _attached(view: ThreadView, event: e.FileAttached) -> Change:
    file = SharedFile(event.id, event.at, event.name, event.title, event.mimetype, event.bytes, event.url)
    return {"files": (*view.files, file)}


TOOL_CHANGES: Mapping[type[e.Fact], Callable[[ThreadView, Any], Change]] = {
    e.QuestionAsked: _asked,
    e.QuestionAnswered: _answered,
    e.FileAttached: _attached,
}
