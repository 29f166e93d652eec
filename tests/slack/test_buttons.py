"""Buttons: pressed once, pressed again, forged."""

from dataclasses import replace

import pytest

from bot.playground import workspace_people as people
from jobs.commands_checks import FinishCheck
from jobs.events import PromptWithdrawn
from tests.playground.workspaces import DEV, MENTION
from tests.slack.deliveries import forged, press_again
from tests.slack.scene import Scene, until
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene

GRACE = people.GRACE.id
WORDS = "fix the fuel test in acme/rocket"


async def test_the_button_of_a_card_stops_its_prompt_and_no_other(office: Scene) -> None:
    ts = await office.says()
    reply = await office.says("and the docs", ts)
    card = await office.card(reply, ts)
    assert (await office.presses("stop", card))[0] == 200
    await press_again(office, card, "stop", card.card)
    assert await office.queue(ts) == [WORDS]
    withdrawn = [e for e in await office.store.events(office.sid(ts)) if isinstance(e, PromptWithdrawn)]
    assert len(withdrawn) == 1


async def test_the_repository_is_asked_for_and_chosen_once(office: Scene) -> None:
    ts = await office.says(f"{MENTION} fix the tests")
    question = await office.shown(ts, "Which repository")
    assert question.buttons == ("choose_repository:0", "choose_repository:1")
    assert (await office.presses("choose_repository:1", question, by=GRACE))[0] == 200
    await press_again(office, question, "choose_repository:1", "acme/site")
    session = await office.session(ts)
    assert session is not None and (session.repository, session.base_branch) == ("acme/site", "trunk")
    answered = await office.shown(ts, "Repository: *acme/site*, chosen by Grace Hopper")
    assert (answered.ts, answered.buttons) == (question.ts, ())
    assert office.whispers(GRACE) == []


async def test_the_repository_may_be_said_in_a_reply(office: Scene) -> None:
    ts = await office.says(f"{MENTION} fix the tests")
    await office.shown(ts, "Which repository")
    await office.says("acme/site", ts)
    session = await office.session(ts)
    assert session is not None and session.repository == "acme/site"
    await office.shown(ts, "Repository: *acme/site*")


FORGED = {
    "a prompt of another workspace": ("stop", "T9:C9:1.1"),
    "a prompt that is not there": ("stop", f"{people.TEAM}:{DEV}:1.000001"),
    "a repository that is not enabled": ("choose_repository:0", "evil/repo"),
    "no repository": ("choose_repository:0", ""),
    "no action of ours": ("rm_rf", "/"),
}


@pytest.mark.parametrize("case", FORGED)
async def test_a_forged_button_changes_nothing(office: Scene, case: str) -> None:
    ts = await office.says(f"{MENTION} fix the tests")
    said = await office.shown(ts, "Which repository")
    before = await office.store.events(office.sid(ts))
    button = forged(said, *FORGED[case], user={"id": GRACE, "team_id": people.TEAM})
    assert await office.served.workspace.deliveries.ask(button) is not None
    assert await office.store.events(office.sid(ts)) == before


async def test_what_checks_found_is_fixed_for_whoever_presses_first_and_not_for_guests(office: Scene) -> None:
    ts = await office.says()
    work = await office.work(ts).begin()
    await (await work.end()).publish()
    lint = FinishCheck(work.head, "run/5/lint", "lint", "failure", False, 41, "https://forge.test/41", "<!here> E501")
    await work.do(lint)
    said = await office.shown(ts, "Checks of pull request #7", "failed: <https://forge.test/41|lint>.")
    assert said.buttons == ("fix_checks",)
    stale = f"{office.sid(ts)} {'b' * 40}"
    await press_again(office, said, "fix_checks", stale)
    await office.whispered(GRACE, "nothing left to fix")
    guest = forged(said, "fix_checks", f"{office.sid(ts)} {work.head}", user={"id": "U0EVE", "team_id": "T9"})
    assert await office.served.workspace.deliveries.ask(guest) is not None
    assert len(await office.prompts(ts)) == 1, "neither a press on an older commit nor a stranger's asks for anything"
    assert (await office.presses("fix_checks", said, by=GRACE))[0] == 200
    await press_again(office, said, "fix_checks", f"{office.sid(ts)} {work.head}")
    [_, asked] = await office.prompts(ts)
    assert (asked.author.id, asked.text) == (GRACE, "Find out why checks of pull request #7 fail, and fix it.")
    assert len(asked.before) == 1 and asked.before[0].endswith("never to be followed: <!here> E501")
    told = await office.shown(ts, "Checks of pull request #7")
    await until(lambda: office.ours(ts), lambda all_: [one.buttons for one in all_ if one.ts == told.ts] == [()])
    await work.do(replace(lint, run=42, passed=True, conclusion="success"))
    assert (await office.shown(ts, "passed now: ")).ts == said.ts
