"""What the agent's tools show in a thread: its questions and its files. Pure; part of `blocks.py`.

`posts.py` asks for these messages. The agent's words are quiet, as everybody's are; a button carries the session, for
several may share a thread.
"""

from bot.cards import Asked, SharedFile
from bot.slack import text as t
from bot.slack.block_kit import Message, button, context, section
from bot.slack.markdown import mrkdwn_of

ANSWER = "answer"
QUESTION, CHOSEN = 1_800, 1_000
STOPPED = "The turn was stopped; nobody has to answer."


def asked_message(asked: Asked, session: str, number: int = 0) -> Message:
    """A question of the agent's: buttons, until somebody has answered. `number`: of a session that an agent started."""
    question = t.quiet(mrkdwn_of(asked.question), QUESTION)
    if asked.answer is not None:
        said = f"{question}\n› {t.quiet(asked.answer, CHOSEN)}"
        return Message(f"Answered: {t.one_line(asked.answer)}", (section(said), context(f"answered by {_by(asked)}")))
    if asked.withdrawn:
        return Message("Not asked any more.", (section(question), context(STOPPED)))
    who = f"{t.person(asked.to.id, asked.to.name)} " if asked.to is not None else ""
    how = "Press a button, or reply here in your own words" if asked.options else "Reply here with the answer"
    if number:
        how += f", beginning with `#{number}`"
    who = f"*#{number}* {who}" if number else who
    blocks = [section(f"{who}{question}")]
    if asked.options:
        buttons = [
            button(t.plain_label(option), f"{ANSWER}:{n}", f"{session}:{asked.id}:{n}")
            for n, option in enumerate(asked.options)
        ]
        blocks.append({"type": "actions", "elements": buttons})
    blocks.append(context(f"{how}; anybody may, and the first answer counts."))
    return Message(f"{who}{t.one_line(asked.question, 300)}" or "…", tuple(blocks))


def file_message(file: SharedFile) -> Message:
    """What stands for a file that Slack does not take."""
    name = t.link(file.url, file.name) if file.url else f"`{t.one_line(file.name)}`"
    said = f":paperclip: {name}" + (f"  {t.one_line(file.title)}" if file.title else "")
    return Message(t.one_line(file.title or file.name) or "…", (section(said),))


def pressed_answer(action: str, value: str) -> tuple[str, str, int] | None:
    """The session, the question and the number of the option that a button of ours stands for; None: it is another."""
    session, _, rest = value.partition(":")
    question, _, option = rest.partition(":")
    if action.partition(":")[0] != ANSWER or not (session and question and option.isdecimal() and len(option) < 3):
        return None
    return session, question, int(option)


def _by(asked: Asked) -> str:
    return t.one_line(asked.by, 80) or "somebody"
