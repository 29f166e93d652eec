"""What checks found, as a message: the names lead to what they say, and a button has the agent see to it. Pure.

`posts.py` asks for it. Names and addresses are the forge's; a session that an agent started may be meant, so the button
carries its id, and the commit, for there may be a newer one by the time that it is pressed.
"""

from bot.cards import CheckLine, Notice
from bot.slack import text as t
from bot.slack.block_kit import Block, Message, button, section
from bot.slack.blocks import notice_message
from bot.view_checks import said_of

FIX = "fix_checks"
NAME, ROOM = 80, 2_600  # characters: of a name, and of all of them with their addresses


def checks_message(notice: Notice, session: str) -> Message:
    """One line, and `Fix` as long as there is something that the agent does not know of."""
    plain, checks = notice_message(notice), notice.checks
    if checks is None:
        return plain
    label = t.link(notice.url, notice.label)
    linked = f"{label} {said_of(checks, _linked)}"
    said = linked if t.units(linked) <= ROOM else f"{label} {said_of(checks, _named)}"
    press: list[Block] = [{"type": "actions", "elements": [_fix(notice, session)]}] if checks.open else []
    return Message(plain.text, (section(said), *press))


def _fix(notice: Notice, session: str) -> Block:
    head = notice.checks.head if notice.checks is not None else ""
    return button("Fix", FIX, f"{session} {head}") | {"accessibility_label": t.plain_label(f"Fix: {notice.label}")}


def _linked(line: CheckLine) -> str:
    return t.link(line.url, t.plain_label(line.name, NAME))


def _named(line: CheckLine) -> str:
    return t.one_line(line.name, NAME)
