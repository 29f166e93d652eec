"""What is true in the workspace: a fold of its journal, and questions about it. Pure; no clock, no file, no HTTP.

`workspace.py` puts records in; everything else asks. `*_for` questions are asked on behalf of an account and answer
with Slack's own refusals.
"""

from collections.abc import Iterable, Iterator, Sequence

from bot.playground.workspace_records import (
    Account,
    AgentSession,
    Channel,
    Delivery,
    File,
    Json,
    Message,
    Record,
    Refusal,
)

KINDS: dict[str, type[Record]] = {
    "channel": Channel,
    "message": Message,
    "file": File,
    "session": AgentSession,
    "delivery": Delivery,
}


def kind_of(record: Record) -> str:
    """The word for this record in the journal."""
    return next(kind for kind, known in KINDS.items() if type(record) is known)


class State:
    """Everything that the workspace knows. `base_url` is where it is found, no slash at its end."""

    def __init__(self, accounts: Iterable[Account], base_url: str = "") -> None:
        self.base_url = base_url
        self.accounts = {account.id: account for account in accounts}
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, File] = {}
        self.sessions: dict[tuple[str, str], AgentSession] = {}
        self.statuses: dict[tuple[str, str], Json] = {}
        self.pending: dict[str, Delivery] = {}
        self._messages: dict[str, dict[str, Message]] = {}
        self._threads: dict[tuple[str, str], dict[str, None]] = {}
        self._last_ts: dict[str, str] = {}

    # -- the fold --------------------------------------------------------------------------------------------------

    def fold(self, kind: str, value: Json) -> None:
        """Take one entry of the journal. Kinds that leave nothing behind are passed over."""
        if kind == "deleted":
            self.forget(value["channel"], value["ts"])
        elif kind == "settled":
            self.pending.pop(value["id"], None)
        elif kind == "status":
            self.statuses[value["channel"], value["thread_ts"]] = value
        elif kind in KINDS:
            self.put(KINDS[kind].model_validate(value))

    def put(self, record: Record) -> None:
        """How this thing is from now on."""
        match record:
            case Channel():
                self.channels[record.id] = record
            case Message():
                self._put_message(record)
            case File():
                self.files[record.id] = record
            case AgentSession():
                self.sessions[record.channel, record.thread_ts] = record
            case Delivery():
                self.pending[record.id] = record

    def _put_message(self, message: Message) -> None:
        self._messages.setdefault(message.channel, {})[message.ts] = message
        if message.is_reply:
            self._threads.setdefault((message.channel, message.root), {})[message.ts] = None
        self.saw_ts(message.channel, message.ts)

    def saw_ts(self, channel: str, ts: str) -> None:
        """This ts is taken."""
        self._last_ts[channel] = max(self._last_ts.get(channel, ""), ts)

    def forget(self, channel: str, ts: str) -> None:
        """A message is gone; its ts stays taken."""
        gone = self._messages.get(channel, {}).pop(ts, None)
        if gone is not None:
            self._threads.get((channel, gone.root), {}).pop(ts, None)
        self.saw_ts(channel, ts)

    def records(self) -> Iterator[Record]:
        """Everything that must be remembered."""
        yield from self.channels.values()
        for messages in self._messages.values():
            yield from messages.values()
        yield from self.files.values()
        yield from self.sessions.values()
        yield from self.pending.values()

    # -- questions -------------------------------------------------------------------------------------------------

    def next_ts(self, channel: str, now: float) -> str:
        """A ts for this moment that no message of the channel has."""
        micros = int(now * 1_000_000)
        seconds, _, part = self._last_ts.get(channel, "0.000000").partition(".")
        micros = max(micros, int(seconds) * 1_000_000 + int(part) + 1)
        return f"{micros // 1_000_000}.{micros % 1_000_000:06d}"

    def account(self, account: str) -> Account:
        """Somebody, by id. Refuses with user_not_found."""
        found = self.accounts.get(account)
        if found is None:
            raise Refusal("user_not_found")
        return found

    def sees(self, account: str, channel: Channel) -> bool:
        """Whether the channel is there for this account at all. A stranger sees shared channels only."""
        if account in channel.members:
            return True
        who = self.accounts.get(account)
        return not channel.private and who is not None and (not who.stranger or channel.shared)

    def channel_for(self, account: str, channel: str) -> Channel:
        """A channel that the account may know of. `channel`: an id, or a name with `#`. Refuses: channel_not_found."""
        found = self.channels.get(channel) or self._channel_named(channel)
        if found is None or not self.sees(account, found):
            raise Refusal("channel_not_found")
        return found

    def _channel_named(self, name: str) -> Channel | None:
        wanted = name.removeprefix("#")
        return next((found for found in self.channels.values() if found.name and found.name == wanted), None)

    def open_for(self, account: str, channel: str) -> Channel:
        """A channel that the account may write in. Refuses: not_in_channel, is_archived."""
        found = self.channel_for(account, channel)
        if account not in found.members:
            raise Refusal("not_in_channel")
        if found.archived:
            raise Refusal("is_archived")
        return found

    def channels_of(self, account: str) -> list[Channel]:
        """Every channel that the account may know of."""
        return [channel for channel in self.channels.values() if self.sees(account, channel)]

    def direct(self, members: Iterable[str]) -> Channel | None:
        """The direct conversation of exactly these accounts."""
        wanted = set(members)
        kinds = ("im", "mpim")
        return next((c for c in self.channels.values() if c.kind in kinds and set(c.members) == wanted), None)

    def message(self, channel: str, ts: str) -> Message:
        """One message. Refuses with message_not_found."""
        found = self._messages.get(channel, {}).get(ts)
        if found is None:
            raise Refusal("message_not_found")
        return found

    def has_message(self, channel: str, ts: str) -> bool:
        """Whether there is such a message."""
        return ts in self._messages.get(channel, {})

    def history(self, channel: str) -> list[Message]:
        """What stands in the channel itself, oldest first."""
        found = self._messages.get(channel, {}).values()
        return sorted((m for m in found if not m.is_reply or m.broadcast), key=lambda m: m.ts)

    def replies(self, channel: str, root: str) -> list[Message]:
        """What stands in a thread under its root, oldest first."""
        messages = self._messages.get(channel, {})
        return [messages[ts] for ts in sorted(self._threads.get((channel, root), {}))]

    def file_for(self, account: str, file: str) -> File:
        """A file that the account may see: its own, or one of a channel that it sees. Refuses: file_not_found."""
        found = self.files.get(file)
        if found is None or (found.user != account and not self._shown_to(account, found.channels)):
            raise Refusal("file_not_found")
        return found

    def _shown_to(self, account: str, channels: Sequence[str]) -> bool:
        return any(c in self.channels and self.sees(account, self.channels[c]) for c in channels)
