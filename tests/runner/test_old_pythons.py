"""The runner and the rehearsal live on whatever Python a box has: the standard library, from 3.9 on."""

import ast
import functools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.runner_archive import build
from tests.runner.boxes import BRANCH, RunningBox, git
from tests.runner.gateway import StandIn

ROOT = Path(__file__).parents[2]
SOURCES = [path for part in ("runner", "rehearsal") for path in sorted((ROOT / "sandbox" / part).glob("*.py"))]
ON_THE_WAY = {"pathlib", "subprocess", "asyncio", "argparse", "logging", "dataclasses", "tempfile", "typing_extensions"}


@functools.cache
def python39() -> str:
    """A 3.9 interpreter that runs; empty if there is none."""
    versions = Path.home() / ".pyenv/versions"
    found = [shutil.which("python3.9"), *map(str, versions.glob("3.9.*/bin/python3"))]
    for path in filter(None, found):
        asked = subprocess.run(
            [path, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, check=False
        )
        if asked.stdout.strip() == b"(3, 9)":
            return path
    return ""


needs_python39 = pytest.mark.skipif(not python39(), reason="there is no Python 3.9 here")


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            names.add(str(node.module))
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_only_the_standard_library_and_each_other_are_imported(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    for name in imported(tree):
        ours = name.startswith(("sandbox.runner", "sandbox.rehearsal"))
        assert ours or name.split(".")[0] in sys.stdlib_module_names, name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_annotations_are_not_evaluated(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if path.name != "__init__.py":
        assert "__future__" in imported(tree)


def test_the_agents_start_loads_nothing_slow(pyz: Path):
    """What the rehearsal has loaded by the time that it answers."""
    code = f"import sys; sys.path.insert(0, {str(pyz)!r}); import sandbox.rehearsal.agent; print(*sys.modules)"
    argv = [sys.executable, "-I", "-S", "-B", "-c", code]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20).stdout.split()
    assert ON_THE_WAY & set(loaded) == set()


def test_the_same_sources_give_the_same_archive(tmp_path: Path, pyz: Path):
    again = build(tmp_path / "again.pyz")
    assert again.read_bytes() == pyz.read_bytes()
    before = again.stat().st_mtime_ns
    assert build(again).stat().st_mtime_ns == before


@needs_python39
def test_an_archive_made_for_another_python_runs_from_its_sources(pyz: Path):
    done = subprocess.run([python39(), "-I", "-S", "-B", pyz, "rehearsal"], input=b"", timeout=20, check=False)
    assert done.returncode == 0


@needs_python39
async def test_a_whole_turn_runs_on_python_3_9(tmp_path: Path, gateway: StandIn, bare: Path):
    pyz = build(tmp_path / "runner.pyz", python39())
    box = RunningBox(pyz, tmp_path / "box", gateway.folder, python39())
    try:
        await box.start()
        await gateway.prompt("fix the failing test", 1)
        ended = await gateway.frame("turn_ended")
        assert (ended["outcome"], ended["pushed"], ended["error"]) == ("done", True, None)
        await gateway.prompt("slowly 30", 2)
        await gateway.wait(lambda: "1," in gateway.text(2))
        await gateway.stop_turn(2)
        assert (await gateway.frame("turn_ended", turn=2))["outcome"] == "stopped"
        assert git(bare, "rev-parse", BRANCH) == ended["head"]
        assert await box.terminate() == 0
        assert "Traceback" not in box.stderr.read_text()
    finally:
        await box.kill()
