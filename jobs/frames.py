"""What a runner says, checked: the up frames of docs/wire.md as frozen records. Pure.

`bot/gateway/link_up.py` parses what comes out of a box with `frame_from_wire` (everything from there is untrusted:
sizes are bounded here) and hands it to `jobs/inbox.py`; `jobs/hearing.py` turns the facts among them into events.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter

from jobs.events import Commit, Frozen, PlanEntry

SHORT, SIGNATURE, CO_AUTHORS = 300, 400, 50
Short = Annotated[str, StringConstraints(max_length=SHORT)]
Sentence = Annotated[str, StringConstraints(max_length=2_000)]
Chunk = Annotated[str, StringConstraints(max_length=65_536)]
Sha = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|)$")]
Tool = Literal["read", "edit", "execute", "search", "fetch", "think", "other"]


def _bounded_entry(entry: PlanEntry) -> PlanEntry:
    if len(entry.text) > SHORT:
        raise ValueError(f"a plan's line may have at most {SHORT} characters")
    return entry


def _bounded_commit(commit: Commit) -> Commit:
    people = (commit.author, *commit.co_authors)
    if len(commit.sha) > SHORT or len(commit.subject) > SHORT or max(map(len, people)) > SIGNATURE:
        raise ValueError(f"a commit's subject may have at most {SHORT} characters, each of its people {SIGNATURE}")
    if len(commit.co_authors) > CO_AUTHORS:
        raise ValueError(f"a commit may have at most {CO_AUTHORS} co-authors")
    return commit


class Frame(Frozen):
    """What every frame has: its number `n` (from 1, without gaps) and when it was made."""

    n: Annotated[int, Field(ge=1)]
    at: float


class Phase(Frame):
    """How far the runner is."""

    kind: Literal["phase"]
    phase: Literal["agent_starting", "syncing", "syncing_again", "synced", "agent_restarting"]


class AgentInfo(Frozen):
    """What the agent says of itself."""

    name: Short = ""
    version: Short = ""


class Ready(Frame):
    """The agent is started: it can be prompted. `synced` False: the tree is not in step yet, so it only reads."""

    kind: Literal["ready"]
    conversation: Short
    resumed: bool
    head: Sha
    agent: AgentInfo = AgentInfo()
    synced: bool = True  # runners of older releases come here only when it is


class Unready(Frame):
    """The box cannot work; `reason` is a sentence."""

    kind: Literal["unready"]
    reason: Sentence


class Started(Frame):
    """The prompt was written to the agent."""

    kind: Literal["turn_started"]
    turn: int


class Restated(Frame):
    """The agent's own words for the task."""

    kind: Literal["restated"]
    turn: int
    text: Sentence


class Plan(Frame):
    """The agent's plan, whole."""

    kind: Literal["plan"]
    turn: int
    entries: Annotated[tuple[Annotated[PlanEntry, AfterValidator(_bounded_entry)], ...], Field(max_length=50)]


class Step(Frame):
    """A tool call begins."""

    kind: Literal["step"]
    turn: int
    id: Short = ""
    title: Short
    tool: Tool = "other"


class Words(Frame):
    """Text or thought, coalesced by the runner."""

    kind: Literal["text", "thought"]
    turn: int
    text: Chunk


class Diff(Frozen):
    """One file before and after an edit."""

    path: Sentence
    old: Chunk = ""
    new: Chunk = ""


class ToolCall(Frame):
    """A tool call as far as it is known now."""

    kind: Literal["tool"]
    turn: int
    id: Short = ""
    title: Short = ""
    tool: Tool = "other"
    status: Short = ""
    locations: Annotated[tuple[Sentence, ...], Field(max_length=50)] = ()
    diff: Annotated[tuple[Diff, ...], Field(max_length=50)] = ()
    output: Chunk = ""
    exit: int | None = None


class Ended(Frame):
    """A turn is over."""

    kind: Literal["turn_ended"]
    turn: int
    outcome: Literal["done", "stopped", "failed", "timed_out"]
    summary: Sentence = ""
    error: Sentence | None = None
    head: Sha = ""
    commits: Annotated[tuple[Annotated[Commit, AfterValidator(_bounded_commit)], ...], Field(max_length=500)] = ()
    pushed: bool = False
    usage: dict[str, Any] = Field(default_factory=dict)


class Dropped(Frame):
    """A frame was refused for good."""

    kind: Literal["dropped"]
    reason: Sentence


class Remark(Frame):
    """Something that people should know, and that changes nothing."""

    kind: Literal["remark"]
    text: Sentence


AnyFrame = Annotated[
    Remark | Phase | Ready | Unready | Started | Restated | Plan | Step | Words | ToolCall | Ended | Dropped,
    Field(discriminator="kind"),
]
TRANSCRIPT = (Words, ToolCall)

_FRAME: TypeAdapter[AnyFrame] = TypeAdapter(AnyFrame)


def frame_from_wire(raw: object) -> AnyFrame:
    """Check one decoded frame; raise `pydantic.ValidationError` for what the wire does not allow."""
    return _FRAME.validate_python(raw)
