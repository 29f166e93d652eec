"""What people do with the command, its form and the Home tab: one payload in, one record or None out. Pure.

`intake.py` asks here first. Nothing in a payload is trusted to have the right shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.slack import front_blocks as front
from bot.slack.meanings import Me


@dataclass(frozen=True)
class FormAsked:
    """Somebody wants the form: by the command with these words, or on the Home tab (`channel` is empty then)."""

    team: str
    channel: str
    user: str
    trigger: str
    text: str = ""


@dataclass(frozen=True)
class Typed:
    """Somebody is filling in the form. `repository`: as it is chosen now."""

    user: str
    repository: str


@dataclass(frozen=True)
class TaskSent:
    """Somebody has sent the form. `view` tells it from all others."""

    team: str
    channel: str
    user: str
    view: str
    repository: str
    text: str


@dataclass(frozen=True)
class AppOpened:
    """Somebody looks at our Home tab, or at their conversation with us."""

    user: str
    home: bool


FrontMeaning = FormAsked | Typed | TaskSent | AppOpened


def at_the_front(body: Mapping[str, Any], me: Me) -> FrontMeaning | None:
    """What it means, if it is one of these and comes from our workspace."""
    user = _part(body, "user")
    match body.get("type"):
        case None if _text(body, "command"):
            return _command(body, me)
        case "view_submission" if _is_ours(body, me):
            return _sent(_part(body, "view"), _text(user, "id"), me)
        case "block_actions" if _is_of_us(user, me):
            return _acted(body, _text(user, "id"), me)
        case "event_callback":
            event = _part(body, "event")
            if event.get("type") == "app_home_opened" and _text(event, "user"):
                return AppOpened(_text(event, "user"), event.get("tab") == "home")
    return None


def _command(body: Mapping[str, Any], me: Me) -> FrontMeaning | None:
    channel, user, trigger = (_text(body, name) for name in ("channel_id", "user_id", "trigger_id"))
    if not (channel and user and trigger) or _text(body, "team_id") not in ("", me.team):
        return None
    return FormAsked(me.team, channel, user, trigger, _text(body, "text").strip())


def _is_ours(body: Mapping[str, Any], me: Me) -> bool:
    return _text(_part(body, "view"), "callback_id") == front.ASKED and _is_of_us(_part(body, "user"), me)


def _is_of_us(user: Mapping[str, Any], me: Me) -> bool:
    return bool(_text(user, "id")) and _text(user, "team_id") in ("", me.team)


def _sent(view: Mapping[str, Any], user: str, me: Me) -> FrontMeaning | None:
    if not _text(view, "id"):
        return None
    task = _text(_field(view, front.TASK), "value").strip()
    return TaskSent(me.team, _text(view, "private_metadata"), user, _text(view, "id"), _repository(view), task)


def _acted(body: Mapping[str, Any], user: str, me: Me) -> FrontMeaning | None:
    actions, view = body.get("actions"), _part(body, "view")
    action = actions[0] if isinstance(actions, list) and actions and isinstance(actions[0], dict) else {}
    if action.get("action_id") == front.NEW and _text(body, "trigger_id"):
        return FormAsked(me.team, "", user, _text(body, "trigger_id"))
    if _text(view, "callback_id") == front.ASKED:
        chosen = _text(_part(action, "selected_option"), "value")
        return Typed(user, chosen or _repository(view))
    return None


def _repository(view: Mapping[str, Any]) -> str:
    return _text(_part(_field(view, front.REPOSITORY), "selected_option"), "value")


def _field(view: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return _part(_part(_part(_part(view, "state"), "values"), name), name)


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""


def _part(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    return value if isinstance(value, dict) else {}
