"""The form that `/shipmate` opens, the message that it becomes, and the Home tab, in Block Kit. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.slack import text as t
from bot.slack.block_kit import Block, Message, button, context, plain, section

ASKED, NEW = "shipmate_asked", "shipmate_new"
TASK, REPOSITORY = "shipmate_task", "shipmate_repository"
TASK_MOST = 2_000  # characters; in the message that people read, a few take four
OPTIONS_MOST = 100
IN_CHANNEL = "Your task is posted in the channel, where everybody can read it and steer by replying."
BETWEEN_US = "Your task is posted in your conversation with me; nobody else reads it."


@dataclass(frozen=True)
class Recent:
    """A line of the Home tab: what a session is at, its phase in words, a link to its thread ("": none), and its pull
    request, such as `Pull request #7 merged` at `pull_url`."""

    task: str
    repository: str
    phase: str
    link: str
    pull: str = ""
    pull_url: str = ""


def task_form(repositories: Sequence[str], chosen: str, words: str, channel: str) -> Block:
    """The form. `channel`: where the task is to be said; "" for the person's own conversation with us."""
    first = _option(chosen) if chosen in repositories else None
    select: dict[str, Any] = {"type": "static_select", "action_id": REPOSITORY, "placeholder": plain("Choose one")}
    select |= _choices(repositories)
    typed = {
        "type": "plain_text_input",
        "action_id": TASK,
        "multiline": True,
        "max_length": TASK_MOST,
        "initial_value": words[:TASK_MOST],
        "dispatch_action_config": {"trigger_actions_on": ["on_character_entered"]},
    }
    return {
        "type": "modal",
        "callback_id": ASKED,
        "private_metadata": channel,
        "title": plain("New session"),
        "submit": plain("Start"),
        "close": plain("Cancel"),
        "blocks": [
            _input(REPOSITORY, "Repository", select | ({"initial_option": first} if first else {})),
            _input(TASK, "What should be done?", typed),
            context(IN_CHANNEL if channel else BETWEEN_US),
        ],
    }


def asked_message(user: str, name: str, repository: str, task: str) -> Message:
    """What a person asks for with the form, said by us in their name. Replies to it steer the session."""
    where = t.one_line(repository, 200)
    words = f"{t.person(user, name)} asks for work on {where}:\n{t.quoted(task)}"
    return Message(f"{t.one_line(name, 80)} asks for work on {where}", (section(words),))


def home(recent: Sequence[Recent], headline: str = "") -> Block:
    """The Home tab of one person. `headline`: what became of everybody's sessions."""
    begin = {"type": "actions", "elements": [button("New session", NEW, "home") | {"style": "primary"}]}
    if not recent:
        rows = [section("Nothing yet. Mention me in a channel with a task, or begin here.")]
    else:
        rows = [block for one in recent for block in _row(one)]
    everybody = [context(t.quiet(headline, 200))] if headline else []
    return {"type": "home", "blocks": [_header("Your sessions"), begin, *everybody, *rows]}


def home_of_outsider(words: str) -> Block:
    """The Home tab of somebody who is not known to be a member of the workspace: nothing of what happens in it."""
    return {"type": "home", "blocks": [section(t.quiet(words))]}


def _row(one: Recent) -> tuple[Block, ...]:
    pull = t.link(one.pull_url, one.pull) if one.pull else ""
    facts = (t.one_line(one.repository, 200), t.one_line(one.phase, 200), pull)
    return (
        {"type": "divider"},
        section(t.link(one.link, one.task)),
        context("  ·  ".join(fact for fact in facts if fact)),
    )


def _choices(repositories: Sequence[str]) -> Block:
    """Slack takes a hundred in a row, and a hundred such rows."""
    rows = [repositories[n : n + OPTIONS_MOST] for n in range(0, len(repositories), OPTIONS_MOST)][:OPTIONS_MOST]
    if len(rows) == 1:
        return {"options": [_option(name) for name in rows[0]]}
    groups = [
        {"label": plain(t.plain_label(f"{row[0]} …")), "options": [_option(name) for name in row]} for row in rows
    ]
    return {"option_groups": groups}


def _option(name: str) -> Block:
    return {"text": plain(t.plain_label(name)), "value": name}


def _input(block_id: str, label: str, element: Block) -> Block:
    return {"type": "input", "block_id": block_id, "dispatch_action": True, "label": plain(label), "element": element}


def _header(words: str) -> Block:
    return {"type": "header", "text": plain(words)}
