"""The command that is a box, word by word."""

from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import bubblewrap
from sandbox.provider import Limits

PLAN = bubblewrap.Plan(
    bwrap="/rt/bwrap",
    mounts_overlays=True,
    system=("--ro-bind", "/usr", "/usr"),
    etc="/rt/etc",
    runner="/rt/runner.pyz",
    python="/usr/bin/python3",
    python_source=None,
    ca=None,
    agents=None,
    gateway="/gw",
    lowers=("/l/old", "/l/new"),
    upper="/b/upper",
    work="/b/work",
    merged="/b/merged",
    limits=Limits(processes=100, open_files=50, file_bytes=1000),
    hard_limits=(-1, -1, -1),
    descriptors=bubblewrap.Descriptors(info=10, status=11, lock=12, seccomp=13, control=14, outbox=15),
)


def after(words: list[str], flag: str, count: int = 1) -> list[list[str]]:
    return [words[at + 1 : at + 1 + count] for at, word in enumerate(words) if word == flag]


def test_every_wall_is_there() -> None:
    words = bubblewrap.argv(PLAN)
    walls = ("user", "pid", "ipc", "uts", "net")
    assert {f"--unshare-{wall}" for wall in walls} < set(words)
    assert {"--as-pid-1", "--disable-userns", "--new-session", "--clearenv"} < set(words)
    assert after(words, "--cap-drop") == [["ALL"]]
    assert after(words, "--setenv", 2) == [["PATH", bubblewrap.PATH]]
    assert after(words, "--seccomp") == [["13"]]
    assert "--die-with-parent" not in words  # a box outlives its maker


def test_only_the_work_tree_can_be_written() -> None:
    words = bubblewrap.argv(PLAN)
    assert after(words, "--overlay", 3) == [["/b/upper", "/b/work", "/work"]]
    assert "--bind" not in words and "--dev-bind" not in words
    assert ["/gw", "/run/gateway"] in after(words, "--ro-bind", 2)


def test_the_lowest_layer_comes_first() -> None:
    assert after(bubblewrap.argv(PLAN), "--overlay-src") == [["/l/old"], ["/l/new"]]


def test_agents_and_an_interpreter_of_ours_are_mounted_when_there_are_any() -> None:
    assert bubblewrap.AGENTS not in bubblewrap.argv(PLAN) and bubblewrap.PYTHON not in bubblewrap.argv(PLAN)
    words = bubblewrap.argv(
        replace(PLAN, ca="/c", agents="/a", python_source="/p", python="/opt/shipmate/python/bin/python3.11")
    )
    binds = after(words, "--ro-bind", 2)
    assert ["/a", "/opt/shipmate/agents"] in binds and ["/p", "/opt/shipmate/python"] in binds
    assert ["LD_LIBRARY_PATH", "/opt/shipmate/python/lib"] in after(words, "--setenv", 2)


def test_the_runner_is_started_last_within_its_limits() -> None:
    words = bubblewrap.argv(PLAN)
    assert words[words.index("--") + 1 :] == [
        *("/usr/bin/prlimit", "--nproc=100", "--nofile=50", "--fsize=1000", "--core=0"),
        *("/usr/bin/python3", "-I", "-S", "-B", "/opt/shipmate/runner.pyz", "--control-fd", "14", "--outbox-fd", "15"),
    ]


@pytest.mark.parametrize(
    ("hard", "said"),
    [
        ((-1, -1, -1), ["--nproc=100", "--nofile=50", "--fsize=1000"]),
        ((10, 20, 30), ["--nproc=10", "--nofile=20", "--fsize=30"]),
        ((1000, -1, 999), ["--nproc=100", "--nofile=50", "--fsize=999"]),
    ],
)
def test_a_limit_is_never_above_what_we_have_ourselves(hard: tuple[int, int, int], said: list[str]) -> None:
    assert bubblewrap.prlimit(PLAN.limits, hard)[1:4] == said


def test_an_older_bubblewrap_is_given_a_mount() -> None:
    words = bubblewrap.argv(replace(PLAN, mounts_overlays=False, upper="/b,1/up:per"))
    options = words[words.index("/b/merged") + 1]
    assert options == "lowerdir=/l/new:/l/old,upperdir=/b\\,1/up\\:per,workdir=/b/work,userxattr"
    assert words[0] == "unshare" and words[words.index(options) + 1] == "/rt/bwrap"
    assert after(words, "--bind", 2) == [["/b/merged", "/work"]]
    assert "--overlay" not in words


def test_the_system_is_laid_out_as_the_host_has_it(tmp_path: Path) -> None:
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "lib").mkdir()
    (tmp_path / "nix/store").mkdir(parents=True)
    assert bubblewrap.system(tmp_path) == (
        *("--ro-bind", "/usr", "/usr"),
        *("--symlink", "usr/bin", "/bin"),
        *("--ro-bind", "/lib", "/lib"),
        *("--ro-bind", "/nix/store", "/nix/store"),
    )


def test_the_token_is_nowhere_in_the_command() -> None:
    assert not {"greeting", "token", "stdin"} & set(PLAN.__dataclass_fields__)
