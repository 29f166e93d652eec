"""Keys in files: changed without a restart, and hidden from the log from then on; and upstreams by settings."""

import io
import logging
import os
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.model_keys import model_key
from bot.settings import BotSettings
from tests.gateway.conftest import Site
from tests.gateway.proxied import ANTHROPIC, ASK, Proxied, served, through


def written(file: Path, text: str) -> Path:
    """Written as an editor or a secret's mount does it: another file takes its place."""
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(file)
    return file


async def test_a_key_is_changed_while_requests_come(site: Site, tmp_path: Path, logged: io.StringIO) -> None:
    keys: list[str] = []

    async def note(request: web.Request) -> web.Response:
        keys.append(request.headers["x-api-key"])
        return web.json_response({})

    file = written(tmp_path / "key", "sk-first-0123\n")
    async with served(site, note, ANTHROPIC_API_KEY=f"@{file}") as box:
        for text in ("sk-first-0123", "plain-second-4567\n", "sk-third-8901"):
            written(file, text)
            async with box.post(ANTHROPIC, ASK) as answer:
                assert answer.status == 200
    assert keys == ["sk-first-0123", "plain-second-4567", "sk-third-8901"]
    logging.getLogger("test").warning("somebody logs plain-second-4567")
    assert "plain-second-4567" not in logged.getvalue()
    assert "there is a new key" in logged.getvalue()


@pytest.mark.parametrize("wrong", ["", "two words", "tab\there", "naïve"])
def test_a_file_that_holds_no_key_leaves_the_last_one_in_use(tmp_path: Path, wrong: str, logged: io.StringIO) -> None:
    key = model_key(f"@{written(tmp_path / 'key', 'sk-good-key')}")
    written(tmp_path / "key", wrong)
    assert [key.get_secret_value(), key.get_secret_value()] == ["sk-good-key"] * 2
    (tmp_path / "key").unlink()
    assert key.get_secret_value() == "sk-good-key"
    assert logged.getvalue().count("stays in use") == 2, "each change is told once"
    assert not wrong or wrong not in logged.getvalue()
    written(tmp_path / "key", "sk-better-key")
    assert key.get_secret_value() == "sk-better-key"


def test_a_file_that_is_written_in_place_is_seen_too(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-aaaa")
    key = model_key(f"@{file}")
    file.write_text("sk-bbbb")
    os.utime(file, ns=(1, 1))
    assert key.get_secret_value() == "sk-bbbb"
    assert "sk-bbbb" not in repr(key)


@pytest.mark.parametrize("given", ["@/nowhere/at/all", "@~nobody-at-all/key", "@", "two words"])
def test_a_key_that_cannot_be_used_is_told_with_its_variable(given: str) -> None:
    with pytest.raises(ValueError, match="^GEMINI_API_KEY "):
        BotSettings.from_env({"GEMINI_API_KEY": given})


async def test_any_compatible_upstream_is_reached_by_its_name(site: Site) -> None:
    seen: list[tuple[str, str | None, str | None]] = []

    async def note(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("Authorization"), request.headers.get("x-api-key")))
        return web.json_response({"usage": {"prompt_tokens": 5, "completion_tokens": 5}})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", note)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        more = f"router=openai,{url}/api/v1,ROUTER_KEY; lite=anthropic,{url}/lite,LITE_KEY; vllm=openai,{url}/v1"
        keys = {"SHIPMATE_UPSTREAMS": more, "ROUTER_KEY": "sk-router"}
        async with through(site, url, **keys) as box:
            assert [await status(box, path) for path in ("router/chat/completions", "vllm/responses")] == [200, 200]
            assert await status(box, "lite/v1/messages") == 401, "no key was given, and it wants one"
            assert await status(box, "router/v1/messages") == 404, "it speaks another protocol"
            assert await status(box, "nobody/v1/messages") == 404
    assert seen == [("/api/v1/chat/completions", "Bearer sk-router", None), ("/v1/responses", None, None)]


async def status(box: Proxied, path: str) -> int:
    async with box.post(f"/model/{path}", ASK) as answer:
        found: int = answer.status
        return found


WRONG = [
    ("SHIPMATE_UPSTREAMS", "openrouter"),
    ("SHIPMATE_UPSTREAMS", "x=telepathy,http://h"),
    ("SHIPMATE_UPSTREAMS", "x=openai,ftp://h"),
    ("SHIPMATE_UPSTREAMS", "anthropic=openai,http://h"),
    ("SHIPMATE_UPSTREAMS", "priming=openai,http://h"),
    ("SHIPMATE_UPSTREAMS", "x=openai,http://h;x=openai,http://h"),
    ("SHIPMATE_UPSTREAMS", "x=openai,http://h,sk-a-key-itself"),
    ("SHIPMATE_MODELS", "two words"),
    ("SHIPMATE_BUDGET", "a lot"),
    ("SHIPMATE_BUDGET", "-1"),
    ("SHIPMATE_BUDGET", "nan"),
    ("SHIPMATE_MODEL_PRICES", "[]"),
    ("SHIPMATE_MODEL_PRICES", '{"m": 3}'),
    ("SHIPMATE_MODEL_PRICES", '{"m": [1]}'),
    ("SHIPMATE_MODEL_PRICES", '{"m": [1, -1]}'),
    ("SHIPMATE_MODEL_PRICES", '{"m": [1, NaN]}'),
    ("SHIPMATE_MODEL_PRICES", '{"a b": [1, 1]}'),
    ("SHIPMATE_MODEL_PRICES", "@/nowhere"),
]


@pytest.mark.parametrize(("variable", "value"), WRONG)
def test_a_wrong_setting_is_told_with_its_variable(variable: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{variable} ") as wrong:
        BotSettings.from_env({variable: value})
    assert "sk-a-key-itself" not in str(wrong.value)


def test_settings_of_models_are_read(tmp_path: Path) -> None:
    (tmp_path / "prices").write_text('{"qwen*": [0.5, 2], "free": [0, 0, 0, 0]}')
    settings = BotSettings.from_env(
        {
            "SHIPMATE_UPSTREAMS": "router=openai,https://h/api/v1/,ROUTER_KEY", "ROUTER_KEY": "sk-r",
            "SHIPMATE_MODELS": "claude-*, router/*", "SHIPMATE_BUDGET": "$7.50",
            "SHIPMATE_MODEL_PRICES": f"@{tmp_path}/prices",
        }
    )  # fmt: skip
    assert [(one.name, one.url) for one in settings.jobs.upstreams] == [("router", "https://h/api/v1")]
    assert (settings.models, settings.budget) == (("claude-*", "router/*"), 7.5)
    assert settings.model_prices["qwen*"] == (0.5, 2, 0.5, 0.5, 0, None)
    assert "sk-r" in settings.secrets()
    assert "sk-r" not in repr(settings)
