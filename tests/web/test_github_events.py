"""Webhooks of the forge: only signed ones, only about our own pull requests, each said once."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from bot.github import BODY_BYTES, GitHubEvents, is_signed, understand
from jobs.commands import ClosePullRequest, Command, LoseBox, ReviewPullRequest, Tick
from jobs.commands_checks import FinishCheck
from jobs.commands_reviews import CommentOnLines, DeleteLineComment, DismissReview
from jobs.events import CheckFinished, DiffLines, LineCommented, PullRequestClosed, PullRequestReviewed
from jobs.github import ForgeDown
from jobs.inbox import Inbox
from jobs.session import Rules
from jobs.store import Store
from tests.logs import SID, done

SECRET, NOW = "s3cret", 1_700_000_000.0


def at(days: float) -> str:
    """So many days from now, as the forge writes it."""
    moment = datetime.fromtimestamp(NOW + days * 86_400, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def payload(action: str = "closed", **more: Any) -> dict[str, Any]:
    repository = {"full_name": "acme/rocket"}
    pull = {"number": 7, "merged": True, "head": {"ref": f"shipmate/{SID}", "repo": repository}}
    return {"action": action, "pull_request": pull, "repository": repository, "sender": {"login": "grace"}} | more


HEDY, BOT = {"login": "hedy", "type": "User"}, {"login": "tidy[bot]", "type": "Bot"}
FUEL = DiffLines(path="rocket/fuel.py", first=10, last=12, code="return int(fuel // tank)")


def review(action: str, number: int, changes: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    said = {"id": number, "state": "commented", "body": "Nearly.", "author_association": "OWNER", "user": HEDY} | more
    return payload(action, review=said, changes=changes or {})


def comment(action: str, number: int, changes: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    sender = more.pop("sender", HEDY)
    said = {
        "id": number, "pull_request_review_id": 11, "author_association": "COLLABORATOR", "user": HEDY,
        "path": "rocket/fuel.py", "start_line": 10, "line": 12, "side": "RIGHT", "subject_type": "line",
        "diff_hunk": "@@ -9,3 +9,4 @@\n import math\n+    return int(fuel // tank)", "body": "Round up.",
    } | more  # fmt: skip
    return payload(action, comment=said, changes=changes or {}, sender=sender)


SHA, PAGE = f"{1:040x}", "https://forge.test/acme/rocket/runs/41"


def check_run(action: str = "completed", **more: Any) -> dict[str, Any]:
    suite = {"id": 5, "head_branch": f"shipmate/{SID}", "head_sha": SHA, "pull_requests": []}
    run = {
        "id": 41, "name": "test (3.12)", "head_sha": SHA, "status": "completed", "conclusion": "failure",
        "completed_at": at(0), "html_url": PAGE, "details_url": "https://ci.test/41", "check_suite": suite,
        "output": {"title": "2 failed", "summary": " a\n\tb ", "text": None, "annotations_count": 0},
    } | more  # fmt: skip
    return {"action": action, "check_run": run, "repository": {"full_name": "acme/rocket"}}


def check_suite(conclusion: str, **more: Any) -> dict[str, Any]:
    suite = {"id": 5, "head_branch": f"shipmate/{SID}", "head_sha": SHA, "conclusion": conclusion} | more
    whole = {"app": {"name": "GitHub Actions"}, "updated_at": at(0), "pull_requests": []} | suite
    return {"action": "completed", "check_suite": whole, "repository": {"full_name": "acme/rocket"}}


def status(state: str, **more: Any) -> dict[str, Any]:
    branches = [{"name": "main", "commit": {"sha": SHA}}, {"name": f"shipmate/{SID}", "commit": {"sha": SHA}}]
    whole = {"id": 3, "sha": SHA, "context": "ci/build", "description": "Broken.", "state": state, "branches": branches}
    return whole | {"target_url": "https://ci.test/3", "repository": {"full_name": "acme/rocket"}} | more


RUN = FinishCheck(SHA, "run/5/test (3.12)", "test (3.12)", "failure", False, 41, PAGE, "2 failed\na\n\tb")
STATUS = FinishCheck(SHA, "status/ci/build", "ci/build", "error", False, 3, "https://ci.test/3", "Broken.")
NO_START = "Its checks could not be started: what says which there are may be wrong."
CHECKED: list[tuple[str, dict[str, Any], Command | None]] = [
    ("check_run", check_run(), RUN),
    ("check_run", check_run(conclusion="timed_out"), replace(RUN, conclusion="timed out")),
    ("check_run", check_run(conclusion="success"), replace(RUN, conclusion="success", passed=True)),
    ("check_run", check_run(conclusion="cancelled"), None),
    ("check_run", check_run(conclusion=None), None),
    ("check_run", check_run("created"), None),
    ("check_run", check_run(head_sha="main"), None),
    ("check_run", check_run(name=" \u200b "), None),
    ("check_run", check_run(check_suite={"id": 5, "head_branch": None}), None),
    ("check_run", check_run(check_suite={"id": 5, "head_branch": "main"}), None),
    ("check_run", check_run(html_url="javascript:alert(1)"), replace(RUN, url="https://ci.test/41")),
    ("check_run", check_run(html_url=f"https://x/{'y' * 999}", details_url="https://x/ <!here>"), replace(RUN, url="")),
    ("check_run", check_run(output=None, id="41"), replace(RUN, words="", run=0)),
    ("check_run", check_run(output={"title": "x" * 9_999}), replace(RUN, words="x" * 199 + "…")),
    (
        "check_suite",
        check_suite("startup_failure"),
        FinishCheck(SHA, "suite/5", "GitHub Actions", "startup failure", False, 5, "", NO_START),
    ),
    ("check_suite", check_suite("failure"), None),
    ("status", status("error"), STATUS),
    ("status", status("failure"), replace(STATUS, conclusion="failure")),
    ("status", status("pending"), None),
    ("status", status("error", branches=[{"name": f"shipmate/{SID}", "commit": {"sha": "b" * 40}}]), None),
    ("status", status("error", branches=None), None),
]


@pytest.mark.parametrize(("event", "body", "command"), CHECKED, ids=[f"{n}:{row[0]}" for n, row in enumerate(CHECKED)])
def test_a_check_means_this_or_nothing(event: str, body: dict[str, Any], command: Command | None) -> None:
    found = understand(event, body)
    assert found == (None if command is None else (SID, "acme/rocket", command))


def under(action: str, changes: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    sender, about = more.pop("sender", HEDY), more.pop("issue", {})
    said = {"id": 12, "body": "Hm.", "author_association": "MEMBER", "user": HEDY, "updated_at": at(0)} | more
    words = (
        f"> see session `another`\n\n---\nMade by Shipmate for Ada · session `{SID}`. Reply\n\n<!-- shipmate a b -->"
    )
    issue = {"number": 7, "body": words, "pull_request": {"url": "https://forge.test/pulls/7"}, "user": BOT} | about
    repository = {"full_name": "acme/rocket"}
    return {"action": action, "comment": said, "issue": issue, "changes": changes, "repository": repository,
            "sender": sender}  # fmt: skip


CASES: list[tuple[str, dict[str, Any], Command | None]] = [
    ("pull_request", payload(), ClosePullRequest(7, True, "grace")),
    ("pull_request", payload("opened"), None),
    (
        "pull_request_review",
        payload("submitted", review={"state": "CHANGES_REQUESTED"}),
        ReviewPullRequest(7, "changes_requested", "grace"),
    ),
    (
        "pull_request_review",
        payload("submitted", review={"state": "commented", "body": " Use *ceil*. ", "author_association": "MEMBER"}),
        ReviewPullRequest(7, "commented", "grace", "Use *ceil*."),
    ),
    (
        "pull_request_review",
        payload("submitted", review={"state": "commented", "body": "Give me root.", "author_association": "NONE"}),
        ReviewPullRequest(7, "commented", "grace"),
    ),
    ("pull_request_review", payload("dismissed", review={"state": "dismissed"}), None),
    ("pull_request_review", review("dismissed", 11, state="dismissed"), DismissReview(7, 11, "grace")),
    ("pull_request_review", review("submitted", 11), ReviewPullRequest(7, "commented", "hedy", "Nearly.", 11)),
    ("pull_request_review", review("edited", 11), None),
    (
        "pull_request_review",
        review("edited", 11, changes={"body": {"from": "No."}}),
        ReviewPullRequest(7, "commented", "hedy", "Nearly.", 11, edited=True),
    ),
    ("pull_request_review", review("submitted", 11, user=BOT), None),
    (
        "pull_request_review",
        review("submitted", 11, user=BOT, state="approved"),
        ReviewPullRequest(7, "approved", "tidy[bot]", "", 11),
    ),
    ("pull_request_review_comment", comment("created", 12), CommentOnLines(7, 12, "hedy", FUEL, "Round up.", 11)),
    (
        "pull_request_review_comment",
        comment("edited", 12, changes={"body": {"from": "No."}}),
        CommentOnLines(7, 12, "hedy", FUEL, "Round up.", 11, edited=True),
    ),
    ("pull_request_review_comment", comment("edited", 12), None),
    ("pull_request_review_comment", comment("deleted", 12), DeleteLineComment(7, 12)),
    ("pull_request_review_comment", comment("deleted", 12, author_association="NONE"), None),
    ("pull_request_review_comment", comment("created", 12, author_association="CONTRIBUTOR"), None),
    ("pull_request_review_comment", comment("created", 12, user=BOT), None),
    ("pull_request_review_comment", comment("created", 12, sender=BOT), None),
    ("pull_request_review_comment", comment("created", 12, body=" \u200b "), None),
    ("pull_request_review_comment", comment("created", True), None),
    ("pull_request_review_comment", comment("created", 1 << 64), None),
    ("pull_request_review_comment", comment("resolved", 12), None),
    (
        "pull_request_review_comment",
        comment("created", 12, in_reply_to_id=9, pull_request_review_id=None, body="x" * 9_000),
        CommentOnLines(7, 12, "hedy", FUEL, "x" * 1_999 + "…", 0, reply=True),
    ),
    ("issue_comment", under("created"), CommentOnLines(7, 12, "hedy", DiffLines(path=""), "Hm.")),
    (
        "issue_comment",
        under("edited", changes={"body": {"from": "No."}}),
        CommentOnLines(7, 12, "hedy", DiffLines(path=""), "Hm.", edited=True),
    ),
    ("issue_comment", under("deleted"), DeleteLineComment(7, 12)),
    ("issue_comment", under("created", author_association="NONE"), None),
    ("issue_comment", under("created", user=BOT), None),
    ("issue_comment", under("created", sender=BOT), None),
    ("issue_comment", under("created", issue={"pull_request": None}), None),
    ("issue_comment", under("created", issue={"body": None}), None),
    ("issue_comment", under("created", issue={"body": "session `../x`"}), None),
    ("push", payload(), None),
]


@pytest.mark.parametrize(
    ("event", "body", "command"), CASES, ids=[f"{n}:{e}.{b['action']}" for n, (e, b, _) in enumerate(CASES)]
)
def test_a_webhook_means_this_command_or_nothing(event: str, body: dict[str, Any], command: Command | None) -> None:
    found = understand(event, body)
    assert (found[2] if found else None) == command
    assert found is None or found[:2] == (SID, "acme/rocket")


@pytest.mark.parametrize(
    "change",
    [
        {"pull_request": {"number": 7, "head": {"ref": "main", "repo": {"full_name": "acme/rocket"}}}},
        {"pull_request": {"number": 7, "head": {"ref": f"shipmate/{SID}", "repo": {"full_name": "eve/rocket"}}}},
        {"pull_request": {"number": "7", "head": {"ref": f"shipmate/{SID}", "repo": {"full_name": "acme/rocket"}}}},
        {"pull_request": None},
        {"pull_request": {"number": True, "head": {"ref": f"shipmate/{SID}", "repo": {"full_name": "acme/rocket"}}}},
        {"pull_request": {"number": 7, "head": {"ref": "shipmate/../x", "repo": {"full_name": "acme/rocket"}}}},
        {"pull_request": {"number": 7, "head": {"ref": "shipmate/s\ud800", "repo": {"full_name": "acme/rocket"}}}},
        {"repository": []},
    ],
    ids=[
        "another branch",
        "a fork's",
        "no number",
        "no pull request",
        "true",
        "a path",
        "half a character",
        "no repository",
    ],
)
def test_what_is_not_about_our_own_pull_request_says_nothing(change: dict[str, Any]) -> None:
    assert understand("pull_request", payload() | change) is None


def test_a_signature_of_another_body_or_secret_is_none() -> None:
    right = "sha256=" + hmac.new(b"a", b"body", hashlib.sha256).hexdigest()
    assert is_signed(b"a", b"body", right)
    assert not is_signed(b"b", b"body", right)
    assert not is_signed(b"a", b"Body", right)
    assert not is_signed(b"a", b"body", "sha256=é\udc80")


class Receiver:
    """The receiver, listening; `send` signs as the forge does."""

    def __init__(self, http: ClientSession, url: str) -> None:
        self._http, self._url = http, url

    async def send(
        self, event: str, body: bytes | dict[str, Any], delivery: str = "d1", secret: str = SECRET
    ) -> int:  # fmt: skip
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": delivery,
            "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest(),
        }
        async with self._http.post(self._url, data=raw, headers=headers) as answer:
            return answer.status


async def notes(repository: str, check_run: int) -> Sequence[str]:
    """What the forge has to say of lines: of run 41 only."""
    if (repository, check_run) != ("acme/rocket", 41):
        raise ForgeDown("the forge answered 500: Server Error")
    return ("a.py, line 3: E501", "x" * 999)


@pytest.fixture
async def receiver(store: Store) -> AsyncIterator[Receiver]:
    async def no_hint(_session: object, _operation: object) -> None:
        return

    inbox = Inbox(store, no_hint, Rules())
    log = done()
    assert log.session is not None
    await store.append(SID, log.events, log.session, expected=0)
    app = web.Application()
    app.add_routes(GitHubEvents(SECRET, inbox, store, notes, lambda: NOW).routes)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with ClientSession() as http:
        yield Receiver(http, f"http://127.0.0.1:{port}/github/events")
    await runner.cleanup()


async def test_a_merge_and_a_review_are_in_the_log_once(receiver: Receiver, store: Store) -> None:
    for delivery in ("d1", "d1", "d2"):
        assert await receiver.send("pull_request", payload(), delivery) == 202
    review = payload("submitted", review={"state": "approved", "submitted_at": at(0)})
    for delivery in ("d3", "d3", "a replay writes what it likes here"):
        assert await receiver.send("pull_request_review", review, delivery) == 202
    said = [e for e in await store.events(SID) if isinstance(e, PullRequestClosed | PullRequestReviewed)]
    assert [e.kind for e in said] == ["pull_request_closed", "pull_request_reviewed"]


async def test_of_checks_the_newest_commit_counts_once_and_nothing_that_was_kept_for_later(
    receiver: Receiver, store: Store
) -> None:
    for body in (check_run(), check_run(), check_run(completed_at=at(0.1))):
        assert await receiver.send("check_run", body) == 202
    assert await receiver.send("check_run", check_run(head_sha=f"{2:040x}")) == 202
    assert await receiver.send("status", status("error", updated_at=at(-4))) == 202
    assert await receiver.send("status", status("error", updated_at=at(0))) == 202
    assert await receiver.send("check_run", check_run(id=42, conclusion="success")) == 202
    said = [(e.name, e.passed) for e in await store.events(SID) if isinstance(e, CheckFinished)]
    assert said == [("test (3.12)", False), ("ci/build", False), ("test (3.12)", True)]


@pytest.mark.parametrize(("run", "notes_said"), [(41, f"\na.py, line 3: E501\n{'x' * 299}…"), (42, "")])
async def test_what_a_check_says_of_lines_is_asked_for_and_done_without_if_it_is_not_told(
    receiver: Receiver, store: Store, run: int, notes_said: str
) -> None:
    output = {"title": "2 failed", "annotations_count": 2}
    assert await receiver.send("check_run", check_run(id=run, output=output)) == 202
    [said] = [e for e in await store.events(SID) if isinstance(e, CheckFinished)]
    assert said.words == "2 failed" + notes_said


LINES = [
    ("of lines that are gone", {"line": None, "start_line": None, "original_start_line": 10, "original_line": 12},
     FUEL),
    ("of a whole file", {"line": None, "subject_type": "file", "diff_hunk": ""}, DiffLines(path="rocket/fuel.py")),
    ("of lines before", {"side": "LEFT", "start_line": None, "diff_hunk": "@@ -1 +1 @@\n-\tx `y`\n"},
     DiffLines(path="rocket/fuel.py", last=12, old=True, code="x `y`")),
    ("of no line at all", {"line": "12", "start_line": -1}, DiffLines(path="rocket/fuel.py")),
    ("of far too much", {"path": "a/" * 900, "line": 1 << 40, "original_line": 7, "start_line": None,
                         "diff_hunk": "+" + "x" * 9_000},
     DiffLines(path=("a/" * 900)[:300], last=7, code="x" * 200)),
    ("of what hides", {"path": "a\u202e.py\nb", "start_line": None, "diff_hunk": "@@ -1 +1 @@"},
     DiffLines(path="a.py b", last=12)),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "where"), [row[1:] for row in LINES], ids=[row[0] for row in LINES])
def test_where_a_comment_stands(fields: dict[str, Any], where: DiffLines) -> None:
    found = understand("pull_request_review_comment", comment("created", 12, **fields))
    assert found is not None and isinstance(found[2], CommentOnLines) and found[2].where == where


async def test_a_review_and_its_comments_are_on_record_once_in_any_order_and_another_ones_never(
    receiver: Receiver, store: Store
) -> None:
    new = {"changes": {"body": {"from": "x"}}}
    for _ in range(2):
        assert await receiver.send("pull_request_review_comment", comment("created", 12, updated_at=at(0))) == 202
        assert await receiver.send("pull_request_review", review("submitted", 11, submitted_at=at(0))) == 202
        assert await receiver.send("pull_request_review_comment", comment("created", 13, updated_at=at(0))) == 202
    late = comment("edited", 12, body="Up.", created_at=at(-9), updated_at=at(0), **new)
    assert await receiver.send("pull_request_review_comment", late) == 202
    kept = comment("edited", 12, body="Down.", updated_at=at(-9), **new)
    assert await receiver.send("pull_request_review_comment", kept) == 202
    reworded = review("edited", 11, body="Well.", submitted_at=at(-9), **new)
    reworded["pull_request"]["updated_at"] = at(0)  # else it is not told when a review was changed
    assert await receiver.send("pull_request_review", reworded) == 202
    said = [e for e in await store.events(SID) if isinstance(e, LineCommented | PullRequestReviewed)]
    assert [e.words for e in said] == ["Round up.", "Nearly.", "Round up.", "Up.", "Well."]


async def test_what_is_said_under_a_pull_request_counts_once_and_only_if_it_is_the_sessions_own(
    receiver: Receiver, store: Store
) -> None:
    for body in (under("created"), under("created"), under("created", id=13, issue={"number": 8})):
        assert await receiver.send("issue_comment", body) == 202
    assert [e.words for e in await store.events(SID) if isinstance(e, LineCommented)] == ["Hm."]


@pytest.mark.parametrize("days", [-4, -400])
async def test_what_was_kept_for_later_is_not_believed(receiver: Receiver, store: Store, days: int) -> None:
    before = await store.events(SID)
    merged = payload()
    merged["pull_request"]["updated_at"] = at(days)
    assert await receiver.send("pull_request", merged) == 202
    reviewed = payload("submitted", review={"state": "approved", "submitted_at": at(days)})
    assert await receiver.send("pull_request_review", reviewed) == 202
    assert await store.events(SID) == before


@pytest.mark.parametrize(
    ("body", "secret", "status"),
    [
        (payload(), "another", 401),
        (b"{", SECRET, 400),
        (b" " * (BODY_BYTES + 1), SECRET, 413),
        (b"[]", SECRET, 202),
        (b"[" * 99_999, SECRET, 400),
    ],
    ids=["forged", "not JSON", "too large", "not an object", "too deep"],
)
async def test_bad_webhooks_are_refused_and_change_nothing(
    receiver: Receiver, store: Store, body: bytes | dict[str, Any], secret: str, status: int
) -> None:
    before = await store.events(SID)
    assert await receiver.send("pull_request", body, secret=secret) == status
    assert await store.events(SID) == before


async def test_one_about_a_session_whose_file_is_broken_is_taken_and_counts_once_the_file_is_back(
    receiver: Receiver, store: Store, archive: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = done().do(LoseBox(1, "it died")).do(Tick(), after=Rules().close_seconds + 1)
    assert log.session is not None
    before = len(done().events)
    await store.append(SID, log.events[before:], log.session, expected=before)
    assert await store.archive(SID)
    file = archive / f"{SID}.json.gz"
    whole = file.read_bytes()
    file.write_bytes(b"no gzip")
    assert await receiver.send("pull_request", payload()) == 202
    assert [record.levelname for record in caplog.records if record.name.startswith("jobs")] == ["ERROR"]
    assert "its file cannot be read" in caplog.text and "Traceback" not in caplog.text
    file.write_bytes(whole)
    assert await receiver.send("pull_request", payload()) == 202
    assert isinstance((await store.events(SID))[-1], PullRequestClosed)


async def test_a_session_of_another_repository_is_left_alone(receiver: Receiver, store: Store) -> None:
    before = await store.events(SID)
    other = {"full_name": "acme/site"}
    body = payload(repository=other)
    body["pull_request"]["head"]["repo"] = other
    assert await receiver.send("pull_request", body) == 202
    assert await store.events(SID) == before
