"""The methods by which an agent says how it is: `agents.sessions.*` and `assistant.threads.*`."""

from bot.playground import workspace_agents as agents
from bot.playground.workspace_asked import Asked, Method
from bot.playground.workspace_limits import SPECIAL, TIER_3, TIER_4
from bot.playground.workspace_records import Channel, Json, Refusal

STATUS_SECONDS = 120.0
TITLE, LOADING, PROMPTS = 200, 10, 4
SUBSCRIPTION = "agent_session_stopped"


def _set_status(asked: Asked) -> Json:
    status, title = asked.arguments.needed("status"), asked.arguments.text("title")
    channel, thread_ts = _thread(asked)
    if status not in agents.STATUSES:
        raise Refusal("invalid_status")
    if len(title) > TITLE:
        raise Refusal("invalid_arguments")
    initiator = asked.arguments.text("initiator_user_id")
    if initiator:
        asked.workspace.state.account(initiator)
    found = agents.set_status(asked.workspace, channel, thread_ts, status, title, initiator)
    answer: Json = {"status": found.status, "agent_status": found.status, "title": found.title}
    if SUBSCRIPTION not in asked.workspace.manifest.events:
        answer["warning"] = "missing_agent_session_stopped_event_subscription"
    return answer


def _rename(asked: Asked) -> Json:
    title = asked.arguments.needed("title")
    channel, thread_ts = _thread(asked)
    return {"title": agents.rename(asked.workspace, channel, thread_ts, title[:TITLE]).title}


def _thread(asked: Asked) -> tuple[Channel, str]:
    """The thread that a session is in. A workspace may have no sessions at all."""
    if asked.workspace.faults.no_agent_sessions:
        raise Refusal("feature_disabled")
    channel = asked.open_channel("channel_id")
    thread_ts = asked.arguments.text("thread_ts")
    if not thread_ts:
        raise Refusal("thread_ts_required")
    return channel, thread_ts


def _plain_status(asked: Asked) -> Json:
    channel, thread_ts = asked.open_channel("channel_id"), asked.arguments.needed("thread_ts")
    loading = asked.arguments.structure("loading_messages")
    if loading is not None and (not isinstance(loading, list) or len(loading) > LOADING):
        raise Refusal("invalid_arguments")
    status = asked.arguments.text("status")
    value: Json = {"channel": channel.id, "thread_ts": thread_ts, "status": status, "user": asked.me}
    value |= {"until": asked.workspace.clock() + STATUS_SECONDS} if status else {}
    asked.workspace.announce("status", value)
    return {}


def _title(asked: Asked) -> Json:
    channel, thread_ts = asked.open_channel("channel_id"), asked.arguments.needed("thread_ts")
    value = {"channel": channel.id, "thread_ts": thread_ts, "title": asked.arguments.needed("title")}
    asked.workspace.announce("title", value)
    return {}


def _prompts(asked: Asked) -> Json:
    channel, prompts = asked.open_channel("channel_id"), asked.arguments.structure("prompts")
    if not isinstance(prompts, list) or not 1 <= len(prompts) <= PROMPTS or not all(map(_is_prompt, prompts)):
        raise Refusal("invalid_arguments")
    value = {"channel": channel.id, "thread_ts": asked.arguments.text("thread_ts"), "prompts": prompts}
    asked.workspace.announce("prompts", value | {"title": asked.arguments.text("title")})
    return {}


def _is_prompt(found: object) -> bool:
    return isinstance(found, dict) and all(isinstance(found.get(name), str) for name in ("title", "message"))


METHODS = {
    "agents.sessions.setStatus": Method(_set_status, ("chat:write",), TIER_3, ("bot",)),
    "agents.sessions.rename": Method(_rename, ("chat:write",), TIER_3, ("bot",)),
    "assistant.threads.setStatus": Method(_plain_status, ("chat:write", "assistant:write"), SPECIAL, ("bot",)),
    "assistant.threads.setTitle": Method(_title, ("assistant:write",), TIER_4, ("bot",)),
    "assistant.threads.setSuggestedPrompts": Method(_prompts, ("assistant:write",), TIER_4, ("bot",)),
}
