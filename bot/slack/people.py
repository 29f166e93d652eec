"""Who somebody is, and which places are private: asked of Slack once, then kept in the record for a while.

`desk.py` asks before a prompt is accepted, so every question is bounded in time: with no answer a person is who Slack
last said here, or is known by the id alone, with a no-reply address, and is asked for again next time; a place counts
as private. What only members may see is not shown to somebody who is not `known` (`front.py`); what they ask is done,
for Slack says with each message and press whose workspace it comes from.
"""

import asyncio
import json
import logging
import re
import time
from dataclasses import asdict, dataclass

from bot.slack.calls import Budgets, Calls, SlackError
from bot.slack.config import SlackConfig
from jobs.events import Author
from sandbox.runner.visible import visible

log = logging.getLogger(__name__)
PERSON_SECONDS = 3_600.0
PLACE_SECONDS = 3_600.0
LAST_SECONDS, LAST_MOST = 86_400.0, 5_000  # so long, and of so many, it is remembered here what Slack said last
MEMBER_PAGES = 50
MENTIONED_MOST = 10
_MENTIONED = re.compile(r"(?<![\w@<])@([UW][A-Z0-9]{4,20})\b")  # but not what was typed with its brackets
_EMAIL = re.compile(r"[^\s<>\"(),;:@\x00-\x1f]+@[^\s<>\"(),;:@\x00-\x1f]+")


@dataclass(frozen=True)
class Person:
    """Somebody of the workspace, or `outside` it; if not `known`, Slack did not say."""

    id: str
    name: str
    email: str
    outside: bool = False
    is_bot: bool = False
    known: bool = True

    @property
    def author(self) -> Author:
        """As commits name them."""
        return Author(id=self.id, name=self.name, email=self.email)


class Directory:
    """People and places of one workspace."""

    def __init__(self, calls: Calls, record: Budgets, config: SlackConfig) -> None:
        self._calls, self._record, self._config = calls, record, config
        self._last: dict[str, tuple[float, Person]] = {}

    async def person(self, team: str, user: str) -> Person:
        """Who `user` is, in at most `lookup_seconds`."""
        key = f"slack:person:{team}:{user}"
        kept = await self._record.recall(key)
        if kept is not None:
            return self._noted(key, Person(**json.loads(kept)))
        try:
            async with asyncio.timeout(self._config.lookup_seconds):
                answer = await self._calls.call("users.info", user=user)
        except (SlackError, TimeoutError) as trouble:
            log.warning("who %s is, Slack did not say: %s", user, trouble)
            return self._as_last(key) or self._unknown(user)
        found = answer.get("user")
        if not isinstance(found, dict):
            return self._unknown(user)
        person = self._noted(key, self._read(team, user, found))
        await self._record.remember(key, json.dumps(asdict(person)), PERSON_SECONDS)
        return person

    async def named(self, team: str, text: str) -> str:
        """The text with the names of those whose ids it mentions: Slack sends only the ids."""
        ids = list(dict.fromkeys(_MENTIONED.findall(text)))[:MENTIONED_MOST]
        people = await asyncio.gather(*(self.person(team, user) for user in ids))
        names = {person.id: person.name for person in people}
        return _MENTIONED.sub(lambda found: "@" + names.get(found[1], found[1]), text)

    async def is_private(self, channel: str) -> bool:
        """Whether only its members may look; yes, if Slack does not say in time."""
        key = f"slack:private:{channel}"
        kept = await self._record.recall(key)
        if kept is not None:
            return kept == "yes"
        try:
            async with asyncio.timeout(self._config.lookup_seconds):
                answer = await self._calls.call("conversations.info", channel=channel)
        except (SlackError, TimeoutError) as trouble:
            log.warning("whether %s is private, Slack did not say: %s", channel, trouble)
            return True
        found = answer.get("channel")
        place = found if isinstance(found, dict) else {}
        private = any(place.get(kind) for kind in ("is_private", "is_im", "is_mpim", "is_group"))
        await self._record.remember(key, "yes" if private or not place else "no", PLACE_SECONDS)
        return private or not place

    async def is_member(self, channel: str, user: str) -> bool:
        """Whether `user` is in `channel` now; no, if Slack does not say."""
        cursor: str | None = None
        try:
            for _ in range(MEMBER_PAGES):
                answer = await self._calls.call(
                    "conversations.members", patience=5.0, channel=channel, cursor=cursor, limit=1000
                )
                if user in (answer.get("members") or ()):
                    return True
                cursor = (answer.get("response_metadata") or {}).get("next_cursor")
                if not cursor:
                    return False
        except SlackError as trouble:
            log.warning("who is in %s, Slack did not say: %s", channel, trouble)
        return False

    def _noted(self, key: str, person: Person) -> Person:
        self._last.pop(key, None)
        self._last[key] = (time.monotonic(), person)
        if len(self._last) > LAST_MOST:
            del self._last[next(iter(self._last))]
        return person

    def _as_last(self, key: str) -> Person | None:
        at, person = self._last.get(key, (float("-inf"), None))
        return person if time.monotonic() - at < LAST_SECONDS else None

    def _unknown(self, user: str) -> Person:
        return Person(id=user, name=user, email=self._no_reply(user), known=False)

    def _no_reply(self, user: str) -> str:
        return f"{user}@users.noreply.{self._config.noreply_domain}"

    def _read(self, team: str, user: str, found: dict[str, object]) -> Person:
        profile = found.get("profile")
        said = profile if isinstance(profile, dict) else {}
        names = (said.get("real_name"), found.get("real_name"), said.get("display_name"), found.get("name"), user)
        name = next(clean for raw in names if isinstance(raw, str) and (clean := _clean(raw)))
        email = said.get("email")
        good = isinstance(email, str) and len(email) < 255 and email.isprintable() and _EMAIL.fullmatch(visible(email))
        home = found.get("team_id")
        return Person(
            id=user,
            name=name,
            email=visible(str(email)) if good else self._no_reply(user),
            outside=bool(found.get("is_stranger")) or (isinstance(home, str) and home not in ("", team)),
            is_bot=bool(found.get("is_bot")),
        )


def _clean(name: str) -> str:
    """A name as it may stand in `Name <email>` of a commit."""
    return " ".join(re.sub(r"[<>\x00-\x1f\x7f]", " ", visible(name)).split())[:100]
