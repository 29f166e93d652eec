"""The rehearsal driven by the official SDK's client, with the sample repository."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import acp
import pytest

from tests.rehearsal.driving import PATIENCE, Driven, rehearsal
from tests.runner.boxes import command_of, descendants, git


async def test_the_failing_test_is_found_mended_and_committed(driven: Driven):
    begun = time.monotonic()
    assert await driven.prompt("fix the failing test") == "end_turn"
    assert time.monotonic() - begun < 5
    assert "no model behind me" in driven.client.text().split("\n")[0]
    assert driven.client.titles() == [
        "python3 -m unittest",
        "Read tests/test_fuel.py",
        "Read rocket/fuel.py",
        "Edit rocket/fuel.py",
        "python3 -m unittest",
        "git commit -qam 'Count the last, partly filled tank'",
    ]
    assert git(driven.repo, "log", "-1", "--format=%s %an") == "Count the last, partly filled tank Ada"
    tests = [sys.executable, "-m", "unittest"]
    assert subprocess.run(tests, cwd=driven.repo, capture_output=True, timeout=30, check=False).returncode == 0


async def test_every_change_and_command_is_asked_for_and_no_read_is(driven: Driven):
    await driven.prompt("fix the failing test")
    assert [call.kind for call in driven.client.asked] == ["execute", "edit", "execute", "execute"]
    [diff] = driven.client.asked[1].content
    assert (diff.old_text, diff.new_text) == ("    return int(fuel // tank)", "    return math.ceil(fuel / tank)")
    assert diff.path == str(driven.repo / "rocket/fuel.py")


async def test_what_is_allowed_always_is_asked_once(driven: Driven):
    driven.client.choose = "allow_always"
    await driven.prompt("fix the failing test")
    assert len(driven.client.asked) == 1
    assert git(driven.repo, "log", "-1", "--format=%s") == "Count the last, partly filled tank"


async def test_what_is_not_allowed_is_not_done(driven: Driven):
    driven.client.choose = "reject_once"
    before = driven.readme()
    assert await driven.prompt("add a line saying Hello") == "end_turn"
    assert driven.readme() == before
    assert "I could not write README.md: This was not allowed." in driven.client.text()


COMMITTED = [
    ("fix the failing test", True), ("fix the failing test and leave it uncommitted", False),
    ("add a line to the README saying Hello", False), ("commit a line saying Hello", True),
    ("add a line saying please commit", False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "committed"), COMMITTED)
async def test_work_is_committed_or_left_as_the_prompt_says(driven: Driven, text: str, committed: bool):
    before = git(driven.repo, "rev-parse", "HEAD")
    await driven.prompt(text)
    assert (git(driven.repo, "rev-parse", "HEAD") != before) is committed
    assert (git(driven.repo, "status", "--porcelain") == "") is committed


LINES = [
    ("add a line saying: Hello  there", "Hello there"),
    ('put "Quoted words" somewhere', "Quoted words"),
    ("Dance for me", "Dance for me"),
    ("add a line to the README saying “Ünïcode 🚀”", "Ünïcode 🚀"),
]


@pytest.mark.parametrize(("text", "line"), LINES)
async def test_a_line_is_added_to_the_readme(driven: Driven, text: str, line: str):
    before = driven.readme()
    await driven.prompt(text)
    assert driven.readme() == f"{before}\n{line}\n"


async def test_a_repository_without_a_readme_gets_one(driven: Driven):
    (driven.repo / "README.md").unlink()
    await driven.prompt("add a line saying First")
    assert driven.readme() == "First\n"


async def test_the_plan_is_told_as_it_goes(driven: Driven):
    await driven.prompt("add a line saying Hello")
    told = [[entry.status for entry in update.entries] for update in driven.client.of("plan")]
    assert told == [["in_progress", "pending"], ["completed", "in_progress"], ["completed", "completed"]]


async def test_a_question_is_answered_and_changes_nothing(driven: Driven):
    assert await driven.prompt("what is this repository?") == "end_turn"
    assert "This is rocket" in driven.client.text()
    assert git(driven.repo, "status", "--porcelain") == ""
    assert driven.client.asked == []


async def test_a_turn_can_end_with_a_question(driven: Driven):
    assert await driven.prompt("ask me something") == "end_turn"
    assert driven.client.text().endswith("?")
    assert driven.client.titles() == []


async def cancelled(driven: Driven, text: str, when: Any) -> float:
    """Cancel a prompt when something has happened; the seconds until it ended."""
    asked = asyncio.ensure_future(driven.prompt(text))
    await driven.client.wait(when)
    begun = time.monotonic()
    await driven.connection.cancel(session_id=driven.id)
    assert await asked == "cancelled"
    return time.monotonic() - begun


async def test_words_end_at_once_when_cancelled(driven: Driven):
    assert await cancelled(driven, "slowly 30", lambda: "2," in driven.client.text()) < 1
    assert await driven.prompt("what now?") == "end_turn"


async def test_a_command_ends_at_once_when_cancelled(driven: Driven):
    pid = driven.process.pid

    def sleeping() -> bool:
        return any(command_of(child) == "sleep 88" for child in descendants(pid))

    asked = asyncio.ensure_future(driven.prompt("slow command 88"))
    async with asyncio.timeout(PATIENCE):
        while not sleeping():
            await asyncio.sleep(0.01)
    await driven.connection.cancel(session_id=driven.id)
    assert await asked == "cancelled"
    assert not sleeping()
    assert driven.client.of("tool_call_update")[-1].status == "failed"


async def test_a_permission_that_nobody_gives_can_be_cancelled(driven: Driven):
    driven.client.choose = "never"
    before = driven.readme()
    assert await cancelled(driven, "add a line saying Never", lambda: driven.client.asked) < 1
    assert driven.readme() == before


async def test_a_second_prompt_while_one_runs_is_refused(driven: Driven):
    running = asyncio.ensure_future(driven.prompt("slowly 30"))
    await driven.client.wait(lambda: "1," in driven.client.text())
    with pytest.raises(acp.RequestError, match="A turn is running"):
        await driven.prompt("and this?")
    await driven.connection.cancel(session_id=driven.id)
    assert await running == "cancelled"


@pytest.mark.parametrize("way", ["load_session", "resume_session"])
async def test_another_process_goes_on_with_a_conversation(pyz: Path, repo: Path, way: str):
    async with rehearsal(pyz, repo) as first:
        await first.begin()
        await first.prompt("add a line saying Hello")
    async with rehearsal(pyz, repo) as second:
        await getattr(second.connection, way)(session_id=first.id, cwd=str(repo), mcp_servers=[])
        replayed = [update.content.text for update in second.client.of("user_message_chunk")]
        assert replayed == (["add a line saying Hello"] if way == "load_session" else [])
        second.id = first.id
        await second.prompt("what was done?")
        assert "“add a line saying Hello”: Done: README.md now ends with “Hello”." in second.client.text()


async def test_a_conversation_that_was_cut_off_is_remembered(pyz: Path, repo: Path):
    async with rehearsal(pyz, repo) as first:
        await first.begin()
        asked = asyncio.ensure_future(first.prompt("slowly 30"))
        await first.client.wait(lambda: "1," in first.client.text())
        first.process.send_signal(signal.SIGKILL)
        with pytest.raises((ConnectionError, acp.RequestError)):
            await asked
    async with rehearsal(pyz, repo) as second:
        await second.connection.resume_session(session_id=first.id, cwd=str(repo), mcp_servers=[])
        second.id = first.id
        await second.prompt("what was done?")
        assert "“slowly 30”: I was interrupted." in second.client.text()


@pytest.mark.parametrize("number", ["0123456789abcdef", "../../../etc/passwd", ""])
async def test_a_conversation_that_nobody_knows_is_refused(driven: Driven, number: str):
    with pytest.raises(acp.RequestError, match="there is no conversation"):
        await driven.connection.load_session(session_id=number, cwd=str(driven.repo), mcp_servers=[])


async def test_a_flood_comes_whole_and_its_commands_output_is_cut(driven: Driven):
    assert await driven.prompt("flood 300") == "end_turn"
    assert len(driven.client.text()) > 300_000
    outputs = [update.content[-1].content.text for update in driven.client.of("tool_call_update") if update.content]
    assert "characters left out" in outputs[-1]
    assert len(outputs[-1]) < 50_000


async def test_a_crash_ends_the_process_in_the_middle_of_a_turn(driven: Driven):
    with pytest.raises((ConnectionError, acp.RequestError)):
        await driven.prompt("crash")
    assert await asyncio.wait_for(driven.process.wait(), PATIENCE) == 70


async def test_the_names_of_variables_are_told_and_no_values(driven: Driven):
    await driven.prompt("env")
    assert "HOME" in driven.client.text()
    assert str(driven.repo.with_name("home")) not in driven.client.text()


def test_what_is_no_request_is_answered_and_harms_nothing(pyz: Path, tmp_path: Path):
    lines = b'nonsense\n\n[1]\n{"id":1,"method":"fly"}\n{"id":"x","result":{}}\n'
    lines += b'{"id":2,"method":"session/new","params":{}}\n'
    argv = [sys.executable, "-I", "-S", "-B", str(pyz), "rehearsal"]
    done = subprocess.run(argv, input=lines, capture_output=True, timeout=20, check=False, env={"HOME": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, b"")
    for line, code in zip(done.stdout.splitlines(), (b"-32700", b"-32600", b"-32601", b"-32602"), strict=True):
        assert code in line
