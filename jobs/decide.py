"""Which events a command causes. Pure.

`jobs/inbox.py` loads a session, calls `decide` and appends what comes out. A command that was followed before (Slack
delivers twice, a runner sends again) causes no events; one that cannot be followed raises `Refused`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jobs import commands, decide_family
from jobs import events as e
from jobs.claims import warm_box_is_late
from jobs.commands import Command, FinishPark, NotYet, Refused
from jobs.commands_family import OpenChild
from jobs.decide_pulls import DECIDE_PULLS
from jobs.decide_snapshots import DECIDE_SNAPSHOTS, rest, told_of_nothing_left, told_of_start
from jobs.decide_spending import DECIDE_SPENDING
from jobs.decide_tools import DECIDE_TOOLS, late_answers
from jobs.decide_where import answer_where, choose, where
from jobs.events import Event
from jobs.fold import fold
from jobs.hearing import TOLD_MOST, events_of
from jobs.lifetimes import is_old, moving
from jobs.reviews import tellings
from jobs.session import Rules, Session, Status, Turn
from jobs.wants import start_is_lost, turn_seconds

S = Status
PARK_TOLD_AFTER = 4  # tries that failed: what passes by itself is not told


def decide(session: Session | None, command: Command, now: float, rules: Rules) -> tuple[Event, ...]:
    """The events that `command` causes at `now`; none if it was followed before. Raises `Refused`.

    A session that is ready and has a prompt waiting delivers it in the same breath, whatever the command was.
    """
    if session is None:
        if isinstance(command, OpenChild):
            return decide_family.open_child(command, now)
        if not isinstance(command, commands.Submit):
            raise Refused("There is no session here yet. Mention me with a task to begin one.")
        return _open(command, now)
    events = _DECIDE[type(command)](session, command, now, rules)
    events += late_answers(session, events, now)
    return events + _deliveries(session, events, now, rules)


def _deliveries(session: Session, events: tuple[Event, ...], now: float, rules: Rules) -> tuple[Event, ...]:
    after = fold(events, session)
    if after is not None and is_old(after, now, rules):
        return ()
    if after is None or after.status is not S.IDLE or not after.queue or after.box is None or after.paused is not None:
        return ()
    prompt = after.queue[0]
    again = prompt.id == after.interrupted
    return (
        e.PromptDelivered(at=now, generation=after.generation, turn=after.turns + 1, prompt_id=prompt.id, again=again),
    )


def _open(c: commands.Submit, now: float) -> tuple[Event, ...]:
    opened = e.SessionOpened(at=now, session=c.session, place=c.place, by=c.prompt.author, agent=c.agent)
    return (opened, where(c.choice, now), e.PromptReceived(at=now, prompt=c.prompt))


def _submit(s: Session, c: commands.Submit, now: float, rules: Rules) -> tuple[Event, ...]:
    if s.knows(c.prompt.id):
        return ()
    if s.worked >= rules.session_seconds:
        hours = f"{rules.session_seconds / 3600:.3g} h"
        raise Refused(f"This thread has worked for {hours}, the most that it may. Mention me in a new one to go on.")
    untold = (*s.untold, *tellings(s))
    told = c.prompt.model_copy(update={"before": (*c.prompt.before, *untold)}) if untold else c.prompt
    received = e.PromptReceived(at=now, prompt=told)
    if s.status is S.CLOSED and s.repository is None:
        return (where(c.choice, now), received)
    if s.status is S.ASKING:
        return answer_where(s, c, now) or (received, where(c.choice, now))
    return (received,)


def _edit(s: Session, c: commands.EditPrompt, now: float, _: Rules) -> tuple[Event, ...]:
    prompt = s.waiting(c.prompt_id)
    if prompt is not None:
        return () if prompt.text == c.text else (e.PromptEdited(at=now, prompt_id=c.prompt_id, text=c.text),)
    if s.turn is None or s.turn.prompt.text == c.text:
        return ()
    note = "I had already begun with the message that was just edited. Reply with the correction and I take it next."
    return _note_once(s.turn, c.prompt_id, note, now)


def _withdraw(s: Session, c: commands.WithdrawPrompt, now: float, _: Rules) -> tuple[Event, ...]:
    if s.waiting(c.prompt_id) is not None:
        return (e.PromptWithdrawn(at=now, prompt_id=c.prompt_id, reason=c.reason),)
    note = "The message I am working on was deleted. I go on with it; press Stop if that is not what you want."
    return _note_once(s.turn, c.prompt_id, note, now) if s.turn is not None else ()


def _note_once(turn: Turn, prompt_id: str, note: str, now: float) -> tuple[Event, ...]:
    if turn.prompt.id != prompt_id or note in turn.noted:
        return ()
    return (e.Noted(at=now, text=note, prompt_id=prompt_id),)


def _stop(s: Session, c: commands.Stop, now: float, _: Rules) -> tuple[Event, ...]:
    reason = f"stopped by {c.by.name} before it began"
    waiting = [p for p in s.queue if c.prompt_id in (None, p.id)]
    events: list[Event] = [e.PromptWithdrawn(at=now, prompt_id=p.id, reason=reason) for p in waiting]
    running = s.turn is not None and c.prompt_id in (None, s.turn.prompt.id)
    if running and s.turn is not None and (s.turn.stop_asked is None or s.turn.paused):
        events.insert(0, e.StopRequested(at=now, generation=s.generation, turn=s.turn.number, by=c.by))
    if c.prompt_id is None or running:
        events += decide_family.offer_to_stop(s, c.by, now)
    if not events and not running:
        raise Refused("That is over already: there is nothing left to stop.")
    return tuple(events)


def _begin_start(s: Session, c: commands.BeginStart, now: float, rules: Rules) -> tuple[Event, ...]:
    if c.generation != s.generation or not (s.status is S.WAITING or start_is_lost(s, now, rules)):
        raise Refused(f"generation {c.generation} is not waiting for a box any more")
    generation = s.generation + 1
    return (e.StartBegan(at=now, generation=generation, box=c.box or f"{s.id}-{generation}"),)


def _await_box(s: Session, c: commands.AwaitBox, now: float, _: Rules) -> tuple[Event, ...]:
    if s.status is not S.WAITING or s.position == c.position:
        return ()
    return (e.BoxAwaited(at=now, position=c.position),)


def _finish_start(s: Session, c: commands.FinishStart, now: float, _: Rules) -> tuple[Event, ...]:
    if c.generation != s.generation or s.status is not S.BOOTING:
        raise Refused(f"generation {c.generation} is not wanted any more")
    started = e.BoxStarted(at=now, generation=c.generation, box=c.box, start=c.start, base=c.base, isolated=c.isolated)
    return (started, *told_of_start(s, c, now))


def _fail_start(s: Session, c: commands.FailStart, now: float, rules: Rules) -> tuple[Event, ...]:
    if c.generation != s.generation or s.status is not S.BOOTING:
        return ()
    if c.delay is None or s.failures + 1 >= rules.max_failures:
        return _abandon(s, c.reason, now)
    return (e.StartFailed(at=now, generation=c.generation, reason=c.reason, retry_at=now + c.delay),)


def _abandon(s: Session, reason: str, now: float) -> tuple[Event, ...]:
    return (e.StartAbandoned(at=now, reason=reason), *_withdraw_all(s, reason, now))


def _withdraw_all(s: Session, reason: str, now: float) -> tuple[Event, ...]:
    return tuple(e.PromptWithdrawn(at=now, prompt_id=p.id, reason=reason) for p in s.queue)


def _begin_park(s: Session, c: commands.BeginPark, now: float, rules: Rules) -> tuple[Event, ...]:
    parkable = (S.IDLE, S.WORKING, S.CONNECTING, S.PREPARING, S.STOPPING, S.FAILED, S.PARKING)
    if c.generation != s.generation or s.box is None or s.status not in parkable:
        raise Refused(f"the box of generation {c.generation} is not to be parked")
    if s.turn is not None and c.turn not in (None, s.turn.number):
        raise Refused(f"turn {s.turn.number} has begun meanwhile")
    told = () if s.status is S.PARKING else moving(s, now, rules)
    return (*told, e.ParkBegan(at=now, generation=c.generation))


def _finish_park(s: Session, c: FinishPark, now: float, rules: Rules) -> tuple[Event, ...]:
    if c.generation != s.generation or s.status is not S.PARKING:
        return ()
    told = told_of_nothing_left(s, now) if c.snapshot is None else ()
    return (*told, *_parked(s, c, now, rules))


def _parked(s: Session, c: FinishPark, now: float, rules: Rules) -> tuple[Event, ...]:
    parked = e.BoxParked(at=now, generation=c.generation, snapshot=c.snapshot)
    if s.turn is None or s.turn.stop_asked is None:
        return (parked,)
    kept = " What it had done is kept." if c.snapshot is not None else ""
    reason = f"The agent's box was stopped before the turn had ended.{kept}"
    return (_cut_off(s, s.turn, reason, now, rules), parked)


def _cut_off(s: Session, turn: Turn, error: str, now: float, rules: Rules) -> Event:
    """The end of a turn that was asked to stop and whose box went before it could say that it did."""
    if turn.paused:
        return e.TurnEnded(at=now, turn=turn.number, outcome="paused")
    ran_out = turn.stop_asked is not None and turn.stop_asked - turn.began > turn_seconds(s, rules)
    return e.TurnEnded(at=now, turn=turn.number, outcome="timed_out" if ran_out else "stopped", error=error)


def _fail_park(s: Session, c: commands.FailPark, now: float, rules: Rules) -> tuple[Event, ...]:
    if c.generation != s.generation or s.status is not S.PARKING:
        return ()
    if c.delay is None:
        note = f"The box could not be put to sleep ({c.reason}), and what only it had is lost. {rest(s)}"
        return (e.Noted(at=now, text=note), *_parked(s, FinishPark(c.generation, None), now, rules))
    failed = e.ParkFailed(at=now, generation=c.generation, reason=c.reason, retry_at=now + c.delay)
    if s.park_failures + 1 != PARK_TOLD_AFTER:
        return (failed,)
    text = f"The box of this thread cannot be put to sleep: {c.reason}. I will keep trying; what it has is still in it."
    return (e.Noted(at=now, text=text), failed)


def _lose_box(s: Session, c: commands.LoseBox, now: float, rules: Rules) -> tuple[Event, ...]:
    if c.generation != s.generation or s.box is None or s.status is S.PARKING:
        return ()
    lost = e.BoxLost(at=now, generation=c.generation, reason=c.reason)
    if s.turn is None:
        return (lost,)
    if s.status is S.STOPPING:
        error = "The box ended while the turn was being stopped. What it had done is kept."
        return (_cut_off(s, s.turn, error, now, rules), lost)
    if s.turn.again:
        before = f"The box was lost ({c.reason}), and this turn had been interrupted before"
        error = f"{before}. Reply to try once more; what was done is kept."
        return (e.TurnEnded(at=now, turn=s.turn.number, outcome="interrupted", error=error), lost)
    return (lost,)


def _attach(s: Session, c: commands.Attach, now: float, _: Rules) -> tuple[Event, ...]:
    if c.generation == s.generation and s.status is S.BOOTING:
        raise NotYet("the box is not on record yet")
    if c.generation != s.generation or s.box is None:
        raise Refused("stale generation")
    if s.told >= TOLD_MOST and s.status is not S.CONNECTING:
        return ()  # it is attached; a runner that does nothing else must not fill the log
    return (e.LinkAttached(at=now, generation=c.generation, epoch=c.epoch),)


def _tick(s: Session, c: commands.Tick, now: float, rules: Rules) -> tuple[Event, ...]:
    if s.status is S.WORKING and s.turn is not None and _too_long(s, s.turn, now, rules):
        return (e.StopRequested(at=now, generation=s.generation, turn=s.turn.number),)
    if warm_box_is_late(s, now):
        return (e.BoxLost(at=now, generation=s.generation, reason="the warm box did not answer"),)
    tried = s.failures + (not c.starting and start_is_lost(s, now, rules))
    if s.status in (S.WAITING, S.BOOTING) and tried >= rules.max_failures:
        return _abandon(s, "No box could be made ready for this. `shipmate doctor` says what is wrong.", now)
    if s.at_rest and s.status is not S.CLOSED and now - s.since > rules.close_seconds:
        reason = "nothing was asked for a long time"
        return (*_withdraw_all(s, reason, now), e.SessionClosed(at=now, reason=reason))
    if s.status is S.CLOSED and now - s.since > rules.keep_seconds and (s.snapshot or s.lost_box):
        return (e.SnapshotForgotten(at=now),)
    return ()


def _too_long(s: Session, turn: Turn, now: float, rules: Rules) -> bool:
    return now - turn.began > turn_seconds(s, rules) + rules.stop_seconds


def _hear(s: Session, c: commands.Hear, now: float, _: Rules) -> tuple[Event, ...]:
    if c.generation != s.generation or s.box is None:
        raise Refused("stale generation")
    if s.status is S.CONNECTING:
        raise Refused("a runner must attach before it is heard")
    return events_of(s, c.frames, now)


_DECIDE: Mapping[type[Any], Callable[[Session, Any, float, Rules], tuple[Event, ...]]] = {
    **DECIDE_TOOLS,
    commands.Submit: _submit,
    commands.EditPrompt: _edit,
    commands.WithdrawPrompt: _withdraw,
    commands.ChooseRepository: choose,
    commands.Stop: _stop,
    commands.BeginStart: _begin_start,
    commands.AwaitBox: _await_box,
    commands.FinishStart: _finish_start,
    commands.FailStart: _fail_start,
    commands.BeginPark: _begin_park,
    FinishPark: _finish_park,
    commands.FailPark: _fail_park,
    commands.LoseBox: _lose_box,
    commands.Attach: _attach,
    commands.Hear: _hear,
    commands.Note: lambda _s, c, now, _: (e.Noted(at=now, text=c.text),),
    commands.Tick: _tick,
    **DECIDE_PULLS,
    **DECIDE_SPENDING,
    **decide_family.DECIDE_FAMILY,
    **DECIDE_SNAPSHOTS,
}
