"""Pull requests of the forge through PyGithub, and through a push: opened, refused, reviewed, merged."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientSession
from github import GithubException

from bot.github import understand
from bot.playground import forge_checks, forge_pulls
from bot.playground.forge_records import Annotation, Refusal
from jobs.commands_checks import FinishCheck
from tests.playground.forges import FIXED, ROCKET, Served
from tests.playground.forges import served as served


async def test_pygithub_opens_finds_edits_reviews_and_merges_a_pull_request(served: Served) -> None:
    await served.push_fix(message="Count the last tank\n\nCo-authored-by: Grace Hopper <grace@acme.example>")

    def story() -> int:
        client = served.client()
        assert client.get_user().login == "shipmate[bot]"
        repo = client.get_repo(ROCKET)
        assert (repo.default_branch, repo.private, repo.permissions.push) == ("main", False, True)
        assert {branch.name for branch in repo.get_branches()} == {"main", "shipmate/one"}
        assert repo.get_branch("shipmate/one").commit.commit.message.startswith("Count the last tank")
        made = repo.create_pull(base="main", head="shipmate/one", title="Count it", body="Words", draft=False)
        assert made.html_url == f"{served.url}/forge/{ROCKET}/pull/{made.number}"
        found = list(repo.get_pulls(state="open", head="acme:shipmate/one"))
        assert [pull.number for pull in found] == [made.number]
        assert list(repo.get_pulls(head="acme:other")) == []
        found[0].edit(title="Count the last tank", body="Better words")
        pull = repo.get_pull(made.number)
        assert (pull.title, pull.body, pull.mergeable, pull.merged) == (
            "Count the last tank", "Better words", True, False,
        )  # fmt: skip
        assert (pull.commits, pull.changed_files, pull.additions, pull.deletions) == (1, 1, 1, 1)
        commit = next(iter(pull.get_commits()))
        assert commit.commit.author.name == "Ada"
        assert "Co-authored-by: Grace Hopper" in commit.commit.message
        assert "+    return math.ceil(fuel / tank)" in next(iter(pull.get_files())).patch
        assert pull.create_issue_comment("Hello").body == "Hello"
        assert [comment.body for comment in pull.get_issue_comments()] == ["Hello"]
        pull.add_to_labels("shipmate", "small")
        pull.remove_from_labels("small")
        assert [label.name for label in pull.get_labels()] == ["shipmate"]
        assert pull.create_review(event="COMMENT", body="Seen").state == "COMMENTED"
        assert [review.body for review in pull.get_reviews()] == ["Seen"]
        assert not pull.is_merged()
        assert pull.merge(sha=pull.head.sha).merged
        assert repo.get_pull(made.number).merged_by.login == "shipmate[bot]"
        return made.number

    await asyncio.to_thread(story)
    newest = (await served.forge.commits(ROCKET))[0]
    assert newest.subject == "Merge pull request #1 from acme/shipmate/one"
    assert len(newest.parents) == 2


async def test_a_second_pull_request_of_the_same_branch_is_refused_in_githubs_words(served: Served) -> None:
    await served.open_fix()

    def again() -> Any:
        repo = served.client().get_repo(ROCKET)
        with pytest.raises(GithubException) as caught:
            repo.create_pull(base="main", head="shipmate/one", title="Again")
        return caught.value

    error = await asyncio.to_thread(again)
    assert error.status == 422
    assert error.data["message"] == "Validation Failed"
    assert error.data["errors"][0]["message"] == "A pull request already exists for acme:shipmate/one."


async def test_checks_and_statuses_are_told_as_github_tells_them(served: Served) -> None:
    number = await served.open_fix()
    pull = served.forge.repository(ROCKET).pull(number)
    note = Annotation(path="rocket/fuel.py", start_line=3, end_line=3, annotation_level="failure", message="E501")
    run = await forge_checks.finish(
        served.forge, ROCKET, pull.head_sha, "grace", "lint", "failure", title="1 problem", annotations=[note]
    )
    again = await forge_checks.finish(served.forge, ROCKET, pull.head_sha, "grace", "lint", "success")
    assert again.suite == run.suite and again.id > run.id

    def through_pygithub() -> list[str]:
        commit = served.client().get_repo(ROCKET).get_commit(pull.head_sha)
        commit.create_status("failure", "https://ci.test/3", "Broken.", "ci/build")
        [first, _] = commit.get_check_runs()
        return [note.message for note in first.get_annotations()]

    assert await asyncio.to_thread(through_pygithub) == ["E501"]
    await served.forge.hooks.settled()
    told = served.received.events[-7:]
    order = ["check_run.created", "check_run.completed", "check_suite.completed"]
    assert sorted(served.received.actions()[-7:]) == sorted([*order, *order, "status"])
    meant = [found for event, body in told if (found := understand(event, body)) is not None]
    assert {(sid, repository) for sid, repository, _ in meant} == {("one", ROCKET)}
    came_to = [(one.name, one.conclusion) for _, _, one in meant if isinstance(one, FinishCheck)]
    assert sorted(came_to) == [
        ("Playground CI", "success"), ("ci/build", "failure"), ("lint", "failure"), ("lint", "success")
    ]  # fmt: skip
    with pytest.raises(Refusal, match="No commit found"):
        await forge_checks.finish(served.forge, ROCKET, "b" * 40, "grace", "lint", "success")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"head": "nowhere"}, {"field": "head", "code": "invalid"}),
        ({"base": "nowhere"}, {"field": "base", "code": "invalid"}),
        ({"title": ""}, {"field": "title", "code": "missing_field"}),
        ({"head": "main"}, {"code": "custom", "message": "No commits between main and main"}),
    ],
)
async def test_a_pull_request_that_makes_no_sense_is_refused(
    served: Served, words: dict[str, str], expected: dict[str, str]
) -> None:
    with pytest.raises(Refusal) as caught:
        await served.open_fix(**words)
    assert caught.value.status == 422
    assert caught.value.errors == ({"resource": "PullRequest", **expected},)


async def test_errors_are_githubs(served: Served) -> None:
    async with ClientSession() as http:
        api = served.forge.api_url
        cases = [
            ("GET", "/user", "", 401, "Requires authentication"),
            ("GET", "/user", "token nonsense", 401, "Bad credentials"),
            ("GET", "/repos/acme/none", "", 404, "Not Found"),
            ("GET", f"/repos/{ROCKET}/pulls/7", "", 404, "Not Found"),
            ("POST", f"/repos/{ROCKET}/pulls", "", 401, "Requires authentication"),
            ("GET", f"/repos/{ROCKET}/branches/none", "", 404, "Branch not found"),
            ("GET", "/gists", "", 404, "Not Found"),
        ]
        for method, path, authorization, status, message in cases:
            headers = {"Authorization": authorization} if authorization else {}
            async with http.request(method, api + path, headers=headers) as answer:
                assert (answer.status, (await answer.json())["message"]) == (status, message), path


async def test_lists_come_in_pages(served: Served) -> None:
    bare = served.forge.bare(ROCKET)
    tip = (await served.forge.commits(ROCKET))[0].sha
    for number in range(35):
        await bare.point(f"refs/heads/b{number}", tip)
    names = await asyncio.to_thread(lambda: [b.name for b in served.client().get_repo(ROCKET).get_branches()])
    assert len(names) == len(set(names)) == 36


async def test_conflicts_and_stale_heads_are_not_merged(served: Served) -> None:
    number = await served.open_fix()
    with pytest.raises(Refusal) as stale:
        await forge_pulls.merge(served.forge, ROCKET, number, "ada", sha="0" * 40)
    assert stale.value.status == 409
    work = await served.checkout("rival")
    source = work / "rocket" / "fuel.py"
    source.write_text(source.read_text().replace(FIXED[0], "return round(fuel / tank)"))
    await served.git("commit", "-qam", "Rival", cwd=work)
    await served.git("push", "-q", "origin", "main", cwd=work)
    with pytest.raises(Refusal) as conflict:
        await forge_pulls.merge(served.forge, ROCKET, number, "ada")
    assert conflict.value.status == 405
    pull = await asyncio.to_thread(lambda: served.client().get_repo(ROCKET).get_pull(number))
    assert pull.mergeable is False


async def test_a_merge_past_other_work_keeps_both(served: Served) -> None:
    number = await served.open_fix()
    work = await served.checkout("other")
    (work / "NEWS.md").write_text("News\n")
    await served.git("add", "NEWS.md", cwd=work)
    await served.git("commit", "-qm", "News", cwd=work)
    await served.git("push", "-q", "origin", "main", cwd=work)
    await forge_pulls.merge(served.forge, ROCKET, number, "grace", method="squash", message="Squashed")
    bare = served.forge.bare(ROCKET)
    assert await bare.read("main", "NEWS.md") == "News\n"
    assert FIXED[1] in (await bare.read("main", "rocket/fuel.py") or "")
    newest = (await served.forge.commits(ROCKET))[0]
    assert (newest.subject, newest.author, len(newest.parents)) == ("Squashed", "Grace Hopper", 1)


async def test_a_push_that_brings_the_work_into_the_base_merges_the_pull_request(served: Served) -> None:
    number = await served.open_fix()
    await served.git("push", "-q", "origin", "HEAD:main", cwd=served.folder / "shipmate-one")
    pull = served.forge.repository(ROCKET).pull(number)
    assert (pull.state, pull.merged) == ("closed", True)


async def test_pygithub_comments_on_lines_and_webhooks_tell_each_of_them(served: Served) -> None:
    number = await served.open_fix()
    received = served.received.events

    def story() -> tuple[int, int]:
        pull = served.client().get_repo(ROCKET).get_pull(number)
        source = served.client().get_repo(ROCKET).get_pull(number).get_files()[0]
        assert source.filename == "rocket/fuel.py"
        begin = int(source.patch.split("+", 1)[1].split(",", 1)[0])
        lines = [line for line in source.patch.split("\n")[1:] if not line.startswith("-")]
        line = begin + next(n for n, text in enumerate(lines) if FIXED[1] in text)
        given = pull.create_review(
            body="Nearly.", event="COMMENT",
            comments=[{"path": "rocket/fuel.py", "line": line, "body": "Up?"},
                      {"path": "rocket/fuel.py", "start_line": line - 1, "line": line, "body": "Why?"}],
        )  # fmt: skip
        first, second = pull.get_single_review_comments(given.id)
        assert (first.body, first.line, first.side, first.start_line) == ("Up?", line, "RIGHT", None)
        assert (second.start_line, second.diff_hunk.split("\n")[-1]) == (line - 1, f"+    {FIXED[1]}")
        assert first.pull_request_review_id == second.pull_request_review_id == given.id
        alone = pull.create_review_comment("Old", pull.head.sha, "rocket/fuel.py", line=line, side="LEFT")
        assert alone.pull_request_review_id != given.id and alone.diff_hunk.endswith(FIXED[0])
        reply = pull.create_review_comment_reply(first.id, "No.")
        assert (reply.in_reply_to_id, reply.path, reply.line) == (first.id, "rocket/fuel.py", line)
        first.edit("Up!")
        given.edit("Well.")
        reply.delete()
        assert {said.body for said in pull.get_review_comments()} == {"Up!", "Why?", "Old"}
        assert [said.body for said in pull.get_reviews()] == ["Well.", "", ""]
        for wrong in (
            {"path": "none", "line": 1},
            {"path": "rocket/fuel.py", "line": 9_999},
            {"path": "rocket/fuel.py"},
        ):
            with pytest.raises(GithubException) as refused:
                pull.create_review(event="COMMENT", comments=[{**wrong, "body": "x"}])
            assert refused.value.status == 422
        return given.id, alone.pull_request_review_id

    given, alone = await asyncio.to_thread(story)
    await served.forge.hooks.settled()
    told = [(event.removeprefix("pull_request_"), body["action"]) for event, body in received if "review" in event]
    assert sorted(told) == sorted(
        [("review", "submitted")] * 3 + [("review", "edited")] + [("review_comment", "created")] * 4
        + [("review_comment", "edited"), ("review_comment", "deleted")]
    )  # fmt: skip
    comments = [body["comment"] for event, body in received if event == "pull_request_review_comment"]
    assert {said["pull_request_review_id"] for said in comments} > {given, alone}
    empty = [body["review"] for _, body in received if "review" in body and body["review"]["id"] == alone]
    assert [(one["state"], one["body"]) for one in empty] == [("commented", None)]
    edits = [body["changes"]["body"]["from"] for _, body in received if body.get("changes")]
    assert sorted(edits) == ["Nearly.", "Up?"]
