"""The README's table of settings, made from the fields of the settings and the comments behind them."""

import inspect
import re
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


class Setting(NamedTuple):
    """One row."""

    variable: str
    default: str
    meaning: str


def table() -> str:
    """Every variable that is read, with its default and what it means."""
    rows = [*_of(BotSettings), *_of(JobSettings), *_of(ModalSettings), *_rules(), *LIMITS]
    lines = ["| variable | default | what it is |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| `{row.variable}` | {row.default} | {row.meaning} |" for row in rows)])


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
