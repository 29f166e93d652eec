"""The status line of a thread: Slack's own agent session where the workspace has it, else the plain status line.

`thread.py` calls `show` after it has written. What is shown is remembered with the thread's posts, and that a workspace
has no agent sessions is remembered for a while. A status is never worth a failure: troubles are logged.
"""

import json
import logging
from collections.abc import Callable

from bot.cards import ThreadView
from bot.slack.calls import Budgets, Calls, Later, SlackError, Unsure
from bot.slack.config import SlackConfig
from bot.slack.text import is_user, plain_label
from jobs.events import Place
from jobs.session import Status

log = logging.getLogger(__name__)
NATIVE, PLAIN, NONE = "native", "plain", "none"
NOT_NATIVE = ("feature_disabled", "unknown_method", "not_authorized", "missing_scope", "not_allowed_token_type")
NOT_NATIVE_SECONDS = 6 * 3_600.0
NATIVE_SECONDS = 1_500.0  # Slack clears `processing` by itself after an hour
TITLE_CHARS = 200
WORKING = "is working on it…"


def wanted(view: ThreadView) -> str:
    """`processing`, `suspended` (we wait for a person), `active` or `closed`."""
    if view.session.status is Status.CLOSED:
        return "closed"
    if view.session.status is Status.ASKING or (view.session.paused is not None and view.session.turn is None):
        return "suspended"
    turn = view.session.turn
    if turn is not None and any(one.open and one.about == turn.prompt.id for one in view.asked):
        return "suspended"
    return "processing" if view.busy else "active"


class StatusLine:
    """Sets the status of threads of one workspace."""

    def __init__(self, calls: Calls, record: Budgets, config: SlackConfig, clock: Callable[[], float]) -> None:
        self._calls, self._record, self._config, self._clock = calls, record, config, clock

    async def show(self, view: ThreadView, shown: str | None, faded: bool = False) -> tuple[str, float | None]:
        """Bring it up to date. `shown` is what was returned last time (None: never); returns what to keep and in how
        many seconds to come again. `faded`: we have just posted, and a plain status goes with any message of ours."""
        status = wanted(view)
        before = json.loads(shown) if shown else {}
        due = 0.0 if faded and before.get("how") == PLAIN else self._due(status, before)
        if due > 0:
            return shown or "", due if status == "processing" else None
        if not before and status != "processing" and status != "suspended":
            return shown or "", None
        try:
            how = await self._set(view, status)
        except (Later, Unsure) as trouble:
            log.info("the status of %s was not set: %s", view.session.id, trouble)
            return shown or "", trouble.seconds if isinstance(trouble, Later) else self._config.sweep_seconds * 5
        kept = json.dumps({"status": status, "how": how, "at": self._clock()})
        return kept, self._refresh(how) if status == "processing" and how != NONE else None

    def until_due(self, view: ThreadView, shown: str | None) -> float | None:
        """Seconds until `show` has something to say, 0.0: now; None: not before something happens."""
        status, before = wanted(view), json.loads(shown) if shown else {}
        due = self._due(status, before)
        if due > 0:
            return due if status == "processing" else None
        return 0.0 if before or status in ("processing", "suspended") else None

    def _due(self, status: str, before: dict[str, object]) -> float:
        """Seconds until there is something to say; 0.0: now."""
        if before.get("status") != status:
            return 0.0
        if status != "processing" or before.get("how") == NONE:
            return self._config.status_seconds
        at = before.get("at")
        since = self._clock() - (at if isinstance(at, int | float) else 0.0)
        return max(0.0, self._refresh(str(before.get("how"))) - since)

    def _refresh(self, how: str) -> float:
        return NATIVE_SECONDS if how == NATIVE else self._config.status_seconds

    async def _set(self, view: ThreadView, status: str) -> str:
        place, key = view.session.place, f"slack:no-agent-sessions:{view.session.place.team}"
        if await self._record.recall(key) is None:
            try:
                await self._native(view, place, status)
                return NATIVE
            except (Later, Unsure):
                raise
            except SlackError as refused:
                if refused.error not in NOT_NATIVE:
                    log.warning("the status of %s cannot be set: %s", view.session.id, refused)
                    return NONE
                log.info("this workspace has no agent sessions (%s): the plain status line is used", refused.error)
                await self._record.remember(key, refused.error, NOT_NATIVE_SECONDS)
        return await self._plain(view, place, status)

    async def _native(self, view: ThreadView, place: Place, status: str) -> None:
        title = view.session.title or (view.cards[0].text if view.cards else "")
        await self._calls.call(
            "agents.sessions.setStatus",
            channel_id=place.channel,
            thread_ts=place.thread,
            status=status,
            title=plain_label(title, TITLE_CHARS) if title.strip() else None,
            initiator_user_id=view.session.opened_by.id if is_user(view.session.opened_by.id) else None,
        )

    async def _plain(self, view: ThreadView, place: Place, status: str) -> str:
        words = WORKING if status == "processing" else ""
        try:
            await self._calls.call(
                "assistant.threads.setStatus", channel_id=place.channel, thread_ts=place.thread, status=words
            )
        except (Later, Unsure):
            raise
        except SlackError as refused:
            log.info("the plain status of %s cannot be set either: %s", view.session.id, refused)
            return NONE
        return PLAIN
