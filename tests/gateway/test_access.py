"""Who may pass, over the real socket."""

import logging
from pathlib import Path

import pytest
from aiohttp import ClientSession, UnixConnector

from jobs.records import Grant
from tests.gateway.conftest import Site, one_box

STRANGERS = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Bearer wrong"},
    {"Authorization": "Basic dC0xOg=="},
    {"Authorization": "t-1"},
    {"x-api-key": "t-1"},
]
PLACES = [("POST", "/link/attach"), ("GET", "/link/down"), ("POST", "/model/openai/responses"), ("GET", "/nothing")]


async def ask(socket: Path, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    async with (
        ClientSession(connector=UnixConnector(str(socket))) as http,
        http.request(method, f"http://gateway{path}", headers=headers) as answer,
    ):
        return answer.status, await answer.text()


async def test_a_stranger_is_told_the_same_wherever_he_knocks(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket:
        answers = {await ask(socket, *place, headers) for place in PLACES for headers in STRANGERS}
    assert answers == {(401, '{"error": "unknown token"}')}


async def test_a_token_that_is_no_text_is_unknown(site: Site) -> None:
    async with site.gateway() as socket:
        assert (await ask(socket, "POST", "/link/attach", {"Authorization": "Bearer ä"}))[0] == 401


async def test_a_revoked_token_is_unknown_from_then_on(site: Site) -> None:
    grant = await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        await box.get_ready()
        await site.store.revoke(grant.box)
        assert repr(await box.up()) == "401 {'error': 'unknown token'}"
        assert (await box.attach()).status == 401


async def test_a_box_that_builds_an_image_may_use_git_and_the_way_out_only(site: Site) -> None:
    await site.store.grant("h", Grant("", "build-1", 0, "acme/rocket", "build", ""))
    session = await site.ask("s1", 1)
    await site.grant(session, "t-build", purpose="build")
    headers = {"Authorization": "Bearer t-build"}
    async with site.gateway() as socket:
        for method, path in PLACES:
            assert await ask(socket, method, path, headers) == (
                403, '{"error": "this box may use git and the way out only"}',
            )  # fmt: skip
        assert (await ask(socket, "POST", "/egress?host=evil.example&port=443", headers))[0] == 403


async def test_a_refusal_is_a_line_in_the_log_with_the_boxs_id(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    await site.box()
    caplog.set_level(logging.INFO)
    async with site.gateway() as socket, one_box(socket) as box:
        await box.attach(generation=7)
    (line,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert line == "refused POST /link/attach to box s1-1: stale generation"
    assert "t-1" not in caplog.text
