"""One story, played by script: people say things in the playground, and what came of it is reported.

`shipmate demo --say` and the end-to-end tests use it. People post through the ordinary Web API with their own tokens,
and everything reported is read from where a person would see it: the thread, the forge, the record.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp

from bot.stack import Stack
from jobs.inbox import session_id
from jobs.moments import MOMENTS
from jobs.session import Session, Status

LOOK_SECONDS = 0.05
THREAD_SECONDS, UNFINISHED_SECONDS = 20.0, 1.0  # until the thread shows what happened; less if it goes on happening
TIMINGS = {f"received_to_{moment}_ms": moment for moment in MOMENTS}


@dataclass(frozen=True)
class Story:
    """Who says what, and when. `timeout` in seconds, for all of it."""

    say: str
    say_as: str = "Ada"
    reply: str | None = None
    reply_as: str = "Grace"
    reply_when: Literal["running", "done"] = "done"
    timeout: float = 300.0
    channel: str = "dev"


@dataclass(frozen=True)
class StoryOutcome:
    """What came of it. `good`: the pull request is there and the session idle; else `problem` says what is missing."""

    good: bool
    problem: str
    report: dict[str, Any]


class Workspace:
    """The playground's workspace through its Web API, as a person or as an onlooker."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession) -> None:
        self._stack = stack
        self._http = http

    async def bootstrap(self) -> dict[str, Any]:
        """The people, channels and the bot."""
        async with self._http.get(self._stack.page_url + "playground/bootstrap") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def call(self, token: str, method: str, **args: str) -> dict[str, Any]:
        """One Web API call; raises with the method's own error."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self._http.post(f"{self._stack.page_url}api/{method}", data=args, headers=headers) as answer:
            body: dict[str, Any] = await answer.json()
        if not body.get("ok"):
            raise RuntimeError(f"{method}: {body.get('error')}")
        return body


async def play(stack: Stack, story: Story) -> StoryOutcome:
    """Play the story to its end, or until its time is over."""
    async with aiohttp.ClientSession() as http:
        return await _Play(stack, story, Workspace(stack, http), http).run()


class _Play:
    def __init__(self, stack: Stack, story: Story, workspace: Workspace, http: aiohttp.ClientSession) -> None:
        self._stack, self._story, self._workspace, self._http = stack, story, workspace, http
        self._people: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}
        self._bot: dict[str, Any] = {}
        self._channel = ""

    async def run(self) -> StoryOutcome:
        await self._meet()
        thread = await self._say(self._story.say_as, f"<@{self._bot['user_id']}> {self._story.say}")
        sid = session_id(self._team, self._channel, thread)
        problem = ""
        try:
            async with asyncio.timeout(self._story.timeout):
                await self._to_the_end(sid, thread)
        except TimeoutError:
            problem = f"not done after {self._story.timeout:.0f} s"
        async with self._stack.workshop() as shop:
            session = await shop.store.load(sid)
            stamps = await shop.store.stamps(sid)
        if session is None:
            return self._outcome(problem or "no session was opened", {"session": sid, "thread": []})
        patience = UNFINISHED_SECONDS if problem else THREAD_SECONDS
        report = await self._report(session, stamps, await self._thread(session, thread, patience))
        if not problem and report["pull_request"] is None:
            problem = "no pull request was opened"
        if not problem and session.status is not Status.IDLE:
            problem = f"the session is {session.status}"
        return self._outcome(problem, report)

    def _outcome(self, problem: str, report: dict[str, Any]) -> StoryOutcome:
        where = f"; the logs are in {self._stack.state / 'logs'}" if problem else ""
        return StoryOutcome(not problem, problem + where, report)

    async def _meet(self) -> None:
        found = await self._workspace.bootstrap()
        self._team = found["team"]["id"]
        self._bot = found["bot"]
        for person in found["people"]:
            self._people[person["name"].lower()] = person
            self._people[person["real_name"].split()[0].lower()] = person
            self._names[person["id"]] = person["real_name"].split()[0]
        self._channel = next(c["id"] for c in found["channels"] if c["name"] == self._story.channel)

    async def _say(self, who: str, text: str, thread: str = "") -> str:
        person = self._people.get(who.lower())
        if person is None:
            raise ValueError(f"there is nobody called {who} here; there are {', '.join(sorted(self._people))}")
        more = {"thread_ts": thread} if thread else {}
        posted = await self._workspace.call(
            person["token"], "chat.postMessage", channel=self._channel, text=text, **more
        )
        ts: str = posted["ts"]
        return ts

    async def _to_the_end(self, sid: str, thread: str) -> Session:
        async with self._stack.workshop() as shop:
            if self._story.reply is None:
                return await self._until(shop.store.load, sid, _settled(1))
            first = _running if self._story.reply_when == "running" else _settled(1)
            await self._until(shop.store.load, sid, first)
            await self._say(self._story.reply_as, self._story.reply, thread)
            return await self._until(shop.store.load, sid, _settled(2))

    async def _until(self, load: Any, sid: str, true_of: Any) -> Session:
        while True:
            session: Session | None = await load(sid)
            if session is not None and true_of(session):
                return session
            await asyncio.sleep(LOOK_SECONDS)

    async def _report(self, session: Session, stamps: dict[str, float], thread: list[dict[str, str]]) -> dict[str, Any]:
        received = stamps.get("received", session.opened_at)
        timings = {
            name: round((stamps[stamp] - received) * 1000, 1) if stamp in stamps else None
            for name, stamp in TIMINGS.items()
        }
        return {
            "session": session.id,
            "status": str(session.status),
            "thread": thread,
            "pull_request": await self._pull_request(session),
            "timings": timings,
        }

    async def _thread(self, session: Session, thread: str, patience: float) -> list[dict[str, str]]:
        """What a person reads in the thread, once everything that happened is shown there."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience), self._stack.workshop() as shop:
                while session.id in await shop.store.unshown():
                    await asyncio.sleep(LOOK_SECONDS)
        token = self._people[self._story.say_as.lower()]["token"]
        found = await self._workspace.call(token, "conversations.replies", channel=self._channel, ts=thread)
        return [{"who": self._who(m), "text": m.get("text", "")} for m in found["messages"]]

    def _who(self, message: dict[str, Any]) -> str:
        return "shipmate" if message.get("bot_id") else self._names.get(message.get("user", ""), "somebody")

    async def _pull_request(self, session: Session) -> dict[str, Any] | None:
        if session.pull_request is None:
            return None
        number = session.pull_request.number
        keys = self._stack.keys
        url = f"{keys['GITHUB_API_URL'].rstrip('/')}/repos/{session.repository}/pulls/{number}/commits"
        headers = {"Authorization": f"Bearer {keys['GITHUB_TOKEN']}"}
        async with self._http.get(url, headers=headers) as answer:
            commits = await answer.json()
        return {
            "url": session.pull_request.url,
            "number": number,
            "commits": [_commit(commit["sha"], commit["commit"]) for commit in commits],
        }


def _commit(sha: str, commit: dict[str, Any]) -> dict[str, Any]:
    lines = commit["message"].splitlines()
    trailer = "co-authored-by:"
    return {
        "sha": sha,
        "author": f"{commit['author']['name']} <{commit['author']['email']}>",
        "co_authors": [line.partition(":")[2].strip() for line in lines if line.lower().startswith(trailer)],
        "subject": lines[0] if lines else "",
    }


def _running(session: Session) -> bool:
    return session.status is Status.WORKING


def _settled(prompts: int) -> Any:
    """True of a session that has done so many prompts and has nothing more to do."""

    def settled(session: Session) -> bool:
        at_rest = session.status in (Status.IDLE, Status.ASLEEP, Status.FAILED)
        asked = len(session.seen) >= prompts
        published = not session.unpublished or session.publish_retry_at is None
        return at_rest and asked and not session.queue and published

    return settled
