"""Sessions of agents, as the workspace knows them, and the Stop that Slack itself shows while one is at work.

`workspace_api_agents.py` and the page's routes call it; no HTTP in here.
"""

from bot.playground import workspace_events as events
from bot.playground.workspace import Workspace
from bot.playground.workspace_records import AgentSession, Channel, Refusal

PROCESSING = "processing"
STATUSES = (PROCESSING, "active", "suspended", "closed")


def set_status(
    workspace: Workspace, channel: Channel, thread_ts: str, status: str, title: str, initiator: str
) -> AgentSession:
    """What the agent says now. A title counts at the beginning only."""
    workspace.state.message(channel.id, thread_ts)
    known = workspace.state.sessions.get((channel.id, thread_ts))
    fresh = AgentSession(channel=channel.id, thread_ts=thread_ts, status=status, title=title, initiator=initiator)
    session = known.model_copy(update={"status": status}) if known else fresh
    workspace.keep(session)
    return session


def rename(workspace: Workspace, channel: Channel, thread_ts: str, title: str) -> AgentSession:
    """Another title for a session. Refuses with session_not_found."""
    known = workspace.state.sessions.get((channel.id, thread_ts))
    if known is None:
        raise Refusal("session_not_found")
    session = known.model_copy(update={"title": title})
    workspace.keep(session)
    return session


def stop(workspace: Workspace, user: str, channel: Channel, thread_ts: str) -> None:
    """Somebody presses Stop on a session at work. The agent is told; what follows is its own doing."""
    known = workspace.state.sessions.get((channel.id, thread_ts))
    if known is None or known.status != PROCESSING:
        raise Refusal("not_processing")
    workspace.tell(events.stopped(channel, thread_ts, user, workspace.now_ts()), channel)
