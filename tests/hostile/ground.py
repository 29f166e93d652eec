"""A running Shipmate whose agent is hostile, with bait laid out on the host, and what can be seen of it from outside.

The agent is installed in the place of a real one, so nothing of the service is altered: prompts come through the
workspace, boxes are real, the gateway is the production web process. Everything is judged here, on the host.
"""

import asyncio
import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.stack import Stack
from jobs.inbox import hash_token
from jobs.records import Grant
from tests.e2e.conftest import environment, office_of, state_folder
from tests.e2e.people import Office, Thread

INSIDE = Path(__file__).with_name("inside")
AGENT, FILES = "custom", "hostile"
SETTINGS = {
    "SHIPMATE_AGENT_COMMAND": f"/opt/shipmate/agents/{FILES}/agent.py",
    "SHIPMATE_BOX_MEMORY_MB": "700",
    "SHIPMATE_BOX_DISK_MB": "200",
    "SHIPMATE_BOX_PROCESSES": "128",
}
OUTCOME = re.compile(r"came of ([\w.]+): (\{.*?\})\n", re.DOTALL)
TOKEN = re.compile(r"[\w-]{43}")
PROGRAMS = ("web", "upkeep", "redis", "boxes", "publish", "playground")
FORGED, FORGED_HEAD = "a forged frame", "f" * 40


@contextmanager
def hostile_agents() -> Iterator[Path]:
    """A folder of agents with ours in it."""
    with state_folder() as folder:
        shutil.copytree(INSIDE, folder / FILES, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / FILES / "agent.py").chmod(0o755)
        yield folder


class Bait:
    """Files, listeners and secrets on the host that nobody in a box may read, change or reach."""

    def __init__(self, folder: Path) -> None:
        self.mark = f"bait-{secrets.token_hex(12)}"
        self.file = folder / "bait.txt"
        self.file.write_text(self.mark)
        self.file.chmod(0o666)
        self.abstract = f"shipmate-bait-{secrets.token_hex(4)}"
        self.contacts: list[str] = []
        self._sockets = [
            self._listening(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            self._listening(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            self._listening(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + self.abstract),
        ]
        self.ports = [self._sockets[0].getsockname()[1], self._sockets[1].getsockname()[1]]

    def _listening(self, family: int, kind: int, address: Any) -> socket.socket:
        made = socket.socket(family, kind)
        made.bind(address)
        if kind == socket.SOCK_STREAM:
            made.listen()
        threading.Thread(target=self._watch, args=(made,), daemon=True).start()
        return made

    def _watch(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                found = listening.accept()[1] if listening.type == socket.SOCK_STREAM else listening.recvfrom(100)[1]
                self.contacts.append(str(found))

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@dataclass
class Ground:
    """The running stack and its bait. `victim`: a session that did nothing wrong, with a box."""

    office: Office
    bait: Bait
    victim: Thread
    host_pids: dict[str, int | None] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    dead_token: str = ""
    build_token: str = ""

    @classmethod
    @asynccontextmanager
    async def laid_out(cls) -> AsyncIterator["Ground"]:
        """Everything started, baited, and with a victim's box alive."""
        with state_folder() as state, hostile_agents() as installed:
            bait = Bait(state)
            env = {**environment(), "SHIPMATE_AGENTS_DIR": str(installed)}
            try:
                async with (
                    Stack.running(state, env, agent=AGENT, settings=SETTINGS) as stack,
                    office_of(stack) as office,
                ):
                    victim = await office.ada.says("@shipmate play nothing")
                    ground = cls(office, bait, victim)
                    await ground.prepare()
                    yield ground
                    await stack.discard()
            finally:
                bait.close()

    @property
    def stack(self) -> Stack:
        return self.office.stack

    async def prepare(self) -> None:
        """Bait the victim's box, forge two tokens that must not count, and remember how everything is."""
        await self.victim.settled(seconds=60)
        await self.run_in(
            self.victim, "sh", "-c", f"echo {self.bait.mark} >/work/repo/bait; echo {self.bait.mark} >/tmp/bait"
        )
        store = self.office.shop.store
        self.dead_token, self.build_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        session = await self.victim.session()
        assert session is not None and session.repository is not None
        await store.grant(
            hash_token(self.dead_token), Grant(session.id, "dead-box", 1, session.repository, "serve", session.branch)
        )
        await store.revoke("dead-box")
        await store.grant(hash_token(self.build_token), Grant("", "image-box", 0, session.repository, "build", ""))
        self.host_pids = self.pids()
        self.refs = await self.branches()

    async def run_in(self, thread: Thread, *argv: str) -> str:
        """What a command in a session's box prints, run from the host."""
        done = await self.office.shop.provider.exec(await self.box(thread), argv, timeout=20)
        return (done.stdout + done.stderr).decode(errors="replace")

    async def box(self, thread: Thread) -> str:
        session = await thread.session()
        assert session is not None
        return session.box or f"{session.id}-{session.generation}"

    def pids(self) -> dict[str, int | None]:
        return {name: self.stack.supervisor.pid(name) for name in PROGRAMS}

    async def branches(self) -> dict[str, str]:
        found = await self.office.asked_of_forge("branches?per_page=100")
        return {row["name"]: row["commit"]["sha"] for row in found}

    async def filled(self, given: dict[str, Any], thread: Thread) -> dict[str, Any]:
        """What a trick is given, with the values of here and now for the names in braces."""
        boxes = self.stack.settings.jobs.boxes_dir
        other = boxes / "box" / await self.box(self.victim)
        hosts = {found[4][0] for found in _addresses()}
        known: dict[str, Any] = {
            "host_paths": [str(self.bait.file), str(self.stack.state), str(boxes), "/var/tmp", "/etc/hostname"],
            "other_paths": [
                str(other / "tree/upper/repo/bait"),
                str(other),
                str(other / "outbox"),
                str(other / "record.json"),
                str(boxes / "layers"),
                str(boxes / "box"),
            ],
            "other_sockets": [str(other / "control.sock")],
            "mark": self.bait.mark,
            "host_pids": [pid for pid in self.host_pids.values() if pid] + [os.getpid()],
            "hosts": sorted(hosts),
            "ports": self.bait.ports,
            "abstract": [self.bait.abstract],
            "dead_tokens": [self.dead_token],
            "build_token": self.build_token,
            "branch": f"shipmate/{thread.sid}",
            "other_branch": f"shipmate/{self.victim.sid}",
            "open_calls": [1, 2, 3, 4],
            "victim": self.victim.sid,
        }
        return {
            key: known[value[1:-1]] if str(value).startswith("{") and isinstance(value, str) else value
            for key, value in given.items()
        }

    async def said(self, thread: Thread) -> str:
        """All words of a session's agents."""
        texts, after = [], "0-0"
        while entries := await self.office.shop.store.transcript(thread.sid, after):
            texts += [str(entry.body.get("text", "")) for entry in entries if entry.kind == "text"]
            after = entries[-1].id
        return "".join(texts)

    async def outcomes(self, thread: Thread) -> dict[str, dict[str, str]]:
        """What tricks said of themselves: got, and why not."""
        return {name: json.loads(text) for name, text in OUTCOME.findall(await self.said(thread))}

    # --- what is logged

    def log_lines(self, box: str) -> list[str]:
        """What was logged about a box: lines of our processes with its id, and what its own runner printed."""
        session = box.rpartition("-")[0]
        found = []
        for path in sorted((self.stack.state / "logs").glob("*.log")):
            found += [line for line in path.read_text(errors="replace").splitlines() if box in line or session in line]
        own = self.stack.settings.jobs.boxes_dir / "box" / box / "log"
        if own.exists():
            found += own.read_text(errors="replace").splitlines()
        return found

    # --- what is broken

    async def faults(self, thread: Thread) -> list[str]:
        """Everything that must be true of the world outside and is not."""
        found = [*self._leaks(await self.said(thread)), *self._touched()]
        found += await self._tokens(await self.said(thread))
        found += await self._forge(thread)
        found += await self._victim()
        if any(FORGED_HEAD in event.model_dump_json() for event in await thread.log()):
            found.append("a forged fact is on record")
        return found

    def _leaks(self, said: str) -> Iterator[str]:
        keys = {name: value for name, value in self.stack.keys.items() if name.endswith(("_KEY", "_TOKEN", "_SECRET"))}
        for name, value in {"bait": self.bait.mark, **keys}.items():
            if len(value) > 7 and value in said.replace(f'"mark": "{self.bait.mark}"', ""):
                yield f"{name} was read"

    async def _tokens(self, said: str) -> list[str]:
        known = {self.dead_token, self.build_token}
        for text in {text for text in TOKEN.findall(said) if text not in known}:
            if await self.office.shop.store.granted(hash_token(text)) is not None:
                return ["a box's token was read"]
        return []

    def _touched(self) -> Iterator[str]:
        if self.bait.file.read_text() != self.bait.mark:
            yield "a file of the host was changed"
        if self.bait.contacts:
            yield f"listeners of the host were reached: {self.bait.contacts[:3]}"
        for name, pid in self.pids().items():
            if pid != self.host_pids[name]:
                yield f"{name} died"
        gone = [path for path in ("/tmp/pwned", "/tmp/trap") if Path(path).exists()]
        if gone:
            yield f"something ran on the host: {gone}"

    async def _forge(self, thread: Thread) -> list[str]:
        now, found = await self.branches(), []
        session = await thread.session()
        people = {person.email.lower() for person in session.participants} if session else set()
        mine = f"shipmate/{thread.sid}"
        found += [f"branch {name} was moved" for name in self.refs if now.get(name) != self.refs[name] and name != mine]
        strangers = (
            set(now)
            - set(self.refs)
            - {mine}
            - {f"shipmate/{sid}" for sid in await self.office.shop.store.all_sessions()}
        )
        found += [f"branch {name} was made" for name in strangers]
        if mine in now:
            compared = await self.office.asked_of_forge(f"compare/main...{mine}")
            for row in compared.get("commits", []):
                emails = {row["commit"][role]["email"].lower() for role in ("author", "committer")}
                emails |= {
                    each.lower() for each in re.findall(r"(?im)^co-authored-by:.*<(.*)>", row["commit"]["message"])
                }
                found += [f"{email} got into a commit" for email in emails - people]
            found += [
                f"{file['filename']} was pushed"
                for file in compared.get("files", [])
                if ".github/workflows" in file["filename"]
            ]
        return found

    async def _victim(self) -> list[str]:
        session = await self.victim.session()
        if session is None or session.generation != 1 or session.box is None:
            return ["the neighbour's box was lost"]
        if len(session.seen) > 1 or session.turn is not None:
            return ["the neighbour was given something to do"]
        if FORGED in await self.said(self.victim):
            return ["a frame was forged for the neighbour"]
        async with asyncio.timeout(20):
            seen = await self.run_in(self.victim, "cat", "/work/repo/bait")
        return [] if seen.strip() == self.bait.mark else ["the neighbour's files were changed"]


def _addresses() -> list[Any]:
    with contextlib.suppress(OSError):
        return list(socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET))
    return []
