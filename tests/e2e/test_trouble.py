"""The forge away and agents that fail, in the middle of it: the thread is told, and work goes on where it can."""

import pytest

from tests.e2e.people import Office, until

IMAGE_SECONDS = 120.0
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_push_to_a_forge_that_is_down_is_told_and_the_next_turn_pushes_it(office: Office) -> None:
    thread = await office.ada.says("@shipmate count slowly to 200")
    await thread.at_work()
    await office.forge(down=True)
    await office.ada.replies(thread, "add a line to the README saying kept in the box")
    await thread.until(lambda s: s.queue)
    await office.ada.ends_what_runs(thread)
    await thread.settled(prompts=2)
    said = await thread.hears("The commits could not be pushed yet; they are kept.")
    assert "forge" in said.words.lower()
    await office.forge(down=False)
    await office.grace.replies(thread, "what is this repository?")
    session = await thread.settled(prompts=3)
    assert session.pull_request is not None
    assert "+kept in the box" in await office.patch(session.pull_request.number)


async def test_a_forge_that_stumbles_while_the_pull_request_is_made_is_tried_again(office: Office) -> None:
    await office.forge(fail_next=1)
    thread = await office.ada.says("@shipmate add a line to the README saying second try")
    session = await thread.settled()
    assert session.pull_request is not None
    await thread.hears(f"Pull request #{session.pull_request.number}", "shows it")
    assert len(await office.pull_requests_of(thread)) == 1


async def test_a_push_that_the_forge_rejects_is_told_with_the_reason(office: Office) -> None:
    await office.forge(reject_pushes=True)
    thread = await office.ada.says("@shipmate add a line to the README saying rejected")
    session = await thread.settled()
    assert session.pull_request is None
    await thread.hears("The commits could not be pushed", "Reply here and I will try again.")
    await office.forge(reject_pushes=False)
    await office.ada.replies(thread, "what is this repository?")
    assert (await thread.settled(prompts=2)).pull_request is not None


async def test_a_forge_that_is_down_at_the_start_is_told_and_waited_for(office: Office) -> None:
    await office.forge(down=True)
    thread = await office.ada.says("@shipmate add a line to the README saying patience")
    await thread.hears("the repository cannot be fetched just now; trying again")
    await office.forge(down=False)
    session = await thread.settled()
    assert session.pull_request is not None
    assert "+patience" in await office.patch(session.pull_request.number)


async def test_while_a_slow_forge_is_fetched_from_the_agent_reads_and_its_edit_waits(office: Office) -> None:
    await until(lambda: office.shop.store.images.newest("acme/rocket"), lambda image: image is not None, IMAGE_SECONDS)
    await office.forge(slow=3)
    thread = await office.ada.says("@shipmate add a line to the README saying read first")
    await thread.hears("Reading while the repository is fetched; changes wait for it", "Read README.md")
    await office.forge(slow=0)
    session = await thread.settled()
    log = await thread.log()
    synced = next(event.seq for event in log if event.kind == "phase_reached" and event.phase == "synced")
    read = next(event.seq for event in log if event.kind == "step_started" and event.tool == "read")
    assert read < synced < next(event.seq for event in log if event.kind == "turn_ended")
    assert session.pull_request is not None
    assert "+read first" in await office.patch(session.pull_request.number)
    stamps = await office.shop.store.stamps(thread.sid)
    assert stamps["ready"] < stamps["delivered"] < stamps["synced"]


async def test_an_agent_that_crashes_in_mid_turn_fails_the_turn_and_the_next_one_works(office: Office) -> None:
    thread = await office.ada.says("@shipmate crash, please")
    await thread.settled()
    said = await thread.hears(f"<@{office.ada.id}> That did not work.")
    assert ":warning:" in said.words
    await office.grace.replies(thread, "add a line to the README saying after the crash")
    session = await thread.settled(prompts=2)
    assert session.pull_request is not None and session.generation == 1
    assert [ending.outcome for ending in await thread.endings()] == ["failed", "done"]


async def test_an_agent_that_will_not_be_stopped_is_killed_and_started_again(office: Office) -> None:
    thread = await office.ada.says("@shipmate stubborn for 100 seconds")
    await thread.at_work()
    await office.ada.replies(thread, "stop")
    await thread.settled(seconds=40)
    assert [ending.outcome for ending in await thread.endings()] == ["stopped"]
    await office.ada.replies(thread, "what is this repository?")
    await thread.settled(prompts=2)


async def test_an_agent_that_says_far_too_much_is_heard_without_harm(office: Office) -> None:
    thread = await office.ada.says("@shipmate flood with 2000 kilobytes")
    await thread.settled()
    await thread.hears(f"<@{office.ada.id}> Done.", "That was all.")
