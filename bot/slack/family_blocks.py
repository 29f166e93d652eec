"""What a thread shows of sessions that agents started: lines, their own buttons, the form to steer one. Pure.

Part of `blocks.py`. Several sessions share one thread, so a button of one of them carries its id.
"""

import re
from collections.abc import Sequence
from typing import Any

from bot.cards import StopOffer
from bot.phases import OUTCOMES
from bot.slack import text as t
from bot.slack.block_kit import Block, Message, button, plain, section
from jobs.family import Child

STOP_ONE, STOP_ALL, STEER, STEERED = "stop_session", "stop_children", "steer", "steered"
FIELD, WORDS = "steer_words", "words"
LINES, TASK, WORDS_MOST = 20, 90, 3_000
ROOM = 2_900  # characters for all lines: a section takes 3,000
SESSION = re.compile(r"s[0-9a-f]{16}")
MARKS = {"done": "✓", None: "▸"}
NOT_OPENED = "The form could not be opened. Reply here with `#{number}` and your words instead."


def family_lines(children: Sequence[Child]) -> list[Block]:
    """A line for each session that was started for a card's prompt, the newest at the end."""
    if not children:
        return []
    newest_first = [_line(child) for child in reversed(children[-LINES:])]
    shown = newest_first[: t.fitting(newest_first, ROOM)]
    left = len(children) - len(shown)
    lines = [f"_{left} sessions before_"] if left > 0 else []
    return [section("\n".join([*lines, *reversed(shown)]))]


def _line(child: Child) -> str:
    state = "working" if child.outcome is None else OUTCOMES[child.outcome].lower()
    if child.outcome is None and child.stop_by is not None:
        state = "stopping"
    mark, repository = MARKS.get(child.outcome, "✗"), t.one_line(child.repository)
    line = f"{mark} *#{child.number}* {repository}: {t.one_line(child.task, TASK)}"
    return f"{line}  ·  _{state}_" + (f"  ·  {pull_link(child)}" if child.url else "")


def pull_link(child: Child) -> str:
    """The pull request of one of them."""
    return t.link(child.url, f"Pull request #{child.pull_request}")


def pull_links(children: Sequence[Child]) -> list[str]:
    """The pull requests of several, with their repositories if these differ."""
    differ = len({child.repository for child in children}) > 1
    return [pull_link(child) + (f" of {t.one_line(child.repository)}" if differ else "") for child in children]


def waiting_for(numbers: Sequence[int]) -> str:
    """What a turn says at its end that goes on when others report."""
    named = ", ".join(f"*#{number}*" for number in numbers)
    return f"Waiting for {named}, and going on with what {'it reports' if len(numbers) == 1 else 'they report'}."


def family_mark(children: Sequence[Child]) -> str:
    """Changes when a person should see it soon."""
    return "".join(f"{child.number}{(child.outcome or '')[:2]}" for child in children)


def child_buttons(session: str, prompt: str, live: bool) -> list[Block]:
    """Stop, of one prompt, and Steer of a session that an agent started."""
    stop = [button("Stop", STOP_ONE, f"{session} {prompt}") | {"style": "danger"}] if live else []
    return [*stop, button("Steer", STEER, session)]


def stop_offer_message(offer: StopOffer, session: str) -> Message:
    """What a person who stopped a session is told of those that it had started."""
    if offer.over:
        by = f"{t.one_line(offer.by, 80)} stopped what this session had started, too."
        said = by if offer.by else "What this session had started has ended."
        return Message(said, (section(said),))
    one = offer.children == 1
    them = "The session that it started goes on" if one else f"The {offer.children} sessions that it started go on"
    said = f"{t.person(offer.to.id, offer.to.name)} {them}."
    label = "Stop it too" if one else f"Stop the {offer.children} sessions it started too"
    press = {"type": "actions", "elements": [button(label, STOP_ALL, session) | {"style": "danger"}]}
    return Message(said, (section(said), press))


def steer_form(session: str, number: int, task: str, place: str) -> dict[str, Any]:
    """The form for words to one session. `place`: what comes back with them, so that we know where to answer."""
    title = f"Steer session #{number}"
    field = {"type": "plain_text_input", "action_id": WORDS, "multiline": True, "max_length": WORDS_MOST}
    label = {"type": "plain_text", "text": "What should it do?", "emoji": False}
    return {
        "type": "modal",
        "callback_id": STEERED,
        "private_metadata": f"{session} {place}",
        "title": plain(title[:24]),
        "submit": plain("Send"),
        "close": plain("Cancel"),
        "blocks": [
            section(f"It works on: {t.one_line(task, 300)}"),
            {"type": "input", "block_id": FIELD, "label": label, "element": field},
        ],
    }
