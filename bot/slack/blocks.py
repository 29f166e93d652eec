"""What a thread shows, as Slack messages: Block Kit and the text that stands for it in notifications. Pure.

`posts.py` asks for messages, `writer.py` posts and edits them. All words of people, models and repositories go through
`text.quiet`; the only mention is of the person who is told that something ended, the only links are the forge's and
View's. Slack's limits (section 3,000, text 4,000, 50 blocks, about 13,000 characters in all) are held by the sizes
named here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.cards import BudgetQuestion, Card, Ending, Notice, Question
from bot.phases import STARTS, dollars
from bot.slack import text as t
from bot.slack.block_kit import Block, Message
from bot.slack.block_kit import button as _button
from bot.slack.block_kit import context as _context
from bot.slack.block_kit import section as _section
from bot.slack.family_blocks import child_buttons, family_lines, pull_links, waiting_for
from bot.slack.markdown import mrkdwn_of
from bot.slack.review_blocks import comment_blocks
from jobs.events import Outcome

STOP, VIEW, VIEW_PRIVATE, CHOOSE = "stop", "view", "view_private", "choose_repository"
BUDGET_MORE, BUDGET_NO = "budget_more", "budget_no"
EXCERPT, TASK, SUMMARY, LINE = 400, 600, 2_400, 150
SHORT_SECONDS = 10.0  # a running card is edited now and then only: "0 s" would stand there for long
PLAN_LINES, BUTTONS, COMMIT_LINES = 20, 20, 5
NAME = 200  # characters; no forge has longer names of repositories
MARKS = {"pending": "○", "in_progress": "▸", "completed": "✓"}
NOT_ISOLATED = ":warning: *Not isolated*: this agent runs with the rights of the machine's own user."

HELP = (
    "Mention me with a task, such as `fix the failing test in owner/name`, and I will work on it in a box of its own "
    "and open a pull request. Anybody here steers me by replying in the thread; no mention is needed there. "
    "Begin a reply with somebody else's name or with `(aside)` and I will leave it alone; reply `stop` and I will "
    "stop. `/shipmate` opens a form instead."
)


@dataclass(frozen=True)
class Where:
    """What every card of a session shares: the repository, its branch, and how to look at it. `view_url` for all, or
    "" in a private place, where the button gives a link to whoever may see it. `number`: of one that an agent started.
    """

    session: str
    repository: str = ""
    view_url: str = ""
    number: int = 0


def card_message(card: Card, where: Where, now: float | None = None) -> Message:
    """The card of one prompt; without `now` it says no elapsed time while it runs."""
    task = mrkdwn_of(card.task)
    asked = f"What #{card.report_of} reports" if card.report_of else card.text or "(see the attached file)"
    head = t.quiet(task, TASK) if task else t.quiet(asked, EXCERPT)
    blocks = [
        _section(f"*{head}*" if task and "\n" not in head and "*" not in head else head),
        _context(_facts(card, where, now)),
        *_warnings(card),
        *_plan(card),
        *_steps(card),
        *family_lines(card.children),
        *_trouble(card),
        _buttons(card, where, asked),
    ]
    text = f"{t.one_line(card.phase)}: {t.one_line(task or asked, 300)}"
    return Message(text, tuple(blocks))


def _facts(card: Card, where: Where, now: float | None) -> str:
    name = t.one_line(card.author.name, 80)
    asked = f"for {name}" if card.report_of or card.by_agent else f"asked by {name}"
    facts = [f"*{t.one_line(card.phase, 400)}*", asked, t.one_line(where.repository), _elapsed(card, now)]
    if where.number:
        facts.insert(0, f"session *#{where.number}*")
    if card.start is not None and card.state == "running":
        facts.append(STARTS[card.start].lower())
    if card.edited:
        facts.append("edited")
    if card.attachments:
        facts.append("files: " + t.one_line(", ".join(card.attachments), 200))
    if card.before:
        facts.append(f"knows the {card.before} message{'s' if card.before > 1 else ''} above")
    if card.commits:
        facts.append(f"{len(card.commits)} commit{'s' if len(card.commits) > 1 else ''}")
    if card.cost:
        facts.append(dollars(card.cost))
    return "  ·  ".join(fact for fact in facts if fact)


def _elapsed(card: Card, now: float | None) -> str:
    until = card.ended if card.ended is not None else now
    if until is None or card.began is None or card.state not in ("running", "ended"):
        return ""
    took = until - card.began
    return duration(took) if card.ended is not None or took >= SHORT_SECONDS else ""


def duration(seconds: float) -> str:
    """Such as `42 s`, `3 min 5 s` or `2 h 10 min`; what took no second is `under 1 s`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s" if whole > 0 else "under 1 s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _warnings(card: Card) -> list[Block]:
    return [] if card.isolated else [_context(NOT_ISOLATED)]


def _plan(card: Card) -> list[Block]:
    """A line for each entry; in small print once it is over, for a thread has many cards."""
    if not card.plan:
        return []
    lines = [f"{MARKS[entry.status]} {t.one_line(entry.text, 120)}" for entry in card.plan[:PLAN_LINES]]
    if len(card.plan) > PLAN_LINES:
        lines.append(f"… and {len(card.plan) - PLAN_LINES} more")
    return [_section("\n".join(lines)) if card.live else _context("  ·  ".join(lines))]


def _steps(card: Card) -> list[Block]:
    if not card.steps or not card.live:
        return []
    earlier = card.steps_taken - len(card.steps)
    lines = [f"_{earlier} steps before_"] if earlier > 0 else []
    lines += [f"› {t.one_line(step, LINE)}" for step in card.steps]
    return [_context("\n".join(lines))]


def _trouble(card: Card) -> list[Block]:
    if not card.error or card.state != "ended":
        return []
    return [_section(f":warning: {t.quiet(card.error, 1_500)}")]


def _buttons(card: Card, where: Where, asked: str) -> Block:
    """Stop and View, told apart from those of other cards for whoever hears them read out."""
    live = card.live and card.stop_by is None
    stop = [_button("Stop", STOP, card.id) | {"style": "danger"}] if live else []
    own = child_buttons(where.session, card.id, live) if where.number else stop
    named = [
        one | {"accessibility_label": t.plain_label(f"{one['text']['text']}: {asked}")} for one in [*own, _view(where)]
    ]
    return {"type": "actions", "elements": named}


def _view(where: Where) -> Block:
    if where.view_url:
        return _button("View", VIEW, where.session) | {"url": where.view_url}
    return _button("View", VIEW_PRIVATE, where.session)


def ending_message(ending: Ending) -> Message:
    """The end of a turn, which names the person who asked; nobody, if an agent did, which hears of it by itself."""
    waits = bool(ending.waits_for) and ending.outcome == "done"
    quiet = ending.by_agent or waits
    who = t.one_line(ending.to.name, 80) + ":" if quiet else t.person(ending.to.id, ending.to.name)
    if ending.session:
        who = f"*#{ending.session}* {who}"
    result = _result(ending)
    opening = f"Stopped by {t.one_line(ending.stopped_by, 80)}." if ending.stopped_by else OPENINGS[ending.outcome]
    first = f"{who} {opening} {result}".strip()
    if waits:
        first = f"{who} {waiting_for(ending.waits_for)}{f' {result}' if ending.commits else ''}"
    blocks = [_section(first)]
    if ending.error:
        blocks.append(_section(f":warning: {t.quiet(ending.error, 2_000)}"))
    if ending.summary:
        blocks.append(_section(t.quiet(mrkdwn_of(ending.summary), SUMMARY)))
    if ending.commits:
        blocks.append(_context(_commits(ending)))
    text = first + (f" {t.one_line(ending.error, 1_000)}" if ending.error else "")
    return Message(text, tuple(blocks))


OPENINGS: dict[Outcome, str] = {
    "done": "Done.",
    "stopped": "Stopped.",
    "failed": "That did not work.",
    "timed_out": "The time for this is over, so I stopped.",
    "interrupted": "This was interrupted.",
    "paused": "Paused.",
}


def _result(ending: Ending) -> str:
    """What there is to look at, or why there is nothing, and what to do."""
    label = f"Pull request #{ending.pull_request}"
    reply = f"Reply here, `#{ending.session}` in front," if ending.session else "Reply here"
    match ending.publishing:
        case "shown":
            return f"{t.link(ending.url, label)} shows it."
        case "pending":
            return "The commits are pushed, the pull request is on its way."
        case "failed":
            kept = f"The commits are on `{t.one_line(ending.branch)}`, but their pull request could not be made:"
            return f"{kept} {t.quiet(ending.trouble, 1_500)}"
        case "unpushed":
            return f"The commits could not be pushed yet; they are kept. {reply} and I will try again."
    if ending.made and ending.outcome == "done":
        return f"{_listed(pull_links(ending.made))} {'show' if ending.made[1:] else 'shows'} it."
    if ending.outcome in ("done", "stopped"):
        again = f" {t.link(ending.url, label)} is as it was." if ending.url else ""
        nothing = ("No commits, so nothing new to show." if again else "No commits, so no pull request.") + again
        return f"{nothing} {reply} and I will go on." if ending.outcome == "stopped" else nothing
    return f"{reply} and I will try again."


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if words[1:] else words[0]


def _commits(ending: Ending) -> str:
    shown = ending.commits[-COMMIT_LINES:]
    earlier = len(ending.commits) - len(shown)
    lines = [f"_{earlier} commits before_"] if earlier else []
    lines += [f"`{t.one_line(commit.sha[:9])}` {t.one_line(commit.subject)}" for commit in shown]
    return "\n".join(lines)


def notice_message(notice: Notice) -> Message:
    """Something that happened beside the turns."""
    words = [t.person(notice.to.id, notice.to.name)] if notice.to else []
    if notice.label:
        words.append(t.link(notice.url, notice.label))
    words.append(t.quiet(notice.text, 2_000))
    said = " ".join(words).strip() or "…"
    quoted = [_section(t.quoted(mrkdwn_of(notice.quote)))] if notice.quote else []
    return Message(said, (_section(said), *quoted, *(comment_blocks(notice.review) if notice.review else ())))


def question_message(question: Question, moot: bool = False) -> Message:
    """Which repository? Buttons, until somebody has answered. `moot`: nothing waits for the answer any more."""
    if question.answer is not None:
        by = f", chosen by {t.one_line(question.by, 80)}" if question.by else ""
        said = f"Repository: *{t.one_line(question.answer)}*{by}"
        return Message(said, (_section(said),))
    if moot:
        said = "I asked which repository is meant; that does not matter any more. Reply here with a task to go on."
        return Message(said, (_section(said),))
    if not question.options:
        said = f"{t.quiet(question.reason, 1_000)} Whoever runs me can set it; reply here when that is done."
        return Message(said, (_section(said),))
    said = f"{t.quiet(question.reason, 1_000)} Press a button, or reply with `owner/name`."
    options = [name for name in question.options if len(name) <= NAME][:BUTTONS]
    buttons = [_button(t.plain_label(name), f"{CHOOSE}:{n}", name) for n, name in enumerate(options)]
    return Message(said, (_section(said), {"type": "actions", "elements": buttons}))


def budget_message(question: BudgetQuestion, url: str = "", number: int = 0) -> Message:
    """Go on with more money? Buttons, until somebody has answered. `url`, `number`: of the pull request, if any."""
    used = f"This session has used {dollars(question.used)} of its {dollars(question.limit)}."
    more, by = dollars(question.more), t.one_line(question.by, 80)
    answers = {
        "raised": f"{used} {by} said to go on with {more} more.",
        "declined": f"{used} {by} said no. What was done is kept; reply here to go on after all.",
        "closed": f"{used} Nobody answered for a long time, so it was closed; reply here to go on.",
    }
    if question.answer:
        said = answers[question.answer]
        return Message(said, (_section(said),))
    who = f"{t.person(question.to.id, question.to.name)} " if question.to is not None else ""
    kept = (
        f"{t.link(url, f'Pull request #{number}')} has what was done so far."
        if url
        else "What was done so far is kept."
    )
    said = f"{who}Used {dollars(question.used)}. Go on with {more} more? {kept}"
    go_on = _button(f"Go on with {more} more", BUDGET_MORE, str(question.asked)) | {"style": "primary"}
    buttons = [go_on, _button("No, leave it", BUDGET_NO, str(question.asked))]
    return Message(said, (_section(said), {"type": "actions", "elements": buttons}))


def help_message(repositories: Sequence[str]) -> Message:
    """What an empty mention is answered with. `repositories`: those that are enabled."""
    named = [f"`{t.one_line(name, 120)}`" for name in repositories[:BUTTONS]]
    more = f" and {len(repositories) - BUTTONS} more" if len(repositories) > BUTTONS else ""
    said = HELP + (f" I may work on {', '.join(named)}{more}." if named else "")
    return Message(said, (_section(said),))


def plain_message(words: str, url: str = "", label: str = "") -> Message:
    """Words of our own, with a link if given."""
    said = t.quiet(words, 2_000) + (f" {t.link(url, label)}" if url else "")
    return Message(said, (_section(said),))
