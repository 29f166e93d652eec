"""What a model took and whose it was, which models may be asked, and what happens when the budget is used up."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.gateway.model_under_way import UnderWay
from bot.model_prices import PRICES, cost, plain, price_of
from jobs import commands as c
from jobs.children import hand_over
from jobs.commands_family import SpawnChild
from jobs.events import BudgetReached, Prompt, StopRequested, TurnEnded
from jobs.frames import Ended, Ready
from jobs.records import Spent
from jobs.session import Session
from jobs.wants import wants
from tests.gateway.conftest import SOON, Json, Site
from tests.gateway.proxied import ANTHROPIC, ASK, GEMINI, IDS, OPENAI, RESPONSES, TOOL, WAYS, Proxied, scripted, served
from tests.logs import ADA, GRACE, RULES
from tests.waiting import until

PRICED = '{"m": [1, 1], "free*": [0, 0]}'  # a dollar for a million tokens
MILLION = 1_000_000


async def spent(site: Site, sid: str = "s1", requests: int = 1) -> dict[str, int]:
    """What the session has spent, once so many requests were counted."""
    async with asyncio.timeout(SOON):
        while (found := await site.store.usage.of_session(sid)).get("requests", 0) < requests:
            await asyncio.sleep(0.01)
    return found


async def answered(box: Proxied, path: str, body: Json) -> tuple[int, Json]:
    async with box.post(path, body) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if answer.content_type == "application/json" else {}


# -- counting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "body"), WAYS, ids=IDS)
async def test_what_a_model_took_is_counted_in_every_protocol(site: Site, path: str, body: Json) -> None:
    async with scripted(site, SHIPMATE_MODEL_PRICES=PRICED) as (box, model):
        model.faults.tokens = 1_000
        assert (await answered(box, path, body))[0] == 200
        found = await spent(site)
    assert found == {
        "requests": 1, "input": 1_000, "output": 1_000, "micros": 2_000, "turn:1": 2_000, "budget": 2_000
    }  # fmt: skip


async def test_it_is_counted_for_the_person_the_repository_and_the_model(site: Site) -> None:
    async with scripted(site, SHIPMATE_MODEL_PRICES=PRICED) as (box, model):
        model.faults.tokens = 500
        for n in (1, 2):
            await answered(box, ANTHROPIC, ASK | {"tools": [TOOL]})
            await spent(site, requests=n)
    totals = await site.store.counts.totals()
    for dimension, name in (("person", ADA.id), ("repository", "acme/rocket"), ("model", "m")):
        kinds = ("requests", "input", "output", "micros")
        of = {kind: totals.get(f"usage:{dimension}:{kind}:{name}") for kind in kinds}
        assert of == {"requests": 2, "input": 1_000, "output": 1_000, "micros": 2_000}


async def test_names_that_a_box_makes_up_do_not_fill_the_record(site: Site) -> None:
    async with scripted(site) as (box, _):
        for n in range(5):
            await answered(box, ANTHROPIC, ASK | {"model": f"made-up-{n}"})
            found = await spent(site, requests=n + 1)
    names = {field.rpartition(":")[2] for field in await site.store.counts.totals() if field.startswith("usage:model:")}
    assert names == {"other"}
    assert (found["unpriced"], "micros" in found) == (5, False)


async def test_a_stream_that_is_cut_is_counted_as_far_as_it_came(site: Site) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        await request.read()
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for _ in range(10):
            await answer.write(b"data: {}\n\n")
        assert request.transport is not None
        request.transport.abort()
        return answer

    async with served(site, cut, SHIPMATE_MODEL_PRICES=PRICED) as box:
        with pytest.raises(aiohttp.ClientError):
            async with box.post(OPENAI, ASK | {"stream": True}) as answer:
                await answer.read()
        found = await spent(site)
    assert found["input"] == len(json.dumps(ASK | {"stream": True})) // 4
    assert found["output"] <= 10


async def test_what_an_agent_does_not_wait_for_is_counted_all_the_same(site: Site) -> None:
    there = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await request.read()
        there.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with served(site, slow, SHIPMATE_MODEL_PRICES=PRICED) as box:
        asking = asyncio.ensure_future(answered(box, ANTHROPIC, ASK))
        async with asyncio.timeout(SOON):
            await there.wait()
        asking.cancel()
        found = await spent(site)
    assert (found["input"], found["requests"], found.get("output", 0)) == (len(json.dumps(ASK)) // 4, 1, 0)


async def test_what_is_refused_or_fails_costs_nothing(site: Site) -> None:
    async with scripted(site, SHIPMATE_MODEL_PRICES=PRICED) as (box, model):
        model.faults.errors = [429, 500]
        assert [(await answered(box, ANTHROPIC, ASK))[0] for _ in range(3)] == [429, 500, 200]
        assert (await spent(site))["requests"] == 1


async def test_the_end_of_a_turn_tells_what_it_took(site: Site) -> None:
    async with scripted(site, SHIPMATE_MODEL_PRICES=PRICED) as (box, model):
        model.faults.tokens = 210_000
        await answered(box, ANTHROPIC, ASK)
        await spent(site)
        await box.says("turn_ended", turn=1, outcome="done")
    (ended,) = await site.log("s1", TurnEnded)
    assert ended.cost == pytest.approx(0.42)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("claude-opus-4-1@20250805", "claude-opus-4-1"),
        ("gpt-5.5-2026-04-23", "gpt-5-5"),
        ("GPT-5.4-mini", "gpt-5-4-mini"),
        ("gemini-3.1-pro-preview", "gemini-3-1-pro"),
        ("gpt-5.5-pro", None),
        ("qwen3-coder", None),
        ("", None),
    ],
)
def test_a_model_has_the_price_of_its_kind(name: str, known: str | None) -> None:
    assert price_of(name, {}) == (PRICES[known] if known else None)
    assert known is None or plain(name) == known


def test_a_long_request_costs_more_where_the_provider_says_so() -> None:
    price = PRICES["gpt-5-5"]
    assert cost(Spent(input=MILLION // 10, output=1_000), price) == 500_000 + 30_000
    assert cost(Spent(input=MILLION, output=1_000), price) == 10_000_000 + 45_000


# -- what may be asked -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        (ANTHROPIC, ASK, ("error", "type", "permission_error")),
        (OPENAI, ASK, ("error", "code", "model_not_allowed")),
        (GEMINI, {"contents": []}, ("error", "status", "PERMISSION_DENIED")),
    ],
)
async def test_a_model_that_is_not_allowed_is_refused_in_the_providers_shape(
    site: Site, path: str, body: Json, kind: tuple[str, str, str]
) -> None:
    async with scripted(site, SHIPMATE_MODELS="claude-*,openai/gpt-5*") as (box, model):
        status, said = await answered(box, path, body)
        assert status == 403
        assert said[kind[0]][kind[1]] == kind[2]
        assert "does not allow the model m" in said["error"]["message"]
        assert "claude-*" in said["error"]["message"]
        assert not model.seen


async def test_a_model_that_is_allowed_is_asked_by_either_name(site: Site) -> None:
    async with scripted(site, SHIPMATE_MODELS="claude-*,openai/gpt-5*") as (box, _):
        assert (await answered(box, ANTHROPIC, ASK | {"model": "claude-x"}))[0] == 200
        assert (await answered(box, OPENAI, ASK | {"model": "gpt-5"}))[0] == 200
        assert (await answered(box, ANTHROPIC, ASK | {"model": "gpt-5"}))[0] == 403
        async with box.get("/model/openai/models") as answer:
            assert answer.status == 200


async def test_a_request_that_hides_its_model_is_refused(site: Site) -> None:
    async with scripted(site, SHIPMATE_MODELS="claude-*") as (box, model):
        twice = json.dumps(ASK)[:-1].encode() + b', "model": "claude-x"}'
        async with box.post(ANTHROPIC, twice) as answer:
            assert answer.status == 400
        async with box.post(ANTHROPIC, json.dumps(ASK).encode(), **{"Content-Encoding": "gzip"}) as answer:
            assert (answer.status, "Name the model" in (await answer.json())["error"]["message"]) == (400, True)
        fallbacks = ASK | {"model": "claude-x", "models": ["a-dear-one"]}
        status, said = await answered(box, ANTHROPIC, fallbacks)
        assert (status, "Name one model" in said["error"]["message"]) == (400, True)
        assert not model.seen
        talk = {"role": "user", "content": [{"type": "tool_use", "input": {"models": ["a", "b"]}}]}
        assert (await answered(box, ANTHROPIC, ASK | {"model": "claude-x", "messages": [talk]}))[0] == 200


async def test_what_nobody_would_count_is_not_passed_on(site: Site) -> None:
    async with scripted(site) as (box, model):
        status, said = await answered(box, RESPONSES, {"model": "m", "input": "x", "background": True})
        assert (status, "background" in said["error"]["message"]) == (400, True)
        assert not model.seen


async def test_with_a_budget_a_model_without_a_price_is_refused(site: Site) -> None:
    async with scripted(site, SHIPMATE_BUDGET="5", SHIPMATE_MODEL_PRICES=PRICED) as (box, _):
        status, said = await answered(box, ANTHROPIC, ASK | {"model": "unheard-of"})
        assert (status, "SHIPMATE_MODEL_PRICES" in said["error"]["message"]) == (403, True)
        assert (await answered(box, ANTHROPIC, ASK | {"model": "free-at-home"}))[0] == 200


# -- the budget --------------------------------------------------------------------------------------------------------


async def paused(site: Site, box: Proxied, model: Any, body: Json = ASK) -> tuple[int, Json]:
    """Spend more than the budget in one request, then ask once more."""
    model.faults.tokens = 3 * MILLION
    assert (await answered(box, ANTHROPIC, ASK))[0] == 200
    await spent(site)
    return await answered(box, ANTHROPIC, body)


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        (ANTHROPIC, ASK, ("type", "billing_error")),
        (OPENAI, ASK, ("code", "insufficient_quota")),
        (GEMINI, {"contents": []}, ("status", "FAILED_PRECONDITION")),
    ],
)
async def test_at_the_budget_the_turn_pauses_before_the_agent_is_refused(
    site: Site, path: str, body: Json, kind: tuple[str, str]
) -> None:
    async with scripted(site, SHIPMATE_BUDGET="5", SHIPMATE_MODEL_PRICES=PRICED) as (box, model):
        await paused(site, box, model)
        events = await site.log("s1")
        status, said = await answered(box, path, body)
        assert (status, said["error"][kind[0]]) == (402, kind[1])
    reached, stop = [event for event in events if isinstance(event, BudgetReached | StopRequested)]
    assert (reached.used, reached.limit, reached.more) == (6.0, 5.0, 5.0)
    assert stop.by is None
    assert len(await site.log("s1", BudgetReached)) == 1, "a second request does not ask again"
    assert len(model.seen) == 1


async def test_requests_at_the_same_moment_do_not_cross_the_budget_together(site: Site) -> None:
    asked, go = [], asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        asked.append(request.path)
        await go.wait()
        return web.json_response({"usage": {"input_tokens": 1_000, "output_tokens": 3_000}})

    async with served(site, slow, SHIPMATE_BUDGET="0.003", SHIPMATE_MODEL_PRICES=PRICED) as box:
        asking = [asyncio.ensure_future(answered(box, ANTHROPIC, ASK)) for _ in range(3)]
        await until(lambda: asked)
        go.set()
        assert sorted([status for status, _ in await asyncio.gather(*asking)]) == [200, 402, 402]
    assert len(asked) == 1


async def test_what_came_to_nothing_holds_up_nobody(site: Site) -> None:
    async def broken(_request: web.Request) -> web.Response:
        return web.json_response({}, status=500)

    async with served(site, broken, SHIPMATE_BUDGET="0.003", SHIPMATE_MODEL_PRICES=PRICED) as box:
        for _ in range(3):
            assert (await answered(box, ANTHROPIC, ASK))[0] == 500


async def test_a_stream_in_which_the_budget_is_reached_ends_as_it_would(site: Site) -> None:
    async with scripted(site, SHIPMATE_BUDGET="5", SHIPMATE_MODEL_PRICES=PRICED) as (box, model):
        model.faults.tokens, model.faults.pace = 3 * MILLION, 0.01
        async with box.post(ANTHROPIC, ASK | {"stream": True, "tools": [TOOL]}) as slow:
            first = await slow.content.readany()
            model.faults.pace = 0.0
            assert (await answered(box, ANTHROPIC, ASK))[0] == 200
            await spent(site)
            assert (await answered(box, ANTHROPIC, ASK))[0] == 402
            rest = await slow.read()
        assert b"message_stop" in first + rest
        assert (await spent(site, requests=2))["requests"] == 2


async def test_it_goes_on_when_somebody_says_so_and_counts_from_there(site: Site) -> None:
    async with scripted(site, SHIPMATE_BUDGET="5", SHIPMATE_MODEL_PRICES=PRICED) as (box, model):
        assert (await paused(site, box, model))[0] == 402
        await box.says("turn_ended", turn=1, outcome="stopped")
        session = await site.store.load("s1")
        assert session is not None and session.paused is not None and session.turn is None
        answers = await asyncio.gather(
            *(site.inbox.handle("s1", c.RaiseBudget(by, session.paused.asked)) for by in (ADA, GRACE)),
            return_exceptions=True,
        )
        assert [isinstance(one, Session) for one in answers].count(True) == 1, "two who press at once are one answer"
        assert (await answered(box, ANTHROPIC, ASK))[0] == 200
        await spent(site, requests=2)
        assert (await answered(box, ANTHROPIC, ASK))[0] == 402
    reached = await site.log("s1", BudgetReached)
    assert [(one.used, one.limit) for one in reached] == [(6.0, 5.0), (12.0, 11.0)]


async def child_at_work(site: Site) -> None:
    """The root has started a session, whose box has the token t-2 and a turn that runs."""
    prompt = Prompt(id="c1:p1", author=ADA, text="Paint the pad", received_at=1.0)
    spawn = SpawnChild("c1", "s1", "acme/rocket", "main", "rehearsal", "", prompt, True)
    await hand_over(site.inbox, await site.inbox.handle("s1", spawn))
    for command in (c.BeginStart(0), c.FinishStart(1, "c1-1", "cold", None, True), c.Attach(1, 1)):
        session = await site.inbox.handle("c1", command)
    await site.grant(session, "t-2")
    ready = Ready(n=1, at=0, kind="ready", conversation="c", resumed=False, head="a" * 40)
    assert (await site.inbox.handle("c1", c.Hear(1, (ready,)))).turn is not None


async def test_a_childs_requests_are_on_its_roots_budget_and_one_answer_is_for_both(site: Site) -> None:
    async with scripted(site, SHIPMATE_BUDGET="5", SHIPMATE_MODEL_PRICES=PRICED) as (box, model):
        await child_at_work(site)
        model.faults.tokens = 3 * MILLION
        assert (await answered(box, ANTHROPIC, ASK))[0] == 200
        await spent(site)
        async with box.post(ANTHROPIC, ASK, Authorization="Bearer t-2") as answer:
            assert answer.status == 402
        root, child = [await site.store.load(sid) for sid in ("s1", "c1")]
        assert root is not None and root.paused is not None and child is not None and child.paused is not None
        await box.says("turn_ended", turn=1, outcome="stopped")
        ended = Ended(n=2, at=0, kind="turn_ended", turn=1, outcome="stopped")
        await site.inbox.handle("c1", c.Hear(1, (ended,)))
        raised = await site.inbox.handle("s1", c.RaiseBudget(GRACE, root.paused.asked))
        assert "hand" in [operation.kind for operation in wants(raised, 2e9, RULES)]
        await hand_over(site.inbox, raised)
        child = await site.store.load("c1")
        assert child is not None and child.paused is None and child.turn is not None
        assert not (await site.inbox.handle("s1", c.Tick())).children[0].owed
        async with box.post(ANTHROPIC, ASK, Authorization="Bearer t-2") as answer:
            assert answer.status == 200
        assert (await spent(site, "c1"))["micros"] == 6 * MILLION
        async with asyncio.timeout(SOON):
            while await site.store.usage.of_budget("s1") < 12:
                await asyncio.sleep(0.01)


async def test_between_turns_a_request_over_budget_is_refused_and_nobody_is_asked(site: Site) -> None:
    async with scripted(site, SHIPMATE_BUDGET="5", SHIPMATE_MODEL_PRICES=PRICED) as (box, model):
        model.faults.tokens = 3 * MILLION
        assert (await answered(box, ANTHROPIC, ASK))[0] == 200
        await spent(site)
        await box.says("turn_ended", turn=1, outcome="done")
        assert (await answered(box, ANTHROPIC, ASK))[0] == 402
        assert await site.log("s1", BudgetReached) == []
        await site.ask("s1", 2)
        assert (await answered(box, ANTHROPIC, ASK))[0] == 402
        assert len(await site.log("s1", BudgetReached)) == 1


async def test_a_request_is_under_way_until_it_is_refused_or_has_been_counted() -> None:
    under_way = UnderWay()
    with under_way.begin("s1", 5):
        assert under_way.of("s1") == 5
    assert under_way.of("s1") == 0
    with (one := under_way.begin("s1", 5)):
        counted = one.until_counted()
    assert under_way.of("s1") == 5
    counted()
    assert under_way.of("s1") == 0
