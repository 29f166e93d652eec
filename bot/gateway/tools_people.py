"""The tools with which an agent turns to people: a question, a file for the thread, the pull request's words.

Part of the table in `tools.py`. What is asked is in the log before anybody waits for it, so a call that is cut loses
nothing: the same call again finds the same question, or its answer.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field

from bot.gateway.tool import Arguments, Call, Tool, ToolRefused
from jobs import commands_tools as t
from jobs import events as e
from jobs.commands import Command, Refused
from jobs.decide_tools import same_file, same_question
from jobs.events import Event
from jobs.session import Session
from sandbox.runner.visible import visible

LOOK_SECONDS = 1.0  # should a bell be missed, or the gateway be closing
FILE_SECONDS = 20.0  # for the runner to send a file
OVER = (e.TurnEnded, e.BoxLost, e.BoxParked, e.ParkBegan, e.StopRequested)
TURN_OVER = "The turn is over or is being stopped, so this leads nowhere any more. End here."
RESTARTING = "Shipmate is being restarted. Call {tool} again with the very same arguments: nothing is lost."
LATER = (
    "Nobody has answered yet; people may take hours. The question stays open in the thread. If you can go on without "
    "the answer, do. Else end your turn now: say in one sentence what you wait for. The answer then comes as your next "
    "request."
)
NEVER_CAME = (
    "The box did not send the file in time. If it is large, make it smaller; else the box runs an older runner, which "
    "cannot send files: say in your answer where the file is instead."
)


def _seen(text: str) -> str:
    """Words as people see them, and at least one."""
    words = visible(text).strip()
    if not words:
        raise ValueError("must say something")
    return words


def _line(text: str) -> str:
    return " ".join(_seen(text).split())


Line = Annotated[str, AfterValidator(_line)]


class Question(Arguments):
    """A question to the people of the thread."""

    question: Annotated[str, AfterValidator(_seen), Field(max_length=1_500)] = Field(
        description="One question, complete in itself: people may not have followed your work."
    )
    options: tuple[Annotated[Line, Field(max_length=75)], ...] = Field(
        default=(),
        max_length=10,
        fail_fast=True,
        description="Answers to choose from, as buttons. Anybody may answer otherwise.",
    )


class File(Arguments):
    """A file of the box."""

    path: Annotated[str, AfterValidator(_seen), Field(max_length=1_000)] = Field(
        description="A regular file of at most 10 MB: absolute, or from the repository's root."
    )
    title: Annotated[str, Field(max_length=200)] = Field(default="", description="What it shows, in some words.")


class PullRequest(Arguments):
    """What the pull request is to be called and to say."""

    title: Annotated[Line, Field(max_length=150)] = Field(description="One line, as the repository's own titles are.")
    body: Annotated[str, Field(max_length=30_000)] = Field(description="Markdown: what changed, why, how tested.")
    draft: bool = Field(default=False, description="Open it as a draft. Counts only when it is opened.")


async def ask_people(call: Call, a: Question) -> str:
    """Ask, and wait for the answer as long as an agent's own limit allows."""
    options = tuple(dict.fromkeys(a.options))
    session = await _do(call, t.AskPeople(call.grant.generation, a.question, options))
    inquiry = same_question(session, a.question, options)
    if inquiry is None:
        raise ToolRefused(TURN_OVER)
    answer, by, asked = inquiry.answer, inquiry.by, inquiry.id
    if answer is None:
        seconds = call.settings.jobs.rules.ask_seconds
        heard = await _heard(call, session, seconds, lambda v: isinstance(v, e.QuestionAnswered) and v.id == asked)
        if not isinstance(heard, e.QuestionAnswered):
            if call.leaving.is_set():
                raise ToolRefused(RESTARTING.format(tool="ask_people"))
            return LATER
        answer, by = heard.answer, heard.by
    await _do(call, t.TakeAnswer(asked))
    return f"{by.name if by else 'Somebody'} answered: {answer}"


async def attach(call: Call, a: File) -> str:
    """Have the runner send the file, and say what became of it."""
    title = " ".join(visible(a.title).split())
    session = await _do(call, t.WantFile(call.grant.generation, a.path, title))
    wanted = same_file(session, a.path, title)
    if wanted is None:
        raise ToolRefused(TURN_OVER)
    seconds = min(FILE_SECONDS, call.settings.jobs.rules.ask_seconds)
    settled = await _heard(
        call, session, seconds, lambda v: isinstance(v, e.FileAttached | e.FileRefused) and v.id == wanted.id
    )
    if isinstance(settled, e.FileRefused):
        raise ToolRefused(f"{a.path} was not attached: {settled.reason}")
    if settled is not None:
        return f"{a.path} is attached: people see it in the thread, and the pull request names it."
    if call.leaving.is_set():
        raise ToolRefused(RESTARTING.format(tool="attach"))
    await _do(call, t.RefuseFile(wanted.id, "it was not sent in time"))
    raise ToolRefused(NEVER_CAME)


async def open_pull_request(call: Call, a: PullRequest) -> str:
    """Keep the words; the worker that publishes goes by them."""
    session = await _do(call, t.DescribePullRequest(call.grant.generation, a.title, a.body, a.draft))
    shown = session.pull_request
    if shown is not None and shown.state == "open":
        return (
            f"Pull request #{shown.number} ({shown.url}) is open and gets these words, unless somebody has changed it "
            "since. What you commit is added to it when your turn ends."
        )
    if session.unpublished:
        return "The pull request is opened now with these words; what you commit is added when your turn ends."
    return "When your turn ends, your commits are pushed and the pull request is opened with these words. Commit first."


async def _do(call: Call, command: Command) -> Session:
    try:
        return await call.inbox.handle(call.grant.session, command)
    except Refused as refused:
        raise ToolRefused(str(refused)) from None


async def _heard(call: Call, session: Session, seconds: float, awaited: Callable[[Event], bool]) -> Event | None:
    """The event that is waited for; None if it does not come in time, or not to us. Raises when the turn is over."""
    after, bell = session.seq, asyncio.Event()
    until = asyncio.get_running_loop().time() + seconds
    with call.bells.ringing(session.id, bell):
        while True:
            bell.clear()
            for event in await call.store.events(session.id, after):
                after = event.seq
                if awaited(event):
                    return event
                if isinstance(event, OVER):
                    raise ToolRefused(TURN_OVER)
            left = until - asyncio.get_running_loop().time()
            if left <= 0 or call.leaving.is_set():
                return None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, LOOK_SECONDS)):
                    await bell.wait()


PEOPLE_TOOLS: tuple[Tool, ...] = (
    Tool(
        "ask_people",
        "Ask the people in the thread a question that you cannot answer from the repository and that decides what you "
        "do next. Waits up to a minute for the answer. Do not ask for leave to go on, and not what you can find out.",
        Question,
        ask_people,
    ),
    Tool(
        "attach",
        "Show people a file of your box, such as a screenshot, a log or a report: it is posted in the thread and named "
        "in the pull request. Never a file with secrets in it.",
        File,
        attach,
    ),
    Tool(
        "open_pull_request",
        "Say what the pull request of this session is called and what it says. It is opened for you once there are "
        "pushed commits; never open one in another way. Call it again to reword it.",
        PullRequest,
        open_pull_request,
    ),
)
