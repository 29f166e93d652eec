"""The facts of a turn: an agent at work on one prompt, and what its model costs. Part of `jobs/events.py`."""

from typing import Literal

from jobs.event_parts import Author, Commit, Fact, ModelTrouble, Outcome, PlanEntry


class PromptDelivered(Fact):
    """A turn begins: this prompt goes down to the runner. `again`: for the second time, for its box was lost."""

    kind: Literal["prompt_delivered"] = "prompt_delivered"
    generation: int
    turn: int
    prompt_id: str
    again: bool = False


class TurnStarted(Fact):
    """The runner has handed the prompt to the agent."""

    kind: Literal["turn_started"] = "turn_started"
    turn: int


class ModelRequested(Fact):
    """The agent has asked its model, with tools on offer, for the first time in this turn."""

    kind: Literal["model_requested"] = "model_requested"
    turn: int


class ModelTroubled(Fact):
    """The agent's model has given trouble for so long that people should know: which, or "" when it is over."""

    kind: Literal["model_troubled"] = "model_troubled"
    turn: int
    trouble: ModelTrouble


class TaskRestated(Fact):
    """The agent said in its own words what it is about to do."""

    kind: Literal["task_restated"] = "task_restated"
    turn: int
    text: str


class PlanUpdated(Fact):
    """The agent's plan, whole."""

    kind: Literal["plan_updated"] = "plan_updated"
    turn: int
    entries: tuple[PlanEntry, ...]


class StepStarted(Fact):
    """The agent uses a tool."""

    kind: Literal["step_started"] = "step_started"
    turn: int
    title: str
    tool: str


class StopRequested(Fact):
    """The running turn is to stop. `by` is None when its time limit did it."""

    kind: Literal["stop_requested"] = "stop_requested"
    generation: int
    turn: int
    by: Author | None = None


class TurnEnded(Fact):
    """A turn is over, however it went. `head` is the branch's tip in the box; `pushed`: the forge has it; `cost`: what
    its model took, in dollars, as far as that is known."""

    kind: Literal["turn_ended"] = "turn_ended"
    turn: int
    outcome: Outcome
    summary: str = ""
    error: str | None = None
    head: str = ""
    commits: tuple[Commit, ...] = ()
    pushed: bool = False
    cost: float | None = None


class BudgetReached(Fact):
    """What this session may spend on models is spent: its turn pauses, and people are asked for `more`. In dollars."""

    kind: Literal["budget_reached"] = "budget_reached"
    used: float
    limit: float
    more: float


class BudgetRaised(Fact):
    """Somebody let the session spend `more` dollars: what was paused goes on."""

    kind: Literal["budget_raised"] = "budget_raised"
    by: Author
    more: float


class BudgetDeclined(Fact):
    """Somebody did not: what was paused is given up. The next prompt asks again."""

    kind: Literal["budget_declined"] = "budget_declined"
    by: Author
