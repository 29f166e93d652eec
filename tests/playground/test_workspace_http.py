"""Signed HTTP delivery: to a real Bolt app behind aiohttp, and to receivers that misbehave."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_sdk.signature import SignatureVerifier

from tests.playground.workspaces import DEV, MENTION, App, Served, bolt_app, serving
from tests.playground.workspaces import served as served

Answer = Callable[[int], web.StreamResponse]


@dataclass
class Receiver:
    """Writes down what is posted to it, and answers as it is told to: `answers` by number of the request."""

    secret: str
    answer: Answer
    posted: list[tuple[str, bytes, str, str]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        assert SignatureVerifier(self.secret).is_valid_request(body, dict(request.headers))
        if b"url_verification" in body:
            return web.json_response({"challenge": (await request.json())["challenge"]})
        retry = request.headers.get("X-Slack-Retry-Num", "")
        self.posted.append((request.path, body, retry, request.headers.get("X-Slack-Retry-Reason", "")))
        self.news.set()
        return self.answer(len(self.posted))


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@asynccontextmanager
async def receiving(served: Served, answer: Answer) -> AsyncIterator[Receiver]:
    receiver = Receiver(served.workspace.tokens.signing_secret, answer)
    app = web.Application()
    app.router.add_post("/events", receiver.take)
    async with listening(app) as url:
        await served.workspace.listen_at(f"{url}/events", f"{url}/events")
        yield receiver


@asynccontextmanager
async def bolt_over_http(served: Served) -> AsyncIterator[App]:
    app = bolt_app(served)

    async def take(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await app.bolt.async_dispatch(await to_bolt_request(request)))

    listener = web.Application()
    listener.router.add_post("/slack", take)
    async with listening(listener) as url:
        status, said = await served.post_json(
            "/playground/request-url", {"events": f"{url}/slack", "actions": f"{url}/slack"}
        )
        assert (status, said) == (200, {"ok": True})
        yield app


async def test_a_bolt_app_takes_signed_events_and_pressed_buttons(served: Served) -> None:
    button = {"type": "button", "text": {"type": "plain_text", "text": "Stop"}, "action_id": "stop", "value": "p1"}
    async with bolt_over_http(served) as app:
        await served.ada.chat_postMessage(channel=DEV, text=f"{MENTION} hello")
        await app.until_heard(2)
        ts = (
            await served.bot.chat_postMessage(channel=DEV, text="x", blocks=[{"type": "actions", "elements": [button]}])
        )["ts"]
        press = {"token": served.token("U0ADA"), "channel": DEV, "ts": ts, "action_id": "stop", "value": "p1"}
        assert (await served.post_json("/playground/press", press))[0] == 200
    pressed = next(body for body in app.heard if body["type"] == "block_actions")
    assert pressed["actions"][0]["value"] == "p1"
    assert {body["event"]["type"] for body in app.heard if "event" in body} == {"app_mention", "message"}


async def test_what_is_not_taken_comes_three_times_more_with_the_same_id_and_the_reason(served: Served) -> None:
    async with receiving(served, lambda _: web.Response(status=500)) as receiver:
        await served.ada.chat_postMessage(channel=DEV, text="hi")
        await served.workspace.deliveries.settled()
    assert [(retry, reason) for _, _, retry, reason in receiver.posted] == [
        ("", ""), ("1", "http_error"), ("2", "http_error"), ("3", "http_error"),
    ]  # fmt: skip
    assert len({body for _, body, _, _ in receiver.posted}) == 1


async def test_an_app_may_ask_not_to_be_tried_again(served: Served) -> None:
    async with receiving(served, lambda _: web.Response(status=500, headers={"x-slack-no-retry": "1"})) as receiver:
        await served.ada.chat_postMessage(channel=DEV, text="hi")
        await served.workspace.deliveries.settled()
    assert len(receiver.posted) == 1


class HangingUp(web.Response):
    """An answer that never comes: the connection breaks instead."""

    async def prepare(self, request: web.BaseRequest) -> Any:
        assert request.transport is not None
        request.transport.abort()
        return await super().prepare(request)


async def test_an_app_that_hangs_up_is_told_so_when_it_is_tried_again(served: Served) -> None:
    async with receiving(served, lambda number: HangingUp() if number == 1 else web.Response()) as receiver:
        await served.ada.chat_postMessage(channel=DEV, text="hi")
        await served.workspace.deliveries.settled()
    assert [reason for _, _, _, reason in receiver.posted] == ["", "connection_failed"]


async def test_an_app_that_dawdles_is_told_so_when_it_is_tried_again(served: Served) -> None:
    waiting = asyncio.Event()

    async def dawdle(request: web.Request) -> web.StreamResponse:
        answer = await receiver.take(request)
        if len(receiver.posted) == 1:
            await waiting.wait()
        return answer

    receiver = Receiver(served.workspace.tokens.signing_secret, lambda _: web.Response())
    app = web.Application()
    app.router.add_post("/events", dawdle)
    async with listening(app) as url:
        await served.workspace.listen_at(f"{url}/events", f"{url}/events")
        await served.ada.chat_postMessage(channel=DEV, text="hi")
        await served.workspace.deliveries.settled()
        waiting.set()
    assert [reason for _, _, _, reason in receiver.posted] == ["", "http_timeout"]


async def test_an_address_that_does_not_answer_the_challenge_is_not_used(served: Served) -> None:
    app = web.Application()
    async with listening(app) as url:
        status, said = await served.post_json("/playground/request-url", {"events": url + "/no", "actions": url})
        assert (status, "challenge" in said["error"]) == (400, True)
    status, said = await served.post_json("/playground/request-url", {"events": url, "actions": url})
    assert (status, "does not answer" in said["error"]) == (400, True)
    status, said = await served.post_json("/playground/request-url", {"events": url})
    assert (status, said["error"]) == (400, "invalid_arguments")


async def test_the_addresses_outlive_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as before:
        app = web.Application()
        receiver = Receiver(before.workspace.tokens.signing_secret, lambda _: web.Response())
        app.router.add_post("/events", receiver.take)
        async with listening(app) as url:
            await before.workspace.listen_at(f"{url}/events", f"{url}/events")
            await before.http.close()
            await before.workspace.close()
            async with serving(tmp_path) as after:
                await after.ada.chat_postMessage(channel=DEV, text="hi")
                await after.workspace.deliveries.settled()
            assert len(receiver.posted) == 1
