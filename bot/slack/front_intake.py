"""What people do with the command, its form and the Home tab: one payload in, one record or None out. Pure.

`intake.py` asks here first. Nothing in a payload is trusted to have the right shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.slack import front_blocks as front
from bot.slack.meanings import Me
from bot.slack.payload import part, text


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
    user = part(body, "user")
    match body.get("type"):
        case None if text(body, "command"):
            return _command(body, me)
        case "view_submission" if _is_ours(body, me):
            return _sent(part(body, "view"), text(user, "id"), me)
        case "block_actions" if _is_of_us(user, me):
            return _acted(body, text(user, "id"), me)
        case "event_callback":
            event = part(body, "event")
            if event.get("type") == "app_home_opened" and text(event, "user"):
                return AppOpened(text(event, "user"), event.get("tab") == "home")
    return None


def _command(body: Mapping[str, Any], me: Me) -> FrontMeaning | None:
    channel, user, trigger = (text(body, name) for name in ("channel_id", "user_id", "trigger_id"))
    if not (channel and user and trigger) or text(body, "team_id") not in ("", me.team):
        return None
    return FormAsked(me.team, channel, user, trigger, text(body, "text").strip())


def _is_ours(body: Mapping[str, Any], me: Me) -> bool:
    return text(part(body, "view"), "callback_id") == front.ASKED and _is_of_us(part(body, "user"), me)


def _is_of_us(user: Mapping[str, Any], me: Me) -> bool:
    return bool(text(user, "id")) and text(user, "team_id") in ("", me.team)


def _sent(view: Mapping[str, Any], user: str, me: Me) -> FrontMeaning | None:
    if not text(view, "id"):
        return None
    task = text(_field(view, front.TASK), "value").strip()
    return TaskSent(me.team, text(view, "private_metadata"), user, text(view, "id"), _repository(view), task)


def _acted(body: Mapping[str, Any], user: str, me: Me) -> FrontMeaning | None:
    actions, view = body.get("actions"), part(body, "view")
    action = actions[0] if isinstance(actions, list) and actions and isinstance(actions[0], dict) else {}
    if action.get("action_id") == front.NEW and text(body, "trigger_id"):
        return FormAsked(me.team, "", user, text(body, "trigger_id"))
    if text(view, "callback_id") == front.ASKED:
        chosen = text(part(action, "selected_option"), "value")
        return Typed(user, chosen or _repository(view))
    return None


def _repository(view: Mapping[str, Any]) -> str:
    return text(part(_field(view, front.REPOSITORY), "selected_option"), "value")


def _field(view: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return part(part(part(part(view, "state"), "values"), name), name)
