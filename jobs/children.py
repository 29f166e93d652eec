"""What passes between a session and those that its agent started: prompts and stops down, reports up.

An RQ worker of the queue `publish` runs `report` for a child and `hand` for a root; the gateway's tools call
`hand_over` themselves. Every step is safe to repeat, and whoever comes after a worker that was killed goes on.
"""

import contextlib
import logging

from jobs.commands import FollowBudget, Refused, Stop
from jobs.commands_family import FinishHanding, FinishReport, OpenChild, TakeChildReport, TakeReport
from jobs.events import Lineage, Outcome, Prompt
from jobs.family import BUDGET, STOP, Child, Owed, child_of
from jobs.inbox import Inbox
from jobs.session import Session
from jobs.wants import wants
from jobs.wiring import Workshop, workshop

log = logging.getLogger(__name__)
OUTCOMES: dict[Outcome, str] = {
    "done": "done",
    "stopped": "stopped",
    "failed": "failed",
    "timed_out": "stopped, for its time was over",
    "interrupted": "interrupted",
}


async def report(sid: str) -> None:
    """Tell the family of this session what it has come to."""
    async with workshop() as shop:
        await report_session(shop, sid)


async def hand(sid: str) -> None:
    """Give the sessions that this root's family started what they were not given yet."""
    async with workshop() as shop:
        root = await shop.store.load(sid)
        if root is not None:
            await hand_over(shop.inbox, root)


async def report_session(shop: Workshop, sid: str) -> None:
    """As `report`, with everything it needs handed in."""
    session = await shop.store.load(sid)
    due = wants(session, shop.clock(), shop.settings.rules) if session is not None else ()
    if session is None or not any(operation.kind == "report" for operation in due):
        log.info("a report is not due")
        return
    lineage, owed = session.lineage, session.owed
    assert lineage is not None and owed is not None, "only a child owes a report"
    root = await shop.store.load(lineage.root)
    child = child_of(root.children, sid) if root is not None else None
    if child is not None:
        await _tell(shop, session, child, owed)
    await shop.inbox.handle(sid, FinishReport(owed.upto))


async def _tell(shop: Workshop, session: Session, child: Child, owed: Owed) -> None:
    """The parent first, for what it waits for is forgotten with the rest."""
    assert session.lineage is not None
    root = session.lineage.root
    if child.pending is not None and child.pending.id in session.seen:
        await shop.inbox.handle(root, FinishHanding(child.id, child.pending.id))
        child = child.model_copy(update={"pending": None})
    if child.waits and child.pending is None and child.reported < owed.upto:
        with contextlib.suppress(Refused):
            await shop.inbox.handle(child.parent, TakeReport(report_prompt(session, child, owed, shop.clock())))
    pull = session.pull_request
    told = TakeChildReport(
        child.id, owed.upto, owed.outcome, owed.error or owed.summary, pull.number if pull else None,
        pull.url if pull else "",
    )  # fmt: skip
    await shop.inbox.handle(root, told)


async def hand_over(inbox: Inbox, root: Session) -> None:
    """Give each of the root's family what it was not given yet."""
    for child in root.children:
        if child.pending is not None:
            await inbox.handle(child.id, _opening(root, child, child.pending))
            await inbox.handle(root.id, FinishHanding(child.id, child.pending.id))
        if child.stop_by is not None:
            with contextlib.suppress(Refused):  # it has ended meanwhile
                await inbox.handle(child.id, Stop(child.stop_by))
            await inbox.handle(root.id, FinishHanding(child.id, STOP))
        if child.budget is not None:
            with contextlib.suppress(Refused):  # it is not there any more
                await inbox.handle(child.id, FollowBudget(child.budget.by, child.budget.raised))
            await inbox.handle(root.id, FinishHanding(child.id, BUDGET))


def _opening(root: Session, child: Child, prompt: Prompt) -> OpenChild:
    return OpenChild(
        session=child.id,
        place=root.place,
        lineage=Lineage(parent=child.parent, root=root.id, depth=child.depth, number=child.number),
        repository=child.repository,
        base_branch=child.base_branch,
        agent=child.agent,
        model=child.model,
        prompt=prompt,
    )


def report_prompt(session: Session, child: Child, owed: Owed, now: float) -> Prompt:
    """What a parent is given: how it went, where the work is, and the last words. One for each end that is told."""
    lines = [
        f"Report of #{child.number} ({child.repository}), the session that you started: {OUTCOMES[owed.outcome]}.",
        f"It was asked: {child.task}",
    ]
    if session.pull_request is not None:
        lines.append(f"Its pull request: {session.pull_request.url}")
    if owed.outcome == "stopped":
        lines.append("If a person stopped it, do not start the same again unless you are asked to.")
    if owed.error:
        lines.append(f"What went wrong: {owed.error}")
    if owed.summary:
        lines += ["Its last words:", owed.summary]
    lines.append(f"Its id is {child.id}: read_session shows its changes, prompt_session gives it more to do.")
    prompt_id = f"{child.id}:{owed.upto}"
    return Prompt(
        id=prompt_id, author=child.author, text="\n".join(lines), received_at=now, report_of=child.number
    )  # fmt: skip
