"""The methods about accounts, the workspace, and connections: `auth.*`, `users.*`, `bots.*`, `team.*`, `apps.*`."""

from bot.playground import workspace_people as people
from bot.playground import workspace_shapes as shapes
from bot.playground.workspace_asked import Asked, Method
from bot.playground.workspace_limits import SPECIAL, TIER_2, TIER_3, TIER_4
from bot.playground.workspace_records import Account, Json, Refusal


def _auth_test(asked: Asked) -> Json:
    who = asked.caller.account
    found: Json = {
        "url": asked.workspace.state.base_url + "/",
        "team": people.TEAM_NAME,
        "user": who.name,
        "team_id": people.TEAM,
        "user_id": who.id,
        "is_enterprise_install": False,
    }
    return found | ({"bot_id": who.bot_id} if who.is_bot else {})


def _connections_open(asked: Asked) -> Json:
    address = asked.workspace.state.base_url.replace("http", "ws", 1)
    return {"url": f"{address}/socket/{asked.workspace.sockets.ticket()}"}


def _shape(asked: Asked, who: Account) -> Json:
    return shapes.account(who, email=asked.may("users:read.email"))


def _users_info(asked: Asked) -> Json:
    return {"user": _shape(asked, asked.workspace.state.account(asked.arguments.needed("user")))}


def _users_list(asked: Asked) -> Json:
    rows, metadata = asked.page_of(list(asked.workspace.state.accounts.values()))
    members = [_shape(asked, who) for who in rows]
    return {"members": members, "cache_ts": int(asked.workspace.clock()), "response_metadata": metadata}


def _lookup_by_email(asked: Asked) -> Json:
    email = asked.arguments.needed("email").lower()
    for who in asked.workspace.state.accounts.values():
        if who.email == email and not who.stranger:
            return {"user": _shape(asked, who)}
    raise Refusal("users_not_found")


def _bots_info(asked: Asked) -> Json:
    wanted = asked.arguments.text("bot") or asked.caller.account.bot_id
    for who in asked.workspace.state.accounts.values():
        if who.bot_id and who.bot_id == wanted:
            return {"bot": shapes.bot(who)}
    raise Refusal("bot_not_found")


def _team_info(asked: Asked) -> Json:
    team = {"id": people.TEAM, "name": people.TEAM_NAME, "domain": people.DOMAIN, "email_domain": "acme.example"}
    return {"team": team | {"url": asked.workspace.state.base_url + "/", "icon": {"image_default": True}}}


METHODS = {
    "auth.test": Method(_auth_test, tier=SPECIAL),
    "apps.connections.open": Method(_connections_open, tier=TIER_3, callers=("app",)),
    "users.info": Method(_users_info, ("users:read",), TIER_4),
    "users.list": Method(_users_list, ("users:read",), TIER_2),
    "users.lookupByEmail": Method(_lookup_by_email, ("users:read.email",), TIER_3),
    "bots.info": Method(_bots_info, ("users:read",), TIER_3),
    "team.info": Method(_team_info, ("team:read",), TIER_3),
}
