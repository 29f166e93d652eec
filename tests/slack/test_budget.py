"""The question for money in a thread: asked once, answered once, by anybody who may speak there."""

import asyncio

from bot.playground import workspace_people as people
from bot.slack.courtesies import OUTSIDER
from jobs import commands as c
from jobs.decide_spending import ANSWERED
from jobs.events import BudgetDeclined, BudgetRaised
from tests.playground.workspaces import PARTNERS
from tests.slack.scene import DEV, MENTION, Said, Scene, Work, until
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene
from tests.slack.test_status import is_native

ADA, GRACE, OLGA = people.ADA.id, people.GRACE.id, people.OUTSIDER.id
REACHED = c.ReachBudget(1, 4.8, 4.5, 5.0)


async def paused(office: Scene, channel: str = DEV) -> tuple[str, Work, Said]:
    """A thread whose turn has paused, and the question in it."""
    ts = await office.says(f"{MENTION} fix the fuel test in acme/rocket", channel=channel)
    work = await office.work(ts, channel).begin()
    await work.says_what()
    await work.do(REACHED)
    question = await office.shown(ts, "Used $4.80. Go on with $5 more?", channel=channel)
    await work.end(outcome="stopped", commits=0)
    return ts, work, question


async def answers(office: Scene, ts: str, channel: str = DEV) -> list[str]:
    events = await office.store.events(office.sid(ts, channel))
    return [f"{event.kind} {event.by.name}" for event in events if isinstance(event, BudgetRaised | BudgetDeclined)]


async def test_somebody_says_yes_and_it_goes_on(office: Scene) -> None:
    ts, work, question = await paused(office)
    assert question.buttons == ("budget_more", "budget_no")
    assert f"<@{ADA}>" in question.text
    await office.shown(ts, "Paused: its budget is used up")
    await is_native(office, ts, "suspended")
    assert (await office.presses("budget_more", question, by=GRACE))[0] == 200
    answered = await office.shown(ts, "Grace Hopper said to go on with $5 more.")
    assert (answered.ts, answered.buttons) == (question.ts, ())
    await office.shown(ts, "Working on it again, after it was interrupted")
    await is_native(office, ts, "processing")
    assert await answers(office, ts) == ["budget_raised Grace Hopper"]
    await work.take_up()
    await work.end(commits=0)
    await office.shown(ts, "Done.")


async def test_pressed_twice_and_by_two_at_once_it_counts_once(office: Scene) -> None:
    ts, _, question = await paused(office)
    presses = [("budget_more", ADA), ("budget_more", GRACE), ("budget_no", GRACE), ("budget_more", ADA)]
    await asyncio.gather(*(office.presses(action, question, by=who) for action, who in presses))
    await until(lambda: answers(office, ts), bool)
    await office.delivered()
    assert len(await answers(office, ts)) == 1
    await until(lambda: asyncio.sleep(0, office.whispers(ADA) + office.whispers(GRACE)), lambda said: len(said) == 3)
    assert set(office.whispers(ADA) + office.whispers(GRACE)) == {ANSWERED}


async def test_somebody_says_no_and_the_next_prompt_begins_anew(office: Scene) -> None:
    ts, _, question = await paused(office)
    await office.presses("budget_no", question, by=ADA)
    await office.shown(ts, "Ada Lovelace said no.")
    await office.shown(ts, "Withdrawn: Ada Lovelace did not raise the budget")
    await office.says("go on after all", ts)
    session = await office.session(ts)
    assert session is not None and session.turn is not None and session.turn.prompt.text == "go on after all"


async def test_a_reply_while_it_is_paused_waits_with_the_rest(office: Scene) -> None:
    ts, _, question = await paused(office)
    reply = await office.says("and the docs", ts, by=office.served.grace)
    card = await office.card(reply, ts)
    assert "Paused: its budget is used up" in card.words
    await office.presses("budget_more", question)
    await office.shown(ts, "Waiting its turn (1 ahead)")


async def test_an_outsider_has_no_say_in_it(office: Scene) -> None:
    ts, _, question = await paused(office, PARTNERS)
    await office.presses("budget_more", question, by=OLGA, channel=PARTNERS)
    await office.whispered(OLGA, OUTSIDER)
    assert await answers(office, ts, PARTNERS) == []


async def test_a_trouble_of_the_model_is_in_the_card_while_it_lasts(office: Scene) -> None:
    ts = await office.says(f"{MENTION} fix the fuel test in acme/rocket")
    work = await office.work(ts).begin()
    await work.do(c.TellModelTrouble(1, "overloaded"))
    await office.shown(ts, "the model provider is overloaded; the agent keeps trying")
    await work.do(c.TellModelTrouble(1, ""))
    await until(lambda: office.ours(ts), lambda said: not any("overloaded" in each.words for each in said))
    await work.do(c.TellModelRefusal(1, "Anthropic does not accept our key (401). Set it anew."))
    await office.shown(ts, f"<@{ADA}> Anthropic does not accept our key (401).")
    await work.end(commits=0)
    await office.shown(ts, "Done.")
