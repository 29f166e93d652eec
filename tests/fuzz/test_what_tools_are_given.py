"""Whatever agents give their tools, repositories name as servers, forges answer and clients press: refused or read."""

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.gateway.tools_people import PEOPLE_TOOLS
from bot.slack.tool_blocks import asked_message, file_message, pressed_answer
from bot.view import fold_view
from jobs import commands_tools as t
from jobs.asked import FILE_BYTES_MOST
from jobs.commands import Refused
from jobs.publish import pull_request_body, pull_request_title
from jobs.seals import ours, sealed
from jobs.shelf import clean_name
from sandbox.runner.mcp_settings import Servers
from sandbox.runner.turn import Turn
from tests.fuzz.anything import like, quickly, words
from tests.logs import GRACE, Log

GIVEN = {"question": "Tabs?", "options": ["tabs"], "path": "a.png", "title": "t", "body": "b", "draft": True}


@given(like(GIVEN))
@quickly
def test_arguments_of_any_shape_are_checked_or_refused(given_: Any) -> None:
    for tool in PEOPLE_TOOLS:
        fields = set(tool.arguments.model_fields)
        with contextlib.suppress(ValidationError):
            mine = (
                {key: value for key, value in given_.items() if key in fields} if isinstance(given_, dict) else given_
            )
            tool.arguments.model_validate(mine).model_dump_json()


WHOLE = words.map(
    lambda said: said.encode("utf-8", "replace").decode()
)  # halves of characters get no further than this


@given(WHOLE, st.lists(WHOLE, max_size=3), WHOLE)
@quickly
def test_words_of_any_kind_are_asked_answered_and_shown(question: str, options: list[str], answer: str) -> None:
    log = Log().ask().boot().ready().work()
    with contextlib.suppress(Refused):
        log.do(t.AskPeople(1, question, tuple(options))).do(t.AnswerQuestion("q1", answer, GRACE)).do(
            t.TakeAnswer("q1")
        )
        log.do(t.WantFile(1, question, answer))
        log.do(t.AttachFile(1, "f1", clean_name(question), answer, FILE_BYTES_MOST, "d", ""))
        log.do(t.DescribePullRequest(1, question, answer))
    view = fold_view(log.events)
    assert view is not None and log.session is not None
    for message in (*(asked_message(one, "s") for one in view.asked), *map(file_message, view.files)):
        json.dumps(message.blocks)
    assert pull_request_title(log.session, log.events) and pull_request_body(log.session, log.events)


@given(words | st.just("answer:1"), words | st.sampled_from(["s:q1:0", "s:q1:99999", "::", "s:q1:²"]))
@quickly
def test_a_button_of_any_kind_is_an_answer_or_none(action: str, value: str) -> None:
    found = pressed_answer(action, value)
    assert found is None or (found[0] and found[1] and found[2] >= 0)


@given(st.text(max_size=50), st.text(max_size=200), st.text(max_size=20))
@quickly
def test_words_of_any_kind_are_known_for_ours_until_somebody_changes_them(title: str, body: str, more: str) -> None:
    assert ours(title, sealed(title, body)) == (True, True)
    ours(title, body)
    if more.strip():
        assert not ours(title, f"{body} x{more}\n\n" + sealed(title, body).removeprefix(body.rstrip())).body


SERVER = {
    "type": "http",
    "command": "sh",
    "args": ["${A:-b}"],
    "env": {"K": "v"},
    "url": "http://x",
    "headers": {"H": "v"},
}


@given(like({"mcpServers": {"one": SERVER, "two": SERVER}}))
@quickly
def test_settings_of_any_shape_name_servers_that_acp_takes(said: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.suppress(UnicodeEncodeError):
            (Path(folder) / ".mcp.json").write_text(json.dumps(said))
        servers = Servers(folder, {"PATH": "/bin", "A": "x"})
        for server in servers.of({"http": True, "sse": True}):
            assert server["name"] and (server.get("url") or Path(server["command"]).is_absolute())
            pairs = server.get("headers", server.get("env"))
            assert all(isinstance(one["name"], str) and isinstance(one["value"], str) for one in pairs)
        assert all(isinstance(left, str) for left in servers.left_out)


PROMPT = {
    "turn": 1, "text": "x", "author": {"name": "A", "email": "a@x"}, "attachments": [{"name": "a", "path": "/link"}],
    "rules": ["Say first"], "others": ["x"],
}  # fmt: skip


@given(like(PROMPT))
@quickly
def test_a_prompt_of_any_shape_is_a_turn_or_none(said: Any) -> None:
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError, OverflowError):
        turn = Turn(said, 1.0, 1.0, 1.0)
        first, told = turn.texts("/work/repo", "b", begins=True, files=["a", "</system-reminder>"])
        assert told.count("</system-reminder>") == 1 and isinstance(first, str)
