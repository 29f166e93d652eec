"""Pull requests and tokens through PyGithub, against the playground's forge on loopback."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from github import GithubException, RateLimitExceededException

from bot.github import HEARD
from bot.playground import forge_checks, forge_pulls
from bot.playground.forge import Forge as PlaygroundForge
from bot.playground.forge_access import Access, AppIdentity
from bot.playground.forge_records import Annotation, PullRequest
from jobs.github import THROTTLED_SECONDS_MOST, AppKey, Forge, ForgeDown, ForgeRefused, Published, _judged
from jobs.seals import sealed
from tests.jobs.forge import ROCKET, push, serving

BRANCH = "shipmate/s1"
READER = "reads-only"


@dataclass
class World:
    """The playground's forge, listening, and ours that talks to it with a token."""

    play: PlaygroundForge
    ours: Forge

    async def push(self) -> str:
        return await push(self.play, BRANCH)

    async def publish(self, head: str, title: str = "Count it", body: str = "Words", draft: bool = False) -> Published:
        return await self.ours.publish(
            ROCKET, branch=BRANCH, head=head, base="main", title=title, body=body, draft=draft
        )

    def pull(self, number: int) -> PullRequest:
        return self.play.repository(ROCKET).pull(number)

    def with_token(self, token: str) -> Forge:
        return Forge(self.play.api_url, token)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with serving(tmp_path, tokens={READER: Access("grace", may_push=False)}) as play:
        yield World(play, Forge(play.api_url, play.token))


async def test_the_first_work_opens_a_pull_request(world: World) -> None:
    published = await world.publish(await world.push())
    pull = world.pull(published.number)
    assert published == Published(pull.number, f"{world.play.url}/{ROCKET}/pull/{pull.number}", opened=True)
    assert (pull.title, pull.base, pull.head, pull.draft) == ("Count it", "main", BRANCH, False)
    assert pull.body == sealed("Count it", "Words")


async def test_later_work_brings_its_words_up_to_date_and_leaves_the_title_to_people(world: World) -> None:
    first = await world.publish(await world.push())
    await forge_pulls.edit_pull(world.play, ROCKET, first.number, "grace", {"title": "Count all tanks"})
    second = await world.publish(await world.push(), body="More words")
    assert second == Published(first.number, first.url, opened=False)
    pull = world.pull(first.number)
    assert pull.title == "Count all tanks"
    assert pull.body == sealed("Count it", "More words"), "the title is not taken for ours by it"
    await world.publish(await world.push(), title="Count it anew", body="Most words")
    assert world.pull(first.number).title == "Count all tanks"


async def test_words_that_nobody_has_changed_follow_ours(world: World) -> None:
    head = await world.push()
    first = await world.publish(head, draft=True)
    assert world.pull(first.number).draft
    await world.publish(head, title="Round tanks up", body="As the agent says")
    pull = world.pull(first.number)
    assert (pull.title, pull.body) == ("Round tanks up", sealed("Round tanks up", "As the agent says"))


@pytest.mark.parametrize("body", ["Grace's own words", "", f"Grace's own words\n\n{sealed('Count it', 'Words')}"])
async def test_a_body_that_a_person_has_changed_stays_as_it_is(world: World, body: str) -> None:
    first = await world.publish(await world.push())
    await forge_pulls.edit_pull(world.play, ROCKET, first.number, "grace", {"body": body})
    await world.publish(await world.push(), body="More words")
    assert world.pull(first.number).body == body


async def test_a_body_whose_lines_the_forge_ends_otherwise_is_still_ours(world: World) -> None:
    first = await world.publish(await world.push(), body="One\ntwo\n")
    said = world.pull(first.number).body.replace("\n", "\r\n")
    await forge_pulls.edit_pull(world.play, ROCKET, first.number, "grace", {"body": said})
    await world.publish(await world.push(), body="More words")
    assert "More words" in world.pull(first.number).body


async def test_publishing_twice_is_publishing_once(world: World) -> None:
    head = await world.push()
    first = await world.publish(head)
    assert await world.publish(head) == Published(first.number, first.url, opened=False)


async def test_two_workers_at_once_open_one_pull_request(world: World) -> None:
    head = await world.push()
    found = await asyncio.gather(*(world.publish(head) for _ in range(4)))
    assert len({published.number for published in found}) == 1
    assert [published.opened for published in found].count(True) == 1


async def test_after_a_merge_new_work_opens_another_pull_request(world: World) -> None:
    first = await world.publish(await world.push())
    await forge_pulls.merge(world.play, ROCKET, first.number, "grace")
    second = await world.publish(await world.push())
    assert second.opened
    assert second.number != first.number
    assert world.pull(first.number).merged_by == "grace"


@pytest.mark.parametrize("merged", [True, False])
async def test_work_that_was_merged_or_closed_meanwhile_is_left_there(world: World, merged: bool) -> None:
    head = await world.push()
    first = await world.publish(head)
    if merged:
        await forge_pulls.merge(world.play, ROCKET, first.number, "grace")
    else:
        await forge_pulls.edit_pull(world.play, ROCKET, first.number, "grace", {"state": "closed"})
    assert await world.publish(head, body="New words") == Published(
        first.number, first.url, opened=False, state="merged" if merged else "closed"
    )
    assert world.pull(first.number).body == sealed("Count it", "Words")


async def test_what_cannot_be_published_is_refused_with_the_forges_own_words(world: World) -> None:
    with pytest.raises(ForgeRefused, match="422: Validation Failed"):
        await world.publish("a" * 40)  # the branch was never pushed
    await world.push()
    with pytest.raises(ForgeRefused, match="the forge answered 40[34]"):
        await world.with_token(READER).publish(ROCKET, branch=BRANCH, head="", base="main", title="t", body="b")
    with pytest.raises(ForgeRefused, match="the forge answered 401: Bad credentials"):
        await world.with_token("ghp_wrong").publish(ROCKET, branch=BRANCH, head="", base="main", title="t", body="b")
    with pytest.raises(ForgeRefused, match="the forge answered 404"):
        await world.ours.publish("acme/none", branch=BRANCH, head="", base="main", title="t", body="b")


async def test_a_forge_that_is_down_is_tried_again(world: World) -> None:
    head = await world.push()
    world.play.faults.down = True
    with pytest.raises(ForgeDown, match="503"):
        await world.publish(head)
    world.play.faults.down = False
    world.play.faults.fail_next = 1
    with pytest.raises(ForgeDown, match="500"):
        await world.publish(head)
    assert (await world.publish(head)).opened


async def test_a_forge_that_is_not_there_is_tried_again() -> None:
    with pytest.raises(ForgeDown, match="could not be reached") as caught:
        await Forge("http://127.0.0.1:9/api", "t").publish(ROCKET, branch="b", head="", base="main", title="t", body="")
    assert caught.value.delay > 0


async def test_a_rate_limit_is_waited_for_as_long_as_the_forge_says(world: World) -> None:
    head = await world.push()
    world.play.faults.rate_limit_next = 1
    with pytest.raises(ForgeDown, match="rate limit") as caught:
        await world.publish(head)
    assert 50 < caught.value.delay <= 60


@pytest.mark.parametrize(
    ("headers", "delay"),
    [
        ({}, 60),
        ({"retry-after": "7"}, 7),
        ({"Retry-After": "7", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1300"}, 7),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1300"}, 300),
        ({"x-ratelimit-remaining": "12", "x-ratelimit-reset": "1300"}, 60),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "900"}, 1),
        ({"retry-after": "99999999"}, THROTTLED_SECONDS_MOST),
        ({"retry-after": "soon"}, 60),
    ],
)
@pytest.mark.parametrize("kind", [RateLimitExceededException, GithubException])
def test_a_throttled_call_waits_as_long_as_the_forge_says_within_bounds(
    kind: type[GithubException], headers: dict[str, str], delay: float
) -> None:
    status = 403 if kind is RateLimitExceededException else 429
    judged = _judged(kind(status, {"message": "slow down"}, headers), now=1_000.0)
    assert isinstance(judged, ForgeDown)
    assert judged.delay == delay


async def test_doctor_hears_who_may_push_where(world: World) -> None:
    assert await world.ours.whoami(ROCKET) == ROCKET
    assert await world.ours.whoami() == "shipmate[bot]"
    with pytest.raises(ForgeRefused, match="may read acme/rocket but not push"):
        await world.with_token(READER).whoami(ROCKET)


@pytest.fixture(scope="module")
def app_key() -> tuple[str, AppIdentity]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    return private, AppIdentity(42, "shipmate", public)


async def test_an_app_publishes_with_a_token_minted_for_the_repository(
    world: World, app_key: tuple[str, AppIdentity]
) -> None:
    private, world.play.credentials.app = app_key
    world.ours = Forge(world.play.api_url, AppKey(42, private))
    head = await world.push()
    tokens = await asyncio.gather(*(world.ours.token(ROCKET) for _ in range(3)))
    assert len(set(tokens)) == 1, "minted once and kept"
    assert tokens[0] != world.play.token
    assert (await world.publish(head)).opened
    assert await world.ours.whoami(ROCKET) == ROCKET
    assert set(HEARD) <= set(await world.ours.app_events())
    assert await world.with_token(READER).app_events() == ()


async def test_what_a_check_says_of_lines_is_told_the_worst_first_and_an_app_asks_for_that_by_itself(
    world: World, app_key: tuple[str, AppIdentity]
) -> None:
    private, world.play.credentials.app = app_key
    said = [("warning", "W1"), ("failure", "E501")]
    notes = [Annotation(path="a.py", start_line=3, end_line=3, annotation_level=x, message=y) for x, y in said]
    run = await forge_checks.finish(
        world.play, ROCKET, await world.push(), "grace", "lint", "failure", annotations=notes
    )
    app = Forge(world.play.api_url, AppKey(42, private))
    assert await world.ours.notes(ROCKET, run.id) == ("a.py, line 3: E501", "a.py, line 3: W1")
    assert await app.notes(ROCKET, run.id) == await world.ours.notes(ROCKET, run.id)
    assert await app.token(ROCKET) != await app._token(ROCKET, {"checks": "read"})
    with pytest.raises(ForgeRefused, match="404"):
        await app.notes(ROCKET, run.id + 9)


async def test_a_minted_token_is_replaced_before_it_ends(world: World, app_key: tuple[str, AppIdentity]) -> None:
    private, world.play.credentials.app = app_key
    ours = Forge(world.play.api_url, AppKey(42, private))
    first = await ours.token(ROCKET)
    [kept] = ours._minted
    ours._minted[kept] = (first, time.time() + 299)
    assert await ours.token(ROCKET) != first


async def test_an_apps_wrong_key_and_an_app_that_is_not_installed_are_refused(
    world: World, app_key: tuple[str, AppIdentity]
) -> None:
    private, world.play.credentials.app = app_key
    broken = "-----BEGIN RSA PRIVATE KEY-----\nnonsense\n-----END RSA PRIVATE KEY-----\n"
    with pytest.raises(ForgeRefused, match="private key cannot be used"):
        await Forge(world.play.api_url, AppKey(42, broken)).token(ROCKET)
    with pytest.raises(ForgeRefused, match="the forge answered 401"):
        await Forge(world.play.api_url, AppKey(41, private)).token(ROCKET)
    with pytest.raises(ForgeRefused, match="the forge answered 404"):
        await Forge(world.play.api_url, AppKey(42, private)).token("nobody/nothing")
