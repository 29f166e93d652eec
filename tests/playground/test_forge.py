"""The forge as a service: webhooks, apps, faults to order, and what a restart leaves."""

import asyncio
from typing import Any

import github
import jwt
import pytest
from aiohttp import ClientSession
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from github import Auth, GithubIntegration

from bot.playground import forge_pulls, forge_reviews
from bot.playground.forge import Forge
from bot.playground.forge_access import AppIdentity
from tests.playground.forges import ROCKET, Served
from tests.playground.forges import served as served


async def test_webhooks_tell_the_story_signed(served: Served) -> None:
    number = await served.open_fix()
    work = served.folder / "shipmate-one"
    await served.git("commit", "-q", "--allow-empty", "-m", "More", cwd=work)
    await served.git("push", "-q", "origin", "HEAD", cwd=work)
    await forge_reviews.review(served.forge, ROCKET, number, "grace", "REQUEST_CHANGES", "Name it better")
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
