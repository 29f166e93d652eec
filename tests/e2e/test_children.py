"""One prompt that becomes several sessions: through a whole running stack of its own, with two repositories."""

from dataclasses import dataclass

import pytest

from jobs.family import at_work
from jobs.session import Status
from tests.e2e.people import Office, Said, Thread, until

pytestmark = pytest.mark.asyncio(loop_scope="session")
ADA, GRACE = "Ada Lovelace <ada@acme.example>", "Grace Hopper <grace@acme.example>"
SPREAD = (
    "@shipmate spread acme/rocket: fix the failing test; acme/docs: add a line to the README saying we fly; "
    "acme/rocket: count slowly to 200"
)


async def test_one_prompt_becomes_three_sessions_in_two_repositories_steered_by_two_people(
    careful_office: Office,
) -> None:
    office = careful_office
    thread = await office.ada.says(SPREAD)
    await office.ada.presses(thread, await thread.hears("Which one do you mean?"), "choose_repository:0")
    await thread.until(lambda s: len(s.children) == 3)
    fix, docs, count = [await child(office, thread, n) for n in (1, 2, 3)]

    await office.grace.replies(thread, "#3 add a line to the README saying steered by Grace")
    await count.until(lambda s: s.turn is not None and s.title and len(s.queue) == 1)
    await office.grace.presses(thread, await card_of(count, f"{count.sid}:task"), "stop_session")
    await docs.until(lambda s: s.owed is None and s.pull_request is not None)
    await office.ada.fills_in(
        thread, await card_of(docs, f"{docs.sid}:task"), "steer", "add a line to the README saying and land"
    )  # fmt: skip
    await docs.until(lambda s: s.turns == 2 and s.status is Status.IDLE and not s.publishable)
    root = await thread.until(lambda s: not at_work(s.children) and len(s.seen) == 4 and s.status is Status.IDLE)

    assert [(one.repository, one.outcome, bool(one.url)) for one in root.children] == [
        ("acme/rocket", "done", True), ("acme/docs", "done", True), ("acme/rocket", "done", True)
    ]  # fmt: skip
    assert await authors(office, fix) == [ADA]
    assert await authors(office, docs) == [ADA, ADA]
    assert await authors(office, count) == [f"{GRACE} with {ADA}"]
    assert {prompt.partition(":")[0] for prompt in root.seen[1:]} == {fix.sid, docs.sid, count.sid}
    for words in ("*#1* acme/rocket: fix the failing test", "*#2* acme/docs", "*#3* acme/rocket: count slowly"):
        await thread.hears(words, "_done_")
    assert len(await office.pull_requests_of(thread)) == 0, "the first session only handed the work on"


@dataclass(frozen=True)
class Child(Thread):
    """A session that an agent started, in the thread of the one that a person opened."""

    known_as: str = ""

    @property
    def sid(self) -> str:
        return self.known_as


async def child(office: Office, thread: Thread, number: int) -> Child:
    root = await thread.session()
    assert root is not None
    return Child(office, thread.channel, thread.ts, root.children[number - 1].id)


async def card_of(child: Child, prompt: str) -> Said:
    """The card of this prompt, once it is in the thread."""
    seen = await until(child.from_us, lambda all_said: any(said.card == prompt for said in all_said))
    return next(said for said in seen if said.card == prompt)


async def authors(office: Office, child: Child) -> list[str]:
    """Who the commits of its pull request name, oldest first."""
    session = await child.until(lambda s: s.pull_request is not None and not s.publishable)
    assert session.pull_request is not None and session.repository is not None
    commits = await office.commits(session.pull_request.number, session.repository)
    return [" with ".join([commit["author"], *commit["co_authors"]]) for commit in commits]
