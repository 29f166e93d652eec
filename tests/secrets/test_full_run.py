"""A whole run, with everything that goes wrong in one, and then a look everywhere: no secret is where it need not be.

What processes show of themselves is looked at all the while. Only the web process, which speaks with everybody, has all
secrets in its environment; that is where its settings come from.
"""

import base64
import json
import secrets
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from bot.settings import view_secret
from jobs import redis_server
from jobs.commands import Tick
from jobs.inbox import Inbox, hash_token
from jobs.operations import park_box
from jobs.session import Rules, Status
from jobs.settings import JobSettings
from tests.e2e.conftest import open_office
from tests.e2e.people import Office, Thread, kill
from tests.secrets.places import Canaries, Watch, files, record

ASK_THE_MODEL = """
import json, urllib.error, urllib.request
url = "http://127.0.0.1:8787/model/anthropic/v1/messages"
asked = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
request = urllib.request.Request(url, json.dumps(asked).encode(), {"Content-Type": "application/json"})
try:
    print(urllib.request.urlopen(request, timeout=20).read())
except urllib.error.HTTPError as refused:
    print(refused.code, refused.headers, refused.read())
"""
FORGES = {"GITHUB_TOKEN"}
REDIS = {"REDIS_PASSWORD"}
MAY_KNOW = {"worker publish": FORGES | REDIS, "worker images": FORGES | REDIS, "worker boxes": REDIS, "upkeep": REDIS}


@asynccontextmanager
async def guarded_record(folder: Path, password: str) -> AsyncIterator[str]:
    """A server that wants a password; its URL."""
    plan = redis_server.plan(JobSettings.from_env({"SHIPMATE_DATA_DIR": str(folder), "PATH": ""}))
    with subprocess.Popen(plan.argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            await redis_server.answering(plan.url, 20.0)
            with redis.Redis.from_url(plan.url) as client:
                client.config_set("requirepass", password)
            yield plan.url.replace("unix://", f"unix://:{password}@")
        finally:
            server.kill()


def configured(office: Office, password: str, new_key: str) -> Canaries:
    """Every secret of this run, also the one that a model's key becomes in its middle."""
    keys = {
        name: Path(value[1:]).read_text() if value.startswith("@") else value
        for name, value in (office.stack.keys | office.stack.env).items()
        if name.endswith(("_TOKEN", "_SECRET", "_KEY")) and value
    }
    own = {
        "REDIS_PASSWORD": password,
        "VIEW_SECRET": view_secret(office.stack.settings.jobs.data_dir),
        "the new key": new_key,
    }
    found = Canaries(keys | own)
    assert {
        "SLACK_BOT_TOKEN",
        "SLACK_APP_TOKEN",
        "SLACK_SIGNING_SECRET",
        "GITHUB_TOKEN",
        "GITHUB_WEBHOOK_SECRET",
    } <= set(found.values)
    assert {"ANTHROPIC_API_KEY", "OPENAI_API_KEY", "PERSON_ADA_TOKEN"} <= set(found.values)
    assert all(len(value) >= 16 for value in found.values.values())
    return found


def remember_tokens(office: Office, canaries: Canaries) -> None:
    """The hashes of the tokens of the boxes that there are now."""
    with redis.Redis.from_url(office.stack.env["REDIS_URL"]) as client:
        canaries.hashes.update(key.decode() for key in client.hkeys("shipmate:grants"))


async def live(office: Office, canaries: Canaries, key_file: Path) -> list[Thread]:
    """The whole story. The model's key, which is wrong, is changed in its file for another that is."""
    env = await office.ada.says("@shipmate env, please")
    await env.settled()
    box = (await env.until(lambda s: s.box)).box
    assert box is not None
    remember_tokens(office, canaries)
    for key in (key_file.read_text(), canaries.values["the new key"]):
        key_file.write_text(key)
        said = await office.shop.provider.exec(box, ("python3", "-c", ASK_THE_MODEL), timeout=30.0)
        assert b"401" in said.stdout, said
    assert "there is a new key" in (office.stack.state / "logs" / "web.log").read_text()

    await office.forge(reject_pushes=True)
    line = await office.ada.says("@shipmate add a line to the README saying canary")
    await line.hears("could not be pushed")
    remember_tokens(office, canaries)
    await office.forge(reject_pushes=False, fail_next=1)
    await office.grace.replies(line, "add a line to the README saying second canary")
    assert (await line.settled(prompts=2, seconds=60.0)).pull_request is not None

    slow = await office.ada.says("@shipmate count slowly to 3")
    await slow.at_work()
    remember_tokens(office, canaries)
    kill(office.stack, "web")
    await slow.settled(seconds=60.0)
    return [env, line, slow]


async def put_away(office: Office, threads: list[Thread]) -> None:
    """Every box asleep, every session closed and in the archive."""
    await office.stack.supervisor.end("upkeep", "boxes", "images")
    for thread in threads:
        await park_box(office.shop, thread.sid)

        async def no_hint(_session: object, _operation: object) -> None:
            return

        later = Inbox(office.shop.store, no_hint, Rules(), clock=lambda: time.time() + 365 * 86_400)
        assert (await later.handle(thread.sid, Tick())).status is Status.CLOSED
        assert await office.shop.store.archive(thread.sid)


async def told(office: Office, threads: list[Thread]) -> list[tuple[str, bytes]]:
    """All that people were told: threads, pages, pull requests."""
    found = []
    for thread in threads:
        messages = [said.raw for said in await thread.messages()]
        found.append((f"thread {thread.sid}", json.dumps(messages).encode()))
        links = [e["url"] for said in messages for b in said.get("blocks") or () for e in b.get("elements") or ()
                 if "url" in e]  # fmt: skip
        status, page = await office.text(links[-1])
        assert status == 200
        found.append((f"page {thread.sid}", page.encode()))
        pulls = await office.pull_requests_of(thread)
        found.append((f"pull requests {thread.sid}", json.dumps(pulls).encode()))
    return found


@pytest.mark.asyncio
async def test_no_secret_is_where_it_need_not_be(tmp_path: Path) -> None:
    password, new_key, key_file = secrets.token_hex(16), "wrong-too-" + secrets.token_hex(16), tmp_path / "model-key"
    key_file.write_text("sk-ant-wrong-" + secrets.token_hex(16))
    settings = {"ANTHROPIC_API_KEY": f"@{key_file}"}
    async with guarded_record(tmp_path / "record", password) as url, open_office(REDIS_URL=url, **settings) as office:
        canaries, state = configured(office, password, new_key), office.stack.state
        own = (state / "playground", state / "playground.env", state / "view-secret")  # where they are kept on purpose
        with Watch(canaries) as watch:
            threads = await live(office, canaries, key_file)
            boxes = list(files(office.stack.settings.jobs.boxes_dir))
            await put_away(office, threads)
        assert canaries.hashes
        looked = [*boxes, *files(state, own), *files(office.stack.settings.jobs.boxes_dir), *record(url),
                  *files(office.stack.settings.jobs.gateway_dir), *files(tmp_path, (key_file,))]  # fmt: skip
        looked += await told(office, threads)
        looked += record(url)  # the pages have brought the sessions back from the archive

        names = [name for name, _ in looked]
        for place in (
            "/logs/web.log",
            "/logs/boxes.log",
            ".json.gz (unpacked)",
            "redis shipmate:",
            "/git/mirrors/",
            "page s",
        ):
            assert any(place in name for name in names), place
        assert [(name, found) for name, data in looked if (found := canaries.found_in(data))] == []

        assert {"web", "worker publish", "worker boxes", "upkeep", "git"} <= watch.programs
        assert ("web", "environment", "SLACK_BOT_TOKEN") in watch.shown, "what is there is seen"
        assert "SLACK_BOT_TOKEN" in canaries.found_in((state / "playground.env").read_bytes())
        assert boxes, "what a box has written was looked at while it lived"
        shown = {(program, where, name) for program, where, name in watch.shown if program != "web"}
        assert [one for one in shown if one[1] == "arguments"] == []
        assert [one for one in shown if one[2] not in MAY_KNOW.get(one[0], set())] == []
        for kept in (state / "view-secret", state / "playground.env"):
            assert kept.stat().st_mode & 0o077 == 0


def test_a_secret_is_found_in_each_of_its_forms() -> None:
    token = secrets.token_urlsafe(32)
    canaries = Canaries({"GITHUB_TOKEN": "ghp_canary/+x"}, {hash_token(token)})
    basic = base64.b64encode(b"x-access-token:ghp_canary/+x")
    for data in (b"a ghp_canary/+x b", b"Basic " + basic, b"//u:ghp_canary%2F%2Bx@h"):
        assert canaries.found_in(data) == ["GITHUB_TOKEN"]
    assert canaries.found_in(f'{{"token": "{token}"}}'.encode()) == ["a box's token"]
    assert canaries.found_in(b"nothing of the kind " + secrets.token_urlsafe(32).encode()) == []
