"""Whatever Slack, the forge or somebody in their name sends: understood or passed over, never as of another place."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.github import understand as understand_webhook
from bot.github import when
from bot.slack import intake
from bot.slack import text as t
from bot.slack.intake import Me
from bot.slack.meanings import Ignored, Meaning
from jobs import repos
from jobs.commands_checks import FinishCheck
from jobs.commands_reviews import CommentOnLines
from jobs.settings_repositories import Repository
from tests.fuzz.anything import json_values, like, quickly, words

ME = Me(team="T1", user="U0BOT", bot="B0BOT")
MESSAGE = {
    "type": "message", "subtype": "file_share", "user": "U01ADA", "ts": "2.000001", "thread_ts": "1.000001",
    "text": "<@U0BOT> stop", "channel": "C1", "channel_type": "channel", "bot_id": "B9", "team": "T1",
    "user_team": "T9", "files": [{"name": "a", "size": 1, "mimetype": "b", "url_private": "c"}],
    "message": {"user": "U01ADA", "ts": "2.000001", "text": "<@U0BOT> go", "subtype": "tombstone"},
    "previous_message": {"user": "U01ADA", "ts": "2.000001", "text": "x"}, "deleted_ts": "2.000001", "event_ts": "3.0",
}  # fmt: skip
EVENT = {"type": "event_callback", "team_id": "T1", "event": MESSAGE}
PRESS = {
    "type": "block_actions", "team": {"id": "T1"}, "user": {"id": "U01ADA", "team_id": "T1"}, "channel": {"id": "C1"},
    "message": {"ts": "2.000001", "thread_ts": "1.000001"}, "container": {"thread_ts": "1.000001", "channel_id": "C1"},
    "actions": [{"action_id": "stop", "value": "T1:C1:1.000001"}],
}  # fmt: skip
KINDS = st.sampled_from(["message", "app_mention", "agent_session_stopped"])
SUBTYPES = st.sampled_from(["message_changed", "message_deleted", "file_share", "thread_broadcast", None])


def told_places(meaning: Meaning) -> set[tuple[str, str]]:
    """The team and channel that a meaning is about."""
    where = getattr(meaning, "post", meaning)
    return set() if isinstance(meaning, Ignored) else {(where.team, where.channel)}


@given(like(EVENT), KINDS, SUBTYPES)
@quickly
def test_an_event_of_any_shape_is_understood_as_of_its_own_place(body: Any, kind: str, subtype: str | None) -> None:
    if isinstance(body, dict) and isinstance(body.get("event"), dict):
        body = body | {"event": body["event"] | {"type": kind, "subtype": subtype}}
    meaning = intake.understand(body if isinstance(body, dict) else {"event": body}, ME)
    for team, channel in told_places(meaning):
        assert team == "T1"
        assert channel == body["event"]["channel"] and isinstance(channel, str) and channel
        assert body.get("team_id") in ("T1", "") or not isinstance(body.get("team_id"), str)


@given(like(PRESS))
@quickly
def test_a_press_of_any_shape_is_understood_as_of_its_own_place(body: Any) -> None:
    meaning = intake.understand((body if isinstance(body, dict) else {}) | {"type": "block_actions"}, ME)
    for team, channel in told_places(meaning):
        assert team == "T1"
        named = [part.get(name) for part, name in ((body.get("channel"), "id"), (body.get("container"), "channel_id"))
                 if isinstance(part, dict)]  # fmt: skip
        assert channel in named


WEBHOOKS = ["pull_request", "pull_request_review", "pull_request_review_comment", "push"]
CHECKS = {
    "action": "completed", "repository": {"full_name": "acme/rocket"}, "updated_at": "2026-01-01T00:00:00Z",
    "id": 3, "sha": "a" * 40, "state": "failure", "context": "ci", "description": "x", "target_url": "https://ci.test/3",
    "branches": [{"name": "shipmate/s1", "commit": {"sha": "a" * 40}}],
    "sender": {"login": "grace"}, "changes": {"body": {"from": "x"}},
    "issue": {"number": 7, "body": "session `s1`", "pull_request": {"url": "x"}},
    "comment": {"id": 4, "body": "Hm.", "user": {"login": "grace", "type": "User"}, "author_association": "MEMBER"},
    "check_run": {
        "id": 4, "name": "lint", "head_sha": "a" * 40, "conclusion": "failure", "html_url": "https://forge.test/4",
        "check_suite": {"id": 5, "head_branch": "shipmate/s1"}, "completed_at": "2026-01-01T00:00:00Z",
        "output": {"title": "x", "summary": "y", "text": "z"},
    },
    "check_suite": {
        "id": 5, "head_sha": "a" * 40, "head_branch": "shipmate/s1", "conclusion": "startup_failure",
        "app": {"name": "x"},
    },
}  # fmt: skip
PULL = {
    "action": "closed",
    "pull_request": {
        "number": 7, "merged": True, "updated_at": "2026-01-01T00:00:00Z",
        "head": {"ref": "shipmate/s1", "repo": {"full_name": "acme/rocket"}},
    },
    "review": {
        "id": 3, "state": "approved", "body": "Fine.", "submitted_at": "2026-01-01T00:00:00Z",
        "user": {"login": "grace", "type": "User"}, "author_association": "MEMBER",
    },
    "comment": {
        "id": 4, "pull_request_review_id": 3, "in_reply_to_id": 2, "path": "rocket/fuel.py", "line": 12,
        "start_line": 3, "side": "LEFT", "diff_hunk": "@@ -1 +1 @@\n-x", "body": "Why?",
        "updated_at": "2026-01-01T00:00:00Z",
        "user": {"login": "grace", "type": "User"}, "author_association": "MEMBER", "subject_type": "line",
    },
    "changes": {"body": {"from": "What?"}},
    "repository": {"full_name": "acme/rocket"}, "sender": {"login": "grace"},
}  # fmt: skip


@given(
    st.sampled_from(WEBHOOKS) | words, like(PULL), st.sampled_from(["submitted", "created", "edited", "deleted", None])
)
@quickly
def test_a_webhook_of_any_shape_is_about_a_pull_request_of_ours_or_about_nothing(
    event: str, payload: Any, action: str | None
) -> None:
    payload = payload if isinstance(payload, dict) else {"pull_request": payload}
    payload = payload | ({"action": action} if action else {})
    float(when(payload))
    found = understand_webhook(event, payload)
    if found is not None:
        sid, repository, command = found
        assert payload["pull_request"]["head"]["ref"] == f"shipmate/{sid}" and "/" not in sid and "." not in sid
        assert repository == payload["repository"]["full_name"] == payload["pull_request"]["head"]["repo"]["full_name"]
        json.dumps(
            command.__dict__, ensure_ascii=False, default=lambda lines: lines.model_dump()
        ).encode()  # it can be kept


@given(
    st.sampled_from(
        [("check_run", "completed"), ("check_suite", "completed"), ("status", None), ("issue_comment", "edited")]
    ),
    like(CHECKS),
)
@quickly
def test_what_names_no_pull_request_is_of_a_session_of_ours_or_of_nothing(
    told: tuple[str, str | None], payload: Any
) -> None:
    event, action = told
    payload = payload if isinstance(payload, dict) else {"check_run": payload}
    payload = {k: v for k, v in payload.items() if k != "action"} | ({"action": action} if action else {})
    float(when(payload))
    found = understand_webhook(event, payload)
    if found is not None:
        sid, repository, command = found
        assert isinstance(command, FinishCheck | CommentOnLines) and len(command.words) < 2_100
        assert sid == "s1" or ("/" not in sid and "." not in sid)
        assert repository == payload["repository"]["full_name"]
        json.dumps(command.__dict__, ensure_ascii=False, default=lambda lines: lines.model_dump()).encode()


ENABLED = (Repository("acme/rocket"), Repository("acme/site", "trunk"), Repository("other/rocket.js"))
PIECES = st.sampled_from(
    [
        "acme/",
        "rocket",
        "acme/site",
        "https://github.com/",
        "git@github.com:",
        "http://[",
        "//",
        "..",
        "@",
        ":99999",
        " ",
    ]
)


@given(st.lists(PIECES | words, max_size=8).map("".join), st.lists(st.sampled_from(ENABLED), unique=True))
@quickly
def test_a_text_means_an_enabled_repository_or_a_question(text: str, enabled: list[Repository]) -> None:
    choice = repos.choose(text, enabled)
    if choice.repository is None:
        assert choice.reason
        assert set(choice.options) <= {each.name for each in enabled}
    else:
        assert Repository(choice.repository, choice.base_branch) in enabled


TOKENS = st.sampled_from(
    ["<@U0BOT>", "<@", "<!here>", "<https://a|b>", "&lt;", "&amp;", "|", ">", "```", "U0BOT", "\n"]
)


@given(st.lists(TOKENS | words, max_size=8).map("".join))
@quickly
def test_words_go_to_slack_and_back_as_they_were_and_ours_alone_are_read(said: str) -> None:
    assert t.plain(t.escape(said)) == said
    read = t.plain(t.without_mention(said, "U0BOT"))
    assert len(read) <= 2 * len(said)


@given(json_values)
@quickly
def test_any_json_at_all_is_no_event_of_ours(body: Any) -> None:
    assert isinstance(intake.understand(body if isinstance(body, dict) else {"event": body}, ME), Ignored)
