"""Everything that Shipmate is, as processes of this machine: what `shipmate demo`, the tests and the benchmarks start.

A `Stack` lives in one folder, listens on loopback only, and is supervised (`bot/supervisor.py`). Its web process,
workers and upkeep are the production ones, told by their environment to use the playground's Slack, forge and model.
"""

import asyncio
import contextlib
import fcntl
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bot.demo_model import model_settings
from bot.ports import LOOPBACK, free_port, port_of_old, trouble_with
from bot.settings import VARIABLES, BotSettings
from bot.supervisor import Program, Supervisor
from jobs import redis_server
from jobs.operations import park_box
from jobs.settings import JobSettings
from jobs.warm import WarmPool
from jobs.wiring import Workshop, provider, workshop
from sandbox import agents, probe, trees
from sandbox.side_by_side import FAR

READY_SECONDS = 60.0
LOOK_SECONDS = 0.03
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE")
FORGE_KEYS = ("GITHUB_TOKEN", "GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY")
PLACE_KEYS = ("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET")
WORKERS = {"boxes": 2, "images": 1, "publish": 1}
FAR_WORKERS = {f"{queue}-{far}": count for far in FAR for queue, count in (("boxes", 64), ("images", 4))}


class NotIsolated(Exception):
    """This machine does not allow isolation; the message says the command that allows it."""


@dataclass
class Stack:
    """A running Shipmate. `env` is the environment of its production processes; `keys` are the playground's values."""

    state: Path
    env: dict[str, str]
    keys: dict[str, str]
    page_url: str
    web_url: str
    supervisor: Supervisor
    settings: BotSettings
    given_up: "asyncio.Future[None]" = field(init=False)

    def __post_init__(self) -> None:
        self.given_up = self.supervisor.given_up

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        state: Path,
        env: Mapping[str, str],
        *,
        agent: str = "rehearsal",
        page_port: int = 0,
        settings: Mapping[str, str] | None = None,
    ) -> AsyncIterator["Stack"]:
        """Start everything, yield when a person could use it, and end everything.

        `settings`: what the production processes are told otherwise than the playground says.
        """
        _refuse_what_cannot_run(env, agent)
        logs = state / "logs"
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone_in(state):
            _refuse_taken(page_port)
            supervisor = Supervisor(logs)
            try:
                stack = await _start(supervisor, state, env, agent, page_port, settings or {})
                yield stack
            finally:
                await supervisor.end()

    def program(self, name: str, *argv: str) -> Program:
        """A production process of this stack: `shipmate ARGV`, told what it needs of the stack's environment."""
        return shipmate(name, argv, needed(argv, self.env))

    async def add_web(self, name: str) -> str:
        """One more web process, on a port of its own; its address. Returns when it can take a prompt."""
        port = free_port()
        url = f"http://{LOOPBACK}:{port}"
        told = self.env | {"SHIPMATE_PORT": str(port), "SHIPMATE_PUBLIC_URL": self.web_url}
        self.supervisor.add(shipmate(name, ("web",), told))
        await _until_healthy(self, url)
        return url

    @asynccontextmanager
    async def workshop(self) -> AsyncIterator[Workshop]:
        """The stack's own record, boxes and forge, opened in this process."""
        async with workshop(self.settings.jobs) as shop:
            yield shop

    async def park(self) -> None:
        """Put every box to sleep. The workers and the upkeep are ended first, so that nothing is started again."""
        await self.supervisor.end("upkeep", *WORKERS, *FAR_WORKERS)
        async with self.workshop() as shop:
            await WarmPool(shop).end_all()
            for sid in await shop.store.all_sessions():
                await park_box(shop, sid)

    async def discard(self) -> None:
        """End every box and forget what it left, whatever state the record is in."""
        await self.supervisor.end("upkeep", *WORKERS, *FAR_WORKERS)
        boxes = provider(self.settings.jobs)
        for box in await boxes.list():
            await boxes.discard(box.name)
        if self.settings.jobs.far_places:
            async with self.workshop() as shop:
                for box in await shop.provider.list():
                    await shop.provider.discard(box.name)
        for folder in (self.settings.jobs.boxes_dir, self.settings.jobs.gateway_dir):
            trees.remove(folder)


def needed(argv: tuple[str, ...], env: Mapping[str, str]) -> dict[str, str]:
    """The environment without secrets that this command has no use for: only the web process speaks with people and
    models, only it and the workers of pull requests speak with the forge, and of the workers only those that are there
    for it speak with a place far away."""
    spared = () if argv[0] == "web" else (*VARIABLES.values(), *_upstream_keys(env))
    spared += () if argv[0] == "web" or "publish" in argv else FORGE_KEYS
    spared += PLACE_KEYS if argv[0] == "worker" and FAR_WORKERS.keys().isdisjoint(argv) else ()
    return {name: value for name, value in env.items() if name not in spared}


def _upstream_keys(env: Mapping[str, str]) -> list[str]:
    """The variables that hold the keys of more model providers; of settings that are wrong, none."""
    with contextlib.suppress(ValueError):
        return [one.key_variable for one in JobSettings.from_env(env).upstreams if one.key_variable]
    return []


def shipmate(name: str, argv: tuple[str, ...], env: Mapping[str, str]) -> Program:
    """A program that runs the console script in this interpreter."""
    return Program(name, (sys.executable, "-m", "bot", *argv), env)


def _refuse_what_cannot_run(env: Mapping[str, str], agent: str) -> None:
    row = agents.row(agent)  # raises ValueError with the names that there are
    told = _told_before(env)
    if not agents.installed(row, told.agents_dir):
        raise ValueError(f"the agent {agent} is not installed. Run: shipmate agents install {agent}")
    if not told.unisolated:
        found = probe.probe()
        if not found.allowed:
            raise NotIsolated("\n".join(found.lines()))


def _refuse_taken(port: int) -> None:
    trouble = trouble_with(port)
    if trouble:
        raise ValueError(f"port {port} cannot be used: {trouble.lower()}. Choose another one: make demo PORT=9876")


@contextlib.contextmanager
def _alone_in(state: Path) -> Iterator[None]:
    """This folder for one supervisor at a time. The kernel lets go of the lock when the process ends."""
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            why = f"another demo runs in {state}"
            raise ValueError(f"{why}. End it first, or choose another folder: shipmate demo --state FOLDER") from taken
        yield


async def _start(
    supervisor: Supervisor,
    state: Path,
    env: Mapping[str, str],
    agent: str,
    page_port: int,
    otherwise: Mapping[str, str],
) -> Stack:
    page_port = page_port or port_of_old(state / "page.port")
    web_port = port_of_old(state / "web.port")
    base = {name: env[name] for name in PASSED_ON if name in env} | {"HOME": str(state), "PYTHONUNBUFFERED": "1"}
    keys = await _start_playground(supervisor, state, base, page_port, web_port)
    production = base | _production(keys, state, env, agent, web_port) | dict(otherwise)
    if "REDIS_URL" not in otherwise:
        plan = redis_server.plan(BotSettings.from_env(production).jobs)
        supervisor.add(Program("redis", plan.argv, base))
        production["REDIS_URL"] = plan.url
    settings = BotSettings.from_env(production)
    stack = Stack(
        state=state,
        env=production,
        keys=keys,
        page_url=f"http://{LOOPBACK}:{page_port}/",
        web_url=f"http://{LOOPBACK}:{web_port}",
        supervisor=supervisor,
        settings=settings,
    )
    await redis_server.answering(production["REDIS_URL"], READY_SECONDS)
    supervisor.add(stack.program("web", "web"))
    for queue, count in (WORKERS | (FAR_WORKERS if settings.jobs.far_places else {})).items():
        supervisor.add(stack.program(queue, "worker", "--queue", queue, "--count", str(count)))
    supervisor.add(stack.program("upkeep", "upkeep"))
    await _until_healthy(stack, stack.web_url)
    return stack


async def _start_playground(
    supervisor: Supervisor, state: Path, base: Mapping[str, str], page_port: int, web_port: int
) -> dict[str, str]:
    written = state / "playground.env"
    written.unlink(missing_ok=True)
    argv = ("playground", "--port", str(page_port), "--state", str(state / "playground"), "--env-file", str(written))
    hooks = ("--webhook-url", f"http://{LOOPBACK}:{web_port}/github/events")
    supervisor.add(shipmate("playground", argv + hooks, base))
    async with _in_time("the playground", state):
        while not written.exists():
            await _look_again(supervisor)
    return dict(line.split("=", 1) for line in written.read_text().splitlines() if "=" in line)


def _production(keys: Mapping[str, str], state: Path, env: Mapping[str, str], agent: str, port: int) -> dict[str, str]:
    """What the production processes are told. A real model key of whoever runs this wins over the playground's."""
    told = {name: value for name, value in keys.items() if not name.startswith("PERSON_")}
    told = model_settings(told, env, agent)
    told |= {name: env[name] for name in _upstream_keys(env) if env.get(name)}
    told |= {name: value for name, value in env.items() if name.startswith(("SHIPMATE_", "MODAL_")) and value}
    return (
        {"SHIPMATE_PUBLIC_URL": f"http://{LOOPBACK}:{port}"}
        | told
        | {
            "SHIPMATE_DATA_DIR": str(state),
            "SHIPMATE_AGENT": agent,
            "SHIPMATE_PORT": str(port),
            "SHIPMATE_AGENTS_DIR": str(_told_before(env).agents_dir),
        }
    )


def _told_before(env: Mapping[str, str]) -> JobSettings:
    """What counts before there is a stack: isolation, and where agents are, which all stacks of this person share."""
    told = ("HOME", "XDG_DATA_HOME", "SHIPMATE_AGENTS_DIR", "SHIPMATE_UNISOLATED")
    return JobSettings.from_env({name: env[name] for name in told if name in env})


async def _until_healthy(stack: Stack, web_url: str) -> None:
    """Until the web process at this address says that it can take a prompt."""
    async with _in_time("the web process", stack.state), aiohttp.ClientSession() as http:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with http.get(web_url + "/health") as answer:
                    if answer.status == 200:
                        return
            await _look_again(stack.supervisor)


@asynccontextmanager
async def _in_time(what: str, state: Path) -> AsyncIterator[None]:
    """Bound a start; the error says where to look."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            yield
    except TimeoutError as late:
        raise TimeoutError(f"{what} was not ready in {READY_SECONDS:.0f} s; see {state / 'logs'}") from late


async def _look_again(supervisor: Supervisor) -> None:
    if supervisor.given_up.done():
        supervisor.given_up.result()
    await asyncio.sleep(LOOK_SECONDS)
