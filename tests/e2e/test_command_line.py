"""`shipmate` as a person types it, through a real process: what it prints and the code that it ends with."""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bot.ports import free_port
from sandbox import agents
from tests.e2e.conftest import environment

SENTENCE_SECONDS = 60  # a busy machine loads slowly


def shipmate(*args: str, seconds: float = 180, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run it with this environment and nothing else."""
    told = environment() | {"HOME": "/nonexistent", "PYTHONUNBUFFERED": "1"} | env
    return subprocess.run(
        [sys.executable, "-m", "bot", *args], env=told, capture_output=True, text=True, timeout=seconds, check=False
    )


def report_of(done: "subprocess.CompletedProcess[str]") -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def forget_logs(done: "subprocess.CompletedProcess[str]") -> None:
    """The logs that were kept for a person are where the message says, and nothing else is."""
    logs = Path(done.stderr.split("the logs are in ")[1].strip())
    assert (logs / "web.log").exists()
    assert [left.name for left in logs.parent.iterdir()] == ["logs"]
    shutil.rmtree(logs.parent)


def test_the_demo_tells_its_story_as_one_json_object_and_ends_with_0() -> None:
    reply = ("--reply", "add a line to the README saying hello", "--reply-when", "running")
    report = report_of(shipmate("demo", "--say", "fix the failing test", *reply, "--json"))
    assert report["status"] == "idle"
    assert [(c["author"], c["co_authors"]) for c in report["pull_request"]["commits"]] == [
        ("Ada Lovelace <ada@acme.example>", []),
        ("Grace Hopper <grace@acme.example>", ["Ada Lovelace <ada@acme.example>"]),
    ]
    assert {line["who"] for line in report["thread"]} == {"Ada", "Grace", "shipmate"}
    times = report["timings"]
    assert 0 < times["received_to_durable_ms"] < times["received_to_box_ms"] < times["received_to_attached_ms"]
    assert times["received_to_attached_ms"] < times["received_to_delivered_ms"] < times["received_to_pull_request_ms"]
    assert times["received_to_model_request_ms"] is None


def test_the_demo_without_isolation_does_the_main_job_and_says_so_on_the_card(tmp_path: Path) -> None:
    state = tmp_path / "state"
    done = shipmate("demo", "--say", "fix the failing test", "--state", str(state), "--json", SHIPMATE_UNISOLATED="1")
    assert report_of(done)["pull_request"]["number"] == 1
    assert "Not isolated" in (state / "playground/workspace/journal.jsonl").read_text()


def test_the_demo_does_the_main_job_with_a_real_agent() -> None:
    row = agents.row("opencode")
    listed = json.loads(shipmate("agents", "list", "--json", HOME=os.environ.get("HOME", "/")).stdout)
    if not next(found["installed"] for found in listed if found["name"] == row.name):
        installed = shipmate("agents", "install", row.name, HOME=os.environ.get("HOME", "/"))
        if installed.returncode:
            pytest.skip(f"opencode is not here and cannot be fetched: {installed.stderr.strip()}")
    reply = ("--reply", "add a line to the README saying hello", "--reply-when", "running")
    done = shipmate(
        *("demo", "--agent", "opencode", "--say", "fix the failing test", *reply, "--json"),
        HOME=os.environ.get("HOME", "/"),
    )
    report = report_of(done)
    assert [c["author"] for c in report["pull_request"]["commits"]] == [
        "Ada Lovelace <ada@acme.example>",
        "Grace Hopper <grace@acme.example>",
    ]
    assert report["timings"]["received_to_model_request_ms"] > 0


def test_a_story_that_takes_too_long_ends_with_1_and_names_the_logs() -> None:
    done = shipmate("demo", "--say", "count slowly to 100", "--timeout", "4", "--json")
    assert done.returncode == 1
    assert "not done after 4 s" in done.stderr
    forget_logs(done)


def test_without_redis_every_program_ends_with_1_and_a_sentence(tmp_path: Path) -> None:
    told = {"REDIS_URL": f"unix://{tmp_path}/nobody.sock", "SHIPMATE_DATA_DIR": str(tmp_path / "data")}
    programs: list[tuple[str, ...]] = [("web",), ("worker", "--queue", "boxes"), ("upkeep",)]
    with ThreadPoolExecutor() as pool:
        ended = list(pool.map(lambda program: shipmate(*program, seconds=SENTENCE_SECONDS, **told), programs))
    for done in ended:
        assert done.returncode == 1
        assert "Traceback" not in done.stderr and "set REDIS_URL" in done.stderr


def test_a_wrong_token_ends_the_web_process_with_1_and_names_the_setting(redis_url: str, tmp_path: Path) -> None:
    written = tmp_path / "playground.env"
    playground = subprocess.Popen([sys.executable, "-m", "bot", "playground", "--env-file", str(written)])
    try:
        until_there(written)
        keys = dict(line.split("=", 1) for line in written.read_text().splitlines())
        told = {"REDIS_URL": redis_url, "SHIPMATE_DATA_DIR": str(tmp_path / "data"), "SHIPMATE_PORT": str(free_port())}
        for wrong in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"):
            done = shipmate("web", **(keys | told | {wrong: "xoxb-not-a-token"}), seconds=SENTENCE_SECONDS)
            assert done.returncode == 1
            assert f"Slack refused {wrong} (invalid_auth)" in done.stderr and "Traceback" not in done.stderr
            assert "xoxb-not-a-token" not in done.stderr
    finally:
        playground.terminate()
        playground.wait()


def until_there(path: Path) -> None:
    end = time.monotonic() + SENTENCE_SECONDS
    while not path.exists():
        assert time.monotonic() < end, f"{path} is not written"
        time.sleep(0.02)
