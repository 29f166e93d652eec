"""What people should not say, or say oddly: each gets a clear answer, and nothing else is changed."""

import pytest

from jobs.session import Status
from tests.e2e.people import DIRECT, PARTNERS, REPOSITORY, Office, link_in, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_unknown_repository_is_asked_about_and_pressing_a_button_begins(office: Office) -> None:
    thread = await office.ada.says("@shipmate add a line to the README of acme/submarine saying where")
    question = await thread.hears("acme/submarine is not enabled for me. Which repository do you mean?")
    assert (await thread.until(lambda s: True)).status is Status.ASKING
    await office.grace.presses(thread, question, "choose_repository")
    session = await thread.settled()
    assert session.repository == REPOSITORY and session.pull_request is not None
    await thread.hears(f"Repository: *{REPOSITORY}*, chosen by Grace Hopper")


async def test_an_unknown_repository_may_be_corrected_with_a_reply(office: Office) -> None:
    thread = await office.ada.says("@shipmate what is in the repository acme/submarine?")
    await thread.hears("acme/submarine is not enabled for me")
    await office.ada.replies(thread, f"{REPOSITORY}, I meant. What is it?")
    session = await thread.settled(prompts=2)
    assert session.repository == REPOSITORY and session.turns == 2


@pytest.mark.parametrize("nothing", ["@shipmate", "  @shipmate \n "])
async def test_an_empty_mention_is_answered_with_help_and_opens_nothing(office: Office, nothing: str) -> None:
    thread = await office.ada.says(nothing)
    await thread.hears("Mention me with a task, such as")
    assert await thread.session() is None
    assert len(await thread.from_us()) == 1


async def test_a_message_of_40_kb_is_done_like_any_other(office: Office) -> None:
    long = "please look closely " * 1_950
    thread = await office.ada.says(f"@shipmate add a line to the README. {long} and write it saying long enough")
    session = await thread.settled()
    assert session.pull_request is not None
    assert "+long enough" in await office.patch(session.pull_request.number)
    [asked] = [event.prompt for event in await thread.log() if event.kind == "prompt_received"]
    assert len(asked.text) > 39_000
    assert len((await thread.card()).words) < 5_000


HARD = "*not bold* :rocket: 🚀 <b>&amp; `x < y && z > w` <@U0ADA> <!channel> ~no~ _none_"


async def test_emoji_markup_and_code_arrive_verbatim_and_do_nothing_in_slack(office: Office) -> None:
    thread = await office.ada.says(f"@shipmate add a line to the README saying {HARD}")
    session = await thread.settled()
    assert session.pull_request is not None
    assert f"+{HARD}" in await office.patch(session.pull_request.number)
    for said in await thread.from_us():
        assert "<!channel>" not in said.words and "<b>" not in said.words
    assert "🚀" in (await thread.card()).words


async def test_a_block_of_code_arrives_with_its_lines_and_spaces(office: Office) -> None:
    code = "```\ndef f(x):\n    return x < 1 and {'a': \"b\"}\n```"
    thread = await office.ada.says(f"@shipmate what does this do in the README?\n{code}\nI wonder?")
    await thread.settled()
    [asked] = [event.prompt for event in await thread.log() if event.kind == "prompt_received"]
    assert asked.text == f"what does this do in the README?\n{code}\nI wonder?"


async def test_an_attached_file_is_named(office: Office) -> None:
    thread = await office.ada.attaches("plan.txt", b"go up", "@shipmate add a line to the README saying see the plan")
    await thread.settled()
    [asked] = [event.prompt for event in await thread.log() if event.kind == "prompt_received"]
    [file] = asked.attachments
    assert (file.name, file.bytes, file.mimetype) == ("plan.txt", 5, "text/plain")
    assert "files: plan.txt" in (await thread.card()).words


async def test_another_bot_that_mentions_us_is_ignored(office: Office) -> None:
    ignored = await office.other_bot.says("@shipmate fix the failing test")
    later = await office.ada.says("@shipmate what is this repository?")
    await later.settled()
    assert await ignored.session() is None and await ignored.from_us() == []


async def test_an_outsider_is_refused_politely_and_alone(office: Office) -> None:
    thread = await office.outsider.says("@shipmate fix the failing test", PARTNERS)
    await office.outsider.is_told_alone("I can only work for members of this workspace.")
    assert await thread.session() is None
    members = await office.ada.says("@shipmate count slowly to 1", PARTNERS)
    await members.at_work()
    await office.outsider.replies(members, "add a line to the README saying from outside")
    await office.outsider.replies(members, "stop")
    session = await members.settled()
    assert len(session.seen) == 1
    assert [ending.outcome for ending in await members.endings()] == ["done"]


async def test_a_private_channels_session_is_seen_by_its_members_only(office: Office) -> None:
    made = await office.ada.call("conversations.create", name="quiet-plans", is_private="true")
    channel = made["channel"]["id"]
    await office.ada.call("conversations.invite", channel=channel, users=f"{office.bot},{office.grace.id}")
    thread = await office.ada.says("@shipmate what is this repository?", channel)
    await thread.settled()
    card = await thread.card()
    assert not any("url" in e for b in card.raw["blocks"] if b["type"] == "actions" for e in b["elements"])
    await office.grace.presses(thread, card, "view")
    link = link_in(await office.grace.is_told_alone("Only for you"), "View")
    status, page = await office.text(link)
    assert status == 200 and "look it up and change nothing" in page
    await office.grace.call("conversations.leave", channel=channel)
    status, page = await office.text(link)
    assert status == 403 and "look it up" not in page


async def test_a_direct_message_needs_no_mention(office: Office) -> None:
    thread = await office.ada.says("what is this repository?", DIRECT)
    await thread.settled()
    await thread.hears(f"<@{office.ada.id}> Done.")


async def test_people_talk_among_themselves_in_a_thread(office: Office) -> None:
    thread = await office.ada.says("@shipmate what is this repository?")
    await thread.settled()
    await office.ada.replies(thread, "(aside) it knows nothing")
    await office.ada.replies(thread, "@grace have you seen this?")
    done = await office.ada.replies(thread, "add a line to the README saying last")
    session = await thread.settled(prompts=2)
    assert [seen.rpartition(":")[2] for seen in session.seen] == [thread.ts, done]


async def test_a_channel_without_us_hears_nothing(office: Office) -> None:
    thread = await office.ada.says("@shipmate fix the failing test", "C0GENERAL")
    later = await office.ada.says("@shipmate what is this repository?")
    await later.settled()
    assert await thread.session() is None


async def test_the_agent_sees_no_secret_of_the_service(office: Office) -> None:
    thread = await office.ada.says("@shipmate env, please")
    await thread.settled()
    entries = await until(lambda: office.shop.store.transcript(thread.sid), bool)
    words = "".join(str(entry.body) for entry in entries)
    assert "I see these environment variables" in words
    for name in ("SLACK_", "GITHUB_", "REDIS_URL", "TOKEN"):
        assert name not in words
