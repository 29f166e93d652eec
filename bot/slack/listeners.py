"""What Bolt is told: first the record, then the acknowledgement, then words. No logic.

One global middleware runs after Bolt's own authorization. It awaits the desk and only then lets Bolt go on; if it
raises, Bolt answers 500 (what comes too late is answered with 503, and is no error of ours): over HTTP Slack tries
again, over a socket nothing is acknowledged and Slack delivers again.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext

from bot.slack.courtesies import Owing, acknowledgement
from bot.slack.desk import Desk
from bot.slack.meanings import Me

log = logging.getLogger(__name__)
EVERYTHING = re.compile(".*")
OWED = "shipmate_courtesies"


def listen(app: AsyncApp, desk: Desk, me: Callable[[], Awaitable[Me]]) -> None:
    """Register everything; whatever is not ours is acknowledged too, so that nothing is delivered for ever."""

    async def record_first(
        body: dict[str, Any], context: AsyncBoltContext, next: Callable[[], Awaitable[None]]
    ) -> BoltResponse | None:
        try:
            context[OWED] = await desk.take(body, await me())
        except TimeoutError:
            log.warning("this came with too much else, or the record is slow: Slack is to deliver it again")
            return BoltResponse(status=503)
        await next()
        return None

    async def say_what_is_owed(ack: AsyncAck, context: AsyncBoltContext) -> None:
        owed: tuple[Owing, ...] = context.get(OWED, ())
        await ack(**acknowledgement(owed))
        for courtesy in owed:
            await desk.say(courtesy)

    app.middleware(record_first)
    app.event(EVERYTHING)(say_what_is_owed)
    app.action(EVERYTHING)(say_what_is_owed)
    app.shortcut(EVERYTHING)(say_what_is_owed)
    app.view(EVERYTHING)(say_what_is_owed)
    app.view({"type": "view_closed", "callback_id": EVERYTHING})(say_what_is_owed)
    app.command(EVERYTHING)(say_what_is_owed)
    app.options(EVERYTHING)(say_what_is_owed)
