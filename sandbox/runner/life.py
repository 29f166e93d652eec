"""The runner's life in each of its modes (docs/wire.md): serve a conversation, wait for one, build an image, or idle.

`__main__` starts the agent and then calls `live`. Everything else of this package is a part that is put together here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from sandbox.runner.attachments import Attachments
from sandbox.runner.box import Greeting, Places
from sandbox.runner.control import Control
from sandbox.runner.conversation import Conversation, Program, Unusable
from sandbox.runner.dial import Dialer
from sandbox.runner.egress import Egress
from sandbox.runner.forward import Forwarder
from sandbox.runner.gate import Gate
from sandbox.runner.git import Git, GitFailed, Person
from sandbox.runner.holding import Stillness
from sandbox.runner.journal import Journal
from sandbox.runner.link import Link, Revoked
from sandbox.runner.mcp_settings import Servers
from sandbox.runner.outbox import Outbox
from sandbox.runner.processes import Child, Children
from sandbox.runner.sending import Sending
from sandbox.runner.start import Starting
from sandbox.runner.sync import Step, sync
from sandbox.runner.tree import Tree, clone, patiently
from sandbox.runner.turn import Turn
from sandbox.runner.turns import Turns
from sandbox.runner.warm import NotWarm, Taken, Waiting, complain
from sandbox.runner.within import first, within

FLUSH_SECONDS = 0.7
NOBODY = Person("Shipmate", "shipmate@users.noreply.invalid")


class Box(NamedTuple):
    """What `__main__` prepared. `agent` is its running process, or why it could not be started."""

    greeting: Greeting
    places: Places
    env: dict[str, str]
    children: Children
    listening: socket.socket
    leaving: socket.socket
    control: int | None
    outbox: int | None
    start_agent: Callable[[], Child]
    agent: Child | None


async def live(box: Box) -> int:
    """Live until it is time to end; the exit code."""
    ending = _heed_signals(box.children)
    still = Stillness(box.children)
    if box.control is not None:
        work = box.places.at_work(box.env, box.greeting.env)
        await Control(box.children, box.places.repo, work, ending.set, still).serve(box.control)
    dialer = Dialer(box.greeting.gateway, box.greeting.token) if box.greeting.gateway else None
    forwarder = Forwarder(dialer)
    await forwarder.serve(box.listening)
    await Egress(dialer).serve(box.leaving)
    git = _git(box)
    if box.greeting.mode == "idle" or dialer is None:
        await ending.wait()
        return 0
    if box.greeting.mode == "build":
        told = os.path.join(box.places.scratch, f"cloned-{box.greeting.box}.json")
        await first(clone(git, box.greeting.base_branch, told), ending)
        await ending.wait()
        return 0
    taken = None
    if box.greeting.mode == "warm":
        try:
            taken = await first(_warm(box, git, dialer, forwarder).taken(), ending)
        except (NotWarm, Revoked) as why:
            return complain(why)
        if taken is None:
            return 0
    return await Service(taken.box if taken else box, git, dialer, forwarder, still, taken).run(ending)


def _heed_signals(children: Children) -> asyncio.Event:
    """Reap from now on; the event is set when somebody asks the runner to end."""
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    # The first process of a box has no handler, so that nobody in the box can end it. A handler of the loop's would go
    # with the loop, and whoever asks a second time would then kill a runner that is about to end well.
    if os.getpid() != 1:
        signal.signal(signal.SIGTERM, lambda *_: None if loop.is_closed() else loop.call_soon_threadsafe(ending.set))
    loop.add_signal_handler(signal.SIGCHLD, children.reap)
    children.reap()
    return ending


def _git(box: Box) -> Git:
    remote = f"{box.places.gateway}/git/{box.greeting.repository}.git"
    git = Git(box.children, box.places.repo, box.places.home, box.env, remote)
    git.know(NOBODY)
    return git


def _conversation(box: Box, forwarder: Forwarder, known: str | None) -> Conversation:
    """With the box's agent; `known`: the agent's id of the one to go on with."""
    journal, servers = Journal(box.places.home), Servers(box.places.repo, box.env)

    def set_aside() -> bool:
        return box.places.set_aside(box.greeting.agent)

    program = Program(box.start_agent, set_aside, forwarder.at_model, journal, servers, box.places.agents)
    return Conversation(box.children, program, box.places.repo, box.places.tools, Gate(), known)


def _warm(box: Box, git: Git, dialer: Dialer, forwarder: Forwarder) -> Waiting:
    said = box.greeting

    def in_step() -> Awaitable[Step]:
        return patiently(lambda: sync(git, said.base_branch, ""), said.sync_seconds, lambda: None)

    return Waiting(box, dialer, forwarder, _conversation(box, forwarder, None), in_step)


class Service:
    """A box at work: one link, one conversation, one turn at a time."""

    def __init__(
        self, box: Box, git: Git, dialer: Dialer, forwarder: Forwarder, still: Stillness, taken: Taken | None = None
    ) -> None:
        self._box, self._git, self._still = box, git, still
        self._outbox = Outbox(box.outbox)
        self._link = Link(dialer, box.greeting.generation, self._outbox, self._heard, box.greeting.silence_seconds)
        said = box.greeting
        self._conversation = taken.conversation if taken else _conversation(box, forwarder, said.conversation)
        self._sending = Sending(dialer, box.children, box.places, box.env)
        brought = Attachments(dialer, box.places.home)
        self._tree = Tree(git, said, self._outbox.say)
        self._turns = Turns(self._conversation, self._tree, self._outbox.say, self._restart, brought)
        self._starting = Starting(box.children, box.places, box.env, said, self._outbox.say)
        self._left_out: list[str] = []  # what the agent was not told of the repository's own servers
        self._prompts: asyncio.Queue[Turn] = asyncio.Queue()
        self._turn: Turn | None = None  # delivered and not ended
        self._useless = ""

    async def run(self, ending: asyncio.Event) -> int:
        """Serve until told to end or revoked."""
        if not self._conversation.alive:
            self._outbox.say("phase", phase="agent_starting")
        link = asyncio.ensure_future(self._link.run())
        opening = asyncio.ensure_future(self._conversation.start(self._box.agent))  # it answers while git is started
        syncing = asyncio.ensure_future(self._sync())
        work = asyncio.ensure_future(self._work(opening, syncing))
        told = asyncio.ensure_future(ending.wait())
        await asyncio.wait({link, work, told}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()  # it never ends but by a fault of ours
        for task in (work, opening, syncing):
            task.cancel()
        await asyncio.gather(work, opening, syncing, return_exceptions=True)
        await self._conversation.end()
        if not link.done():
            with contextlib.suppress(asyncio.TimeoutError):
                await within(FLUSH_SECONDS, self._outbox.emptied())
        link.cancel()
        await asyncio.gather(link, return_exceptions=True)
        return 0

    async def _work(self, opening: asyncio.Future[None], syncing: asyncio.Future[None]) -> None:
        """Get ready, then one turn after the other."""
        try:
            await self._get_ready(opening, syncing)
        except Unusable as failed:
            self._give_up(str(failed))
        while True:
            turn = await self._next()
            if turn is None:
                await self._restart()
            elif turn is self._turn:  # else it was stopped while it waited
                await self._still.over()
                await self._catch_up()
                await self._turns.run(turn)
                self._turn = None

    async def _get_ready(self, opening: asyncio.Future[None], syncing: asyncio.Future[None]) -> None:
        """The agent starts while the tree is brought in step. One that asks before it writes may read meanwhile."""
        agent = self._box.greeting.agent
        reads = agent is not None and agent.gate == "ask" and await self._tree.is_readable()
        try:
            await (opening if reads else asyncio.gather(opening, syncing))
        except Unusable:
            syncing.cancel()
            raise
        if not self._useless:
            await self._catch_up()
            self._say_ready(self._tree.head)

    async def _catch_up(self) -> None:
        """The agent knows the servers that the tree names; the tree may have moved since it was told."""
        left_out = await self._conversation.catch_up()
        for left in left_out:
            if left not in self._left_out:
                self._outbox.say("remark", text=f"Not passed on to the agent from .mcp.json: {left}."[:1900])
        self._left_out = left_out

    async def _sync(self) -> None:
        try:
            await self._tree.sync()
            await self._starting.run()
        except GitFailed as failed:
            self._give_up(str(failed))
            if self._turn is not None:  # it was reading, and nothing that it wanted to write is written
                self._turn.fail(str(failed))

    def _say_ready(self, head: str) -> None:
        talk, synced = self._conversation, self._tree.step is not None
        talk.keep()
        self._outbox.say("ready", conversation=talk.id, resumed=talk.resumed, head=head, agent=talk.info, synced=synced)

    def _give_up(self, why: str) -> None:
        self._useless = why
        self._outbox.say("unready", reason=why[:1900])
        if self._turn is not None and not self._prompts.empty():
            self._end_unbegun(self._prompts.get_nowait().number, "failed", why)

    async def _next(self) -> Turn | None:
        """The next turn; None when the agent has to be started again first."""
        if self._useless:
            return await self._prompts.get()
        if not self._conversation.alive:
            return None
        prompt, gone = asyncio.ensure_future(self._prompts.get()), asyncio.ensure_future(self._conversation.gone())
        try:
            await asyncio.wait({prompt, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not prompt.done():
                return None
            if not self._conversation.alive:  # it ended in this very moment
                await self._restart()
            return prompt.result()
        finally:
            prompt.cancel()
            gone.cancel()

    async def _restart(self) -> None:
        self._outbox.say("phase", phase="agent_restarting")
        try:
            await self._conversation.start()
        except Unusable as failed:
            self._give_up(str(failed))
        else:
            self._say_ready(await self._git.head())

    def _heard(self, event: dict[str, Any]) -> None:
        """A down event. Called by the link, in order, once for each."""
        if event.get("kind") == "prompt_delivered":
            self._prompted(event)
        elif event.get("kind") == "stop_requested":
            turn = self._turn
            if turn is not None and event.get("turn") == turn.number:
                self._stop(turn)
        elif event.get("kind") == "file_wanted":
            self._sending.wanted(event)

    def _prompted(self, event: dict[str, Any]) -> None:
        try:
            said = self._box.greeting
            turn = Turn(event, said.turn_seconds, said.cancel_seconds, said.quiet_seconds)
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            print(f"runner: a prompt that cannot be understood: {wrong!r}", file=sys.stderr)
            self._end_unbegun(event.get("turn"), "failed", "The prompt came in a form that the runner does not know.")
            return
        if self._useless:
            self._end_unbegun(turn.number, "failed", self._useless)
        elif self._turn is not None:
            self._end_unbegun(turn.number, "failed", f"Turn {self._turn.number} is not over yet.")
        else:
            self._turn = turn
            self._prompts.put_nowait(turn)

    def _stop(self, turn: Turn) -> None:
        if self._prompts.empty():
            turn.stop()
        else:  # it has not begun: there is nothing to cancel
            self._prompts.get_nowait()
            self._end_unbegun(turn.number, "stopped", None)

    def _end_unbegun(self, number: object, outcome: str, error: str | None) -> None:
        if not isinstance(number, int):
            return  # nobody could tell which turn it was
        if self._turn is not None and self._turn.number == number:
            self._turn = None
        nothing = {"summary": "", "head": "", "commits": [], "pushed": False, "usage": {}}
        self._outbox.say("turn_ended", turn=number, outcome=outcome, error=error, **nothing)
