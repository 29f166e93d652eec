"""Who is killed, with signal 9, and how it is known that he is back. Control processes are started again by the
supervisor; a box is not: the session gets another one."""

import json
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from jobs.session import Session
from sandbox import host_processes
from tests.e2e.people import Thread, until
from tests.kills.site import WEBS, Site, agent_of, members, runner_of

WORKERS = ("boxes", "publish", "images")
SLOW_SECONDS = 1.5
SECONDS = 60.0


@dataclass(frozen=True)
class Victim:
    """`kill` tells when it was killed, `back` returns when there is another one. `boxed`: it lives in the session's
    box."""

    name: str
    kill: Callable[[Site, Thread], Awaitable[float]]
    back: Callable[[Site], Awaitable[None]]
    boxed: bool = False


def _programs(name: str, *programs: str) -> Victim:
    async def kill(site: Site, _thread: Thread) -> float:
        return site.kill(*programs)

    async def back(site: Site) -> None:
        await site.back(*programs)

    return Victim(name, kill, back)


async def _in_mid_post(site: Site, thread: Thread) -> float:
    """Every web process is killed while Slack has a post of ours and has not answered."""
    await site.office.slack(slow=SLOW_SECONDS, methods=["chat.postMessage"])
    await site.office.grace.replies(thread, "what is this repository?")
    await until(lambda: site.office.shop.store.posts(thread.sid), _posting, SECONDS)
    killed = site.kill(*WEBS)
    await site.office.slack(slow=0, methods=[])
    return killed


def _posting(kept: dict[str, str]) -> bool:
    return any(value.startswith("{") and json.loads(value).get("state") == "posting" for value in kept.values())


async def _webs_back(site: Site) -> None:
    await site.back(*WEBS)


async def _nobody(_site: Site) -> None:
    """Nobody comes back."""


def _in_box(name: str, pids: Callable[[Site, Session], list[int]]) -> Victim:
    async def kill(site: Site, thread: Thread) -> float:
        async def found() -> list[int]:
            session = await thread.session()
            return pids(site, session) if session is not None else []

        doomed, killed = await until(found, bool, SECONDS), time.time()
        host_processes.send(doomed, signal.SIGKILL)
        return killed

    return Victim(name, kill, _nobody, boxed=True)


def _runner(site: Site, session: Session) -> list[int]:
    runner = runner_of(site.box(session.box))
    return [runner] if runner is not None else []


def _agent(site: Site, session: Session) -> list[int]:
    agent = agent_of(site.box(session.box))
    return [agent] if agent is not None else []


def _everything_in_box(site: Site, session: Session) -> list[int]:
    return members(site.box(session.box))


async def _power(site: Site, _thread: Thread) -> float:
    return await site.lose_power()


VICTIMS = (
    _programs("web", "web"),
    _programs("second web", "web2"),
    _programs("both webs", *WEBS),
    _programs("workers", *WORKERS),
    _programs("upkeep", "upkeep"),
    _programs("redis", "redis"),
    Victim("relay in mid-post", _in_mid_post, _webs_back),
    _in_box("runner", _runner),
    _in_box("agent", _agent),
    _in_box("whole box", _everything_in_box),
    Victim("everything", _power, _nobody),
)
