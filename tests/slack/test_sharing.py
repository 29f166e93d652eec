"""Files between Slack and a box: those that people attach can be fetched, those of an agent are in the thread once."""

import asyncio
import dataclasses
import json
from pathlib import Path

import pytest

from bot.outside import NotThere
from bot.playground.workspace_records import Message
from bot.slack.downloads import ELSEWHERE, Downloads, file_origin
from jobs import commands_tools as t
from jobs.events import Attachment, Place
from tests.playground.workspaces import DEV
from tests.slack.scene import TASK, Scene, Work, until
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene

PLACE = Place(client="slack", team="T", channel=DEV, thread="1.1")
SHOT = b"\x89PNG\r\n\x1a\n and more"


async def attached(scene: Scene, name: str = "shot.png", url: str = "https://ship.test/f1") -> tuple[str, Work]:
    """A thread whose agent has just attached a file."""
    ts = await scene.says()
    work = await scene.work(ts).begin()
    await work.do(t.WantFile(1, name, "After <!here>"))
    folder = scene.config.files_dir
    assert folder is not None
    path = Path(folder) / work.sid / "f1"
    path.parent.mkdir(parents=True)
    path.write_bytes(SHOT)
    await work.do(t.AttachFile(1, "f1", name, "image/png", len(SHOT), "d", url))
    return ts, work


async def shared(scene: Scene, ts: str) -> list[Message]:
    return [message for message in scene.served.workspace.state.replies(DEV, ts) if message.files]


async def quiet(scene: Scene, work: Work) -> None:
    """Until the thread has all there is, and nothing runs."""
    await work.end()
    await scene.all_shown()


async def test_a_file_is_in_the_thread_under_its_title_and_once(office: Scene) -> None:
    ts, work = await attached(office)
    await quiet(office, work)
    (message,) = await shared(office, ts)
    state = office.served.workspace.state
    file = state.files[message.files[0]]
    assert (file.name, file.title, file.size, message.thread_ts) == ("shot.png", "After <!here>", len(SHOT), ts)
    assert not [said for said in await office.ours(ts) if "paperclip" in said.words]


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("files.getUploadURLExternal", "fail"),
        ("files.completeUploadExternal", "fail_after"),
        ("files.completeUploadExternal", "rate_limit"),
    ],
)
async def test_an_answer_that_is_lost_leads_to_no_second_file(office: Scene, method: str, fault: str) -> None:
    await office.served.faults(methods=[method], **{fault: 1})
    ts, work = await attached(office)
    await quiet(office, work)
    assert len(await shared(office, ts)) == 1


async def test_a_client_that_died_while_it_shared_a_file_is_followed_by_one_that_looks_first(scene: Scene) -> None:
    async with scene.listening():
        await scene.served.faults(slow=1.0, methods=["files.completeUploadExternal"])
        ts, work = await attached(scene)

        async def sharing() -> bool:
            kept = (await scene.store.posts(work.sid)).get("file:f1", "{}")
            return bool(json.loads(kept).get("mark"))

        await until(sharing, bool)
    await scene.served.faults(slow=0, methods=[])
    async with scene.listening(arrive_seconds=3.0):
        await quiet(scene, work)
        assert len(await shared(scene, ts)) == 1


async def test_what_slack_does_not_take_is_named_in_words(office: Scene) -> None:
    ts, work = await attached(office, name="..")
    await office.shown(ts, "<https://ship.test/f1|..>", "After")
    await quiet(office, work)
    assert await shared(office, ts) == []


async def test_a_file_that_is_not_kept_any_more_is_named_in_words(scene: Scene) -> None:
    ts = await scene.posts(TASK)
    async with scene.listening(files_dir=None):
        await scene.delivered()
        work = await scene.work(ts).begin()
        await work.do(t.WantFile(1, "shot.png", "After"))
        await work.do(t.AttachFile(1, "f1", "shot.png", "image/png", 3, "d", "https://ship.test/f1"))
        await scene.shown(ts, "<https://ship.test/f1|shot.png>", "After")
        assert await shared(scene, ts) == []


# -- what people attach ----------------------------------------------------------------------------------------------


async def uploaded(scene: Scene, channel: str = DEV, content: bytes = b"log") -> Attachment:
    """A file of Ada's, as a prompt names it."""
    announced = await scene.served.ada.files_getUploadURLExternal(filename="crash.log", length=len(content))
    async with scene.served.http.post(announced["upload_url"], data=content) as got:
        assert got.status == 200
    done = await scene.served.ada.files_completeUploadExternal(files=[{"id": announced["file_id"]}], channel_id=channel)
    url = done["files"][0]["url_private"]
    return Attachment(name="crash.log", mimetype="text/plain", url=url, bytes=len(content))


async def fetched(scene: Scene, file: Attachment, place: Place = PLACE) -> bytes:
    async with Downloads(scene.config).fetch(place, file) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_what_people_attach_is_fetched(scene: Scene) -> None:
    assert await fetched(scene, await uploaded(scene)) == b"log"


async def test_a_page_that_asks_to_sign_in_is_no_file(scene: Scene) -> None:
    file = await uploaded(scene)
    stranger = Downloads(dataclasses.replace(scene.config, bot_token="xoxb-wrong"))
    with pytest.raises(NotThere, match="files:read"):
        async with stranger.fetch(PLACE, file) as pieces:
            assert [piece async for piece in pieces]


async def test_the_bots_token_goes_to_no_other_host(scene: Scene) -> None:
    for url in (
        "https://evil.test/a.png",
        "https://files.slack.com.evil.test/a",
        "https://files.slack.com@evil.test/a",
        "http://files.slack.com/a",
        "//files.slack.com/a",
        "file:///etc/passwd",
        "https://[",
        "",
    ):
        with pytest.raises(NotThere, match=ELSEWHERE):
            await fetched(scene, Attachment(name="a", url=url))


async def test_a_file_of_another_client_or_that_is_too_large_is_not_fetched(scene: Scene) -> None:
    file = await uploaded(scene)
    with pytest.raises(NotThere, match=ELSEWHERE):
        await fetched(scene, file, PLACE.model_copy(update={"client": "irc"}))
    with pytest.raises(NotThere, match="more than 20 MB"):
        await fetched(scene, file.model_copy(update={"bytes": 21 << 20}))


def test_slacks_own_file_hosts_and_what_stands_in_for_them() -> None:
    assert (
        file_origin("https://slack.com/api/") == file_origin("https://www.slack.com/api/") == "https://files.slack.com"
    )
    assert file_origin("https://slack-gov.com/api/") == "https://files.slack-gov.com"
    assert file_origin("http://127.0.0.1:8090/api/") == "http://127.0.0.1:8090"


async def test_a_slack_that_is_away_is_a_reason(scene: Scene) -> None:
    file = await uploaded(scene)
    gone = file.model_copy(update={"url": "http://127.0.0.1:9/files-pri/T-F/crash.log"})
    away = Downloads(type(scene.config)(bot_token="xoxb-1", api_url="http://127.0.0.1:9/api/"))
    with pytest.raises(NotThere, match="could not be reached"):
        async with asyncio.timeout(5), away.fetch(PLACE, gone) as pieces:
            assert [piece async for piece in pieces]
