"""The forge through its real clients: git, PyGithub, a browser's requests, and a receiver of its webhooks."""

import asyncio
import hashlib
import hmac
import os
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import github
import jwt
import pytest
from aiohttp import ClientSession, web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from github import Auth, GithubException, GithubIntegration

from bot.playground import forge_diff, forge_pulls
from bot.playground.forge import Forge
from bot.playground.forge_access import Access, AppIdentity
from bot.playground.forge_records import Refusal
from bot.playground.forge_routes import forge_routes

ROCKET = "acme/rocket"
FIXED = ("return int(fuel // tank)", "return math.ceil(fuel / tank)")


@dataclass
class Received:
    """A receiver of webhooks that checks the signature of each."""

    secret: str = ""
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    status: int = 200

    async def hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        signed = "sha256=" + hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        assert request.headers["X-Hub-Signature-256"] == signed
        assert request.headers["X-GitHub-Delivery"]
        self.events.append((request.headers["X-GitHub-Event"], await request.json()))
        return web.Response(status=self.status)

    def actions(self) -> list[str]:
        return [f"{event}.{body['action']}" if "action" in body else event for event, body in self.events]


@dataclass
class Served:
    """A forge that listens, with what a client needs to reach it."""

    forge: Forge
    url: str
    received: Received
    folder: Path

    def clone_url(self, repository: str = ROCKET, token: str | None = None) -> str:
        who = f"x-access-token:{token}@" if token else ""
        return f"{self.url.replace('://', '://' + who)}/forge/{repository}.git"

    def client(self, token: str | None = None) -> github.Github:
        return github.Github(
            auth=Auth.Token(token or self.forge.token), base_url=self.forge.api_url, retry=None,
            seconds_between_requests=None, seconds_between_writes=None,
        )  # fmt: skip

    async def git(self, *args: str, cwd: Path | None = None, fails: bool = False) -> str:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@acme.example",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@acme.example",
        }
        process = await asyncio.create_subprocess_exec(
            "git",
            *args,
            cwd=cwd or self.folder,
            env=env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out = (await process.communicate())[0].decode()
        assert bool(process.returncode) == fails, out
        return out

    async def checkout(self, name: str = "work", repository: str = ROCKET) -> Path:
        await self.git("clone", "-q", self.clone_url(repository, self.forge.token), name)
        return self.folder / name

    async def push_fix(self, branch: str = "shipmate/one", message: str = "Count the last tank") -> Path:
        work = await self.checkout(branch.replace("/", "-"))
        await self.git("checkout", "-q", "-b", branch, cwd=work)
        source = work / "rocket" / "fuel.py"
        source.write_text(source.read_text().replace(*FIXED))
        await self.git("commit", "-qam", message, cwd=work)
        await self.git("push", "-q", "origin", branch, cwd=work)
        return work

    async def open_fix(self, **more: Any) -> int:
        await self.push_fix()
        words = {"title": "Count the last tank", "head": "shipmate/one", "base": "main", **more}
        return (await forge_pulls.open_pull(self.forge, ROCKET, "shipmate[bot]", **words)).number


async def listening(app: web.Application, **options: Any) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(app, **options)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def served(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    options = getattr(request, "param", {})
    received = Received()
    hook_app = web.Application()
    hook_app.router.add_post("/hook", received.hear)
    hook_runner, hook_url = await listening(hook_app)
    forge = await Forge.open(tmp_path / "state", webhook_url=hook_url + "/hook", **options.get("forge", {}))
    app = web.Application()
    app.add_routes(forge_routes(forge))
    runner, url = await listening(app, auto_decompress=options.get("auto_decompress", False))
    received.secret = forge.describe(url)["GITHUB_WEBHOOK_SECRET"]
    yield Served(forge, url, received, tmp_path)
    await forge.close()
    await runner.cleanup()
    await hook_runner.cleanup()


async def test_the_sample_has_several_authors_and_exactly_one_failing_test(served: Served) -> None:
    work = await served.checkout()
    process = await asyncio.create_subprocess_exec(
        "python3", "-m", "unittest", cwd=work, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    said = (await process.communicate())[1].decode()
    assert "Ran 9 tests" in said
    assert "FAILED (failures=1)" in said
    assert "test_a_part_filled_tank_is_a_tank_too" in said
    authors = {commit.author for commit in await served.forge.commits(ROCKET)}
    assert authors == {"Margaret Hamilton", "Katherine Johnson", "Wally Schirra"}
    assert await served.git("fsck", "--strict", cwd=work) == ""


@pytest.mark.parametrize("version", ["0", "2"])
async def test_clone_push_and_fetch_work_in_each_protocol(served: Served, version: str) -> None:
    protocol = ("-c", f"protocol.version={version}")
    await served.git(*protocol, "clone", "-q", served.clone_url(token=served.forge.token), "one")
    await served.git(*protocol, "clone", "-q", served.clone_url(), "two")
    (served.folder / "one" / "new.txt").write_text("new\n")
    await served.git("add", "new.txt", cwd=served.folder / "one")
    await served.git("commit", "-qm", "New", cwd=served.folder / "one")
    await served.git(*protocol, "push", "-q", "origin", "main", cwd=served.folder / "one")
    await served.git(*protocol, "pull", "-q", cwd=served.folder / "two")
    assert (served.folder / "two" / "new.txt").read_text() == "new\n"


@pytest.mark.parametrize("served", [{"auto_decompress": True}, {"auto_decompress": False}], indirect=True)
async def test_gzipped_and_chunked_bodies_arrive_whole(served: Served) -> None:
    work = await served.checkout()
    for number in range(120):  # so many that git gzips what it has when it fetches
        await served.git("commit", "-q", "--allow-empty", "-m", f"Mine {number}", cwd=work)
    (work / "big.bin").write_bytes(os.urandom(3_000_000))  # above http.postBuffer, so chunked
    await served.git("add", "big.bin", cwd=work)
    await served.git("commit", "-qm", "Big", cwd=work)
    await served.git("push", "-q", "origin", "HEAD:refs/heads/big", cwd=work)
    await served.push_fix("other")
    await served.git("reset", "-q", "--hard", "HEAD~1", cwd=work)
    await served.git("commit", "-q", "--allow-empty", "-m", "Unknown to the forge", cwd=work)
    await served.git("fetch", "-q", "origin", cwd=work)
    assert "Count the last tank" in await served.git("log", "--format=%s", "-1", "origin/other", cwd=work)
    await served.git("fsck", "--strict", cwd=work)


async def test_a_gzipped_body_is_unpacked_for_git(served: Served) -> None:
    want = (await served.forge.commits(ROCKET))[0].sha
    line = f"want {want} no-progress\n"
    plain = f"{len(line) + 4:04x}{line}0000".encode() + b"0009done\n"
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    packed = packer.compress(plain) + packer.flush()
    async with ClientSession() as http:
        address = f"{served.url}/forge/{ROCKET}.git/git-upload-pack"
        async with http.post(address, data=packed, headers={"Content-Encoding": "gzip"}) as answer:
            body = await answer.read()
    assert answer.status == 200
    assert b"PACK" in body


async def test_a_push_needs_a_token_that_may_write(served: Served) -> None:
    work = await served.checkout()
    await served.git("commit", "-q", "--allow-empty", "-m", "Nothing", cwd=work)
    for address in (served.clone_url(), served.clone_url(token="ghp_wrong")):
        said = await served.git("push", address, "main", cwd=work, fails=True)
        assert "could not read Username" in said or "Authentication failed" in said
    said = await served.git("push", served.clone_url("acme/none", served.forge.token), "main", cwd=work, fails=True)
    assert "not found" in said


@pytest.mark.parametrize(
    "served",
    [
        {
            "forge": {
                "tokens": {"reader": Access("grace", may_push=False), "elsewhere": Access("ada", True, ("acme/docs",))}
            }
        }
    ],
    indirect=True,
)
async def test_a_token_reaches_no_further_than_it_says(served: Served) -> None:
    await served.forge.create_repository("acme/secret", {"a": "b"}, private=True)
    work = await served.checkout()
    await served.git("commit", "-q", "--allow-empty", "-m", "Nothing", cwd=work)
    for token in ("reader", "elsewhere"):
        said = await served.git("push", served.clone_url(token=token), "main", cwd=work, fails=True)
        assert "403" in said
    await served.git("clone", "-q", served.clone_url("acme/secret", "reader"), "readable")
    await served.git("clone", "-q", served.clone_url("acme/secret", "elsewhere"), "hidden", fails=True)
    await served.git("clone", "-q", served.clone_url("acme/secret"), "nobody", fails=True)
    permissions = await asyncio.to_thread(lambda: served.client("reader").get_repo(ROCKET).permissions)
    assert (permissions.pull, permissions.push) == (True, False)


async def test_a_hidden_ref_cannot_be_pushed_and_a_pull_request_keeps_its_commits(served: Served) -> None:
    number = await served.open_fix()
    work = served.folder / "shipmate-one"
    said = await served.git("push", "origin", "HEAD:refs/pull/9/head", cwd=work, fails=True)
    assert "deny updating a hidden ref" in said
    await served.git("push", "-q", "origin", ":shipmate/one", cwd=work)
    pull = served.forge.pull_requests(ROCKET)[0]
    assert (pull.number, pull.state) == (number, "closed")
    commits, files = await forge_pulls.contents(served.forge, ROCKET, pull)
    assert [commit.subject for commit in commits] == ["Count the last tank"]
    assert [file.path for file in files] == ["rocket/fuel.py"]


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


async def test_webhooks_tell_the_story_signed(served: Served) -> None:
    number = await served.open_fix()
    work = served.folder / "shipmate-one"
    await served.git("commit", "-q", "--allow-empty", "-m", "More", cwd=work)
    await served.git("push", "-q", "origin", "HEAD", cwd=work)
    await forge_pulls.review(served.forge, ROCKET, number, "grace", "REQUEST_CHANGES", "Name it better")
    await forge_pulls.merge(served.forge, ROCKET, number, "grace")
    await served.forge.hooks.settled()
    assert sorted(served.received.actions()) == sorted(
        ["push", "pull_request.opened", "push", "pull_request.synchronize", "pull_request_review.submitted",
         "pull_request.closed", "push"]
    )  # fmt: skip
    bodies = {f"{event}.{body.get('action')}": body for event, body in served.received.events}
    assert bodies["pull_request_review.submitted"]["review"]["state"] == "changes_requested"
    assert bodies["pull_request.closed"]["pull_request"]["merged"] is True
    assert (
        bodies["pull_request.synchronize"]["after"] == bodies["pull_request.synchronize"]["pull_request"]["head"]["sha"]
    )
    assert all(body["repository"]["full_name"] == ROCKET for _, body in served.received.events)


async def test_a_webhook_that_failed_is_seen_on_the_page(served: Served) -> None:
    served.received.status = 500
    await served.push_fix()
    served.forge.hooks.url = "http://127.0.0.1:1/hook"
    served.forge.tell(ROCKET, "push", "ada", {})
    await served.forge.hooks.settled()
    assert sorted(delivery.status for delivery in served.forge.hooks.deliveries) == [0, 500]
    async with ClientSession() as http:
        async with http.get(f"{served.url}/forge/webhooks") as answer:
            page = await answer.text()
        async with http.get(f"{served.url}/forge/") as answer:
            home = await answer.text()
    assert "no answer" in page
    assert "2 of the newest webhooks failed" in home


async def test_state_survives_a_restart(served: Served) -> None:
    number = await served.open_fix()
    await forge_pulls.comment(served.forge, ROCKET, number, "ada", "Still here?")
    again = await Forge.open(served.folder / "state")
    pull = again.pull_requests(ROCKET)[0]
    assert (pull.number, pull.comments[0].body) == (number, "Still here?")
    assert again.describe(served.url) == served.forge.describe()
    assert len(again.repositories()) == 1
    assert (served.folder / "state" / "secrets.json").stat().st_mode & 0o077 == 0


async def test_a_second_sample_can_be_enabled_later(served: Served) -> None:
    again = await Forge.open(served.folder / "state", samples=("rocket", "docs"))
    assert [repository.full_name for repository in again.repositories()] == ["acme/docs", ROCKET]


@pytest.fixture(scope="module")
def app_key() -> tuple[str, AppIdentity]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    return private, AppIdentity(42, "shipmate", public)


async def test_an_app_gets_a_token_for_its_installation(served: Served, app_key: tuple[str, AppIdentity]) -> None:
    private, app = app_key
    served.forge.credentials.app = app
    auth = Auth.AppAuth(42, private)

    def story() -> str:
        with GithubIntegration(
            auth=auth,
            base_url=served.forge.api_url,
            retry=None,
            seconds_between_requests=None,
            seconds_between_writes=None,
        ) as integration:
            assert integration.get_app().slug == "shipmate"
            assert [installation.id for installation in integration.get_installations()] == [1]
            installation = integration.get_repo_installation("acme", "rocket")
            granted = integration.get_access_token(
                installation.id, permissions={"contents": "write", "pull_requests": "write"}
            )
            assert served.client(granted.token).get_repo(ROCKET).permissions.push
            reading = integration.get_access_token(installation.id, permissions={"contents": "read"})
            assert not served.client(reading.token).get_repo(ROCKET).permissions.push
            return granted.token

    token = await asyncio.to_thread(story)
    await served.git("clone", "-q", served.clone_url(token=token), "by-app")
    again = await Forge.open(served.folder / "state", app=app)
    assert again.credentials.of(token) == served.forge.credentials.of(token)


async def test_a_jwt_of_somebody_else_is_refused(served: Served, app_key: tuple[str, AppIdentity]) -> None:
    private, app = app_key
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    claims = {"iat": 0, "exp": 4_000_000_000, "iss": "42"}
    served.forge.credentials.app = app
    signed = [
        jwt.encode(claims, other, algorithm="RS256"),
        jwt.encode(claims, private, algorithm="RS256"),  # lives for decades
        jwt.encode({**claims, "exp": 1}, private, algorithm="RS256"),
        "nonsense",
    ]
    async with ClientSession() as http:
        for token in signed:
            async with http.get(served.forge.api_url + "/app", headers={"Authorization": f"Bearer {token}"}) as answer:
                assert answer.status == 401


async def test_faults_can_be_asked_for(served: Served) -> None:
    async with ClientSession() as http:
        switch, api = f"{served.url}/forge/_faults", served.forge.api_url

        async def status_after(**faults: Any) -> int:
            async with http.post(switch, json=faults) as answer:
                assert answer.status == 200
            async with http.get(f"{api}/repos/{ROCKET}") as answer:
                return answer.status

        assert await status_after(down=True) == 503
        async with http.get(f"{served.url}/forge/{ROCKET}.git/info/refs?service=git-upload-pack") as answer:
            assert answer.status == 503
        assert await status_after(down=False, fail_next=1) == 500
        assert await status_after() == 200
        assert await status_after(slow=0.01) == 200
        async with http.post(switch, json={"unknown": 1}) as answer:
            assert answer.status == 400

    def limited() -> None:
        served.forge.faults.rate_limit_next = 1
        with pytest.raises(github.RateLimitExceededException):
            served.client().get_repo(ROCKET)

    await asyncio.to_thread(limited)


async def test_a_declined_push_says_so_and_changes_nothing(served: Served) -> None:
    work = await served.checkout()
    await served.git("commit", "-q", "--allow-empty", "-m", "Nothing", cwd=work)
    served.forge.faults.reject_pushes = True
    said = await served.git("push", "origin", "main", cwd=work, fails=True)
    assert "pre-receive hook declined" in said
    assert "This forge declines every push" in said
    served.forge.faults.reject_pushes = False
    await served.git("push", "-q", "origin", "main", cwd=work)


async def test_a_page_shows_strangers_words_as_words(served: Served) -> None:
    hostile = "<script>alert(1)</script>"
    await served.forge.create_repository("acme/odd", {"README.md": hostile})
    work = await served.checkout("odd", "acme/odd")
    await served.git("checkout", "-q", "-b", "x<img>", cwd=work)
    name = '"><script>alert(2)<\n.txt'
    (work / name).write_text(hostile + "\n")
    (work / "README.md").rename(work / "MOVED.md")
    await served.git("add", "-A", cwd=work)
    await served.git("commit", "-qm", f"{hostile}\n\nCo-authored-by: <b>Eve</b> <eve@acme.example>", cwd=work)
    await served.git("push", "-q", "origin", "x<img>", cwd=work)
    body = f"{hostile} [click](javascript:alert(3)) ![x](data:text/html,hi) **bold**"
    pull = await forge_pulls.open_pull(
        served.forge, "acme/odd", "ada", title=hostile, head="x<img>", base="main", body=body
    )
    await forge_pulls.comment(served.forge, "acme/odd", pull.number, "ada", hostile)
    async with ClientSession() as http:
        for path in ("", "acme/odd", f"acme/odd/pull/{pull.number}", f"acme/odd/commit/{pull.head_sha}"):
            async with http.get(f"{served.url}/forge/{path}") as answer:
                page = await answer.text()
                policy = answer.headers["Content-Security-Policy"]
            assert answer.status == 200, page
            assert "<script" not in page
            assert 'href="javascript:' not in page
            assert "<b>Eve" not in page
            assert "script-src" not in policy and "default-src 'none'" in policy
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    commits, files = await forge_pulls.contents(served.forge, "acme/odd", pull)
    assert {file.path: file.status for file in files} == {name: "added", "MOVED.md": "renamed"}


async def test_buttons_act_as_the_person_who_was_chosen(served: Served) -> None:
    number = await served.open_fix()
    address = f"{served.url}/forge/{ROCKET}/pull/{number}"

    async with ClientSession() as http:
        async with http.post(address, data={"do": "REQUEST_CHANGES", "who": "grace", "body": ""}) as answer:
            assert answer.status == 422
            assert "Body can not be blank" in await answer.text()
        async with http.post(address, data={"do": "APPROVE", "who": "grace", "body": "Fine"}) as answer:
            assert answer.status == 200
            assert "Grace Hopper" in await answer.text()
        async with http.post(address, data={"do": "MERGE", "who": "ada"}, headers={"Origin": "http://evil"}) as answer:
            assert answer.status == 403
        async with http.post(address, data={"do": "MERGE", "who": "nobody"}) as answer:
            assert answer.status == 422
        async with http.post(address, data={"do": "MERGE", "who": "ada"}, headers={"Origin": served.url}) as answer:
            assert "Merged by" in await answer.text()
    pull = served.forge.pull_requests(ROCKET)[0]
    assert pull.verdicts == {"grace": "APPROVED"}
    assert (pull.merged_by, pull.state) == ("ada", "closed")


async def test_pushes_at_once_all_arrive(served: Served) -> None:
    works = [await served.checkout(f"w{n}") for n in range(4)]
    for work in works:
        await served.git("commit", "-q", "--allow-empty", "-m", work.name, cwd=work)
    await asyncio.gather(*(served.git("push", "-q", "origin", f"HEAD:{work.name}", cwd=work) for work in works))
    assert set(await served.forge.bare(ROCKET).branches()) == {"main", "w0", "w1", "w2", "w3"}


async def test_a_file_too_large_to_be_compared_by_lines_is_shown_as_binary(served: Served) -> None:
    work = await served.push_fix()
    (work / "huge.txt").write_bytes(b"\n" * 3_000_000)
    await served.git("add", "huge.txt", cwd=work)
    await served.git("commit", "-qm", "A page of nothing", cwd=work)
    await served.git("push", "-q", "origin", "HEAD", cwd=work)
    words = {"title": "Huge", "head": "shipmate/one", "base": "main"}
    pull = await forge_pulls.open_pull(served.forge, ROCKET, "shipmate[bot]", **words)
    _, files = await forge_pulls.contents(served.forge, ROCKET, pull)
    assert {file.path: file.binary for file in files} == {"huge.txt": True, "rocket/fuel.py": False}


def test_a_patch_is_taken_apart_with_the_numbers_of_its_lines() -> None:
    patch = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n\\ No newline at end of file\n"
    (file,) = forge_diff.parse("1\t1\ta\0", patch)
    rows = [(line.kind, line.old, line.new) for line in file.lines]
    assert rows == [
        ("hunk", None, None), ("context", 1, 1), ("removed", 2, None), ("added", None, 2), ("note", None, None),
    ]  # fmt: skip
    assert (file.status, file.added, file.removed, file.binary) == ("modified", 1, 1, False)
