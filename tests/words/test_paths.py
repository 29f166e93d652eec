"""No name that comes from outside leads out of its place: sessions, repositories, boxes, snapshots, agents."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import aiohttp
import pytest
from aiohttp import web

from bot.gateway.backend import HostGit
from bot.gateway.declined import Declined
from bot.gateway.mirrors import Mirrors
from bot.gateway.upstream import Upstream
from bot.web.admission import Admission
from bot.web.links import ViewLinks
from bot.web.pages import ViewPages
from jobs import archive
from jobs.archive import Archived
from jobs.store import Store
from sandbox.agents import row
from sandbox.box_folder import checked_name
from sandbox.layers import Layers
from sandbox.ownership import Owner
from sandbox.provider import Permanent

AWAY = [
    "..", ".", "../x", "../../etc/passwd", "/etc/passwd", "a/../../x", "a/b/c", "..\\x", "x\0", "x\n", "%2e%2e", "-x",
    "~", "\u2025/x", "x" * 5_000, "", " ", "\ud800",
]  # fmt: skip


async def nobody(*_: object) -> bool:
    return True


async def token(_repository: str) -> str:
    return "secret"


@pytest.fixture
async def pages(store: Store, archive: Path) -> AsyncIterator[str]:
    (archive.parent / "x.json.gz").write_bytes(b"not to be read")
    app = web.Application()
    app.add_routes(ViewPages(store, Admission(store, ViewLinks("secret", "", time.time), nobody)).routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize(
    "path", ["..%2Fx", "..%2F..%2Fetc%2Fpasswd", "x%00", "static%2F..%2Fpages.py", "%ED%A0%80", "~"]
)
async def test_a_page_of_an_odd_session_is_none_even_if_its_link_is_signed(pages: str, path: str) -> None:
    query = ViewLinks("secret", pages, time.time).public(unquote(path), time.time()).partition("?")[2]
    async with aiohttp.ClientSession() as http:
        for asked in (f"/view/{path}?{query}", f"/view/{path}", f"/view/static/{path}"):
            async with http.get(pages + asked) as answer:
                assert answer.status in (403, 404), (asked, answer.status)


@pytest.mark.parametrize("name", AWAY)
def test_an_archive_has_no_session_of_this_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    (tmp_path / "x.json.gz").write_bytes(b"not to be read")
    kept = Archived(session="{}", events=(), transcript=(), link={}, stamps={}, posts={})
    if name not in ("-x",):  # a hyphen leads nowhere
        assert not archive.has(folder, name)
        with pytest.raises(ValueError, match="no id of a session"):
            archive.write(folder, name, kept)
        with pytest.raises(ValueError, match="no id of a session"):
            archive.read(folder, name)
    assert [path.name for path in tmp_path.iterdir()] in (["archive", "x.json.gz"], ["x.json.gz", "archive"])


@pytest.mark.parametrize(
    "name", [*AWAY, "acme/..", "acme/.", "../acme", "acme/a/b", "acme/a b", "acme/a\n", ".acme/x", "acme"]
)
async def test_there_is_no_mirror_of_this_name(tmp_path: Path, name: str) -> None:
    upstream = Upstream("https://forge.test", token)
    mirrors = Mirrors(tmp_path / "mirrors", HostGit(tmp_path / "git"), upstream)
    for ask in (mirrors.fresh, mirrors.known):
        with pytest.raises(Declined):
            await ask(name)
    assert not (tmp_path / "mirrors").exists() and {path.name for path in tmp_path.iterdir()} == {"git"}


def test_repositories_may_be_named_as_the_forge_allows() -> None:
    upstream = Upstream("https://forge.test", token)
    for name in ("acme/rocket", "acme/.github", "a-b/c_d.e-f", "acme/x.git"):
        assert upstream.address(name) == f"https://forge.test/{name}.git"


@pytest.mark.parametrize("name", AWAY)
def test_there_is_no_box_no_snapshot_and_no_agent_of_this_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(Permanent):
        checked_name(name)
    layers = Layers(tmp_path / "layers", Owner.here())
    layers.prepare()
    (tmp_path / "manifest.json").write_text("{}")
    assert layers.manifest(name) is None
    with pytest.raises(ValueError, match="rehearsal"):
        row(name)
