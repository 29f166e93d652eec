"""One place reads the environment, and so the secrets: `bot/cli.py`. Nothing else may."""

import ast
from pathlib import Path

import pytest

from bot.settings import VARIABLES
from bot.stack import FORGE_KEYS, PLACE_KEYS, needed
from jobs.queue import QUEUES

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for floor in ("bot", "jobs", "sandbox") for path in (ROOT / floor).rglob("*.py"))
# Inside a box, where there is no secret in any environment, PATH is read and what is there is passed on. The host's
# side looks for the mark that it gave to processes of a box without isolation, and at nothing else.
READERS = {
    "bot/cli.py",
    "sandbox/host_processes.py",
    "sandbox/runner/__main__.py",
    "sandbox/rehearsal/agent.py",
    "sandbox/rehearsal/tools.py",
    "sandbox/rehearsal/turn.py",
}
SECRETS = [name for name in VARIABLES.values() if name.endswith(("_TOKEN", "_SECRET", "_KEY"))]


def reads_environment(path: Path) -> bool:
    """Whether a file touches the environment of its process, by any of the usual names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "getenvb"):
            return True
        if (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {n.name for n in node.names} & {"environ", "getenv"}
        ):
            return True
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "/environ" in node.value:
            return True
    return False


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_else_reads_the_environment(path: Path) -> None:
    assert not reads_environment(path) or str(path.relative_to(ROOT)) in READERS


def test_each_process_is_told_only_the_secrets_that_it_uses() -> None:
    env = dict.fromkeys([*SECRETS, *FORGE_KEYS, *PLACE_KEYS, "REDIS_URL", "PATH"], "x")
    assert needed(("web",), env) == env
    all_need = {"REDIS_URL", "PATH"}
    assert set(needed(("upkeep",), env)) == {*all_need, *PLACE_KEYS}
    queues = {
        "boxes": (), "images": (), "publish": FORGE_KEYS, "boxes-modal": PLACE_KEYS, "images-modal": PLACE_KEYS,
    }  # fmt: skip
    assert queues.keys() == QUEUES.keys()
    for queue, keys in queues.items():
        assert set(needed(("worker", "--queue", queue), env)) == {*all_need, *keys}
