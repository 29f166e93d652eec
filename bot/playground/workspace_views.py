"""Forms that the app shows to a person: triggers that allow one, and the views that are open. Kept in memory only.

`workspace_api_views.py` and the page's routes use it; no HTTP in here.
"""

import json
import secrets
from collections.abc import Callable

from bot.playground import workspace_people as people
from bot.playground.workspace_records import Json, Refusal

TRIGGER_SECONDS = 3.0
SIZE, BLOCKS = 250_000, 100
KEPT = 500


class Views:
    """All triggers and views."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._triggers: dict[str, tuple[str, float]] = {}
        self._views: dict[str, tuple[str, Json]] = {}

    def trigger(self, user: str) -> str:
        """What a press of this person's allows: one view, within three seconds."""
        trigger = f"{int(self._clock() * 1000)}.{secrets.token_hex(6)}"
        self._triggers[trigger] = (user, self._clock() + TRIGGER_SECONDS)
        _forget_the_oldest(self._triggers)
        return trigger

    def _use(self, trigger: str) -> str:
        user, until = self._triggers.get(trigger, ("", 0.0))
        if not until:
            raise Refusal("invalid_trigger_id")
        if not user:
            raise Refusal("exchanged_trigger_id")
        if until < self._clock():
            raise Refusal("expired_trigger_id")
        self._triggers[trigger] = ("", until)
        return user

    def open(self, trigger: str, view: object) -> tuple[str, Json]:
        """Show a form to the person whose press it was; the person, and the view."""
        shape = _checked(view, "modal")
        user = self._use(trigger)
        return user, self._keep(user, shape, "V0" + secrets.token_hex(5).upper())

    def publish(self, user: str, view: object) -> Json:
        """Another Home tab for this person."""
        return self._keep(user, _checked(view, "home"), f"V0HOME{user}")

    def update(self, view_id: str, hash_: str, view: object) -> tuple[str, Json]:
        """Another content for a view that is open; whose it is, and the view. `hash_`: what it must have been."""
        user, before = self._views.get(view_id, ("", {}))
        if not before:
            raise Refusal("not_found")
        if hash_ and hash_ != before["hash"]:
            raise Refusal("hash_conflict")
        return user, self._keep(user, _checked(view, before["type"]), view_id)

    def shown(self, user: str, view_id: str) -> Json:
        """What this person looks at. Refuses with not_found."""
        owner, view = self._views.get(view_id, ("", {}))
        if not view or owner != user:
            raise Refusal("not_found")
        return view

    def filled_in(self, user: str, view_id: str, values: object) -> Json:
        """The form with what this person has filled in so far, {block: {action: words}}. Refuses with not_found."""
        view = self.shown(user, view_id)
        if view["type"] != "modal":
            raise Refusal("not_found")
        inputs = [block for block in view["blocks"] if block.get("type") == "input"]
        filled = {block["block_id"]: _state(block, values) for block in inputs}
        return view | {"state": {"values": filled}}

    def close(self, view_id: str) -> None:
        """It is not shown any more."""
        self._views.pop(view_id, None)

    def _keep(self, user: str, view: Json, view_id: str) -> Json:
        shape = view | {
            "id": view_id,
            "team_id": people.TEAM,
            "app_id": people.APP,
            "bot_id": people.BOT.bot_id,
            "root_view_id": view_id,
            "previous_view_id": None,
            "hash": f"{int(self._clock())}.{secrets.token_hex(4)}",
            "state": {"values": {}},
            "callback_id": view.get("callback_id", ""),
            "private_metadata": view.get("private_metadata", ""),
        }
        self._views[view_id] = (user, shape)
        _forget_the_oldest(self._views)
        return shape


def missing(view: Json) -> bool:
    """Whether an input of a filled-in form says nothing that must say something."""
    values = view["state"]["values"]
    needed = [b for b in view["blocks"] if b.get("type") == "input" and not b.get("optional")]
    return any(not any(_says(value) for value in values[block["block_id"]].values()) for block in needed)


def _says(value: Json) -> bool:
    return bool(value.get("value") or value.get("selected_option"))


def _state(block: Json, values: object) -> Json:
    element = block["element"]
    words = _words(values, block["block_id"], element["action_id"])
    if element["type"] != "static_select":
        return {element["action_id"]: {"type": element["type"], "value": words or None}}
    options = [option for row in element.get("option_groups", [element]) for option in row["options"]]
    option = next((option for option in options if option["value"] == words), None)
    return {element["action_id"]: {"type": element["type"], "selected_option": option}}


def _checked(view: object, kind: str) -> Json:
    if not isinstance(view, dict) or view.get("type") != kind or not isinstance(view.get("blocks"), list):
        raise Refusal("invalid_arguments")
    if len(json.dumps(view)) > SIZE or len(view["blocks"]) > BLOCKS:
        raise Refusal("view_too_large")
    return view


def _words(values: object, block: str, action: str) -> str:
    fields = values.get(block) if isinstance(values, dict) else None
    words = fields.get(action) if isinstance(fields, dict) else None
    return words.strip() if isinstance(words, str) else ""


def _forget_the_oldest(kept: dict[str, tuple[str, float]] | dict[str, tuple[str, Json]]) -> None:
    while len(kept) > KEPT:
        del kept[next(iter(kept))]
