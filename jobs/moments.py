"""The moments that a session is timed by, from the message to the pull request. Pure.

`jobs/inbox.py` stamps those that are in the log (`of`); whoever sees another one stamps it with `Store.stamp`. The
first time counts. `bot/metrics.py` shows them all as histograms, `bot/web/pages.py` those of one session.
"""

from collections.abc import Iterable

from jobs import events as e
from jobs.events import Event, Fact
from jobs.fold import SYNCED

RECEIVED = "received"  # the others are counted from it
FIRST_BYTE = "model_first_byte"
MOMENTS = (
    "durable", "repository", "box", "attached", "synced", "ready", "delivered", "model_request", FIRST_BYTE,
    "first_words", "pull_request",
)  # fmt: skip
"""In the order in which they usually come; an agent that reads before the sync is at work before `synced`."""

_EVENTS: dict[type[Fact], str] = {
    e.RepositoryChosen: "repository",
    e.BoxStarted: "box",
    e.LinkAttached: "attached",
    e.AgentReady: "ready",
    e.TurnStarted: "delivered",
    e.ModelRequested: "model_request",
}


def of(events: Iterable[Event], now: float) -> dict[str, float]:
    """The moments that these events are, which are being appended at `now`; `received` comes first."""
    found: dict[str, float] = {}
    for event in events:
        if isinstance(event, e.PromptReceived) and event.prompt.received_at:
            found[RECEIVED] = event.prompt.received_at
        elif type(event) in _EVENTS:
            found[_EVENTS[type(event)]] = now
        if _is_synced(event):
            found["synced"] = now
    return dict(sorted(found.items(), key=lambda one: one[0] != RECEIVED))


def _is_synced(event: Event) -> bool:
    if isinstance(event, e.PhaseReached):
        return event.phase == SYNCED
    return isinstance(event, e.AgentReady) and event.synced
