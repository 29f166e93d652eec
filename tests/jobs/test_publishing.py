"""Publishing as a worker does it: the real record, PyGithub, the playground's forge, and what is on record of it."""

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.playground import forge_pulls
from bot.playground.forge import Forge as PlaygroundForge
from jobs import commands as c
from jobs import frames as f
from jobs.events import PublishFailed, PullRequestClosed, PullRequestPublished
from jobs.github import Forge
from jobs.publish import publish_session
from jobs.session import PullRequest
from jobs.store import Store
from tests.jobs.forge import ROCKET, push, serving
from tests.jobs.shop import Bench, bench


@pytest.fixture
async def forge(tmp_path: Path) -> AsyncIterator[PlaygroundForge]:
    async with serving(tmp_path / "forge") as play:
        yield play


@pytest.fixture
async def at(store: Store, redis_url: str, forge: PlaygroundForge) -> AsyncIterator[Bench]:
    async with bench(store, redis_url, GITHUB_API_URL=forge.api_url, GITHUB_TOKEN=forge.token) as opened:
        await opened.ask()
        await opened.do(c.BeginStart(0))
        await opened.do(c.FinishStart(1, "b", "cold", None, False))
        await opened.do(c.Attach(1, 1))
        await opened.do(c.Hear(1, (READY,)))
        yield opened


READY = f.Ready(n=1, at=0, kind="ready", conversation="c", resumed=False, head="a" * 40)


async def pushed(at: Bench, forge: PlaygroundForge) -> str:
    """The running turn ends with work that the forge has."""
    session = await at.session()
    head = await push(forge, session.branch)
    commit = {"sha": head, "subject": "Count the last tank", "author": "Ada <ada@acme.test>"}
    ended = {
        "n": 2,
        "at": 0,
        "kind": "turn_ended",
        "turn": session.turns,
        "outcome": "done",
        "head": head,
        "pushed": True,
    }
    await at.do(c.Hear(1, (f.Ended.model_validate(ended | {"summary": "Tanks round up.", "commits": [commit]}),)))
    return head


async def shown(at: Bench) -> PullRequest:
    pull = (await at.session()).pull_request
    assert pull is not None
    return pull


async def test_pushed_work_gets_its_pull_request_on_record_and_on_the_forge(at: Bench, forge: PlaygroundForge) -> None:
    head = await pushed(at, forge)
    await publish_session(at.shop, at.sid)
    pull = forge.repository(ROCKET).pull((await shown(at)).number)
    assert (await shown(at)).head == pull.head_sha == head
    assert pull.title == "Fix the fuel test"
    assert "Tanks round up." in pull.body
    assert "pull_request" in await at.shop.store.stamps(at.sid)
    await publish_session(at.shop, at.sid)
    published = [event for event in await at.events() if isinstance(event, PullRequestPublished)]
    assert [event.opened for event in published] == [True], "a second worker has nothing to do"


async def test_a_forge_that_is_down_is_tried_later_and_later(at: Bench, forge: PlaygroundForge) -> None:
    await pushed(at, forge)
    forge.faults.down = True
    for _ in range(3):
        await publish_session(at.shop, at.sid)
    failed = [event for event in await at.events() if isinstance(event, PublishFailed)]
    waits = [event.retry_at - event.at for event in failed if event.retry_at is not None]
    assert len(waits) == 3
    assert waits == sorted(waits)
    assert waits[2] > waits[0]
    forge.faults.down = False
    await publish_session(at.shop, at.sid)
    assert (await at.session()).pull_request is not None


async def test_what_the_forge_refuses_waits_for_a_person(at: Bench, forge: PlaygroundForge) -> None:
    await pushed(at, forge)
    right, at.shop = at.shop, dataclasses.replace(at.shop, forge=Forge(forge.api_url, "ghp_wrong"))
    await publish_session(at.shop, at.sid)
    (failed,) = [event for event in await at.events() if isinstance(event, PublishFailed)]
    assert "Bad credentials" in failed.reason
    assert failed.retry_at is None
    at.shop = right
    await publish_session(at.shop, at.sid)
    assert (await at.session()).pull_request is None, "nobody has looked at it"
    await at.ask()
    await publish_session(at.shop, at.sid)
    assert (await at.session()).pull_request is not None


async def test_what_was_merged_before_its_worker_could_say_so_is_merged(at: Bench, forge: PlaygroundForge) -> None:
    head = await pushed(at, forge)
    session = await at.do(c.BeginPublish())
    words = {"base": "main", "title": "Count it", "body": "Words"}
    opened = await at.shop.forge.publish(ROCKET, branch=session.branch, head=head, **words)  # and its worker dies
    await forge_pulls.merge(forge, ROCKET, opened.number, "grace")
    at.clock.ahead = at.shop.settings.rules.publish_seconds + 1
    await publish_session(at.shop, at.sid)
    assert await shown(at) == PullRequest(number=opened.number, url=opened.url, head=head, state="merged")
    closed = [event.merged for event in await at.events() if isinstance(event, PullRequestClosed)]
    assert closed == [True], "people are told"


async def test_work_after_a_merge_that_nobody_told_us_of_gets_a_pull_request_of_its_own(
    at: Bench, forge: PlaygroundForge
) -> None:
    await pushed(at, forge)
    await publish_session(at.shop, at.sid)
    first = await shown(at)
    await forge_pulls.merge(forge, ROCKET, first.number, "grace")
    await at.ask()
    await pushed(at, forge)
    await publish_session(at.shop, at.sid)
    second = await shown(at)
    assert second.number != first.number
    assert second.state == "open"


async def test_a_session_without_work_publishes_nothing(at: Bench, forge: PlaygroundForge) -> None:
    await publish_session(at.shop, at.sid)
    assert forge.pull_requests(ROCKET) == []
