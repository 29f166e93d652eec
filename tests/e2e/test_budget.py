"""A session that reaches its budget in a real box: it pauses with what it has, and goes on when somebody says so."""

import json

import pytest

from jobs.events import PromptDelivered
from tests.e2e.people import Office, kill

ASK = """
import json, urllib.error, urllib.request
asked = {"model": "shipmate-scripted", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
url, head = "http://127.0.0.1:8787/model/anthropic/v1/messages", {"Content-Type": "application/json"}
try:
    print(urllib.request.urlopen(urllib.request.Request(url, json.dumps(asked).encode(), head), timeout=20).status)
except urllib.error.HTTPError as refused:
    print(refused.code, refused.read().decode())
"""


@pytest.mark.asyncio(loop_scope="session")
async def test_a_turn_pauses_at_its_budget_and_goes_on_in_the_same_box(careful_office: Office) -> None:
    office = careful_office
    await office.post("model/_faults", {"tokens": 600_000})
    thread = await office.ada.says("@shipmate in acme/rocket count slowly to 12")
    box = (await thread.at_work()).box
    assert box is not None
    said = [(await office.shop.provider.exec(box, ("python3", "-c", ASK), timeout=30.0)).stdout for _ in range(2)]
    assert said[0] == b"200\n"
    assert said[1].startswith(b"402 "), said
    assert json.loads(said[1][4:])["error"]["type"] == "billing_error"
    question = await thread.hears("Used $1.20. Go on with $1 more?")
    await thread.until(lambda session: session.turn is None)
    assert [(end.outcome, end.cost) for end in await thread.endings()] == [("paused", 1.2)]

    kill(office.stack, "web")  # the question is in the record, not in a process
    await office.grace.replies(thread, "count slowly to 1")
    assert len((await thread.until(lambda session: len(session.queue) == 2)).queue) == 2, "nothing begins"
    await office.grace.presses(thread, question, "budget_more")
    session = await thread.settled(prompts=2)
    assert session.box == box
    assert [end.outcome for end in await thread.endings()] == ["paused", "done", "done"]
    again = [event.again for event in await thread.log() if isinstance(event, PromptDelivered)]
    assert again == [False, True, False]
    await thread.hears("Grace Hopper said to go on with $1 more.")
