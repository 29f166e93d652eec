"""What a repository's recipe chooses where neither the settings nor a person did: agent, model, how many boxes wait.

`jobs/wiring.py` asks when a session's repository becomes known, `jobs/warm.py` for the boxes that wait for one, and
`jobs/image_build.py` says in a build's log what is not followed. A file of a repository chooses among what is set up.
"""

from typing import NamedTuple

from jobs.settings import JobSettings
from sandbox import agents
from sandbox.agent_row import AgentRow
from sandbox.recipe import Recipe
from sandbox.side_by_side import HERE

MOST_WARM = 2  # boxes that wait use memory, which is not the repository's to give


class Suited(NamedTuple):
    """An agent and a model of it. Empty: what the settings say."""

    agent: str = ""
    model: str = ""


def suited(settings: JobSettings, repository: str, recipe: Recipe | None) -> Suited:
    """What sessions of this repository, which has this recipe, begin with."""
    if recipe is None or _trouble(settings, repository, recipe):
        return Suited()
    return _asked(settings, recipe)


def warm_boxes(settings: JobSettings, repository: str, recipe: Recipe | None) -> int:
    """How many boxes of this repository are to wait."""
    said = dict(settings.warm)
    if settings.warm or recipe is None or recipe.warm_boxes is None:
        return said.get(repository, 0)
    return min(recipe.warm_boxes, MOST_WARM)


def is_there(settings: JobSettings, repository: str | None, row: AgentRow) -> bool:
    """Whether boxes of this repository have this agent."""
    if settings.place(repository) == HERE:
        return agents.installed(row, settings.agents_dir)
    return not row.fetched or row.name in (settings.agent, *settings.modal.agents)


def not_followed(settings: JobSettings, repository: str, recipe: Recipe) -> tuple[str, ...]:
    """Lines for the build's log."""
    said = [
        f"customizations.shipmate.{name}: what the settings say goes ({variable})"
        for name, asked, variable, decided in (
            ("agent", recipe.agent, "SHIPMATE_AGENT", settings.agent_named),
            ("model", recipe.model, "SHIPMATE_MODEL", settings.model),
            ("warmBoxes", recipe.warm_boxes, "SHIPMATE_WARM", settings.warm),
        )
        if asked not in ("", None) and decided
    ]
    if (recipe.warm_boxes or 0) > MOST_WARM and not settings.warm:
        said.append(f"customizations.shipmate.warmBoxes: {MOST_WARM} is the most without SHIPMATE_WARM")
    if trouble := _trouble(settings, repository, recipe):
        said.append(f"customizations.shipmate.agent and model are not followed: {trouble}")
    return tuple(said)


def _asked(settings: JobSettings, recipe: Recipe) -> Suited:
    return Suited("" if settings.agent_named else recipe.agent, "" if settings.model else recipe.model)


def _trouble(settings: JobSettings, repository: str, recipe: Recipe) -> str:
    """Why a session could not begin so; empty if it could."""
    agent, model = _asked(settings, recipe)
    try:
        row = agents.row(agent or settings.agent)
        agents.greeting_agent(row, model or settings.model, settings.agent_command, settings.speaking)
        agents.check_model(model, row, settings.speaking)
    except ValueError as wrong:
        return str(wrong)
    if not agent or is_there(settings, repository, row):
        return ""
    if settings.place(repository) == HERE:
        return f"the agent {agent} is not installed here (shipmate agents install {agent})"
    return f"the agent {agent} is not in boxes on Modal (SHIPMATE_MODAL_AGENTS={agent})"
