"""The probe tries the real thing, needs nothing installed, and names the command that helps."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import probe

ROOT = Path(__file__).resolve().parents[2]
APPARMOR, CLONE, MOST = (knob for knob, _, _ in probe.KNOBS)


@pytest.mark.parametrize(
    ("refused", "files", "said"),
    [
        ("user namespaces", {APPARMOR: "1\n"}, "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
        ("a loopback interface", {APPARMOR: "1\n"}, "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
        ("user namespaces", {CLONE: "0"}, "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        ("user namespaces", {MOST: "0", CLONE: "1"}, "sudo sysctl -w user.max_user_namespaces=15000"),
        ("user namespaces", {"/.dockerenv": "", APPARMOR: "0"}, "docker run --init --security-opt seccomp=unconfined"),
        ("a /proc of its own", {"/run/.containerenv": ""}, "systempaths=unconfined"),
        ("an overlay (Invalid argument)", {}, "Linux 5.11 or newer"),
        ("user namespaces", {}, "UNISOLATED=1"),
    ],
)
def test_the_remedy_names_what_forbids_it(refused: str, files: dict[str, str], said: str) -> None:
    assert said in probe.remedy(refused, files.get)


def copied(folder: Path) -> Path:
    """The source without anything installed."""
    (folder / "sandbox").mkdir(parents=True)
    for name in ("__init__.py", "probe.py"):
        shutil.copy(ROOT / "sandbox" / name, folder / "sandbox" / name)
    return folder


def run(folder: Path, *before: str) -> "subprocess.CompletedProcess[str]":
    command = (*before, sys.executable, "-S", "-m", "sandbox.probe")
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False, env={})


def test_it_runs_alone_and_its_code_is_its_answer(tmp_path: Path) -> None:
    done = run(copied(tmp_path))
    found = probe.probe()
    assert done.returncode == (0 if found.allowed else 3), done.stderr
    assert done.stdout.splitlines()[0] == found.reason


@pytest.mark.skipif(os.geteuid() != 0 or not probe.probe().allowed, reason="only root can forbid something for a test")
def test_a_machine_that_forbids_it_is_told_apart(tmp_path: Path) -> None:
    """In a user namespace of its own, where the kernel's limit is nought."""
    source = copied(tmp_path)
    forbid = ("unshare", "--user", "--map-root-user", "sh", "-c", f'echo 0 >{MOST}; exec "$@"', "sh")
    done = run(source, *forbid)
    assert done.returncode == 3
    assert "does not let us isolate boxes" in done.stdout
    assert "UNISOLATED=1" in done.stdout


def test_its_grammar_is_that_of_the_oldest_python_that_people_have() -> None:
    ast.parse((ROOT / "sandbox/probe.py").read_text(), feature_version=(3, 9))
