"""A Slack workspace on loopback: people, channels, messages, and an app that is told what happens. No HTTP in here.

`workspace_api.py` speaks Slack's Web API for it, `workspace_sockets.py` and `workspace_http.py` deliver its events,
`workspace_live.py` shows it to pages; `workspace_routes.py` mounts all of them. Tests hold a `Workspace` and use its
methods. Every change is in the journal before it is told; a `Refusal` carries Slack's own word.
"""

import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from bot.playground import workspace_events as events
from bot.playground import workspace_people as people
from bot.playground.forge_records import read_json, write_atomically
from bot.playground.workspace_delivery import Deliveries, Timing
from bot.playground.workspace_events import Happening
from bot.playground.workspace_faults import Faults
from bot.playground.workspace_http import SignedHttp
from bot.playground.workspace_journal import Entry, Journal
from bot.playground.workspace_limits import Limits
from bot.playground.workspace_manifest import MANIFEST, Manifest
from bot.playground.workspace_records import Account, Channel, Delivery, Edit, Json, Message, Reaction, Record, Refusal
from bot.playground.workspace_rich_text import rich_text
from bot.playground.workspace_sockets import Sockets
from bot.playground.workspace_state import State, kind_of
from bot.playground.workspace_views import Views

WHISPERS = 200
GARBAGE = 2_000  # lines of the journal that say nothing any more, before it is written anew


class Workspace:
    """Everything that the workspace is. Made by `Workspace.open`."""

    def __init__(
        self, folder: Path, base_url: str, manifest: Manifest, clock: Callable[[], float], timing: Timing
    ) -> None:
        self.clock = clock
        self.manifest = manifest
        self.tokens = people.Tokens.open(folder / "secrets.json")
        self.state = State(people.ACCOUNTS, base_url.rstrip("/"))
        self.journal = Journal(folder)
        self.faults = Faults()
        self.limits = Limits(clock)
        self.sockets = Sockets()
        self.views = Views(clock)
        self.deliveries = Deliveries(self.sockets, self.faults, timing, self._settled)
        self.whispers: deque[tuple[str, Message]] = deque(maxlen=WHISPERS)  # who alone sees it, and what
        self.folder = folder

    @classmethod
    async def open(
        cls,
        folder: Path,
        base_url: str = "",
        *,
        manifest: Path = MANIFEST,
        clock: Callable[[], float] = time.time,
        timing: Timing | None = None,
        garbage: int = GARBAGE,
    ) -> "Workspace":
        """The workspace whose state lies in `folder`, with what was on its way to the app when it last ended.

        `base_url` is the address of the playground; it may be set later (`describe`), before the first request.
        """
        workspace = cls(folder, base_url, Manifest.read(manifest), clock, timing or Timing())
        workspace._recall(garbage)
        kept = read_json(folder / "request-url.json")
        if kept:
            workspace._deliver_to(str(kept["events"]), str(kept["actions"]))
        for delivery in list(workspace.state.pending.values()):
            workspace.deliveries.add(delivery)
        return workspace

    def _recall(self, garbage: int) -> None:
        entries = self.journal.read()
        numbers: dict[str, int] = {}
        for entry in entries:
            self.state.fold(entry.kind, entry.value)
            numbers[_identity(entry.kind, entry.value)] = entry.n
        if not self.state.channels:
            for channel in people.CHANNELS:
                self.keep(channel.model_copy(update={"created": self.clock()}))
        records = list(self.state.records())
        if len(entries) > len(records) + garbage:
            lines = [(kind_of(record), record.model_dump(mode="json", exclude_defaults=True)) for record in records]
            kept = [Entry(numbers[_identity(kind, value)], kind, value) for kind, value in lines]
            self.journal.rewrite(sorted(kept, key=lambda entry: entry.n))

    async def close(self) -> None:
        """End; the next `open` goes on from here."""
        await self.deliveries.close()
        await self.sockets.close()
        self.journal.close()

    def describe(self, base_url: str | None = None) -> dict[str, str]:
        """The settings that lead an app and two people here. `base_url` is remembered when given."""
        if base_url is not None:
            self.state.base_url = base_url.rstrip("/")
        return {
            "SLACK_API_URL": self.state.base_url + "/api/",
            "SLACK_BOT_TOKEN": self.tokens.bot,
            "SLACK_APP_TOKEN": self.tokens.app,
            "SLACK_SIGNING_SECRET": self.tokens.signing_secret,
            "PERSON_ADA_TOKEN": self.tokens.people[people.ADA.id],
            "PERSON_GRACE_TOKEN": self.tokens.people[people.GRACE.id],
        }

    # -- how things change -----------------------------------------------------------------------------------------

    def keep(self, record: Record) -> None:
        """This is how a thing is from now on."""
        self.journal.write(kind_of(record), record.model_dump(mode="json", exclude_defaults=True))
        self.state.put(record)

    def announce(self, kind: str, value: Json) -> None:
        """Something that pages show, and that nothing else is made of."""
        self.journal.write(kind, value)
        self.state.fold(kind, value)

    def now_ts(self) -> str:
        """This moment, as Slack writes it."""
        return f"{self.clock():.6f}"

    def tell(self, happenings: Iterable[Happening], channel: Channel) -> None:
        """Tell the app, as far as it is subscribed and its bot is there."""
        if people.BOT.id not in channel.members:
            return
        for happening in happenings:
            if happening.subscription not in self.manifest.events or self._lost(happening):
                continue
            event_id = "Ev0" + secrets.token_hex(5).upper()
            payload = events.envelope(
                happening.event, channel, event_id, self.tokens.verification, self.clock()
            )  # fmt: skip
            delivery = Delivery(id=event_id, type="events_api", payload=payload)
            self.keep(delivery)
            self.deliveries.add(delivery)

    def opened(self, who: Account, tab: str) -> None:
        """A person looks at a tab of the app."""
        place = self.state.direct((who.id, people.BOT.id))
        if place is not None:
            self.tell([events.app_opened(who.id, place.id, tab, self.now_ts())], place)

    def _lost(self, happening: Happening) -> bool:
        if happening.is_mention:
            return self.faults.take("drop_mentions")
        return happening.is_post and self.faults.take("drop_messages")

    def _settled(self, delivery: Delivery) -> None:
        if self.state.pending.pop(delivery.id, None) is not None:
            self.journal.write("settled", {"id": delivery.id})

    async def listen_at(self, events_url: str, actions_url: str) -> None:
        """Deliver as signed HTTP from now on. Raises ValueError if nobody there answers the challenge."""
        way = SignedHttp(events_url, actions_url, self.tokens.signing_secret)
        await way.verify(self.tokens.verification)
        write_atomically(
            self.folder / "request-url.json", json.dumps({"events": events_url, "actions": actions_url})
        )  # fmt: skip
        self.deliveries.use(way)

    def _deliver_to(self, events_url: str, actions_url: str) -> None:
        self.deliveries.use(SignedHttp(events_url, actions_url, self.tokens.signing_secret))

    # -- messages --------------------------------------------------------------------------------------------------

    def post(self, draft: Message) -> Message:
        """Write a message; `draft` has everything but its ts. Refuses where its author cannot write."""
        channel = self.state.open_for(draft.user, draft.channel)
        self._check_thread(channel, draft.thread_ts)
        more: dict[str, object] = {"ts": self.state.next_ts(channel.id, self.clock())}
        if not draft.bot_id:
            more |= {"client_msg_id": secrets.token_hex(16), "blocks": draft.blocks or self._typed(draft.text)}
        message = draft.model_copy(update=more)
        self.keep(message)
        self.tell(events.posted(self.state, message, self.now_ts()), channel)
        return message

    def _typed(self, text: str) -> tuple[dict[str, object], ...]:
        return (rich_text(text, secrets.token_hex(3)),) if text else ()

    def _check_thread(self, channel: Channel, thread_ts: str) -> None:
        if thread_ts and (
            not self.state.has_message(channel.id, thread_ts) or self.state.message(channel.id, thread_ts).is_reply
        ):
            raise Refusal("thread_not_found")

    def whisper(self, draft: Message, reader: str) -> Message:
        """Write a message that only `reader` sees, until the page is loaded again."""
        channel = self.state.open_for(draft.user, draft.channel)
        if reader not in channel.members:
            raise Refusal("user_not_in_channel")
        ts = self.state.next_ts(channel.id, self.clock())
        self.state.saw_ts(channel.id, ts)
        message = draft.model_copy(update={"ts": ts})
        self.whispers.append((reader, message))
        value = message.model_dump(mode="json", exclude_defaults=True)
        self.announce("whisper", {"user": reader, "message": value})
        return message

    def edit(self, editor: str, channel: str, ts: str, **changes: object) -> Message:
        """Change a message of one's own."""
        found = self.state.open_for(editor, channel)
        before = self.state.message(found.id, ts)
        if before.user != editor or before.subtype == "tombstone":
            raise Refusal("cant_update_message")
        if not before.bot_id and "text" in changes and "blocks" not in changes:
            changes["blocks"] = self._typed(str(changes["text"]))
        edited = Edit(user=editor, ts=self.now_ts())
        after = before.model_copy(update={**changes, "edited": edited})
        self.keep(after)
        self.tell(events.changed(self.state, after, before, self.now_ts()), found)
        return after

    def delete(self, deleter: str, channel: str, ts: str) -> None:
        """Take back a message of one's own; one that was answered leaves a tombstone."""
        found = self.state.channel_for(deleter, channel)
        before = self.state.message(found.id, ts)
        if before.user != deleter or before.subtype == "tombstone":
            raise Refusal("cant_delete_message")
        if self.state.replies(found.id, ts):
            after = events.tombstone(before)
            self.keep(after)
            self.tell(events.changed(self.state, after, before, self.now_ts()), found)
            return
        happened = events.deleted(self.state, before, self.now_ts())
        self.announce("deleted", {"channel": found.id, "ts": ts, "root": before.root})
        self.tell(happened, found)

    def react(self, user: str, channel: str, ts: str, name: str, *, add: bool) -> None:
        """Put an emoji under a message, or take it away."""
        found = self.state.open_for(user, channel)
        message = self.state.message(found.id, ts)
        users = {reaction.name: reaction.users for reaction in message.reactions}
        if add == (user in users.get(name, ())):
            raise Refusal("already_reacted" if add else "no_reaction")
        users[name] = (*users.get(name, ()), user) if add else tuple(u for u in users[name] if u != user)
        rows = tuple(Reaction(name=each, users=who) for each, who in users.items() if who)
        self.keep(message.model_copy(update={"reactions": rows}))
        self.tell(events.reacted(message, user, name, add, self.now_ts()), found)


def _identity(kind: str, value: dict[str, object]) -> str:
    """What an entry of the journal is about."""
    return f"{kind}:{value.get('id') or value.get('channel')}:{value.get('ts') or value.get('thread_ts')}"
