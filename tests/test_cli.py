"""The command line: what it takes, what it refuses, and with which code."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from pkgutil import resolve_name

import pytest

from bot import cli

SHIPMATE = (sys.executable, "-m", "bot")
SECONDS = 30


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("web", {}),
        ("upkeep", {}),
        ("worker --queue boxes", {"queue": "boxes", "count": 1}),
        ("worker --queue images --count 3", {"queue": "images", "count": 3}),
        ("demo", {"say": None, "port": None, "agent": "rehearsal", "state": None, "as_json": False}),
        ("demo --port 8765 --agent opencode --state here", {"port": 8765, "agent": "opencode", "state": Path("here")}),
        ("demo --say hello", {"say": "hello", "say_as": "Ada", "reply": None, "reply_as": "Grace", "timeout": 300}),
        ("demo --say hello --reply more --reply-when running --json", {"reply_when": "running", "as_json": True}),
        ("playground", {"port": 0, "state": None, "env_file": None, "webhook_url": ""}),
        ("playground --port 9000", {"port": 9000}),
        ("doctor --json", {"as_json": True}),
        ("images list --json", {"verb": "list", "as_json": True}),
        ("images build acme/rocket", {"verb": "build", "repository": "acme/rocket", "as_json": False}),
        ("images log acme/rocket --follow", {"verb": "log", "build": None, "follow": True}),
        ("images log acme/rocket --build build-1", {"build": "build-1", "follow": False}),
        ("images prune --keep 2", {"verb": "prune", "repository": None, "keep": 2}),
        ("agents list", {"verb": "list", "as_json": False}),
        ("agents install opencode", {"verb": "install", "name": "opencode"}),
    ],
)
def test_every_line_of_the_readme_and_the_procfile_is_understood(line: str, expected: dict[str, object]) -> None:
    found = vars(cli.parser().parse_args(line.split()))
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "COMMAND"),
        ("sail", "'sail'"),
        ("worker", "--queue"),
        ("worker --queue turns", "'turns'"),
        ("worker --queue boxes --count 0", "a number above 0, not '0'"),
        ("demo --port 65536", "a port from 0 to 65535, not '65536'"),
        ("demo --port x", "not 'x'"),
        ("demo --timeout never", "a number above 0, not 'never'"),
        ("demo --say", "--say"),
        ("demo --reply-when never", "'never'"),
        ("playground --port -1", "--port"),
        ("agents", "VERB"),
        ("images", "VERB"),
        ("images build", "OWNER/NAME"),
        ("images prune --keep 0", "a number above 0"),
        ("agents install", "NAME"),
    ],
)
def test_what_is_used_wrongly_is_named_and_exits_2(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(line.split())
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "told", "code", "said"),
    [
        ("agents install nobody", {}, 2, "there is no agent called 'nobody'; there are: rehearsal, opencode"),
        ("agents list", {"SHIPMATE_REPOSITORIES": "x"}, 2, "SHIPMATE_REPOSITORIES must be owner/name"),
        ("web", {"SHIPMATE_PORT": "x", "REDIS_URL": "x"}, 2, "SHIPMATE_PORT must be a number"),
        ("demo --agent nobody", {}, 2, "there is no agent called 'nobody'"),
        ("demo --agent opencode", {"SHIPMATE_AGENTS_DIR": "none"}, 2, "Run: shipmate agents install opencode"),
        ("demo --state file/below", {"SHIPMATE_UNISOLATED": "1"}, 1, "Not a directory: 'FOLDER/file/below/logs'"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_without_a_traceback(
    line: str, told: dict[str, str], code: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = ask(line, tmp_path, told)
    assert done.returncode == code
    assert said.replace("FOLDER", str(tmp_path)) in done.stderr
    assert done.stderr.startswith("shipmate: ")
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said_in_a_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        playground = ask(f"playground --port {port}", tmp_path, {})
        demo = ask(f"demo --port {port} --state here", tmp_path, {"SHIPMATE_UNISOLATED": "1"})
    assert (playground.returncode, demo.returncode) == (1, 2)
    assert "address already in use" in playground.stderr
    assert f"port {port} cannot be used: address already in use. Choose another one" in demo.stderr
    assert "Traceback" not in playground.stderr + demo.stderr


def test_a_demo_without_isolation_is_refused_with_code_3_before_it_makes_anything(tmp_path: Path) -> None:
    """Where the kernel's limit of user namespaces is nought, in a user namespace of the test's own."""
    if os.geteuid() != 0:
        pytest.skip("only root can forbid something for a test")
    forbid = 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"'
    before = ("unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh")
    done = ask("demo --state here", tmp_path, {}, *before)
    assert done.returncode == 3, done.stderr
    assert "sudo sysctl -w user.max_user_namespaces=15000" in done.stderr
    assert done.stderr.count("make demo UNISOLATED=1") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_ctrl_c_while_it_is_loading_ends_it_without_a_traceback(tmp_path: Path) -> None:
    with subprocess.Popen((*SHIPMATE, "web"), cwd=tmp_path, env=environment({}), stderr=subprocess.PIPE) as process:
        until_mapped(process.pid, "ssl")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=SECONDS)
    assert process.returncode in (-signal.SIGINT, 130)  # 130: it was loaded already
    assert b"Traceback" not in said


def until_mapped(pid: int, library: str) -> None:
    """Until the process has begun to load its own modules, and before it can have loaded all."""
    deadline = time.monotonic() + SECONDS
    while f"/_{library}." not in Path(f"/proc/{pid}/maps").read_text():
        assert time.monotonic() < deadline


def ask(line: str, folder: Path, told: dict[str, str], *before: str) -> "subprocess.CompletedProcess[str]":
    """Run one command in this folder with no more settings than it is told."""
    argv = (*before, *SHIPMATE, *line.split())
    return subprocess.run(
        argv, cwd=folder, env=environment(told), capture_output=True, text=True, timeout=SECONDS, check=False
    )


def environment(told: dict[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).resolve().parents[1])} | told


def test_every_command_says_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    subs = next(a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    for name in subs.choices:
        with pytest.raises(SystemExit) as ended:
            cli.main([name, "--help"])
        assert ended.value.code == 0
        assert len(capsys.readouterr().out.splitlines()) > 3


def test_every_command_names_what_runs_it() -> None:
    subs = next(a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert all(callable(resolve_name(command.get_default("run"))) for command in subs.choices.values())


def test_a_program_that_serves_boxes_takes_the_descriptors_that_it_may_have() -> None:
    lines = "import resource as r; from bot.program import open_many_files; r.setrlimit(r.RLIMIT_NOFILE, (100, 3_000))"
    said = subprocess.run(
        [sys.executable, "-c", f"{lines}; open_many_files(); print(*r.getrlimit(r.RLIMIT_NOFILE))"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    ).stdout
    assert said == "3000 3000\n"
