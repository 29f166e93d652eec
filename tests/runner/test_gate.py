"""Before the tree is in step an agent that asks may read; what it would write waits, and nothing is lost or stale."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.runner.gate import only_reads
from sandbox.runner.holding import held_still
from tests.runner.boxes import RunningBox, command_of, descendants, git
from tests.runner.gateway import GRACE, HANG, Frame, StandIn
from tests.waiting import until

AGENT = [sys.executable, str(Path(__file__).with_name("acting_agent.py"))]
Files = dict[str, "str | bytes | None"]


@pytest.fixture
async def image(box: RunningBox, gateway: StandIn) -> RunningBox:
    """A box whose tree is there already."""
    await box.become_an_image()
    return box


def push(bare: Path, files: Files, message: str = "Newer") -> str:
    """A commit on main of the forge, by somebody else; its sha."""
    work = bare.with_name("elsewhere")
    if not work.exists():
        git(bare.parent, "clone", "-q", str(bare), str(work))
        git(work, "config", "user.name", "Margaret")
        git(work, "config", "user.email", "margaret@acme.example")
    for name, content in files.items():
        path = work / name
        if content is None:
            git(work, "rm", "-q", name)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    git(work, "add", "--all", "--force")
    git(work, "commit", "-q", "-m", message)
    git(work, "push", "-q", "origin", "main")
    return git(work, "rev-parse", "HEAD")


async def reading(box: RunningBox, gateway: StandIn, *acts: Any, **more: Any) -> None:
    """The box's sync hangs, its agent is ready, and is told what to do."""
    gateway.faults["git"].append(HANG)
    await box.start(argv=AGENT, **more)
    assert (await gateway.frame("ready"))["synced"] is False
    await gateway.prompt(json.dumps(acts))


async def asked(gateway: StandIn) -> None:
    """Until the agent has done all that it can without leave."""
    await gateway.wait(lambda: "and now I wait" in gateway.text())


def shown(gateway: StandIn) -> list[str]:
    return gateway.text().split("\n")


WAIT = (["say", "and now I wait"], ["answers"])


async def test_reads_pass_and_writes_wait_and_are_let_through_in_order(image: RunningBox, gateway: StandIn, bare: Path):
    newer = push(bare, {"docs/new.md": "new\n"})
    await reading(
        image, gateway,
        ["ask", "a read", "read", {"path": "README.md"}], ["ask", "one", "edit", {}], ["ask", "two", "execute", {}],
        ["subagent", "three"], ["ask", "a command", "read", {"command": "cat README.md > leaked"}], *WAIT,
    )  # fmt: skip
    await asked(gateway)
    await gateway.wait(lambda: "allowed a read" in gateway.text())
    assert [line for line in shown(gateway) if line.startswith("allowed")] == ["allowed a read"]
    assert not (image.repo / "one").exists() and not gateway.of("turn_ended")
    gateway.release.set()
    ended = await gateway.frame("turn_ended")
    allowed = [line for line in shown(gateway) if line.startswith("allowed")]
    assert allowed == [f"allowed {what}" for what in ("a read", "one", "two", "three", "a command")]
    assert (ended["outcome"], ended["error"], ended["pushed"]) == ("done", None, True)
    assert git(bare, "rev-parse", f"{ended['head']}^") == newer
    kinds = [frame["kind"] if frame["kind"] != "phase" else frame["phase"] for frame in gateway.frames]
    assert kinds.index("turn_started") < kinds.index("synced") < kinds.index("turn_ended")


@pytest.mark.parametrize(
    ("call", "passes"),
    [
        ({"kind": "read", "rawInput": {"path": "a"}}, True),
        ({"kind": "search", "rawInput": []}, True),
        ({"kind": "search"}, True),
        ({"kind": "think", "rawInput": {"subagent_type": "general"}}, False),
        ({"kind": "read", "rawInput": {"command": "cat a > b"}}, False),
        ({"kind": "read", "rawInput": {"cmd": ["sh", "-c", "rm a"]}}, False),
        *(
            ({"kind": kind}, False)
            for kind in ("edit", "delete", "move", "execute", "fetch", "other", "switch_mode", 7)
        ),
        ({}, False),
    ],
)
def test_only_what_is_certainly_a_read_passes(call: dict[str, Any], passes: bool):
    assert only_reads(call) is passes


async def test_a_file_that_was_read_and_has_changed_is_named_before_anything_is_done(
    image: RunningBox, gateway: StandIn, bare: Path
):
    push(bare, {"rocket/fuel.py": "# all new\n", "rocket/stages.py": "# new too\n", "unseen.py": "x\n"})
    await reading(image, gateway, ["read", "rocket/fuel.py"], ["search", "lower"], ["ask", "one", "edit", {}], *WAIT)
    await asked(gateway)
    gateway.release.set()
    ended = await gateway.frame("turn_ended")
    assert ended["outcome"] == "done"
    said = shown(gateway)
    told = next(line for line in said if line.startswith("told:"))
    assert "Changed since you looked: rocket/fuel.py, rocket/stages.py. Look again" in told
    assert said.index("cancelled one") < said.index(told) < said.index("allowed one")
    assert len(gateway.of("turn_started")) == 1


async def test_an_answer_on_what_has_changed_since_is_given_once_more(image: RunningBox, gateway: StandIn, bare: Path):
    push(bare, {"README.md": "All new.\n"})
    await reading(image, gateway, ["read", "README.md"], ["say", "It says so."])
    await gateway.wait(lambda: "It says so." in gateway.text())
    gateway.release.set()
    assert (await gateway.frame("turn_ended"))["outcome"] == "done"
    assert [line.partition(".")[0] for line in shown(gateway) if line][::2] == ["It says so", "It says so"]
    assert "Changed since you looked: README.md" in gateway.text()


async def test_an_answer_without_a_write_waits_for_the_tree(image: RunningBox, gateway: StandIn, bare: Path):
    push(bare, {"unseen.py": "x\n"})
    await reading(image, gateway, ["read", "README.md"], ["say", "It says so."])
    await gateway.wait(lambda: "It says so." in gateway.text())
    assert not gateway.of("turn_ended")
    gateway.release.set()
    ended = await gateway.frame("turn_ended")
    assert (ended["outcome"], ended["commits"], gateway.text().count("It says so.")) == ("done", [], 1)


async def test_a_stop_while_writes_wait_ends_the_turn_and_the_next_one_works(
    image: RunningBox, gateway: StandIn, bare: Path
):
    push(bare, {"README.md": "All new.\n"})
    await reading(image, gateway, ["read", "README.md"], ["ask", "one", "edit", {}], *WAIT)
    await asked(gateway)
    await gateway.stop_turn()
    ended = await gateway.frame("turn_ended", seconds=5)
    assert (ended["outcome"], ended["error"], ended["pushed"]) == ("stopped", None, False)
    assert "cancelled one" in gateway.text() and not (image.repo / "one").exists()
    gateway.release.set()
    await gateway.frame("phase", phase="synced")
    await gateway.prompt(json.dumps([["ask", "two", "edit", {}], ["answers"]]), 2, author=GRACE)
    ended = await gateway.frame("turn_ended", turn=2)
    assert (ended["outcome"], ended["pushed"], len(ended["commits"])) == ("done", True, 1)
    assert "Changed since you looked: README.md" in gateway.text(2), "what it read in the first turn"


async def test_a_sync_that_takes_too_long_ends_the_turn_and_writes_nothing(image: RunningBox, gateway: StandIn):
    await reading(
        image, gateway, ["read", "README.md"], ["ask", "one", "edit", {}], *WAIT, limits={"sync_seconds": 1.5}
    )
    await asked(gateway)
    reason = (await gateway.frame("unready"))["reason"]
    assert reason == "The repository acme/rocket could not be fetched: it took longer than 1.5 seconds"
    ended = await gateway.frame("turn_ended")
    assert (ended["outcome"], ended["error"], ended["pushed"]) == ("failed", reason, False)
    assert "cancelled one" in gateway.text() and not (image.repo / "one").exists()
    await gateway.prompt(json.dumps([["say", "more"]]), 2)
    assert (await gateway.frame("turn_ended", turn=2))["error"] == reason


async def test_an_agent_that_ends_while_it_reads_is_started_again(image: RunningBox, gateway: StandIn):
    await reading(image, gateway, ["read", "README.md"], ["die"], ["ask", "one", "edit", {}], *WAIT)
    await asked(gateway)
    assert [frame["synced"] for frame in gateway.of("ready")] == [False, False]
    gateway.release.set()
    assert (await gateway.frame("turn_ended"))["outcome"] == "done"
    assert (image.repo / "one").exists()


async def test_an_agent_that_does_not_ask_gets_ready_after_the_sync(image: RunningBox, gateway: StandIn, bare: Path):
    newer = push(bare, {"new.py": "x\n"})
    agent = {"name": "silent", "argv": AGENT, "env": {}, "gate": "after-sync"}
    gateway.faults["git"].append(HANG)
    await image.start(agent=agent)
    await gateway.frame("phase", phase="syncing")
    await until(lambda: gateway.beaten > 2)
    assert not gateway.of("ready")
    gateway.release.set()
    ready = await gateway.frame("ready")
    assert (ready["synced"], ready["head"]) == (True, newer)


BASE: Files = {
    "same.txt": "one\ntwo\nthree\n", "apart.txt": "a\nb\nc\nd\ne\nf\ng\nh\n", "gone.txt": "here\n",
    "gone-there.txt": "here\n", "mode.sh": "true\n", "binary": b"\0old" * 99, "kept.txt": "kept\n",
    ".gitignore": "*.o\n",
}  # fmt: skip
NEWER: Files = {
    "same.txt": "one\n2\nthree\n", "apart.txt": "a\nb\nc\nd\ne\nf\ng\nH\n", "gone.txt": "here, newer\n",
    "gone-there.txt": None, "mode.sh": "true # newer\n", "binary": b"\0new" * 99, "way.txt": "theirs\n",
    "way.o": "theirs\n", "folder/file": "theirs\n", "equal.txt": "equal\n", "ünusual\tname": "theirs\n",
}  # fmt: skip
CONFLICTS = {"same.txt", "gone.txt", "gone-there.txt", "binary", "way.txt", "way.o", "folder", "ünusual\tname"}
WRITES = [
    ["write", "same.txt", "one\nzwei\nthree\n"], ["write", "apart.txt", "A\nb\nc\nd\ne\nf\ng\nh\n"],
    ["run", "rm gone.txt; chmod +x mode.sh; printf '\\0mine' > binary"], ["write", "gone-there.txt", "mine\n"],
    ["write", "way.txt", "mine\n"], ["write", "way.o", "mine\n"], ["write", "folder", "mine\n"],
    ["write", "equal.txt", "equal\n"], ["write", "ünusual\tname", "mine\n"],
    ["write", "kept.txt", "changed\n"], ["write", "own.txt", "mine\n"],
    ["run", "git init -q inner; touch inner/without-a-commit"],
]  # fmt: skip


async def test_what_was_written_without_asking_is_carried_over_or_named(box: RunningBox, gateway: StandIn, bare: Path):
    push(bare, BASE)
    await box.become_an_image()
    newer = push(bare, NEWER)
    once = ["run", "test -e $HOME/written && exit; touch $HOME/written; " + " ".join(_shell(act) for act in WRITES)]
    await reading(box, gateway, once, ["say", "and now I wait"], ["ask", "one", "edit", {}], ["answers"])
    await asked(gateway)
    gateway.release.set()
    ended = await gateway.frame("turn_ended")
    assert (ended["outcome"], ended["pushed"]) == ("done", True)
    assert git(bare, "rev-parse", f"{ended['head']}^") == newer
    _carried_over(box.repo)
    news = gateway.text()
    named = next(line for line in news.split("\n") if "do not go together" in line)
    told = set(named.partition("changes to ")[2].partition(" do not go")[0].split(", "))
    assert told == {" ".join(name.split()) for name in CONFLICTS}
    assert "Your earlier changes to apart.txt, mode.sh were merged" in news
    assert all(" ".join(name.split()) in ended["error"] for name in CONFLICTS)


def _shell(act: Frame | list[str]) -> str:
    what, *more = act
    if what == "run":
        return more[0] + ";"
    return f"printf {json.dumps(more[1])} > '{more[0]}';".replace("'ünusual\tname'", "\"$(printf 'ünusual\\tname')\"")


def _carried_over(repo: Path) -> None:
    """Nothing is lost: it is in the tree, or kept beside it."""
    assert (repo / "apart.txt").read_text() == "A\nb\nc\nd\ne\nf\ng\nH\n"
    assert (repo / "mode.sh").read_text() == "true # newer\n" and (repo / "mode.sh").stat().st_mode & 0o100
    assert (repo / "kept.txt").read_text() == "changed\n" and (repo / "own.txt").read_text() == "mine\n"
    for name, content in NEWER.items():
        if name in CONFLICTS:
            assert not (repo / name).exists() if content is None else (repo / name).read_bytes() == _bytes(content)
    assert (repo / "folder/file").read_text() == "theirs\n"
    for name in CONFLICTS - {"gone.txt", "same.txt", "binary"}:
        assert git(repo, "show", f"refs/shipmate/early:{name}") == "mine"
    assert git(repo, "show", "refs/shipmate/early:same.txt") == "one\nzwei\nthree"
    assert git(repo, "ls-tree", "--name-only", "refs/shipmate/early", "gone.txt") == ""


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


async def test_a_tree_with_a_commit_of_its_own_is_not_moved(image: RunningBox, gateway: StandIn, bare: Path):
    before = git(bare, "rev-parse", "main")
    push(bare, {"new.py": "x\n"})
    commit = "git -c user.name=a -c user.email=b commit -q --allow-empty -m Early"
    await reading(image, gateway, ["run", commit], ["say", "and now I wait"], ["ask", "one", "edit", {}], ["answers"])
    await asked(gateway)
    gateway.release.set()
    ended = await gateway.frame("turn_ended")
    assert [commit["subject"] for commit in ended["commits"]][0] == "Early"
    assert git(bare, "rev-parse", f"{ended['commits'][0]['sha']}^") == before


async def test_a_kill_while_the_tree_is_carried_over_loses_nothing(image: RunningBox, gateway: StandIn, bare: Path):
    push(bare, {"README.md": "All new.\n"})
    (image.repo / "README.md").write_text("mine\n")
    (image.repo / "own.txt").write_text("mine\n")
    git(image.repo, "add", "--all")
    early = git(
        image.repo, "commit-tree", git(image.repo, "write-tree"), "-p", "HEAD", "-m", "x",
        GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a", GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a",
    )  # fmt: skip
    git(image.repo, "update-ref", "refs/shipmate/early", early)
    (image.repo / ".git/shipmate-checkout").write_text(early)
    (image.repo / "README.md").write_text("half wri")
    (image.repo / "own.txt").unlink()
    await image.start(argv=AGENT)
    assert (await gateway.frame("ready"))["synced"] is True, "there is nothing to read in such a tree"
    assert (image.repo / "README.md").read_text() == "All new.\n"
    assert (image.repo / "own.txt").read_text() == "mine\n"
    assert git(image.repo, "show", "refs/shipmate/early:README.md") == "mine"


async def test_a_session_without_commits_of_its_own_goes_on_from_the_newest_state(
    image: RunningBox, gateway: StandIn, bare: Path
):
    await image.start(argv=AGENT)
    await gateway.frame("phase", phase="synced")
    await image.terminate()
    newer = push(bare, {"new.py": "x\n"})
    gateway.frames.clear()
    await image.start(argv=AGENT)
    await gateway.frame("phase", phase="synced")
    assert git(image.repo, "rev-parse", "HEAD") == newer


async def test_everything_below_stands_still_while_it_is_held():
    loop = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'while True: pass'])\nwhile True: 'here'"
    with subprocess.Popen([sys.executable, "-c", loop]) as child:
        try:
            await until(lambda: descendants(child.pid) != [] and command_of(descendants(child.pid)[0]).endswith("pass"))
            await until(lambda: state(child.pid) == "R")  # a parent waits until its child's program has begun
            below = [child.pid, *descendants(child.pid)]
            async with held_still():
                await until(
                    lambda: [state(pid) for pid in below] == ["T", "T"]
                )  # one may be reading from a disk just now
            await until(lambda: [state(pid) for pid in below] == ["R", "R"])
        finally:
            for pid in reversed([child.pid, *descendants(child.pid)]):
                subprocess.run(("kill", f"-{signal.SIGKILL}", str(pid)), check=False)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
