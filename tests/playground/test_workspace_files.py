"""Files of the workspace: announced, sent, shared, and read by those who may."""

import aiohttp

from tests.playground.workspaces import SECRET, Served, refused
from tests.playground.workspaces import served as served


async def test_a_file_is_for_those_who_see_its_channel(served: Served) -> None:
    assert await refused(served.ada.files_getUploadURLExternal(filename="a/..", length=3)) == "invalid_arguments"
    announced = await served.ada.files_getUploadURLExternal(filename="../../a.txt", length=3)
    async with served.http.post(announced["upload_url"], data=b"four") as got:
        assert got.status == 400
    async with served.http.post(announced["upload_url"], data=b"abc") as got:
        assert got.status == 200
    file = {"id": announced["file_id"], "title": "A"}
    assert await refused(served.grace.files_completeUploadExternal(files=[file])) == "file_not_found"
    done = (await served.ada.files_completeUploadExternal(files=[file], channel_id=SECRET))["files"][0]
    assert (done["name"], done["title"]) == ("a.txt", "A")
    assert (await served.bot.files_info(file=file["id"]))["file"]["size"] == 3
    assert await refused(served.grace.files_info(file=file["id"])) == "file_not_found"
    for account, content in (("U0ADA", "abc"), ("U0GRACE", "Sign in")):
        async with served.http.get(f"{done['url_private']}?token={served.token(account)}") as got:
            assert content in await got.text()
    async with served.http.post(announced["upload_url"], data=b"xyz") as got:
        assert got.status == 404


async def test_a_file_may_be_sent_as_a_form_and_must_not_be_too_large(served: Served) -> None:
    announced = await served.ada.files_getUploadURLExternal(filename="a.png", length=3)
    form = aiohttp.FormData()
    form.add_field("file", b"abc", filename="a.png")
    async with served.http.post(announced["upload_url"], data=form) as got:
        assert got.status == 200
    large = served.ada.files_getUploadURLExternal(filename="a.png", length=21 << 20)
    assert await refused(large) == "file_upload_size_restricted"
