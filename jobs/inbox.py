"""The door of this floor: load, decide, append, and again if somebody else wrote meanwhile.

The faces hand in commands, the gateway hands in what runners say, workers and the upkeep say what they did. What is
wanted afterwards is hinted to the queue; a lost hint costs seconds, never work.
"""

import contextlib
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from jobs import decide_spending, moments
from jobs.claims import claimable, claimed
from jobs.commands import Attach, Command, Hear, NotYet, Refused
from jobs.decide import decide
from jobs.events import Event, RepositoryChosen, SessionOpened
from jobs.fold import IllegalEvent, fold
from jobs.frames import TRANSCRIPT, AnyFrame, ToolCall, Words
from jobs.hints import Enqueue
from jobs.log import about
from jobs.recipe_choices import Suited
from jobs.records import Conflict, Entry, Fence, Grant, Heard, Link, Looked, Offer, StaleLink
from jobs.session import Rules, Session
from jobs.store import Store
from jobs.wants import wants
from jobs.warm_scripts import claim_row

log = logging.getLogger(__name__)
HEARD_MOST = 500  # boxes whose next words need no look at the record first
TRIES = 50  # each time somebody else won, so in all somebody has got far


class Attached(NamedTuple):
    """A runner's link: the epoch that it was given, and the last of its frames that is stored."""

    epoch: int
    acked: int


def session_id(team: str, channel: str, thread: str) -> str:
    """The id of the session that was asked for there: the same for everybody who sees the same message."""
    place = "\0".join((team, channel, thread))
    return "s" + hashlib.sha256(place.encode()).hexdigest()[:16]


def hash_token(token: str) -> str:
    """How a box's token is kept in the record."""
    return hashlib.sha256(token.encode()).hexdigest()


class Inbox:
    """Follows commands. `enqueue` is given every operation that is wanted (`jobs/hints.py`: whether it fails changes
    nothing).

    `fit` says as what a warm box must have been started for a session, which takes it at once; empty: none will do.
    `suit` says which agent and model a repository's recipe chooses.
    """

    def __init__(
        self,
        store: Store,
        enqueue: Enqueue,
        rules: Rules,
        clock: Callable[[], float] = time.time,
        fit: Callable[[Session], str] = lambda session: f"{session.agent}{session.model}",
        suit: Callable[[str], Awaitable[Suited]] | None = None,
    ) -> None:
        self._store, self._enqueue, self._rules, self._clock = store, enqueue, rules, clock
        self._fit, self._suit = fit, suit
        self._heard: dict[str, Looked] = {}  # as boxes that spoke left it, the newest last

    async def handle(self, sid: str, command: Command) -> Session:
        """Follow a command and return the session as it is then. Raises `Refused`."""
        with about(session=sid):
            for _ in range(TRIES):
                session = await self._store.load(sid)
                now = self._clock()
                events = await self._suited(await self._priced(session, decide(session, command, now, self._rules)))
                after = fold(events, session)
                assert after is not None, "nothing is decided about no session"
                if not events:
                    return after
                try:
                    offer = await self._offer(after, now)
                    if offer is not None:
                        taken = claimed(after, offer, now)
                        events, after = events + taken, fold(taken, after) or after
                    await self._store.append(
                        sid,
                        events,
                        after,
                        expected=session.seq if session is not None else 0,
                        stamps=moments.of(events, now),
                        unnamed=_unnamed(session, after),
                        claims=[claim_row(offer, _grant(after, offer), now)] if offer else (),
                    )
                except Conflict:
                    continue
                await self._hint(after, now)
                return after
            raise Conflict(f"the log of {sid} is written too often")

    def is_news(self, session: Session, command: Command) -> bool:
        """Whether the command would change anything in this session as it is here. Raises `Refused`."""
        return bool(decide(session, command, self._clock(), self._rules))

    async def _offer(self, session: Session, now: float) -> Offer | None:
        """A warm box for a session that waits for one, if there is one that fits."""
        if session.repository is None or not claimable(session, now):
            return None
        fit = self._fit(session)
        return await self._store.warm.candidate(session.repository, fit) if fit else None

    async def attach(self, grant: Grant) -> Attached:
        """A runner calls: older links of it are stale from here on. Raises `NotYet`, or `StaleLink` if too late."""
        epoch = await self._store.begin_epoch(grant.session, grant.generation)
        session = await self._handle_of_box(grant, Attach(grant.generation, epoch))
        link = await self._store.link(session.id, grant.generation)
        return Attached(epoch, link.acked)

    async def hear(self, grant: Grant, epoch: int, frames: Sequence[AnyFrame], token: str = "") -> int:
        """Take in what a runner says, each frame once, and return the number of the last one that is stored.

        `token`: the hash of the one that they came with, if nobody has asked the record yet whether it stands. Raises
        `StaleLink` if it does not, for an older link, and when frames are missing before these (after attaching again
        the runner knows where to go on), and `IllegalEvent` for frames that cannot be true now; then nothing is taken
        in.
        """
        fence = Fence(grant.generation, epoch, token)
        with about(session=grant.session, box=grant.box):
            known = self._heard.pop(grant.box, None)
            if known is not None and frames and frames[-1].n > known.link.acked:
                with contextlib.suppress(Conflict, StaleLink, IllegalEvent, Refused):  # it is not so any more: look
                    return await self._hear(grant, fence, frames, known)
            for _ in range(TRIES):
                known = await self._store.look(grant.session, grant.generation, token)
                try:
                    return await self._hear(grant, fence, frames, known)
                except Conflict:
                    continue
            raise Conflict(f"the log of {grant.session} is written too often")

    async def _hear(self, grant: Grant, fence: Fence, frames: Sequence[AnyFrame], known: Looked) -> int:
        session, link = known
        if session is None or session.generation != grant.generation or session.box is None:
            raise StaleLink("stale generation")
        if link.epoch != fence.epoch:
            raise StaleLink("stale epoch")
        fresh = _fresh(frames, link.acked)
        if not fresh:
            return link.acked
        now = self._clock()
        events = await self._priced(session, decide(session, Hear(grant.generation, fresh), now, self._rules))
        after = fold(events, session) or session
        heard = Heard(grant.generation, link.acked, fresh[-1].n)
        await self._store.append(
            grant.session,
            events,
            after,
            expected=session.seq,
            fence=fence,
            heard=heard,
            transcript=[_entry(frame) for frame in fresh if isinstance(frame, TRANSCRIPT)],
            stamps=moments.of(events, now),
        )
        self._remember(grant.box, Looked(after, Link(fence.epoch, heard.upto)))
        await self._hint(after, now)
        return heard.upto

    def _remember(self, box: str, known: Looked) -> None:
        """The record says so now; frames that follow are judged by it, and refused if it is not so any more."""
        if len(self._heard) >= HEARD_MOST:
            del self._heard[next(iter(self._heard))]
        self._heard[box] = known

    async def _suited(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """The same, with what a recipe chooses for a session that a person began."""
        by_agent = any(isinstance(event, SessionOpened) and event.parent is not None for event in events)
        if self._suit is None or by_agent:
            return events
        return tuple(
            [
                event.model_copy(update=(await self._suit(event.repository))._asdict())
                if isinstance(event, RepositoryChosen)
                else event
                for event in events
            ]
        )

    async def _priced(self, session: Session | None, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """The same, and the end of a turn, or of the box that it ran in, tells what its model has taken."""
        if session is None or session.turn is None or not decide_spending.cuts_off_turn(session, events):
            return events
        return decide_spending.with_cost(events, await self._store.usage.of_turn(session.id, session.turn.number))

    async def _handle_of_box(self, grant: Grant, command: Command) -> Session:
        """As `handle`; a refusal that is not only for a moment means that the box is not wanted any more."""
        try:
            return await self.handle(grant.session, command)
        except NotYet:
            raise
        except Refused:
            raise StaleLink("stale generation") from None

    async def _hint(self, session: Session, now: float) -> None:
        for operation in wants(session, now, self._rules):
            await self._enqueue(session, operation)


def _fresh(frames: Sequence[AnyFrame], acked: int) -> tuple[AnyFrame, ...]:
    """The frames after number `acked`, which must follow it without a gap."""
    fresh = tuple(frame for frame in frames if frame.n > acked)
    for wanted, frame in enumerate(fresh, acked + 1):
        if frame.n != wanted:
            raise StaleLink(f"frame {frame.n} came where {wanted} was due")
    return fresh


def _entry(frame: Words | ToolCall) -> Entry:
    body = frame.model_dump(mode="json", exclude={"n", "at", "turn", "kind"})
    return Entry("", frame.at, frame.turn, frame.kind, body)


def _grant(session: Session, offer: Offer) -> Grant:
    """What the token of a box that was taken allows from then on."""
    return Grant(session.id, offer.box, session.generation, offer.repository, "serve", session.branch)


def _unnamed(before: Session | None, after: Session) -> str | None:
    """The snapshot that a session named and names no more. It may be let go."""
    return before.snapshot if before is not None and before.snapshot != after.snapshot else None
