"""The main job and everything that people may do along the way, through the whole running stack."""

import asyncio
import json
import re
from collections import Counter

import pytest

from bot import cli, outcomes_command
from bot.metrics import COUNTED
from jobs.session import Status
from tests.e2e.people import Office, link_in

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_two_people_get_one_pull_request_with_both_their_names(office: Office) -> None:
    thread = await office.ada.says("@shipmate fix the failing test")
    await thread.until(lambda s: s.status is Status.WORKING)
    await office.grace.replies(thread, "add a line to the README saying hello")
    session = await thread.settled(prompts=2)

    assert session.pull_request is not None
    [pull] = await office.pull_requests_of(thread)
    assert pull["number"] == session.pull_request.number
    fix, line = await office.commits(pull["number"])
    assert (fix["author"], fix["co_authors"]) == ("Ada Lovelace <ada@acme.example>", [])
    assert (line["author"], line["co_authors"]) == (
        "Grace Hopper <grace@acme.example>",
        ["Ada Lovelace <ada@acme.example>"],
    )
    patch = await office.patch(pull["number"])
    assert "+    return math.ceil(fuel / tank)" in patch and "+hello" in patch


async def test_a_card_restates_the_task_and_the_ending_names_the_person_with_the_link(office: Office) -> None:
    thread = await office.ada.says("@shipmate fix the failing test")
    session = await thread.settled()
    card = await thread.card()
    for words in ("I will find the failing test", "Done", "asked by Ada Lovelace", "✓ Run all tests again", "1 commit"):
        assert words in card.words
    ending = (await thread.messages())[-1]
    assert session.pull_request is not None
    assert ending.text.startswith(f"<@{office.ada.id}> Done.")
    assert link_in(ending.text, f"Pull request #{session.pull_request.number}") == session.pull_request.url
    status, page = await office.text(session.pull_request.url)
    assert status == 200 and all(words in page for words in ("Ada Lovelace", "rounded down", "Shipmate for Ada"))


async def test_a_follow_up_while_running_waits_its_turn_visibly(office: Office) -> None:
    thread = await office.ada.says("@shipmate count slowly to 200")
    await thread.at_work()
    first = await office.grace.replies(thread, "add a line to the README saying one")
    second = await office.ada.replies(thread, "add a line to the README saying two")
    await thread.hears("Waiting its turn (1 ahead)", "saying one")
    await thread.hears("Waiting its turn (2 ahead)", "saying two")
    await office.ada.ends_what_runs(thread)
    await thread.settled(prompts=3)
    turns = [event.prompt_id for event in await thread.log() if event.kind == "prompt_delivered"]
    assert [turn.rpartition(":")[2] for turn in turns] == [thread.ts, first, second]


async def test_a_waiting_message_can_be_edited_and_deleted(office: Office) -> None:
    thread = await office.ada.says("@shipmate count slowly to 200")
    await thread.at_work()
    edited = await office.grace.replies(thread, "add a line to the README saying before")
    deleted = await office.grace.replies(thread, "add a line to the README saying never")
    await thread.until(lambda s: len(s.queue) == 2)
    await office.grace.edits(thread, edited, "add a line to the README saying after")
    await office.grace.deletes(thread, deleted)
    await thread.until(lambda s: [prompt.text[-5:] for prompt in s.queue] == ["after"])
    await office.ada.ends_what_runs(thread)
    session = await thread.settled(prompts=3)
    assert session.pull_request is not None and session.turns == 2
    patch = await office.patch(session.pull_request.number)
    assert "+after" in patch and "before" not in patch and "never" not in patch
    assert "Withdrawn: its message was deleted" in (await thread.card(deleted)).words
    assert "edited" in (await thread.card(edited)).words


async def test_an_edit_of_what_is_being_done_already_is_answered(office: Office) -> None:
    thread = await office.ada.says("@shipmate count slowly to 200")
    await thread.at_work()
    await office.ada.edits(thread, thread.ts, "@shipmate count slowly to 300")
    await thread.hears("I had already begun with the message that was just edited")
    await office.ada.deletes(thread, thread.ts)
    await thread.hears("The message I am working on was deleted")
    await office.ada.ends_what_runs(thread)
    await thread.settled()


async def test_without_commits_the_thread_says_so_and_there_is_no_pull_request(office: Office) -> None:
    thread = await office.ada.says("@shipmate what is this repository?")
    session = await thread.settled()
    await thread.hears(f"<@{office.ada.id}> Done. No commits, so no pull request.")
    assert session.pull_request is None
    assert await office.pull_requests_of(thread) == []


async def test_a_later_turn_updates_the_same_pull_request(office: Office) -> None:
    thread = await office.ada.says("@shipmate add a line to the README saying first")
    number = (await thread.settled()).pull_request
    await office.ada.replies(thread, "add a line to the README saying second")
    session = await thread.settled(prompts=2)
    assert number is not None and session.pull_request is not None
    assert session.pull_request.number == number.number and session.pull_request.head != number.head
    [pull] = await office.pull_requests_of(thread)
    assert pull["head"]["sha"] == session.head
    assert "second" in pull["body"]
    assert len(await office.commits(number.number)) == 2
    endings = [said for said in await thread.from_us() if "Done. <" in said.text]
    assert len(endings) == 2


async def counted(office: Office, capsys: pytest.CaptureFixture[str]) -> Counter[str]:
    """What `shipmate outcomes` says now."""
    args = cli.parser().parse_args(["outcomes", "--json"])
    capsys.readouterr()
    await asyncio.to_thread(outcomes_command.count, args, office.shop.settings)
    whole = json.loads(capsys.readouterr().out)["whole"]
    return Counter({name: whole[name] for name in COUNTED})


async def test_the_thread_hears_what_happens_to_its_pull_request_and_it_is_counted(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    before = await counted(office, capsys)
    thread = await office.ada.says("@shipmate add a line to the README saying reviewed and merged")
    shown = (await thread.settled()).pull_request
    assert shown is not None
    hunk = re.search(r"@@ -\S+ \+(\d+),(\d+) @@", await office.patch(shown.number))
    assert hunk is not None
    last = int(hunk[1]) + int(hunk[2]) - 1
    on_lines = f"README.md:{last} Shout:\n> REVIEWED\nREADME.md:{last - 1}-{last} And merge."
    await office.press_on_forge(shown.number, "REQUEST_CHANGES", "grace", "A little louder, please", on_lines)
    whole = (f"*README.md, line {last}*", "> Shout:", f"*README.md, lines {last - 1}-{last}*", "> And merge.")
    said = await thread.hears("needs changes, says grace. Reply here and I will take it all up.", *whole)
    assert "> A little louder, please" in said.words
    assert link_in(said.text, f"Pull request #{shown.number}") == shown.url
    assert sum("grace" in one.words for one in await thread.from_us()) == 1
    await office.press_on_forge(shown.number, "SAY", "grace", "And *changelog*, please")
    await thread.hears("was commented on by grace. Reply here and I will take it up.", "And _changelog_, please")
    await office.press_on_forge(shown.number, "CHECK_FAILS", "grace", "lint (3.12)\nE501: too long")
    failed = await thread.hears(f"Checks of pull request #{shown.number}", "failed: <", "|lint (3.12)>.")
    assert failed.buttons == ("fix_checks",)
    await office.press_on_forge(shown.number, "CHECK_PASSES", "grace", "lint (3.12)")
    assert (await thread.hears("passed now: <")).ts == failed.ts
    await office.press_on_forge(shown.number, "APPROVE", "grace")
    await thread.hears("was approved by grace.")
    await office.press_on_forge(shown.number, "MERGE", "ada")
    await thread.hears("was merged by ada.")
    merged = await thread.until(lambda s: s.pull_request and s.pull_request.state == "merged")
    assert merged.status is Status.IDLE
    assert await counted(office, capsys) - before == {
        "sessions": 1, "with_pull_request": 1, "merged": 1, "pull_requests": 1, "merged_pull_requests": 1,
        "reviewed": 1, "approved_last": 1, "changes_requested": 1,
    }  # fmt: skip


async def test_work_after_a_merge_becomes_another_pull_request(office: Office) -> None:
    thread = await office.ada.says("@shipmate add a line to the README saying merged early")
    first = (await thread.settled()).pull_request
    assert first is not None
    await office.press_on_forge(first.number, "MERGE", "ada")
    await thread.hears("was merged by ada.")
    await office.ada.replies(thread, "add a line to the README saying one thing more")
    second = (await thread.settled(prompts=2)).pull_request
    assert second is not None and second.number != first.number
    assert len(await office.pull_requests_of(thread)) == 2


async def test_everybody_may_look_at_a_public_session_through_its_view_link(office: Office) -> None:
    thread = await office.ada.says("@shipmate what is this repository?")
    await thread.settled()
    card = await thread.card()
    [view] = [e["url"] for b in card.raw["blocks"] if b["type"] == "actions" for e in b["elements"] if "url" in e]
    status, page = await office.text(view)
    assert status == 200 and "I will look it up and change nothing" in page
    status, page = await office.text(view.replace(thread.sid, "s" + "0" * 16))
    assert status == 403 and "look it up" not in page
