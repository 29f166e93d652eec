"""The whole playground behind one address: its settings, its end, and what it refuses."""

import asyncio
import stat
from pathlib import Path

import aiohttp
import pytest

from bot.playground import server
from tests.playground.workspaces import SECONDS


async def test_the_playground_writes_its_settings_for_one_reader_and_then_prints_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env_file = tmp_path / "playground.env"
    serving_it = asyncio.create_task(server.serve(0, tmp_path / "state", env_file, ""))
    async with asyncio.timeout(SECONDS):
        while not env_file.exists():
            assert not serving_it.done(), serving_it.exception()
            await asyncio.sleep(0.01)
    written = dict(line.split("=", 1) for line in env_file.read_text().splitlines())
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    assert capsys.readouterr().out == ""
    assert {
        "SLACK_API_URL", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "PERSON_ADA_TOKEN",
        "PERSON_GRACE_TOKEN", "SHIPMATE_REPOSITORIES", "GITHUB_API_URL", "GITHUB_TOKEN", "OPENAI_BASE_URL",
    } <= set(written)  # fmt: skip
    base = written["SLACK_API_URL"].removesuffix("/api/")
    async with aiohttp.ClientSession() as http:
        for path in ("/", "/forge/", "/playground/bootstrap"):
            async with http.get(base + path) as got:
                assert got.status == 200, path
        live_url = f"{base}/playground/live?token={written['PERSON_ADA_TOKEN']}"
        async with http.get(live_url), asyncio.timeout(SECONDS):
            serving_it.cancel()  # an open stream does not hold it up
            with pytest.raises(asyncio.CancelledError):
                await serving_it


async def test_a_playground_without_a_file_prints_its_settings_and_forgets_everything(
    capsys: pytest.CaptureFixture[str],
) -> None:
    serving_it = asyncio.create_task(server.serve(0, None, None, ""))
    printed = ""
    async with asyncio.timeout(SECONDS):
        while "SHIPMATE_REPOSITORIES=acme/rocket" not in printed:
            await asyncio.sleep(0.01)
            printed += capsys.readouterr().out
    serving_it.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving_it


FOREIGN: dict[str, dict[str, str]] = {
    "another host": {"Host": "evil.example"},
    "another host with our port": {"Host": "evil.example:{port}"},
    "another origin": {"Origin": "https://evil.example"},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "no origin": {"Origin": "null"},
    "a script of another site": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "a script of another port": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
}


async def test_the_playground_answers_its_own_pages_only(tmp_path: Path) -> None:
    async with server.playground(0, tmp_path) as running, aiohttp.ClientSession() as http:
        url = f"{running.url}/playground/bootstrap"
        for case, headers in FOREIGN.items():
            sent = {name: value.format(port=running.url.rpartition(":")[2]) for name, value in headers.items()}
            async with http.get(url, headers=sent) as got:
                assert got.status == 403, case
        own = {"Origin": running.url, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
        async with http.get(url, headers=own) as got:
            assert got.status == 200
        link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        async with http.get(running.url + "/", headers=link) as got:
            assert got.status == 200
