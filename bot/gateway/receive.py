"""A push from a box: kept apart, judged, and handed to the forge in the same breath.

`git.py` reads the request and writes the answer. A push that was handed on once and comes again (the answer was lost)
ends well again: the forge has it already.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

from bot.gateway import push_rules
from bot.gateway.backend import HostGit, Ran
from bot.gateway.declined import Declined
from bot.gateway.mirrors import Mirrors
from bot.gateway.pktline import Asked, Command
from bot.gateway.push_rules import Limits
from bot.gateway.quarantine import Quarantine, Rejected, quarantine, sweep
from bot.gateway.upstream import Upstream, meaning, told
from jobs.events import Author
from jobs.records import Grant

log = logging.getLogger(__name__)
People = Callable[[str], Awaitable[Sequence[Author]]]
MIRROR_SECONDS = 60.0  # how old it may be: the client asked a moment ago what there is, and the forge judges last
PUSHES_MOST = 4  # at once, in one process
WORDS_MOST = 20
LOGGED_MOST = 10  # refs of one push


class Outcome(NamedTuple):
    """What became of a push: for each ref why it was refused, None if it was done; lines for the person who pushes.

    `rule`: the name of what refused it, for counting; empty if it was done.
    """

    refused: Mapping[str, str | None]
    rule: str = ""
    unpacked: str = "ok"
    words: Sequence[str] = ()


class Receiver:
    """Takes pushes. `people` tells who takes part in a session, `refused` is told the rule of each refusal; `folder` is
    for quarantines."""

    def __init__(
        self,
        git: HostGit,
        mirrors: Mirrors,
        upstream: Upstream,
        folder: Path,
        people: People,
        refused: Callable[[str], None],
        limits: Limits,
    ) -> None:
        self._git, self._mirrors, self._upstream, self._folder, self._people = git, mirrors, upstream, folder, people
        self._refused, self._limits = refused, limits
        self._room = asyncio.Semaphore(PUSHES_MOST)
        self._one_of_a_box: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        sweep(folder)

    async def receive(self, grant: Grant, asked: Asked, pack: AsyncIterator[bytes]) -> Outcome:
        """Do what a push asks for, or say why not. Raises Declined only for a body that cannot be read."""
        outcome = await self._received(grant, asked, pack)
        if outcome.rule:
            self._refused(outcome.rule)
        for command in asked.commands[:LOGGED_MOST]:
            said = outcome.refused.get(command.ref) or "done"
            log.info("push of %s to %s, %.200r: %s", command.new[:10], grant.repository, command.ref, said)
        return outcome

    async def _received(self, grant: Grant, asked: Asked, pack: AsyncIterator[bytes]) -> Outcome:
        refused = push_rules.of_commands(asked.commands, grant.branch)
        if refused:
            async for _ in pack:
                pass  # a client that is still sending would not hear the answer
            return Outcome(refused, "branch")
        command = asked.commands[0]
        async with self._one_of_a_box.setdefault(grant.box, asyncio.Lock()), self._room:
            try:
                mirror = await self._mirrors.fresh(grant.repository, MIRROR_SECONDS)
            except Declined as declined:
                async for _ in pack:
                    pass
                return Outcome({command.ref: declined.sentence}, "forge")
            with quarantine(self._git, mirror, self._folder) as kept:
                outcome = await self._pushed(grant, command, mirror, kept, pack)
        return outcome

    async def _pushed(
        self, grant: Grant, command: Command, mirror: Path, kept: Quarantine, pack: AsyncIterator[bytes]
    ) -> Outcome:
        try:
            await kept.take(pack, self._limits.pack)
        except Rejected as rejected:
            return Outcome({command.ref: str(rejected)}, "pack", unpacked=str(rejected))
        except TimeoutError:
            why = "it took too long to come in"
            return Outcome({command.ref: why}, "time", unpacked=why)
        try:
            rule, why = await self._judged(grant, command, mirror, kept)
            return Outcome({command.ref: why}, rule) if rule else await self._sent(grant, command, kept)
        except Rejected as rejected:
            return Outcome({command.ref: str(rejected)}, "pack")
        except Declined as declined:
            return Outcome({command.ref: declined.sentence}, "forge")
        except TimeoutError:
            return Outcome({command.ref: "it took too long; try again"}, "time")

    async def _judged(self, grant: Grant, command: Command, mirror: Path, kept: Quarantine) -> tuple[str, str]:
        """The first rule that the push breaks, and how; both empty if there is none."""
        new = command.new
        if not await kept.is_commit(new):
            return "commit", push_rules.NOT_A_COMMIT
        objects = await kept.objects(new)
        now = (await self._mirrors.refs(mirror)).get(command.ref)
        if now is not None and not await kept.is_forward(now, new):
            return "forward", push_rules.NOT_FORWARD
        commits = await kept.commits(new)
        every = dict.fromkeys((*(commit.sha for commit in commits), new))
        for sha in every:
            await kept.check_unfolded(sha)
        people = await self._people(grant.session)
        rules = {
            "people": push_rules.of_people(commits, {person.email for person in people}),
            "workflows": await self._changed_workflows(every, new, kept),
            "size": push_rules.of_size(objects, self._limits.file),
        }
        return next(((rule, why) for rule, why in rules.items() if why), ("", ""))

    async def _changed_workflows(self, commits: Collection[str], tip: str, kept: Quarantine) -> str | None:
        """What is wrong with the workflow files of any of the new commits. Not of the tip alone: what is in the history
        of the forge is the forge's, so a file that was hidden below a tip could be fetched up by a later push."""
        grown_from = [await kept.workflows(source) for source in await kept.grown_from(tip)]
        for sha in (await kept.folders_of_workflows(commits)).values():
            why = push_rules.of_workflows(await kept.workflows(sha), grown_from, "" if sha == tip else sha)
            if why:
                return why
        return None

    async def _sent(self, grant: Grant, command: Command, kept: Quarantine) -> Outcome:
        """Hand it to the forge, with a token minted now, and tell what the forge says."""
        address = self._upstream.address(grant.repository)
        secret = await self._upstream.credential(grant.repository)
        try:
            ran = await kept.send(address, command.new, command.ref, secret)
        finally:
            self._mirrors.outdate(grant.repository)
        why = _why(ran, grant.repository) if ran.code else None
        return Outcome({command.ref: why}, "forge" if why else "", words=told(ran.words)[:WORDS_MOST])


def _why(ran: Ran, repository: str) -> str:
    """The forge's refusal: of this branch, or of everything."""
    for line in ran.out.decode("utf-8", "replace").split("\n"):
        flag, _, rest = line.partition("\t")
        if flag == "!":
            return f"the forge refused it: {rest.partition(chr(9))[2].strip()}"
    return meaning(ran.words, repository).sentence
