"""What the runner loads before the first prompt, and what it does not until it is used."""

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.runner.late import SELDOM_USED

ROOT = Path(__file__).parents[2]
WHOLE_RUNNER = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from sandbox.runner.late import SELDOM_USED, put_off
for name in SELDOM_USED:
    put_off(name)
import asyncio
import sandbox.runner.life
asyncio.run(asyncio.sleep(0))
"""
USED = {
    "inspect": "assert sys.modules['inspect'].isfunction(put_off)",
    "random": "import random; assert 0 <= random.uniform(0, 1) <= 1",
    "zlib": "import zlib; assert zlib.decompress(zlib.compress(b'x')) == b'x'",
    "asyncio.sslproto": "from asyncio import base_events; assert base_events.sslproto.SSLProtocol.__module__",
}


def ran(code: str) -> list[str]:
    """The modules that were put off and are loaded once this code has run after the runner's own."""
    tell = "print(*(name for name in SELDOM_USED if '__getattr__' not in vars(sys.modules[name])))"
    done = subprocess.run(
        (sys.executable, "-I", "-S", "-c", f"{WHOLE_RUNNER}{code}\n{tell}"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_runner_starts_without_what_it_seldom_uses() -> None:
    assert ran("") == []


@pytest.mark.parametrize("name", USED)
def test_what_was_put_off_is_there_when_it_is_used(name: str) -> None:
    assert name in SELDOM_USED
    assert name in ran(USED[name])
