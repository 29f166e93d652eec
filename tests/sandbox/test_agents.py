"""The table of agents, and the installer against archives that are not what was pinned."""

import base64
import hashlib
import io
import json
import os
import stat
import tarfile
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import agent_modules, agents
from sandbox.agent_install import NotAsPinned, NotInstalled, install
from sandbox.agents import AgentRow, Package

PROGRAM = b"#!/bin/sh\necho hello\n"


def archive(name: str = "package/bin/agent", kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        member.size = len(PROGRAM) if kind == tarfile.REGTYPE else 0
        packed.addfile(member, io.BytesIO(PROGRAM))
    return buffer.getvalue()


def row_for(packed: bytes) -> AgentRow:
    digest = "sha512-" + base64.b64encode(hashlib.sha512(packed).digest()).decode()
    package = Package("some-agent", "1.2.3", digest, "package/bin/agent")
    return replace(agents.row("opencode"), name="some", packages={"x86_64": package})


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A client of a registry that brings whatever lies at the path; first on PATH."""
    brought = tmp_path / "brought.tgz"
    tools = tmp_path / "tools"
    tools.mkdir()
    npm = tools / "npm"
    npm.write_text(
        "#!/bin/sh\n"
        f'[ -f {brought} ] || {{ echo "npm error 404 not found" >&2; exit 1; }}\n'
        'while [ "$1" != --pack-destination ]; do shift; done\n'
        f'cp {brought} "$2/some-agent-1.2.3.tgz"\n'
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return brought


def test_what_was_pinned_is_installed_and_can_be_run(registry: Path, tmp_path: Path) -> None:
    packed = archive()
    registry.write_bytes(packed)
    row = row_for(packed)
    path = install(row, tmp_path / "agents", "x86_64")
    assert path.read_bytes() == PROGRAM
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert agents.installed(row, tmp_path / "agents")
    assert [each.name for each in (tmp_path / "agents").iterdir()] == ["some-1.2.3"]


def test_installing_twice_fetches_once(registry: Path, tmp_path: Path) -> None:
    packed = archive()
    registry.write_bytes(packed)
    first = install(row_for(packed), tmp_path / "agents", "x86_64")
    registry.unlink()
    assert install(row_for(packed), tmp_path / "agents", "x86_64") == first


def test_another_archive_than_the_pinned_one_installs_nothing(registry: Path, tmp_path: Path) -> None:
    registry.write_bytes(archive())
    with pytest.raises(NotAsPinned, match="not the archive that was pinned"):
        install(row_for(b"another"), tmp_path / "agents", "x86_64")
    assert list((tmp_path / "agents").iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.DIRTYPE], ids=["symlink", "folder"])
def test_only_a_real_file_is_taken_from_an_archive(registry: Path, tmp_path: Path, kind: bytes) -> None:
    packed = archive(kind=kind)
    registry.write_bytes(packed)
    with pytest.raises(NotInstalled, match="no file"):
        install(row_for(packed), tmp_path / "agents", "x86_64")
    assert not agents.installed(row_for(packed), tmp_path / "agents")


def test_what_the_registry_says_is_told(registry: Path, tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match="404 not found"):
        install(row_for(b""), tmp_path / "agents", "x86_64")


def test_a_machine_without_a_pinned_package_is_told_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pinned for x86_64; this machine is riscv64"):
        install(agents.row("opencode"), tmp_path, "riscv64")


def test_an_unknown_agent_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="rehearsal, opencode"):
        agents.row("hal")


@pytest.mark.parametrize("model", ["gpt", "openai/", "/x", "nobody/x"])
def test_a_model_that_no_agent_could_be_pointed_at_is_refused(model: str) -> None:
    with pytest.raises(ValueError, match="provider/name"):
        agents.check_model(model)


def test_a_model_that_this_agent_does_not_speak_with_is_refused_with_those_it_does() -> None:
    with pytest.raises(ValueError, match="claude works with models of anthropic"):
        agents.check_model("openai/gpt-5", agents.row("claude"))
    agents.check_model("openai/gpt-5", agents.row("rehearsal"))


def test_an_agent_for_whom_the_chosen_model_is_none_makes_its_own_choice() -> None:
    for name in ("claude", "gemini"):
        told = agents.greeting_agent(agents.row(name), "openai/gpt-5")
        assert "gpt-5" not in json.dumps(told)


@pytest.mark.parametrize(
    ("model", "address"),
    [
        ("", "/model/anthropic/v1"),
        ("openai/gpt-5", "/model/openai"),
        ("gemini/pro", "/model/gemini/v1beta"),
    ],
)
def test_opencode_knows_no_way_but_the_gateway_and_no_key(model: str, address: str) -> None:
    env = agents.greeting_agent(agents.row("opencode"), model)["env"]
    config = json.loads(env["OPENCODE_CONFIG_CONTENT"])
    assert config["provider"]["shipmate"]["options"] == {"baseURL": "{gateway}" + address, "apiKey": agents.NO_KEY}
    assert config["enabled_providers"] == ["shipmate"]
    assert config["model"] == config["small_model"]


@pytest.mark.parametrize(("name", "model"), [("claude", "anthropic/m"), ("codex", "openai/m"), ("gemini", "gemini/m")])
def test_an_agent_is_pointed_at_the_gateway_and_at_the_model(name: str, model: str) -> None:
    told = agents.greeting_agent(agents.row(name), model)
    words = json.dumps([told["env"], told["files"]])
    assert "{gateway}/model/" + model.partition("/")[0] in words and agents.NO_KEY in words
    assert '"m"' in words.replace("\\", "")


def test_opencode_has_no_reason_to_fetch_the_library_for_plugins() -> None:
    row = agents.row("opencode")
    files = {name: json.loads(text) for name, text in agents.greeting_agent(row, "")["files"].items()}
    wanted = files[".config/opencode/package.json"]["dependencies"]
    assert wanted == files[".config/opencode/package-lock.json"]["packages"][""]["dependencies"]
    assert wanted == {"@opencode-ai/plugin": row.packages["x86_64"].version}


def test_codex_is_told_in_a_file_that_a_toml_reader_understands() -> None:
    [text] = agents.greeting_agent(agents.row("codex"), 'openai/a"b')["files"].values()
    told = tomllib.loads(text)
    assert told["model"] == 'a"b'
    assert told["model_providers"]["shipmate"]["wire_api"] == "responses"


def test_a_command_of_ones_own_is_started_as_a_shell_would_read_it() -> None:
    assert agents.greeting_agent(agents.row("custom"), "", "my-agent 'a b' --acp")["argv"] == [
        "my-agent",
        "a b",
        "--acp",
    ]
    with pytest.raises(ValueError, match="SHIPMATE_AGENT_COMMAND"):
        agents.greeting_agent(agents.row("custom"), "", " ")


def test_every_agent_that_is_fetched_has_its_file_where_it_is_started() -> None:
    for row in agents.ROWS.values():
        files = [str(part.start_file(Path("{agents}"))) for part in agents.parts(row) if part.fetched]
        assert files == list(row.argv[: len(files)])


@pytest.mark.parametrize("name", [row.name for row in agents.ROWS.values() if row.modules])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_package_that_is_fetched_is_pinned_by_its_digest(name: str, machine: str) -> None:
    row = agents.row(name)
    assert row.modules is not None
    lock = json.loads((agent_modules.LOCKS / name / "package-lock.json").read_text())["packages"]
    wanted = agent_modules.wanted(name, row.modules, machine)
    assert all(lock[path]["integrity"].startswith("sha512-") for path in wanted)
    start = "node_modules/" + "/".join(row.modules.start.split("/")[:2])
    assert start in wanted and lock[start]["version"] == row.modules.version
    other = {"x86_64": "arm64", "aarch64": "x64"}[machine]
    assert not [path for path in wanted if path.endswith(f"linux-{other}")]


TREE = agents.row("gemini")


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A client of a registry that does for a tree what the script at the path says; first on PATH. Node is there."""
    tools = tmp_path / "tools"
    tools.mkdir()
    node = agents.NODE.start_file(tmp_path / "agents")
    assert node is not None
    node.parent.mkdir(parents=True)
    node.touch()
    (tools / "npm").write_text(f"#!/bin/sh\n. {tmp_path}/script\n")
    (tools / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return tmp_path / "script"


def test_a_tree_of_packages_is_installed_for_everybody_to_read(client: Path, tmp_path: Path) -> None:
    start = "node_modules/@google/gemini-cli/bundle"
    client.write_text(f"umask 077; mkdir -p {start}; echo program > {start}/gemini.js; ls > asked; echo $@ >> asked\n")
    path = install(TREE, tmp_path / "agents", "x86_64")
    assert path.read_text() == "program\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644 and stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    asked = (tmp_path / "agents/gemini-0.61.0/asked").read_text()
    assert "package-lock.json" in asked and "ci --ignore-scripts" in asked and "--omit=optional" in asked


TREES_THAT_FAIL = [
    ("echo 'npm error code EINTEGRITY' >&2; exit 1", "not the archive that was pinned"),
    ("echo 'npm error network timeout' >&2; exit 1", "could not fetch the packages of gemini: npm error network"),
    ("exit 0", "@google/gemini-cli is missing"),
    ("mkdir -p node_modules/@google/gemini-cli", "have no file @google/gemini-cli/bundle/gemini.js"),
]


@pytest.mark.parametrize(("script", "why"), TREES_THAT_FAIL)
def test_of_a_tree_that_did_not_come_whole_nothing_is_installed(
    client: Path, tmp_path: Path, script: str, why: str
) -> None:
    client.write_text(script)
    with pytest.raises(NotInstalled, match=why):
        install(TREE, tmp_path / "agents", "x86_64")
    assert [each.name for each in (tmp_path / "agents").iterdir()] == ["node-22.23.3"]


def test_a_machine_that_no_tree_is_pinned_for_is_told(client: Path, tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match="pinned for x86_64, aarch64; this machine is riscv64"):
        install(TREE, tmp_path / "agents", "riscv64")


@pytest.mark.parametrize(("name", "protocol"), [("opencode", "openai"), ("codex", "openai"), ("claude", "anthropic")])
def test_an_agent_is_pointed_at_any_provider_that_speaks_its_protocol(name: str, protocol: str) -> None:
    agent, more = agents.row(name), {"router": protocol}
    agents.check_model("router/vendor/some-model", agent, more)
    told = agents.greeting_agent(agent, "router/vendor/some-model", "", more)
    said = "".join([*told["env"].values(), *told["files"].values()])
    assert "{gateway}/model/router" in said
    assert "vendor/some-model" in said
    assert f"/model/{protocol}" not in said


def test_a_provider_that_an_agent_does_not_speak_with_is_refused() -> None:
    with pytest.raises(ValueError, match="claude works with models of anthropic, mine"):
        agents.check_model("router/m", agents.row("claude"), {"router": "openai", "mine": "anthropic"})
    with pytest.raises(ValueError, match="one of anthropic, openai, gemini, router"):
        agents.check_model("nobody/m", None, {"router": "openai"})
