"""The methods that show a form to a person: `views.*`."""

from bot.playground.workspace_asked import Asked, Method
from bot.playground.workspace_limits import TIER_4
from bot.playground.workspace_records import Json, Refusal


def _open(asked: Asked) -> Json:
    user, view = asked.workspace.views.open(asked.arguments.needed("trigger_id"), asked.arguments.structure("view"))
    return _shown(asked, user, view)


def _publish(asked: Asked) -> Json:
    user = asked.workspace.state.account(asked.arguments.needed("user_id")).id
    return _shown(asked, user, asked.workspace.views.publish(user, asked.arguments.structure("view")))


def _update(asked: Asked) -> Json:
    if not asked.arguments.has("view_id"):
        raise Refusal("not_found")
    view_id, hash_ = asked.arguments.needed("view_id"), asked.arguments.text("hash")
    user, view = asked.workspace.views.update(view_id, hash_, asked.arguments.structure("view"))
    return _shown(asked, user, view)


def _shown(asked: Asked, user: str, view: Json) -> Json:
    asked.workspace.announce("view", {"user": user, "view": view})
    return {"view": view}


METHODS = {
    "views.open": Method(_open, (), TIER_4, ("bot",)),
    "views.publish": Method(_publish, (), TIER_4, ("bot",)),
    "views.update": Method(_update, (), TIER_4, ("bot",)),
}
