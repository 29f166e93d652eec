"""Whatever the environment and the command line say: settings or lines that name variables, and never a traceback."""

import contextlib
import io
import re
from argparse import Namespace
from pkgutil import resolve_name

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cli import parser
from bot.settings import VARIABLES, BotSettings
from jobs.session import Rules
from jobs.settings import JobSettings
from tests.fuzz.anything import quickly, words

NAMES = [
    *VARIABLES.values(), *(f"SHIPMATE_{field.upper()}" for field in Rules.model_fields),
    "SHIPMATE_DATA_DIR", "SHIPMATE_BOXES_DIR", "SHIPMATE_GATEWAY_DIR", "SHIPMATE_AGENTS_DIR", "REDIS_URL",
    "SHIPMATE_UNISOLATED", "SHIPMATE_REPOSITORIES", "GITHUB_URL", "GITHUB_API_URL", "GITHUB_TOKEN", "GITHUB_APP_ID",
    "GITHUB_APP_PRIVATE_KEY", "SHIPMATE_AGENT", "SHIPMATE_MODEL", "SHIPMATE_BOX_MEMORY_MB", "SHIPMATE_BOX_DISK_MB",
    "SHIPMATE_UPSTREAMS",    "SHIPMATE_BOX_PROCESSES", "SHIPMATE_ALLOWED_BOTS",
]  # fmt: skip
ODD = st.sampled_from(
    ["٣", "²", "http://[", "http://x:99999999", "https://a b", "redis://:pa/ss@h:6379/0", "redis://h:x", "redis://[",
     "unix://", "@~nobody-at-all/key", "@/", "a/b@-x", "a/..", "a/b@../x", "-1", "1e9", "inf", "9" * 5_000, "x" * 5_000,
     "-----BEGIN RSA PRIVATE KEY-----\\nx\\n-----END RSA PRIVATE KEY-----", "acme/rocket,", "true", " 7 "]
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), words | ODD, max_size=4))
@quickly
def test_any_environment_is_settings_or_lines_that_name_what_is_wrong(env: dict[str, str]) -> None:
    for settings in (JobSettings, BotSettings):
        try:
            read = settings.from_env(env)
        except ValueError as wrong:
            lines = str(wrong).splitlines()
            assert lines and all(re.match(r"[A-Z][A-Z_]+ ", line) for line in lines), lines
        else:
            assert all(isinstance(secret, str) and secret for secret in read.secrets())


@pytest.mark.parametrize(
    ("variable", "secret"),
    [
        ("REDIS_URL", "redis://:hunter2/x@host:6379/0"),
        ("REDIS_URL", "http://:hunter2@host"),
        ("GITHUB_TOKEN", "ghp hunter2"),
        ("SLACK_BOT_TOKEN", "xoxb\nhunter2"),
        ("ANTHROPIC_API_KEY", "‮hunter2"),
        ("GITHUB_APP_PRIVATE_KEY", "hunter2"),
    ],
)
def test_a_secret_that_cannot_be_used_is_not_repeated(variable: str, secret: str) -> None:
    with pytest.raises(ValueError, match=variable) as wrong:
        BotSettings.from_env({variable: secret})
    assert "hunter2" not in str(wrong.value)


WORDS = st.sampled_from(
    ["web", "worker", "upkeep", "demo", "playground", "doctor", "agents", "list", "install", "--queue", "boxes",
     "--count", "--port", "--json", "--say", "--reply", "--reply-when", "--timeout", "--state", "-h", "--", "1"]
)  # fmt: skip


@given(st.lists(WORDS | words, max_size=6))
@quickly
def test_any_command_line_is_understood_or_refused_with_its_use(argv: list[str]) -> None:
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            args = parser().parse_args(argv)
        except SystemExit as ended:
            assert ended.code in (0, 2)
        else:
            assert isinstance(args, Namespace) and callable(resolve_name(args.run))
