"""A whole Shipmate whose boxes are ready before anybody asks, and everything around them killed while they wait."""

import json
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlsplit

import pytest
import pytest_asyncio

from bot.settings import view_secret
from bot.web.links import ViewLinks
from jobs.records import Offer
from sandbox.provider import BoxState
from tests.e2e.conftest import open_office
from tests.e2e.people import REPOSITORY, Office, kill, until

pytestmark = pytest.mark.asyncio(loop_scope="session")
ONE = {"SHIPMATE_WARM": f"{REPOSITORY}:1"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def warm() -> AsyncIterator[Office]:
    """One box waits, always."""
    async with open_office(**ONE) as office:
        yield office


async def a_box_waits(office: Office, other_than: str = "") -> Offer:
    """Wait until one is on offer."""
    offers = await until(office.shop.store.warm.offers, lambda found: found and other_than not in found)
    return next(iter(offers.values()))


async def test_a_mention_takes_the_box_that_waits_and_another_one_comes_in_its_place(warm: Office) -> None:
    offer = await a_box_waits(warm)
    thread = await warm.ada.says("@shipmate fix the failing test")
    session = await thread.settled()
    assert (session.box, session.start, session.generation) == (offer.box, "warm", 1)
    assert session.pull_request is not None
    assert [ending.outcome for ending in await thread.endings()] == ["done"]
    assert (await a_box_waits(warm, offer.box)).box != offer.box
    reply = await warm.grace.replies(thread, "add a line to the README saying warm")
    assert (await thread.settled(prompts=2)).box == offer.box
    assert "Done" in (await thread.card(reply)).words


async def test_killed_around_it_the_box_waits_on_and_serves_the_next_mention(warm: Office) -> None:
    offer = await a_box_waits(warm)
    kill(warm.stack, "web")
    kill(warm.stack, "redis")

    async def health() -> int:
        async with warm.http.get(f"{warm.stack.web_url}/health") as answer:
            return answer.status

    await until(health, lambda status: status == 200)
    assert (await a_box_waits(warm)).box == offer.box
    thread = await warm.ada.says("@shipmate what is this?")
    session = await thread.settled(seconds=60)
    assert (session.box, session.start) == (offer.box, "warm")


async def test_a_box_that_dies_as_it_is_taken_is_replaced_and_its_prompt_done_once(warm: Office) -> None:
    offer = await a_box_waits(warm)
    await warm.shop.provider.terminate(offer.box, 0.0)
    await warm.shop.store.warm.offer(offer)  # its link has not noticed yet
    thread = await warm.ada.says("@shipmate what is this?")
    session = await thread.settled()
    assert (session.start, session.generation, session.lost_box) == ("image", 2, None)
    assert [ending.outcome for ending in await thread.endings()] == ["done"]
    gone = await until(lambda: warm.shop.provider.status(offer.box), lambda box: box.state is BoxState.GONE)
    assert gone.name == offer.box


async def test_somebody_who_types_at_the_page_of_a_session_has_a_box_made_ready(warm: Office) -> None:
    thread = await warm.ada.says("@shipmate what is this?")
    await thread.settled()
    settings = warm.stack.settings
    links = ViewLinks(view_secret(settings.jobs.data_dir), settings.url, warm.shop.clock)
    fields = dict(parse_qsl(urlsplit(links.public(thread.sid, 0.0 + warm.shop.clock())).query))

    async def types(**more: str) -> tuple[int, dict[str, object]]:
        body = json.dumps({"session": thread.sid, **fields, **more})
        async with warm.http.post(f"{warm.stack.web_url}/api/warm", data=body) as answer:
            return answer.status, await answer.json()

    assert (await types(signature="0" * 64))[0] == 403
    assert await types() == (202, {"begun": True})
    assert await types() == (202, {"begun": False})
    await until(warm.shop.store.warm.offers, lambda found: len(found) == 2)


async def test_a_stack_that_is_put_away_leaves_no_box(warm: Office) -> None:
    await a_box_waits(warm)
    await warm.stack.park()  # the last test of this stack
    assert await warm.shop.provider.list() == []
