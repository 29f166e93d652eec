"""A workspace, the real Slack client on it over a socket or signed HTTP, and sessions that move by commands.

For the tests beside this file: no boxes, no queue; whatever a box would say is handed to the inbox.
"""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground import workspace_people as people
from bot.playground.workspace_delivery import Timing
from bot.slack.app import SlackClient
from bot.slack.below import Repositories
from bot.slack.config import SlackConfig
from bot.web.links import ViewLinks
from jobs import commands as c
from jobs import frames as f
from jobs import repos
from jobs.events import Prompt, PromptReceived
from jobs.inbox import Inbox, session_id
from jobs.session import Session
from jobs.settings_repositories import Repository
from jobs.store import Store
from tests.playground.workspaces import DEV, MENTION, Served, serving

T = TypeVar("T")
Json = dict[str, Any]
SECONDS = 8.0
LOOK_SECONDS = 0.01
PATIENT = Timing(ack=1.0, retries=(0.05,) * 60)
ENABLED = (Repository(name="acme/rocket", base_branch="main"), Repository(name="acme/site", base_branch="trunk"))
TASK = f"{MENTION} fix the fuel test in acme/rocket"
VIEW = "https://ship.test"
HEAD = "a" * 40


async def until(look: Callable[[], Awaitable[T]], true_of: Callable[[T], Any], seconds: float = SECONDS) -> T:
    """Look until it is true of what is seen; what was seen last is in the failure."""
    end = time.monotonic() + seconds
    while True:
        seen = await look()
        if true_of(seen):
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"not true after {seconds:g} s; seen last:\n{seen}")
        await asyncio.sleep(LOOK_SECONDS)


@dataclass(frozen=True)
class Said:
    """A message of ours. `card`: which one; `words`: everything that a person reads; `buttons`: their action ids."""

    ts: str
    card: str
    text: str
    words: str
    buttons: tuple[str, ...]
    raw: Json = field(repr=False)


@dataclass
class Scene:
    """The workspace `served`, the record, and everything that tests do with them."""

    served: Served
    store: Store
    inbox: Inbox
    config: SlackConfig
    clients: list[SlackClient] = field(default_factory=list)
    warmed: list[tuple[str, str]] = field(default_factory=list)  # what was wished for: repositories, and why
    enabled: tuple[Repository, ...] = ENABLED

    def new_client(self, store: Store | None = None, inbox: Inbox | None = None, **changes: Any) -> SlackClient:
        """A client that is not started yet; `changes` of its config."""
        return SlackClient(
            dataclasses.replace(self.config, **changes),
            inbox=inbox or self.inbox,
            store=store or self.store,
            repositories=Repositories(
                choose=lambda text: repos.choose(text, self.enabled),
                base_branch=lambda name: repos.base_branch(name, self.enabled),
                enabled=tuple(repository.name for repository in self.enabled),
            ),
            links=ViewLinks("secret", VIEW, time.time),
            warm_up=self._warm_up,
        )

    async def _warm_up(self, repository: str, reason: str) -> None:
        self.warmed.append((repository, reason))

    @asynccontextmanager
    async def listening(self, **changes: Any) -> AsyncIterator[SlackClient]:
        """A client that hears what happens over a socket of its own."""
        client = self.new_client(**changes)
        before = self.served.workspace.sockets.count
        await client.start()
        try:
            async with asyncio.timeout(SECONDS):
                await self.served.workspace.sockets.connected(before + 1)
            yield client
        finally:
            await client.close()

    @asynccontextmanager
    async def at_addresses(self, **changes: Any) -> AsyncIterator[str]:
        """A client that is told by signed HTTP; yields the address of its web process."""
        client = self.new_client(app_token="", **changes)
        app = web.Application()
        app.add_routes(client.routes)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        await client.start()
        try:
            await self.served.workspace.listen_at(f"{url}/slack/events", f"{url}/slack/actions")
            yield url
        finally:
            await client.close()
            await runner.cleanup()

    # -- people ----------------------------------------------------------------------------------------------------

    async def says(
        self, text: str = TASK, thread: str = "", channel: str = DEV, by: AsyncWebClient | None = None
    ) -> str:
        """Somebody (Ada) says this, and everything about it is delivered; the message's ts."""
        ts = await self.posts(text, thread, channel, by)
        await self.delivered()
        return ts

    async def posts(
        self, text: str = TASK, thread: str = "", channel: str = DEV, by: AsyncWebClient | None = None
    ) -> str:
        """As `says`, without waiting for deliveries."""
        who = by or self.served.ada
        return str((await who.chat_postMessage(channel=channel, text=text, thread_ts=thread or None))["ts"])

    async def delivered(self) -> None:
        async with asyncio.timeout(SECONDS):
            await self.served.workspace.deliveries.settled()

    async def presses(
        self, action: str, said: Said, by: str = people.ADA.id, channel: str = DEV, value: str = ""
    ) -> tuple[int, Json]:
        press = {"token": self.served.token(by), "channel": channel, "ts": said.ts, "action_id": action}
        return await self.served.post_json("/playground/press", press | ({"value": value} if value else {}))

    # -- what can be seen ------------------------------------------------------------------------------------------

    def sid(self, thread: str, channel: str = DEV) -> str:
        return session_id(people.TEAM, channel, thread)

    async def session(self, thread: str, channel: str = DEV) -> Session | None:
        return await self.store.load(self.sid(thread, channel))

    async def prompts(self, thread: str, channel: str = DEV) -> list[Prompt]:
        """Every prompt that was taken, as it came."""
        events = await self.store.events(self.sid(thread, channel))
        return [event.prompt for event in events if isinstance(event, PromptReceived)]

    async def texts(self, thread: str, channel: str = DEV) -> list[str]:
        return [prompt.text for prompt in await self.prompts(thread, channel)]

    async def queue(self, thread: str, channel: str = DEV) -> list[str]:
        """What still waits."""
        session = await self.session(thread, channel)
        return [prompt.text for prompt in session.queue] if session is not None else []

    async def ours(self, thread: str, channel: str = DEV) -> list[Said]:
        """What we have said in the thread, in order."""
        state = self.served.workspace.state
        found = [m for m in state.replies(channel, thread) if m.user == people.BOT.id]
        return [_said(message.model_dump(mode="json")) for message in found]

    async def shown(self, thread: str, *words: str, channel: str = DEV, seconds: float = SECONDS) -> Said:
        """Until one message of ours has all of these words."""

        def there(said: list[Said]) -> list[Said]:
            return [each for each in said if all(word in each.words for word in words)]

        return there(await until(lambda: self.ours(thread, channel), there, seconds))[-1]

    async def card(self, ts: str, thread: str = "", channel: str = DEV) -> Said:
        """Until the prompt of this message has its card."""
        wanted = f"{people.TEAM}:{channel}:{ts}"
        said = await until(lambda: self.ours(thread or ts, channel), lambda all_: any(s.card == wanted for s in all_))
        return next(each for each in said if each.card == wanted)

    def whispers(self, to: str) -> list[str]:
        """What only this person sees."""
        return [message.text for reader, message in self.served.workspace.whispers if reader == to]

    async def whispered(self, to: str, words: str) -> str:
        async def look() -> list[str]:
            return [text for text in self.whispers(to) if words in text]

        return (await until(look, bool))[-1]

    async def all_shown(self) -> None:
        """Until the threads show everything, and no session has anything to do or to wait for."""
        await until(self.store.unshown, lambda sids: not sids)

    def status(self, thread: str, channel: str = DEV) -> str:
        """What Slack shows of the agent's session in this thread."""
        found = self.served.workspace.state.sessions.get((channel, thread))
        return found.status if found else ""

    # -- what boxes and workers would do ---------------------------------------------------------------------------

    def work(self, thread: str, channel: str = DEV) -> "Work":
        return Work(self.inbox, self.sid(thread, channel))


@dataclass
class Work:
    """A session that is worked on."""

    inbox: Inbox
    sid: str
    turn: int = 0

    async def do(self, command: c.Command) -> Session:
        return await self.inbox.handle(self.sid, command)

    async def hear(self, *frames: f.AnyFrame, generation: int = 1) -> Session:
        return await self.do(c.Hear(generation, frames))

    async def begin(self) -> "Work":
        """A box is there, its agent ready, the first prompt delivered and begun."""
        await self.do(c.BeginStart(0))
        await self.do(c.FinishStart(1, f"{self.sid}-1", "image", "img", True))
        await self.do(c.Attach(1, 1))
        await self.hear(f.Ready(n=1, at=0, kind="ready", conversation="c", resumed=False, head=HEAD))
        return await self.take_up()

    async def take_up(self) -> "Work":
        """The agent begins with what was delivered."""
        self.turn += 1
        await self.hear(f.Started(n=1, at=0, kind="turn_started", turn=self.turn))
        return self

    async def says_what(self, task: str = "I will fix the rounding of tanks.") -> "Work":
        await self.hear(f.Restated(n=1, at=0, kind="restated", turn=self.turn, text=task))
        return self

    async def steps(self, title: str) -> None:
        await self.hear(f.Step(n=1, at=0, kind="step", turn=self.turn, title=title, tool="read"))

    async def end(self, outcome: str = "done", commits: int = 1, **more: Any) -> "Work":
        author = people.ADA.real_name
        made = [{"sha": f"{n:040x}", "subject": f"Change {n}", "author": f"{author} <a@b>"} for n in range(commits)]
        ended = {"turn": self.turn, "outcome": outcome, "commits": made, "pushed": commits > 0, "head": self.head}
        frame = {"n": 9, "at": 0, "kind": "turn_ended", "summary": "Tanks round up now."} | ended | more
        await self.hear(f.Ended.model_validate(frame))
        return self

    @property
    def head(self) -> str:
        return f"{self.turn:040x}"

    async def publish(self, number: int = 7) -> "Work":
        await self.do(c.BeginPublish())
        url = f"https://forge.test/acme/rocket/pull/{number}"
        await self.do(c.FinishPublish(number, url, self.head, True))
        return self


def _said(message: Json) -> Said:
    elements = [part for block in message["blocks"] for part in block.get("elements", [block])]
    buttons = [part for part in elements if part.get("type") == "button"]
    words = [part["text"]["text"] if isinstance(part["text"], dict) else part["text"] for part in elements]
    card = ((message.get("metadata") or {}).get("event_payload") or {}).get("card", "")
    return Said(
        ts=message["ts"],
        card=card,
        text=message["text"],
        words="\n".join([message["text"], *words]),
        buttons=tuple(button["action_id"] for button in buttons),
        raw=message,
    )


@asynccontextmanager
async def staged(folder: Path, store: Store, inbox: Inbox, **options: Any) -> AsyncIterator[Scene]:
    """A scene without a client."""
    async with serving(folder, **{"timing": PATIENT, **options}) as served:
        tokens = served.workspace.tokens
        config = SlackConfig(
            bot_token=tokens.bot,
            app_token=tokens.app,
            signing_secret=tokens.signing_secret,
            api_url=f"{served.url}/api/",
            files_dir=folder.with_name("files"),
            accept_seconds=0.5,
            call_seconds=2.0,
            sweep_seconds=0.05,
            unsure_seconds=0.05,
            arrive_seconds=1.0,
            socket_seconds=0.5,
            edit_seconds=0.05,
            settle_seconds=0.4,
        )
        yield Scene(served, store, inbox, config)


@pytest.fixture
async def scene(tmp_path: Path, store: Store, inbox: Inbox) -> AsyncIterator[Scene]:
    """A scene without a client: the test begins one, or several."""
    async with staged(tmp_path / "workspace", store, inbox) as one:
        yield one


@pytest.fixture
async def office(scene: Scene) -> AsyncIterator[Scene]:
    """A scene whose client listens on a socket."""
    async with scene.listening():
        yield scene
