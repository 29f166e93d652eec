"""What the environment says, and what is wrong with it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.settings import BotSettings
from jobs.session import Rules
from jobs.settings import SOCKET_NAME, SOCKET_PATH_BYTES, JobSettings
from jobs.settings_repositories import Repository

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"


def test_without_any_variable_the_settings_are_usable() -> None:
    settings = JobSettings.from_env({})
    assert settings.data_dir == Path(".shipmate").resolve()
    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    assert (settings.agent, settings.unisolated, settings.repositories) == ("rehearsal", False, ())
    assert (settings.github_url, settings.github_api_url) == ("https://github.com", "https://api.github.com")
    assert settings.rules == Rules()


def test_an_empty_variable_counts_as_not_given() -> None:
    names = ("SHIPMATE_UNISOLATED", "REDIS_URL", "GITHUB_APP_ID", "SHIPMATE_REPOSITORIES", "SHIPMATE_TURN_SECONDS")
    assert JobSettings.from_env(dict.fromkeys(names, "")) == JobSettings.from_env({})


def test_repositories_come_with_their_base_branches() -> None:
    settings = JobSettings.from_env({"SHIPMATE_REPOSITORIES": "acme/rocket, acme/site.js@release/2.x"})
    assert settings.repositories == (Repository("acme/rocket"), Repository("acme/site.js", "release/2.x"))
    assert settings.base_branch("acme/site.js") == "release/2.x"
    assert settings.base_branch("acme/rocket") == "main"


FAR = {"SHIPMATE_PUBLIC_URL": "https://shipmate.example"}


def test_each_repository_says_where_its_boxes_run_or_all_do() -> None:
    told = {"SHIPMATE_REPOSITORIES": "acme/rocket:modal,acme/site@dev:local,acme/docs"}
    settings = JobSettings.from_env(told | FAR)
    assert [settings.place(one.name) for one in settings.repositories] == ["modal", "local", "local"]
    assert (settings.base_branch("acme/site"), settings.place("acme/unknown"), settings.place(None)) == (
        "dev", "local", "local",
    )  # fmt: skip
    settings = JobSettings.from_env(told | FAR | {"SHIPMATE_PLACE": "modal"})
    assert [settings.place(one.name) for one in settings.repositories] == ["modal", "local", "modal"]


def test_places_far_away_are_those_in_use() -> None:
    assert JobSettings.from_env({"SHIPMATE_REPOSITORIES": "acme/rocket:local"}).far_places == ()
    assert JobSettings.from_env(FAR | {"SHIPMATE_REPOSITORIES": "acme/rocket:modal"}).far_places == ("modal",)
    assert JobSettings.from_env(FAR | {"SHIPMATE_PLACE": "modal"}).far_places == ("modal",)
    alone = JobSettings.from_env(FAR | {"SHIPMATE_PLACE": "modal", "SHIPMATE_REPOSITORIES": "acme/rocket:local"})
    assert (alone.used_places, alone.far_places) == ({"local"}, ())


@pytest.mark.parametrize("url", ["", "http://shipmate.example", "https://shipmate.example/bots", "http://10.0.0.1:80"])
def test_boxes_on_modal_need_an_address_that_they_can_dial_in_secret(url: str) -> None:
    with pytest.raises(ValueError, match="SHIPMATE_PUBLIC_URL must be an address that begins with https://"):
        JobSettings.from_env({"SHIPMATE_PLACE": "modal", "SHIPMATE_PUBLIC_URL": url})
    JobSettings.from_env({"SHIPMATE_PUBLIC_URL": url})
    JobSettings.from_env({"SHIPMATE_PLACE": "modal", "SHIPMATE_PUBLIC_URL": "http://127.0.0.1:8080"})


def test_half_a_token_for_modal_is_none() -> None:
    with pytest.raises(ValueError, match="MODAL_TOKEN_ID and MODAL_TOKEN_SECRET are used together"):
        JobSettings.from_env({"MODAL_TOKEN_ID": "ak-1"})
    settings = JobSettings.from_env({"MODAL_TOKEN_ID": "ak-1", "MODAL_TOKEN_SECRET": "as-1"})
    assert {"ak-1", "as-1"} <= set(settings.secrets())


def test_every_rule_has_a_variable() -> None:
    env = {f"SHIPMATE_{field.upper()}": "7" for field in Rules.model_fields}
    assert set(JobSettings.from_env(env).rules.model_dump().values()) == {7}


def test_limits_of_boxes_are_in_megabytes_and_0_means_none() -> None:
    env = {"SHIPMATE_BOX_MEMORY_MB": "512", "SHIPMATE_BOX_DISK_MB": "0", "SHIPMATE_BOX_PROCESSES": "64"}
    limits = JobSettings.from_env(env).limits
    assert (limits.memory_bytes, limits.disk_bytes, limits.processes) == (512 << 20, None, 64)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REDIS_URL", "localhost:6379"),
        ("SHIPMATE_UNISOLATED", "maybe"),
        ("SHIPMATE_REPOSITORIES", "rocket"),
        ("SHIPMATE_REPOSITORIES", "acme/rocket,acme/rocket@dev"),
        ("SHIPMATE_REPOSITORIES", "acme/rocket;acme/site"),
        ("SHIPMATE_REPOSITORIES", "acme/rocket:mars"),
        ("SHIPMATE_REPOSITORIES", "acme/rocket:modal@main"),
        ("SHIPMATE_PLACE", "mars"),
        ("SHIPMATE_PUBLIC_URL", "shipmate.example"),
        ("MODAL_SERVER_URL", "api.modal.com"),
        ("SHIPMATE_MODAL_APP", "a b"),
        ("SHIPMATE_MODAL_CORES", "0.1"),
        ("SHIPMATE_MODAL_CORES", "65"),
        ("SHIPMATE_MODAL_CREATES", "0"),
        ("SHIPMATE_MODAL_HOSTS", "https://a.example"),
        ("SHIPMATE_MODAL_HOSTS", "localhost"),
        ("SHIPMATE_MODAL_BOX_SECONDS", "90000"),
        ("SHIPMATE_MODAL_BOX_SECONDS", "60"),
        ("GITHUB_URL", "github.com"),
        ("GITHUB_API_URL", "https://"),
        ("GITHUB_APP_ID", "twelve"),
        ("GITHUB_APP_PRIVATE_KEY", "@/nowhere/key.pem"),
        ("GITHUB_APP_PRIVATE_KEY", "hunter2"),
        ("SHIPMATE_TURN_SECONDS", "-1"),
        ("SHIPMATE_IDLE_SECONDS", "nan"),
        ("SHIPMATE_SYNC_SECONDS", "421"),
        ("SHIPMATE_CONNECT_SECONDS", "299"),
        ("SHIPMATE_MAX_FAILURES", "0"),
        ("SHIPMATE_BOX_MEMORY_MB", "4GB"),
        ("SHIPMATE_BOX_PROCESSES", "1.5"),
    ],
)
def test_a_wrong_value_is_told_with_its_variable(variable: str, value: str) -> None:
    with pytest.raises(ValueError, match=variable) as told:
        JobSettings.from_env({variable: value})
    assert len(str(told.value).splitlines()) == 1


def test_every_wrong_setting_has_a_line() -> None:
    with pytest.raises(ValueError) as told:
        JobSettings.from_env({"SHIPMATE_TURN_SECONDS": "soon", "GITHUB_URL": "x", "SHIPMATE_UNISOLATED": "perhaps"})
    assert [line.split()[0] for line in str(told.value).splitlines()] == [
        "SHIPMATE_UNISOLATED", "GITHUB_URL", "SHIPMATE_TURN_SECONDS",
    ]  # fmt: skip


def test_an_app_needs_both_its_id_and_its_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="GITHUB_APP_PRIVATE_KEY"):
        JobSettings.from_env({"GITHUB_APP_ID": "12"})
    (tmp_path / "key.pem").write_text(PEM)
    for given in (f"@{tmp_path}/key.pem", PEM, PEM.replace("\n", "\\n")):
        settings = JobSettings.from_env({"GITHUB_APP_ID": "12", "GITHUB_APP_PRIVATE_KEY": given})
        assert settings.github_app_private_key is not None
        assert settings.github_app_private_key.get_secret_value() == PEM + "\n"


def test_secrets_are_known_to_the_log_and_not_shown() -> None:
    env = {
        "GITHUB_TOKEN": "ghp_1", "REDIS_URL": "redis://:pa%2Fss@host/0", "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_APP_TOKEN": "xapp-1", "SLACK_SIGNING_SECRET": "quill", "GITHUB_WEBHOOK_SECRET": "fishing",
        "OPENAI_API_KEY": "sk-o", "ANTHROPIC_API_KEY": "sk-a", "GITHUB_APP_ID": "1",
        "GITHUB_APP_PRIVATE_KEY": PEM,
    }  # fmt: skip
    settings = BotSettings.from_env(env)
    hidden = {"ghp_1", PEM + "\n", "xoxb-1", "xapp-1", "quill", "fishing", "sk-o", "sk-a"}
    assert set(settings.secrets()) == hidden | {"pa%2Fss", "pa/ss"}
    assert not [secret for secret in hidden if secret in repr(settings)]


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that every user could reach, if those above it let them: /tmp is open, pytest's own folders are not."""
    folder = Path(f"/tmp/sm-{os.getpid()}")
    folder.mkdir(mode=0o755)
    yield folder
    folder.rmdir()


def test_boxes_of_root_are_where_their_user_can_reach_them(open_folder: Path) -> None:
    env = {"SHIPMATE_DATA_DIR": str(open_folder)}
    assert JobSettings.from_env(env, uid=0).boxes_dir == open_folder / "boxes"
    assert JobSettings.from_env(env, uid=0).gateway_dir == open_folder / "gateway"
    open_folder.chmod(0o700)
    as_root = JobSettings.from_env(env, uid=0)
    assert as_root.boxes_dir.is_relative_to("/var/lib/shipmate")
    assert as_root.gateway_dir.parent == Path("/tmp")
    as_user = JobSettings.from_env(env, uid=1000)
    assert (as_user.boxes_dir, as_user.gateway_dir) == (open_folder / "boxes", open_folder / "gateway")


def test_two_data_folders_never_share_boxes_or_sockets(open_folder: Path) -> None:
    open_folder.chmod(0o700)
    one, two = (JobSettings.from_env({"SHIPMATE_DATA_DIR": f"{open_folder}/{n}"}, uid=0) for n in (1, 2))
    assert one.boxes_dir != two.boxes_dir
    assert one.gateway_dir != two.gateway_dir


def test_a_folder_that_is_to_be_made_counts_by_our_umask(open_folder: Path) -> None:
    env = {"SHIPMATE_DATA_DIR": f"{open_folder}/to/come"}
    before = os.umask(0o077)
    try:
        shut = JobSettings.from_env(env, uid=0)
        os.umask(0o022)
        reachable = JobSettings.from_env(env, uid=0)
    finally:
        os.umask(before)
    assert not shut.boxes_dir.is_relative_to(open_folder)
    assert reachable.boxes_dir.is_relative_to(open_folder)


def test_a_socket_always_has_a_path_that_the_kernel_takes() -> None:
    for length in range(1, 200, 7):
        settings = JobSettings.from_env({"SHIPMATE_DATA_DIR": "/srv/" + "d" * length}, uid=1000)
        assert len(os.fsencode(settings.gateway_dir)) + len(SOCKET_NAME) <= SOCKET_PATH_BYTES


@pytest.mark.parametrize(
    ("env", "uid", "expected"),
    [
        ({"HOME": "/home/ada"}, 1000, "/home/ada/.local/share/shipmate/agents"),
        ({"HOME": "/home/ada", "XDG_DATA_HOME": "/data/ada"}, 1000, "/data/ada/shipmate/agents"),
        ({"HOME": "/root"}, 0, "/var/lib/shipmate/agents"),
        ({"HOME": "/root", "SHIPMATE_AGENTS_DIR": "/opt/agents"}, 0, "/opt/agents"),
    ],
)
def test_agents_are_kept_with_the_data_of_whoever_runs_this(env: dict[str, str], uid: int, expected: str) -> None:
    assert JobSettings.from_env(env, uid=uid).agents_dir == Path(expected)


def test_a_user_that_only_has_a_number_keeps_agents_with_the_data() -> None:
    settings = JobSettings.from_env({"SHIPMATE_DATA_DIR": "/srv/shipmate"}, uid=3_999_999)
    assert settings.agents_dir == Path("/srv/shipmate/shipmate/agents")
