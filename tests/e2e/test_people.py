"""The agent turns to people: it asks, shows a file, names its pull request; through everything that really runs."""

import pytest

from jobs.events import AnswerTaken, FileAttached, PromptReceived
from tests.e2e.people import Office, Said, kill, until

pytestmark = pytest.mark.asyncio(loop_scope="session")
ASK = "@shipmate ask people: tabs or spaces?"


async def test_a_press_reaches_the_agent_that_waits_and_only_the_first_one_counts(office: Office) -> None:
    thread = await office.ada.says(ASK)
    question = await thread.hears("tabs or spaces?", "the first answer counts")
    assert f"<@{office.ada.id}>" in question.words and question.buttons == ("answer:0", "answer:1")
    await office.grace.presses(thread, question, "answer:1")
    session = await thread.settled()
    assert session.pull_request is not None and session.turns == 1
    assert "+Grace Hopper chose: spaces" in await office.patch(session.pull_request.number)
    answered = await thread.hears("› spaces", "answered by Grace Hopper")
    assert (answered.ts, answered.buttons) == (question.ts, ())
    assert len([event for event in await thread.log() if isinstance(event, AnswerTaken)]) == 1


async def test_a_question_and_its_answer_outlive_the_web_process(office: Office) -> None:
    thread = await office.ada.says(ASK)
    await thread.until(lambda s: s.inquiries)
    kill(office.stack, "web")

    async def asked() -> list[Said]:
        seen = await thread.from_us()
        return [said for said in seen if said.card.startswith("asked:") and "tabs or spaces?" in said.words]

    assert await until(asked, bool), "the question itself, and not only the card that has its words"
    await office.grace.replies(thread, "two of each")
    await thread.hears("› two of each", "answered by Grace Hopper")
    session = await thread.settled()
    assert session.pull_request is not None
    assert "chose: two of each" in await office.patch(session.pull_request.number)
    assert len([said for said in await thread.from_us() if "tabs or spaces?" in said.words]) == 2, (
        "the card, and one more"
    )


async def test_a_file_goes_into_the_box_and_out_again_and_the_pull_request_has_its_words(office: Office) -> None:
    attach = 'use tool attach {"path": "../home/attachments/1/crash.log", "title": "What you sent"}'
    thread = await office.ada.attaches("crash.log", b"it went bang\n", f"@shipmate {attach}")
    session = await thread.settled()
    (event,) = [event for event in await thread.log() if isinstance(event, FileAttached)]
    assert (event.name, event.bytes, session.files[0].id) == ("crash.log", 13, "f1")
    status, text = await office.text(event.url)
    assert (status, text) == (200, "it went bang\n")

    async def files() -> list[str]:
        return [file["title"] for said in await thread.from_us() for file in said.raw.get("files") or ()]

    assert await until(files, bool) == ["What you sent"]
    describe = 'use tool open_pull_request {"title": "Say hello", "body": "As @ada asked. Fixes #1", "draft": true}'
    await office.ada.replies(thread, describe)
    await office.ada.replies(thread, "add a line to the README saying hello")
    session = await thread.settled(prompts=3)
    (pull,) = await office.pull_requests_of(thread)
    assert (pull["title"], pull["draft"]) == ("Say hello", True)
    assert pull["body"].startswith("As @\u200bada asked.") and f"[What you sent]({event.url})" in pull["body"]
    await office.ada.replies(thread, "add a line to the README saying goodbye")
    await thread.settled(prompts=4)
    (pull,) = await office.pull_requests_of(thread)
    assert pull["title"] == "Say hello" and pull["body"].startswith("As @\u200bada asked.")
    assert len([event for event in await thread.log() if isinstance(event, PromptReceived)]) == 4
