"""The table of agents, and the installer against archives that are not what was pinned."""

import base64
import hashlib
import io
import json
import os
import stat
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import agents
from sandbox.agent_install import NotInstalled, install
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
    with pytest.raises(NotInstalled, match="not the archive that was pinned"):
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


@pytest.mark.parametrize(
    ("model", "address"), [("", "/model/anthropic/v1"), ("openai/gpt-5", "/model/openai")], ids=["default", "openai"]
)
def test_opencode_knows_no_way_but_the_gateway_and_no_key(model: str, address: str) -> None:
    env = agents.greeting_agent(agents.row("opencode"), model)["env"]
    config = json.loads(env["OPENCODE_CONFIG_CONTENT"])
    assert config["provider"]["shipmate"]["options"] == {"baseURL": "{gateway}" + address, "apiKey": agents.NO_KEY}
    assert config["enabled_providers"] == ["shipmate"]
    assert config["model"] == config["small_model"]


def test_every_agent_that_is_fetched_has_its_file_where_it_is_started() -> None:
    for row in agents.ROWS.values():
        binary = row.binary(Path("{agents}"))
        assert binary is None or row.argv[0] == str(binary)
