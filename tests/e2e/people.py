"""People at work in the playground, and what they can see: for the tests beside this file.

Everybody speaks through the ordinary Web API with a token of their own; what came of it is read from the thread, the
forge and the record. Nothing here sleeps for a fixed time: `until` looks again until something is true.
"""

import asyncio
import contextlib
import html
import json
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import redis

from bot.stack import Stack
from jobs.events import Event, TurnEnded
from jobs.inbox import session_id
from jobs.session import Session, Status
from jobs.wiring import Workshop

T = TypeVar("T")
Json = dict[str, Any]
SECONDS = 30.0
LOOK_SECONDS = 0.05
DEV, SECRET, PARTNERS, DIRECT = "C0DEV", "G0SECRET", "C0PARTNERS", "D0ADA"
REPOSITORY = "acme/rocket"
OUT_OF_REACH = (OSError, aiohttp.ClientError, redis.RedisError)


async def until(look: Callable[[], Awaitable[T]], true_of: Callable[[T], Any], seconds: float = SECONDS) -> T:
    """Look until it is true of what is seen; what was seen last is in the failure."""
    seen: T | BaseException | None = None
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            seen = await look()
            if true_of(seen):
                return seen
        except OUT_OF_REACH as down:  # somebody was killed, and comes back
            seen = down
        await asyncio.sleep(LOOK_SECONDS)
    raise AssertionError(f"not true after {seconds:g} s; seen last:\n{seen}")


@dataclass(frozen=True)
class Said:
    """A message as it stands in a thread. `words`: its text and all its blocks; `card`: which message of ours it is."""

    who: str
    ts: str
    text: str
    words: str
    card: str
    buttons: tuple[str, ...]
    raw: Json = field(repr=False)


@dataclass(frozen=True)
class Thread:
    """A thread, and the session in it."""

    office: "Office"
    channel: str
    ts: str

    @property
    def sid(self) -> str:
        return session_id(self.office.team, self.channel, self.ts)

    async def session(self) -> Session | None:
        return await self.office.shop.store.load(self.sid)

    async def log(self) -> list[Event]:
        return await self.office.shop.store.events(self.sid)

    async def endings(self) -> list[TurnEnded]:
        return [event for event in await self.log() if isinstance(event, TurnEnded)]

    async def until(self, true_of: Callable[[Session], Any], seconds: float = SECONDS) -> Session:
        """Until this is true of the session."""
        seen = await until(self.session, lambda session: session is not None and true_of(session), seconds)
        assert seen is not None
        return seen

    async def at_work(self) -> Session:
        """Until a turn runs and the agent has said what it will do."""
        return await self.until(lambda s: s.status is Status.WORKING and s.title)

    async def settled(self, prompts: int = 1, seconds: float = SECONDS) -> Session:
        """Until so many prompts were taken, nothing is left to do, and the thread shows everything."""

        def at_rest(session: Session) -> bool:
            rests = session.status in (Status.IDLE, Status.ASLEEP, Status.FAILED)
            return rests and len(session.seen) >= prompts and not session.queue and not session.publishable

        session = await self.until(at_rest, seconds)
        await until(self.office.shop.store.unshown, lambda sids: self.sid not in sids, seconds)
        return session

    async def messages(self) -> list[Said]:
        """Everything that stands in the thread, in order."""
        found = await self.office.ada.call(
            "conversations.replies", channel=self.channel, ts=self.ts, limit="1000", include_all_metadata="true"
        )
        return [_said(self.office, message) for message in found["messages"]]

    async def from_us(self) -> list[Said]:
        return [said for said in await self.messages() if said.who == "shipmate"]

    async def hears(self, *words: str, seconds: float = SECONDS) -> Said:
        """Until a message of ours has all of these words."""

        def there(all_said: list[Said]) -> list[Said]:
            return [said for said in all_said if all(each in said.words for each in words)]

        return there(await until(self.from_us, there, seconds))[-1]

    async def card(self, ts: str = "") -> Said:
        """The card of the prompt that was written at `ts`."""
        wanted = f"{self.office.team}:{self.channel}:{ts or self.ts}"
        seen = await until(self.from_us, lambda all_said: any(said.card == wanted for said in all_said))
        return next(said for said in seen if said.card == wanted)


@dataclass(frozen=True)
class Person:
    """Somebody with a token."""

    office: "Office"
    id: str
    name: str
    email: str
    token: str = field(repr=False)

    async def call(self, method: str, **arguments: str) -> Json:
        """One call of the Web API; it must not be refused."""
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{self.office.stack.page_url}api/{method}"
        async with self.office.http.post(url, data=arguments, headers=headers) as answer:
            body: Json = await answer.json()
        assert body["ok"], f"{method}: {body['error']}"
        return body

    async def says(self, words: str, channel: str = DEV) -> Thread:
        """Write a message; the thread that it may become."""
        posted = await self.call("chat.postMessage", channel=channel, text=self.office.typed(words))
        return Thread(self.office, channel, posted["ts"])

    async def replies(self, thread: Thread, words: str) -> str:
        """Write in a thread; the message's ts."""
        posted = await self.call(
            "chat.postMessage", channel=thread.channel, thread_ts=thread.ts, text=self.office.typed(words)
        )
        return str(posted["ts"])

    async def edits(self, thread: Thread, ts: str, words: str) -> None:
        await self.call("chat.update", channel=thread.channel, ts=ts, text=self.office.typed(words))

    async def ends_what_runs(self, thread: Thread) -> None:
        """Press Stop on the card of the message that opened the thread; what waits goes on."""
        await self.presses(thread, await thread.card(), "stop")

    async def deletes(self, thread: Thread, ts: str) -> None:
        await self.call("chat.delete", channel=thread.channel, ts=ts)

    async def presses(self, thread: Thread, said: Said, action: str) -> None:
        """Press a button of this message; `action` is how its id begins."""
        button = next(each for each in said.buttons if each.startswith(action))
        wish = {"channel": thread.channel, "ts": said.ts, "action_id": button}
        await self.office.post("playground/press", {"token": self.token, **wish})

    async def fills_in(self, thread: Thread, said: Said, action: str, words: str) -> None:
        """Press a button of this message that opens a form with one field, and send these words with it."""
        url = f"{self.office.stack.page_url}playground/live"
        async with asyncio.timeout(SECONDS), self.office.http.get(url, params={"token": self.token}) as stream:
            await self.presses(thread, said, action)
            async for line in stream.content:
                told = json.loads(line[6:]) if line.startswith(b"data: ") else {}
                if told.get("type") == "view":
                    break
        view = told["view"]
        field = next(block for block in view["blocks"] if block["type"] == "input")
        values = {field["block_id"]: {field["element"]["action_id"]: words}}
        await self.office.post("playground/submit", {"token": self.token, "view_id": view["id"], "values": values})

    async def presses_slacks_own_stop(self, thread: Thread) -> None:
        """Press the button that Slack shows for as long as the thread's agent says that it is at work."""
        await until(self.office.agents_at_work, lambda threads: thread.ts in threads)
        wish = {"token": self.token, "channel": thread.channel, "thread_ts": thread.ts}
        await self.office.post("playground/stop", wish)

    async def attaches(self, name: str, content: bytes, words: str, channel: str = DEV) -> Thread:
        """Share a file with some words."""
        announced = await self.call("files.getUploadURLExternal", filename=name, length=str(len(content)))
        async with self.office.http.post(announced["upload_url"], data=content) as answer:
            assert answer.status == 200
        files = json.dumps([{"id": announced["file_id"]}])
        comment = self.office.typed(words)
        await self.call("files.completeUploadExternal", files=files, channel_id=channel, initial_comment=comment)
        history = await self.call("conversations.history", channel=channel, limit="1")
        return Thread(self.office, channel, history["messages"][0]["ts"])

    async def is_told_alone(self, *words: str) -> str:
        """Until we say this where only this person sees it; what was said, with its links."""
        url = f"{self.office.stack.page_url}playground/live"
        asked = {"token": self.token, "cursor": str(self.office.cursor)}
        async with asyncio.timeout(SECONDS), self.office.http.get(url, params=asked) as stream:
            async for line in stream.content:
                told = json.loads(line[6:]) if line.startswith(b"data: ") else {}
                if told.get("type") == "whisper" and all(each in told["message"]["text"] for each in words):
                    return str(told["message"]["text"])
        raise AssertionError(f"the stream ended before {self.name} was told {words}")


@dataclass
class Office:
    """The playground and the running stack, as a test has them. `cursor`: what pages had been told when it began."""

    stack: Stack
    http: aiohttp.ClientSession
    shop: Workshop
    team: str = ""
    bot: str = ""
    cursor: int = 0
    people: dict[str, Person] = field(default_factory=dict)

    async def meet(self) -> None:
        """Look who is here."""
        async with self.http.get(self.stack.page_url + "playground/bootstrap") as answer:
            found = await answer.json()
        self.team, self.bot, self.cursor = found["team"]["id"], found["bot"]["user_id"], found["cursor"]
        for row in found["people"]:
            name = row["real_name"].split()[0]
            self.people[row["id"]] = Person(self, row["id"], name, row["email"], row["token"])
        kept = json.loads((self.stack.state / "playground/workspace/secrets.json").read_text())
        self.people["U0ROBBIE"] = Person(self, "U0ROBBIE", "Robbie", "", kept["other_bot"])

    @property
    def ada(self) -> Person:
        return self.people["U0ADA"]

    @property
    def grace(self) -> Person:
        return self.people["U0GRACE"]

    @property
    def outsider(self) -> Person:
        return self.people["U0OLGA"]

    @property
    def other_bot(self) -> Person:
        return self.people["U0ROBBIE"]

    async def agents_at_work(self) -> list[str]:
        """The threads with an agent at work, as Slack knows it."""
        async with self.http.get(self.stack.page_url + "playground/bootstrap") as answer:
            sessions = (await answer.json())["sessions"]
        return [session["thread_ts"] for session in sessions if session["status"] == "processing"]

    def typed(self, words: str) -> str:
        """What a person's client sends for these words: escaped, with the mention that was completed."""
        escaped = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        for name, person in (("@shipmate", self.bot), ("@grace", self.grace.id)):
            escaped = escaped.replace(name, f"<@{person}>")
        return escaped

    async def post(self, path: str, wish: Json) -> Json:
        """Send JSON to the playground; it must be taken."""
        async with self.http.post(self.stack.page_url + path, json=wish) as answer:
            body: Json = await answer.json()
        assert answer.status == 200, body
        return body

    async def slack(self, **faults: Any) -> None:
        """From now on this is wrong with the workspace."""
        await self.post("playground/faults", faults)

    async def forge(self, **faults: Any) -> None:
        """From now on this is wrong with the forge."""
        await self.post("forge/_faults", faults)

    async def press_on_forge(self, pull_request: int, do: str, who: str, body: str = "", lines: str = "") -> None:
        """Press a button of a pull request's page, as somebody."""
        url = f"{self.stack.page_url}forge/{REPOSITORY}/pull/{pull_request}"
        async with self.http.post(url, data={"do": do, "who": who, "body": body, "lines": lines}) as answer:
            assert answer.status == 200, await answer.text()

    async def asked_of_forge(self, path: str, repository: str = REPOSITORY) -> Any:
        """What the forge's API says about the repository."""
        url = f"{self.stack.keys['GITHUB_API_URL'].rstrip('/')}/repos/{repository}/{path}"
        headers = {"Authorization": f"Bearer {self.stack.keys['GITHUB_TOKEN']}"}
        async with self.http.get(url, headers=headers) as answer:
            return await answer.json()

    async def pull_requests_of(self, thread: Thread) -> list[Json]:
        """The pull requests from this session's branch, whatever became of them."""
        found = await self.asked_of_forge("pulls?state=all&per_page=100")
        return [pull for pull in found if pull["head"]["ref"] == f"shipmate/{thread.sid}"]

    async def commits(self, pull_request: int, repository: str = REPOSITORY) -> list[Json]:
        """Its commits, oldest first: subject, author, co_authors."""
        found = await self.asked_of_forge(f"pulls/{pull_request}/commits?per_page=100", repository)
        return [_commit(row["commit"]) for row in found]

    async def patch(self, pull_request: int) -> str:
        """What it changes."""
        files = await self.asked_of_forge(f"pulls/{pull_request}/files")
        return "\n".join(file.get("patch", "") for file in files)

    async def text(self, url: str) -> tuple[int, str]:
        """A page as somebody without cookies gets it."""
        async with self.http.get(url) as answer:
            return answer.status, await answer.text()


def _commit(commit: Json) -> Json:
    author = commit["author"]
    return {
        "subject": commit["message"].splitlines()[0],
        "author": f"{author['name']} <{author['email']}>",
        "co_authors": re.findall(r"(?im)^co-authored-by: (.+)$", commit["message"]),
    }


def _said(office: Office, message: Json) -> Said:
    blocks = message.get("blocks") or []
    ours = message.get("user") == office.bot
    payload = (message.get("metadata") or {}).get("event_payload") or {}
    person = office.people.get(message["user"])
    who = "shipmate" if ours else person.name if person else "Slack"
    text = message.get("text", "")
    buttons = [e["action_id"] for b in blocks if b["type"] == "actions" for e in b["elements"]]
    words = "\n".join([text, *_texts(blocks)])
    return Said(who, message["ts"], text, words, payload.get("card", ""), tuple(buttons), message)


def _texts(part: Any) -> list[str]:
    """Every word somewhere in blocks."""
    if isinstance(part, dict):
        found = [part["text"]] if isinstance(part.get("text"), str) else []
        return found + [text for value in part.values() for text in _texts(value)]
    return [text for each in part for text in _texts(each)] if isinstance(part, list) else []


def link_in(words: str, label: str) -> str:
    """The address behind `<address|label>`."""
    found = re.search(rf"<([^|<>]+)\|{re.escape(label)}>", words)
    assert found is not None, words
    return html.unescape(found[1])


@contextlib.contextmanager
def held_still(stack: Stack, name: str) -> Iterator[None]:
    """The processes of this program do nothing meanwhile, and then go on."""
    group = stack.supervisor.pid(name)
    assert group is not None
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


def kill(stack: Stack, name: str) -> None:
    """Kill this program, and what it has forked, without warning."""
    group = stack.supervisor.pid(name)
    assert group is not None
    os.killpg(group, signal.SIGKILL)
