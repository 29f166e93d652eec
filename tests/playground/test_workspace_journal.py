"""The workspace remembers: across restarts, across a line that was cut in two, and across a journal written anew."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.playground import workspace_people as people
from bot.playground.workspace_journal import InUse, Journal
from bot.playground.workspace_records import Message, Refusal
from bot.playground.workspace_state import State
from tests.playground.workspaces import BOT, DEV, MENTION, SECRET, connected, serving


async def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as before:
        root = (await before.ada.chat_postMessage(channel=DEV, text="root"))["ts"]
        gone = (await before.ada.chat_postMessage(channel=DEV, text="gone"))["ts"]
        metadata = {"event_type": "card", "event_payload": {"card": "1"}}
        await before.bot.chat_postMessage(channel=DEV, text="reply", thread_ts=root, metadata=metadata)
        await before.bot.agents_sessions_setStatus(channel_id=DEV, thread_ts=root, status="processing", title="T")
        await before.grace.reactions_add(channel=DEV, timestamp=root, name="eyes")
        await before.ada.chat_delete(channel=DEV, ts=gone)
        await before.ada.conversations_invite(channel=SECRET, users="U0GRACE")
        await before.ada.files_upload_v2(channel=DEV, content="abc", filename="a.txt")
        before_it = await before.ada.conversations_history(channel=DEV)
        tokens = before.workspace.tokens
    async with serving(tmp_path) as after:
        assert after.workspace.tokens == tokens
        after.workspace.describe(before.url)
        told = await after.ada.conversations_history(channel=DEV)
        assert told["messages"] == before_it["messages"]
        replies = await after.bot.conversations_replies(channel=DEV, ts=root, include_all_metadata=True)
        assert replies["messages"][1]["metadata"] == metadata
        assert after.workspace.state.sessions[DEV, root].status == "processing"
        assert "U0GRACE" in after.workspace.state.channels[SECRET].members
        assert (await after.ada.chat_postMessage(channel=DEV, text="later"))["ts"] > gone


async def test_what_was_not_acknowledged_is_delivered_after_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as before:
        await before.ada.chat_postMessage(channel=DEV, text=f"{MENTION} hello")
        ids = set(before.workspace.state.pending)
    assert len(ids) == 2
    async with serving(tmp_path) as after:
        async with connected(after) as app:
            await app.until_heard(2)
            await after.workspace.deliveries.settled()
        assert {body["event_id"] for body in app.heard} == ids
    async with serving(tmp_path) as again:
        assert again.workspace.state.pending == {}


async def test_a_mention_is_five_lines(tmp_path: Path) -> None:
    async with serving(tmp_path) as one, connected(one) as app:
        before = one.workspace.journal.number
        for number in range(10):
            await one.ada.chat_postMessage(channel=DEV, text=f"{MENTION} {number}")
        await app.until_heard(20)
        await one.workspace.deliveries.settled()
        assert one.workspace.journal.number - before == 50


async def test_a_line_that_was_cut_in_two_is_dropped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    async with serving(tmp_path) as before:
        kept = (await before.ada.chat_postMessage(channel=DEV, text="kept"))["ts"]
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'[99,"message",{"chan')
    for _ in range(2):
        async with serving(tmp_path) as after:
            said = await after.ada.chat_postMessage(channel=DEV, text="more")
            texts = [m["text"] for m in (await after.ada.conversations_history(channel=DEV))["messages"]]
            assert texts[-1] == "kept"
            assert said["ts"] > kept


async def test_a_damaged_journal_is_told_with_its_place(tmp_path: Path) -> None:
    async with serving(tmp_path):
        pass
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b"not json\n")
    with pytest.raises(ValueError, match=r"journal.jsonl is damaged in line \d+"):
        async with serving(tmp_path):
            pass


async def test_a_journal_full_of_the_past_is_written_anew(tmp_path: Path) -> None:
    async with serving(tmp_path) as before:
        before.workspace.faults.unlimited = True
        ts = (await before.bot.chat_postMessage(channel=DEV, text="0"))["ts"]
        cursor = before.workspace.journal.number
        for number in range(40):
            await before.bot.chat_update(channel=DEV, ts=ts, text=str(number))
        async with connected(before):
            await before.workspace.deliveries.settled()
        number = before.workspace.journal.number
    length = len((tmp_path / "journal.jsonl").read_bytes().splitlines())
    async with serving(tmp_path, garbage=20) as after:
        assert (await after.ada.conversations_history(channel=DEV))["messages"][0]["text"] == "39"
        assert after.workspace.journal.number == number
        assert after.workspace.journal.since(cursor) is None
        assert after.workspace.journal.since(number) == []
        await after.ada.chat_postMessage(channel=DEV, text="new")
    assert len((tmp_path / "journal.jsonl").read_bytes().splitlines()) < length / 4
    async with serving(tmp_path) as again:
        texts = [m["text"] for m in (await again.ada.conversations_history(channel=DEV))["messages"]]
        assert texts == ["new", "39"]
        assert again.workspace.journal.since(cursor) is None
        assert again.workspace.journal.since(number) is not None


async def test_two_playgrounds_do_not_write_one_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(InUse, match="another playground"):
        Journal(tmp_path)
    journal.close()
    Journal(tmp_path).close()


async def test_what_came_after_a_number_is_known_as_long_as_it_is_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.read() == []
    waiting = asyncio.create_task(journal.grown(0))
    for number in range(3):
        journal.write("note", {"number": number})
    await waiting
    after_one = journal.since(1)
    assert after_one is not None
    assert [entry.value["number"] for entry in after_one] == [1, 2]
    assert journal.since(3) == []
    assert journal.since(4) is None
    journal.close()


def test_secrets_and_journal_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    people.Tokens.open(tmp_path / "secrets.json")
    assert {oct((tmp_path / name).stat().st_mode & 0o777) for name in ("journal.jsonl", "secrets.json")} == {"0o600"}


_DEEDS = st.lists(
    st.tuples(st.sampled_from(["post", "reply", "edit", "delete"]), st.integers(0, 5), st.text(max_size=5)),
    max_size=25,
)


@given(deeds=_DEEDS, cut=st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_a_journal_folded_in_two_halves_gives_the_same_state(deeds: list[tuple[str, int, str]], cut: int) -> None:
    lines: list[tuple[str, dict[str, object]]] = [("channel", people.CHANNELS[0].model_dump(mode="json"))]
    live = State(people.ACCOUNTS)
    live.fold(*lines[0])
    for kind, pick, text in deeds:
        roots = [m.ts for m in live.history(DEV)]
        target = roots[pick % len(roots)] if roots else ""
        message = Message(channel=DEV, ts=live.next_ts(DEV, 1e9), user=BOT, text=text)
        match kind:
            case "reply" if target:
                line = ("message", message.model_copy(update={"thread_ts": target}).model_dump(mode="json"))
            case "edit" if target:
                edited = live.message(DEV, target).model_copy(update={"text": text})
                line = ("message", edited.model_dump(mode="json", exclude_defaults=True))
            case "delete" if target:
                line = ("deleted", {"channel": DEV, "ts": target, "root": target})
            case _:
                line = ("message", message.model_dump(mode="json"))
        lines.append(json.loads(json.dumps(line)))
        live.fold(*lines[-1])
    again = State(people.ACCOUNTS)
    for half in (lines[:cut], lines[cut:]):
        for line in half:
            again.fold(*line)
    assert again.history(DEV) == live.history(DEV)
    assert again.next_ts(DEV, 1e9) == live.next_ts(DEV, 1e9)
    for message in live.history(DEV):
        assert again.replies(DEV, message.ts) == live.replies(DEV, message.ts)
        assert all(reply.ts > message.ts for reply in live.replies(DEV, message.ts))


def test_a_message_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(Refusal, match="message_not_found"):
        State(people.ACCOUNTS).message(DEV, "1")
