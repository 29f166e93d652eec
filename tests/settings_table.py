"""The README's tables of settings, made from the fields of the settings and the comments behind them.

`tests/golden.py` writes them. `GROUPS` says under which heading a variable stands: the first that fits.
"""

import inspect
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from typing import NamedTuple

from pydantic import BaseModel

from bot.settings import BotSettings
from jobs.session import Rules
from jobs.settings import JobSettings
from jobs.settings_modal import ModalSettings

_FIELD = re.compile(r"    (?P<field>\w+): [^#]*?(?:  # (?P<comment>.*))?")
_VARIABLES = re.compile(r"(?P<names>[A-Z][A-Z_]{2,}(?:, [A-Z][A-Z_]{2,}(?: \([^)]*\))?)*)(?P<rest>.*)")
LATER = (
    "upstream_keys",
    "rules",
    "limits",
    "jobs",
    "modal",
    "search_path",
    "agent_named",
)  # told field by field, by hand, or not settings of ours

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Slack": ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_*", "SHIPMATE_ALLOWED_BOTS"),
    "The forge and its repositories": ("SHIPMATE_REPOSITORIES", "GITHUB_TOKEN", "GITHUB_APP_*", "GITHUB_*"),
    "Agents and models": (
        "SHIPMATE_AGENT",
        "SHIPMATE_AGENT_COMMAND",
        "SHIPMATE_MODEL",
        "*_API_KEY",
        "*_BASE_URL",
        "SHIPMATE_UPSTREAMS",
        "SHIPMATE_MODELS",
        "SHIPMATE_MODEL_*",
        "SHIPMATE_BUDGET",
    ),
    "The service and what it keeps": (
        "REDIS_URL",
        "SHIPMATE_HOST",
        "SHIPMATE_PORT",
        "SHIPMATE_PUBLIC_URL",
        "SHIPMATE_METRICS_TOKEN",
        "SHIPMATE_*_DIR",
    ),
    "Boxes": (
        "SHIPMATE_PLACE",
        "SHIPMATE_BOXES",
        "SHIPMATE_BOX_MEMORY_MB",
        "SHIPMATE_BOX_DISK_MB",
        "SHIPMATE_BOX_PROCESSES",
        "SHIPMATE_WARM",
        "SHIPMATE_WARM_PREDICTED",
        "SHIPMATE_EGRESS_*",
        "SHIPMATE_CA_FILE",
        "SHIPMATE_UNISOLATED",
    ),
    "Boxes on Modal": ("MODAL_TOKEN_*", "MODAL_*", "SHIPMATE_MODAL_*"),
    "Sessions that agents start": ("SHIPMATE_CHILDREN_*", "SHIPMATE_CHILD_*"),
    "How long, and how often": ("SHIPMATE_*_SECONDS", "SHIPMATE_MAX_FAILURES"),
}


class Setting(NamedTuple):
    """One row."""

    variable: str
    default: str
    meaning: str


def table() -> str:
    """Every variable that is read, with its default and what it means: a table for each group."""
    rows = [*_of(BotSettings), *_of(JobSettings), *_of(ModalSettings), *_rules(), *LIMITS]
    grouped: dict[str, list[Setting]] = {heading: [] for heading in GROUPS}
    for row in rows:
        grouped[_heading(row.variable)].append(row)
    return "\n\n".join(_one_table(heading, grouped[heading]) for heading in GROUPS)


def _heading(variable: str) -> str:
    found = next((h for h, patterns in GROUPS.items() if any(fnmatch(variable, p) for p in patterns)), None)
    assert found is not None, f"name the group of {variable} in GROUPS"
    return found


def _one_table(heading: str, rows: Iterable[Setting]) -> str:
    """The rows in the order of their group's patterns."""
    patterns = GROUPS[heading]
    ordered = sorted(rows, key=lambda row: next(n for n, p in enumerate(patterns) if fnmatch(row.variable, p)))
    lines = [f"### {heading}", "| variable | default | what it is |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| `{row.variable}` | {row.default} | {row.meaning} |" for row in ordered)])


def _of(model: type[BaseModel]) -> list[Setting]:
    found = []
    for line in inspect.getsource(model).splitlines():
        match = _FIELD.fullmatch(line)
        if match is None or match["field"] not in model.model_fields or match["field"] in LATER:
            continue
        named = _VARIABLES.fullmatch(match["comment"] or "")
        assert named is not None, f"{match['field']} does not say its variable"
        found.append(Setting(named["names"], _default(model, match["field"]), named["rest"].lstrip(":; ")))
    return found


def _default(model: type[BaseModel], field: str) -> str:
    value = model.model_fields[field].get_default()
    shown = f"{value:g}" if isinstance(value, float) else value
    return f"`{shown}`" if isinstance(value, str | int | float) and value not in ("", False) else ""


def _rules() -> list[Setting]:
    meanings = dict(_comments(Rules))
    assert all(meanings.values()), "a rule's meaning stands behind it, on its line"
    return [
        Setting(f"SHIPMATE_{field.upper()}", f"`{info.get_default():.0f}`", meanings[field])
        for field, info in Rules.model_fields.items()
    ]


def _comments(model: type[BaseModel]) -> list[tuple[str, str]]:
    matches = (_FIELD.fullmatch(line) for line in inspect.getsource(model).splitlines())
    return [
        (match["field"], match["comment"] or "") for match in matches if match and match["field"] in model.model_fields
    ]


LIMITS = (
    Setting("SHIPMATE_BOX_MEMORY_MB", "`4096`", "memory of a box, where the host allows a limit; 0: none"),
    Setting("SHIPMATE_BOX_DISK_MB", "`16384`", "what a box may write, where the host allows a limit; 0: none"),
    Setting("SHIPMATE_BOX_PROCESSES", "`512`", "processes and threads of a box"),
)
