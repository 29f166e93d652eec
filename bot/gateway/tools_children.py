"""The tools with which an agent starts other sessions and looks after them.

Part of the table in `tools.py`. A session may see and steer those that it started, and those that they started; of all
others it is not even told whether they exist. `jobs/decide_family.py` decides the bounds, in the log of the root.
"""

import hashlib
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from bot.cards import Card, ThreadView
from bot.folding import view_of
from bot.gateway.tool import Arguments, Call, Tool, ToolRefused
from jobs import commands_family as c
from jobs.children import OUTCOMES, hand_over
from jobs.commands import Command, Refused, Stop
from jobs.events import Author, Prompt
from jobs.family import Child, child_of, descends
from jobs.recipe_choices import is_there
from jobs.session import Session
from jobs.settings_repositories import Repository
from sandbox import agents
from sandbox.runner.visible import visible

PROMPT_CHARS, DIFF_CHARS, COMMITS_SHOWN = 20_000, 30_000, 30
WAITING_MOST = 10  # requests of one session that it has not begun
_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
BRANCH = rf"{_PART}(/{_PART})*"
UNKNOWN = "You started no such session. list_sessions names those that you did."
NO_TURN = "Sessions can be started and steered only while a request is worked on."
WAITS = (
    "You are given its report as your next request once it has ended. Go on with your own work, then end your turn; do "
    "not look again and again."
)
WAITS_NOT = "You are not told when it ends; people see it in the thread."


def _seen(text: str) -> str:
    words = visible(text).strip()
    if not words:
        raise ValueError("must say something")
    return words


def _branch(name: str) -> str:
    """What git takes for a branch: whoever would find out otherwise is the box that was made for it."""
    if ".." in name or any(part.endswith((".", ".lock")) for part in name.split("/")):
        raise ValueError("is no name of a branch")
    return name


Words = Annotated[str, Field(max_length=PROMPT_CHARS), AfterValidator(_seen)]
Wait = Annotated[
    bool,
    Field(description="Whether you are given what comes of it as your next request, once you have ended this one."),
]


class Spawn(Arguments):
    """A session to start."""

    repository: Annotated[
        str, Field(max_length=200, description="owner/name of an enabled repository; yours or another.")
    ]
    prompt: Annotated[
        Words, Field(description="The whole task. It knows nothing of your conversation: say everything.")
    ]
    branch: Annotated[str, Field(max_length=200, pattern=rf"^({BRANCH})?$"), AfterValidator(_branch)] = Field(
        default="", description="The branch to start from, and to go back to; empty: the usual one."
    )
    agent: Annotated[str, Field(max_length=100)] = Field(default="", description="Another agent than yours.")
    model: Annotated[str, Field(max_length=200)] = Field(default="", description="Another model, as provider/name.")
    wait: Wait = True


class Which(Arguments):
    """One of the sessions that were started."""

    session: Annotated[str, Field(max_length=40, description="Its id, or its number such as #2.")]


class Steer(Which):
    """More for one of them to do."""

    prompt: Annotated[Words, Field(description="What it is to do next. It knows what it did before.")]
    wait: Wait = True


class Nothing(Arguments):
    """No arguments."""


async def spawn_session(call: Call, a: Spawn) -> str:
    """Start a session, once for the same words in the same request, however often that is delivered."""
    request, author = _request(call)
    repository = _repository(call, a.repository)
    agent = a.agent or call.session.agent
    _check_agent(call, repository.name, agent, a.model)
    key = "\0".join((call.session.id, request, repository.name, a.branch, a.prompt))
    sid = "s" + hashlib.sha256(key.encode()).hexdigest()[:16]
    prompt = Prompt(id=f"{sid}:task", author=author, text=a.prompt, received_at=call.clock())
    spawn = c.SpawnChild(
        child=sid,
        parent=call.session.id,
        repository=repository.name,
        base_branch=a.branch or repository.base_branch,
        agent=agent,
        model=a.model or call.session.model,
        prompt=prompt,
        waits=a.wait,
    )
    root = await _do(call, call.session.root, spawn)
    await hand_over(call.inbox, root)
    child = child_of(root.children, sid)
    number = child.number if child is not None else 0
    started = f"Session #{number} works on {repository.name} now, on a branch of its own; its id is {sid}."
    return f"{started} {WAITS if a.wait else WAITS_NOT}"


async def list_sessions(call: Call, _: Nothing) -> dict[str, Any]:
    """Those that this session started, and theirs."""
    root = await _root(call)
    mine = (one for one in root.children if descends(root.children, one.id, call.session.id))
    return {"sessions": [_line(child) for child in mine]}


async def session_status(call: Call, a: Which) -> dict[str, Any]:
    """How far one of them is."""
    child = await _found(call, a.session)
    view = await _view(call, child)
    card = view.cards[-1] if view is not None and view.cards else None
    return _line(child) | (_progress(card) if card is not None else {"phase": "is being opened"})


async def prompt_session(call: Call, a: Steer) -> str:
    """More to do for one of them, once for the same words in the same request."""
    request, author = _request(call)
    child = await _found(call, a.session)
    known_as = hashlib.sha256(f"{call.session.id}\0{request}\0{a.prompt}".encode()).hexdigest()[:16]
    prompt = Prompt(id=f"{child.id}:{known_as}", author=author, text=a.prompt, received_at=call.clock())
    told = await call.store.load(child.id)
    if told is None or prompt.id not in told.seen:
        if told is not None and len(told.queue) >= WAITING_MOST:
            raise ToolRefused(
                f"{WAITING_MOST} requests wait in #{child.number} already. Ask it for more when it is done."
            )
        root = await _do(call, call.session.root, c.PromptChild(child.id, prompt, a.wait))
        await hand_over(call.inbox, root)
    return f"Session #{child.number} has it. {WAITS if a.wait else WAITS_NOT}"


async def stop_session(call: Call, a: Which) -> str:
    """Stop what it does and what waits in it."""
    _, author = _request(call)
    child = await _found(call, a.session)
    await _do(call, child.id, Stop(author))
    return f"Session #{child.number} is stopping. What it has done so far is kept on its branch."


async def read_session(call: Call, a: Which) -> dict[str, Any]:
    """What came of one of them: its last words, its commits, and what its branch changes."""
    child = await _found(call, a.session)
    view = await _view(call, child)
    if view is None:
        return _line(child) | {"result": "It is being opened."}
    session, ending = view.session, view.endings[-1] if view.endings else None
    found: dict[str, Any] = _line(child) | {"branch": session.branch, "base_branch": session.base_branch}
    if ending is not None:
        found |= {"last_words": ending.summary, "error": ending.error}
    found["commits"] = [f"{one.sha[:9]} {one.subject}" for one in session.commits[-COMMITS_SHOWN:]]
    if session.head:
        diff = await call.diff(child.repository, session.base_branch, session.branch)
        found["diff"] = diff if len(diff) <= DIFF_CHARS else diff[:DIFF_CHARS] + "\n… (cut: there is more)"
    else:
        found["diff"] = "Nothing has been pushed yet."
    return found


def _request(call: Call) -> tuple[str, Author]:
    """The prompt that is worked on, and for whom: it is that person's name that the commits will carry."""
    turn = call.session.turn
    if turn is None:
        raise ToolRefused(NO_TURN)
    return turn.prompt.id, turn.prompt.author


def _repository(call: Call, name: str) -> Repository:
    enabled = call.settings.jobs.repositories
    found = next((one for one in enabled if one.name.lower() == name.strip().lower()), None)
    if found is None:
        names = ", ".join(one.name for one in enabled) or "none"
        raise ToolRefused(f"{name[:100]!r} is not enabled. Enabled repositories: {names}.")
    return found


def _check_agent(call: Call, repository: str, name: str, model: str) -> None:
    try:
        row = agents.row(name)
        agents.check_model(model, row, call.settings.jobs.speaking)
    except ValueError as wrong:
        raise ToolRefused(f"{wrong}. Leave it out to use what you use.") from None
    if not is_there(call.settings.jobs, repository, row):
        raise ToolRefused(f"The agent {name} is not installed here. Leave it out to use your own.")


async def _root(call: Call) -> Session:
    """The session at whose beginning the family is on record."""
    if call.session.lineage is None:
        return call.session
    root = await call.store.load(call.session.root)
    if root is None:
        raise ToolRefused(UNKNOWN)
    return root


async def _found(call: Call, named: str) -> Child:
    """The child that is meant, if it descends from the session that asks."""
    children = (await _root(call)).children
    name = named.strip()
    meant = (one for one in children if name in (one.id, str(one.number), f"#{one.number}"))
    child = next((one for one in meant if descends(children, one.id, call.session.id)), None)
    if child is None:
        raise ToolRefused(UNKNOWN)
    return child


async def _view(call: Call, child: Child) -> ThreadView | None:
    return await view_of(call.store, child.id)


def _line(child: Child) -> dict[str, Any]:
    return {
        "session": child.id,
        "number": f"#{child.number}",
        "repository": child.repository,
        "task": child.task,
        "state": "working" if child.outcome is None else OUTCOMES[child.outcome],
        "pull_request": child.url,
    }


def _progress(card: Card) -> dict[str, Any]:
    return {
        "phase": card.phase,
        "understood_as": card.task,
        "plan": [f"{entry.status}: {entry.text}" for entry in card.plan],
        "last_steps": list(card.steps),
    }


async def _do(call: Call, sid: str, command: Command) -> Session:
    try:
        return await call.inbox.handle(sid, command)
    except Refused as refused:
        raise ToolRefused(str(refused)) from None


CHILDREN_TOOLS: tuple[Tool, ...] = (
    Tool(
        "spawn_session",
        "Start another session: an agent like you in a box of its own, on a branch of its own, that opens its own pull "
        "request. Use it to find something out in another repository, to work on parts of a task at the same time, or "
        "to make several small pull requests of one large change. Do a small task yourself: a session costs a minute "
        "and money. It knows nothing of what you know: give it the whole task. The same task twice is one session. "
        "People see each one in the thread and may steer or stop it.",
        Spawn,
        spawn_session,
    ),
    Tool(
        "list_sessions",
        "The sessions that you started, with what each has come to so far.",
        Nothing,
        list_sessions,
        only_looks=True,
    ),
    Tool(
        "session_status",
        "How far a session is that you started: its phase, plan and last steps. Not for waiting: a report comes by "
        "itself.",
        Which,
        session_status,
        only_looks=True,
    ),
    Tool(
        "prompt_session",
        "Give a session that you started more to do, or another direction. It goes on where it was.",
        Steer,
        prompt_session,
    ),
    Tool("stop_session", "Stop a session that you started. What it did is kept on its branch.", Which, stop_session),
    Tool(
        "read_session",
        "What came of a session that you started: its last words, its commits and the diff of its branch.",
        Which,
        read_session,
        only_looks=True,
    ),
)
