"""What the sessions and their boxes are told by the environment. Read once, in `bot/cli.py`; nothing else looks at it.

`bot/settings.py` adds what the faces need. Every field names its variable, unit and default; `shipmate doctor` and the
README's table are made from the same places. A setting that is empty counts as not given.
"""

import hashlib
import os
import pwd
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from jobs.session import Rules
from jobs.settings_modal import ModalSettings, modal_settings, reachable_from_afar
from jobs.settings_reader import Reader, attempts, mebibytes, seconds, secret, web_url, whole, word, yes_or_no
from jobs.settings_repositories import Repository, place, repositories, warm_numbers
from jobs.settings_upstreams import MoreUpstream, upstreams
from sandbox.provider import Limits
from sandbox.side_by_side import FAR, HERE

SOCKET_PATH_BYTES = 100  # the kernel takes 107
SOCKET_NAME = "/web-4194304.sock.new"  # the longest name that a gateway binds
SYSTEM = Path("/var/lib/shipmate")


class JobSettings(BaseModel):
    """Everything that a worker, the upkeep and the web process need. `None` means: not given."""

    model_config = ConfigDict(frozen=True)

    data_dir: Path  # SHIPMATE_DATA_DIR: everything that is kept; `.shipmate` by default
    boxes_dir: Path  # SHIPMATE_BOXES_DIR: `boxes` in there, if the boxes' user can reach it
    gateway_dir: Path  # SHIPMATE_GATEWAY_DIR: sockets for the boxes; `gateway` in there, or in /tmp
    agents_dir: Path  # SHIPMATE_AGENTS_DIR: installed agents; in the user's (for root: the system's) data
    search_path: str = os.defpath  # PATH: where a Redis-compatible server is looked for
    redis_url: str = "redis://127.0.0.1:6379/0"  # REDIS_URL: redis://, rediss:// or unix://
    unisolated: bool = False  # SHIPMATE_UNISOLATED: 1 = boxes without isolation, which every card says
    repositories: tuple[Repository, ...] = ()  # SHIPMATE_REPOSITORIES: owner/name[@branch][:local or :modal],...
    usual_place: str = HERE  # SHIPMATE_PLACE: where boxes run, unless their repository says otherwise: local or modal
    public_url: str = ""  # SHIPMATE_PUBLIC_URL: how people, and boxes on Modal, reach us; default http://HOST:PORT
    github_url: str = "https://github.com"  # GITHUB_URL: where git is
    github_api_url: str = "https://api.github.com"  # GITHUB_API_URL: where its REST API is
    github_token: SecretStr | None = None  # GITHUB_TOKEN: a personal access token; or use an app:
    github_app_id: int | None = None  # GITHUB_APP_ID: its id, with
    github_app_private_key: SecretStr | None = None  # GITHUB_APP_PRIVATE_KEY: its private key as PEM, or @FILE
    agent: str = "rehearsal"  # SHIPMATE_AGENT: which one works in boxes; `shipmate agents list` has them
    agent_named: bool = False  # whether that is given, and no recipe of a repository chooses another
    agent_command: str = ""  # SHIPMATE_AGENT_COMMAND: how the agent `custom` is started inside a box
    model: str = ""  # SHIPMATE_MODEL: provider/NAME, such as anthropic/NAME; empty: the agent's own choice
    upstreams: tuple[MoreUpstream, ...] = ()  # SHIPMATE_UPSTREAMS: more providers: name=protocol,url[,KEY_VARIABLE];…
    warm: tuple[tuple[str, int], ...] = ()  # SHIPMATE_WARM: owner/name:NUMBER,... boxes that wait, ready, for a mention
    warm_predicted: int = 2  # SHIPMATE_WARM_PREDICTED: repositories that get one more when somebody is about to ask
    ca_file: Path | None = None  # SHIPMATE_CA_FILE: certificates (PEM) that boxes trust beside this machine's own
    boxes: int = 0  # SHIPMATE_BOXES: boxes on this machine at a time, warm and building ones too; 0: no limit
    rules: Rules = Rules()  # SHIPMATE_TURN_SECONDS, SHIPMATE_IDLE_SECONDS, …: one for each field
    modal: ModalSettings = ModalSettings()
    limits: Limits = Limits()  # SHIPMATE_BOX_MEMORY_MB, SHIPMATE_BOX_DISK_MB (0: no limit), SHIPMATE_BOX_PROCESSES

    @property
    def files_dir(self) -> Path:
        """Where the files that agents attach are kept."""
        return self.data_dir / "files"

    @property
    def speaking(self) -> dict[str, str]:
        """The providers beside the well-known ones, each with the protocol that it speaks."""
        return {one.name: one.protocol for one in self.upstreams}

    def base_branch(self, repository: str) -> str:
        """The branch that work on this repository starts from."""
        return next((r.base_branch for r in self.repositories if r.name == repository), "main")

    def place(self, repository: str | None) -> str:
        """Where boxes of this repository run."""
        return next((r.place for r in self.repositories if r.name == repository), "") or self.usual_place

    @property
    def used_places(self) -> frozenset[str]:
        """The places where boxes of some repository run; before one is enabled, where they will by default."""
        return frozenset(self.place(one.name) for one in self.repositories) or frozenset((self.usual_place,))

    @property
    def far_places(self) -> tuple[str, ...]:
        """Those of them that are not this machine."""
        return tuple(far for far in FAR if far in self.used_places)

    def secrets(self) -> tuple[str, ...]:
        """Every secret here, so that the log can leave them out."""
        hidden = [s.get_secret_value() for s in (self.github_token, self.github_app_private_key) if s is not None]
        redis = urlsplit(self.redis_url)
        passwords = [redis.password or "", *parse_qs(redis.query).get("password", ())]
        return tuple(s for s in (*hidden, *self.modal.secrets(), *passwords, *map(unquote, passwords)) if s)

    @classmethod
    def from_env(cls, env: Mapping[str, str], uid: int | None = None) -> "JobSettings":
        """Read the settings; raise with a line for each that cannot be used. `uid`: whose process it is to be."""
        read = Reader(env)
        data_dir = read("SHIPMATE_DATA_DIR", _folder, Path(".shipmate").resolve())
        values = {
            "data_dir": data_dir,
            **_folders(data_dir, env, os.geteuid() if uid is None else uid, read),
            "search_path": env.get("PATH", os.defpath),
            "redis_url": read("REDIS_URL", _redis_url, "redis://127.0.0.1:6379/0"),
            "unisolated": read("SHIPMATE_UNISOLATED", yes_or_no, False),
            **_repositories(read),
            "usual_place": read("SHIPMATE_PLACE", place, HERE),
            "public_url": read("SHIPMATE_PUBLIC_URL", web_url, ""),
            "modal": modal_settings(read),
            **_forge(read),
            **_agent(read),
            "agent_named": bool(env.get("SHIPMATE_AGENT", "").strip()),
            "warm_predicted": read("SHIPMATE_WARM_PREDICTED", whole, 2),
            "ca_file": read("SHIPMATE_CA_FILE", _certificates, None),
            "boxes": read("SHIPMATE_BOXES", whole, 0),
            "rules": _rules(read),
            "limits": _limits(read),
        }
        if read.wrong:
            raise ValueError("\n".join(read.wrong))
        settings = cls.model_validate(values)
        if settings.far_places and not reachable_from_afar(settings.public_url):
            raise ValueError(
                "SHIPMATE_PUBLIC_URL must be an address that begins with https:// and has no path: boxes on Modal dial"
                f" it; it is {settings.public_url!r}"
            )
        return settings


def _repositories(read: Reader) -> dict[str, object]:
    none: tuple[Repository, ...] = ()
    not_warm: tuple[tuple[str, int], ...] = ()
    enabled = read("SHIPMATE_REPOSITORIES", repositories, none)
    return {"repositories": enabled, "warm": read("SHIPMATE_WARM", partial(warm_numbers, enabled), not_warm)}


def _forge(read: Reader) -> dict[str, object]:
    given: dict[str, object] = {
        "github_url": read("GITHUB_URL", web_url, "https://github.com"),
        "github_api_url": read("GITHUB_API_URL", web_url, "https://api.github.com"),
        "github_token": read("GITHUB_TOKEN", secret, None),
        "github_app_id": read("GITHUB_APP_ID", whole, None),
        "github_app_private_key": read("GITHUB_APP_PRIVATE_KEY", _private_key, None),
    }
    if (given["github_app_id"] is None) != (given["github_app_private_key"] is None) and not read.wrong:
        read.wrong.append("GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY are used together; one of them is missing")
    return given


def _agent(read: Reader) -> dict[str, object]:
    no_more: tuple[MoreUpstream, ...] = ()
    return {
        "agent": read("SHIPMATE_AGENT", word, "rehearsal"),
        "agent_command": read("SHIPMATE_AGENT_COMMAND", lambda text: shlex.join(shlex.split(text)), ""),
        "model": read("SHIPMATE_MODEL", word, ""),
        "upstreams": read("SHIPMATE_UPSTREAMS", lambda text: upstreams(text, web_url), no_more),
    }


def _rules(read: Reader) -> Rules:
    usual = Rules()
    given: dict[str, float] = {}
    for field in Rules.model_fields:
        parse: Callable[[str], float] = _COUNTS.get(field, seconds)
        given[field] = read(f"SHIPMATE_{field.upper()}", parse, getattr(usual, field))
    if given["connect_seconds"] < given["sync_seconds"]:
        read.wrong.append("SHIPMATE_CONNECT_SECONDS must not be less than SHIPMATE_SYNC_SECONDS, which is a part of it")
    return Rules.model_validate(given)


def _limits(read: Reader) -> Limits:
    usual = Limits()
    return Limits(
        processes=read("SHIPMATE_BOX_PROCESSES", attempts, usual.processes),
        memory_bytes=read("SHIPMATE_BOX_MEMORY_MB", mebibytes, usual.memory_bytes),
        disk_bytes=read("SHIPMATE_BOX_DISK_MB", mebibytes, usual.disk_bytes),
    )


def _folders(data_dir: Path, env: Mapping[str, str], uid: int, read: Reader) -> dict[str, Path]:
    """Where boxes, sockets and agents are. For root they must be within reach of the user that boxes run as."""
    tag = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
    reachable = uid != 0 or _searchable_by_others(data_dir)
    gateway = data_dir / "gateway"
    fits = len(os.fsencode(gateway)) + len(SOCKET_NAME) <= SOCKET_PATH_BYTES
    usual = {
        "boxes_dir": data_dir / "boxes" if reachable else SYSTEM / tag / "boxes",
        "gateway_dir": gateway if reachable and fits else Path(f"/tmp/shipmate-{uid}-{tag}"),
        "agents_dir": SYSTEM / "agents" if uid == 0 else _user_data(env, uid, data_dir) / "shipmate" / "agents",
    }
    return {name: read(f"SHIPMATE_{name.upper()}", _folder, folder) for name, folder in usual.items()}


def _folder(text: str) -> Path:
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("must be the name of a folder, in UTF-8")
    try:
        return Path(text).resolve()
    except (OSError, RuntimeError) as error:  # a name that is too long, links in a circle
        raise ValueError(f"names a folder that cannot be ({type(error).__name__})") from None


def _certificates(text: str) -> Path:
    path = _folder(text)
    try:
        well = b"-----BEGIN CERTIFICATE-----" in path.read_bytes()
    except OSError as error:
        raise ValueError(f"names a file that cannot be read ({type(error).__name__})") from None
    if not well:
        raise ValueError("must name a file with certificates as PEM")
    return path


def _searchable_by_others(folder: Path) -> bool:
    """Whether every folder down to this one can be entered by any user; one that is to be made counts by our umask."""
    umask = os.umask(0o022)
    os.umask(umask)
    steps = (folder, *folder.parents)
    return all((step.stat().st_mode if step.exists() else ~umask) & 0o001 for step in steps)


def _user_data(env: Mapping[str, str], uid: int, data_dir: Path) -> Path:
    if env.get("XDG_DATA_HOME"):
        return Path(env["XDG_DATA_HOME"])
    if env.get("HOME"):
        return Path(env["HOME"]) / ".local/share"
    try:
        return Path(pwd.getpwuid(uid).pw_dir) / ".local/share"
    except KeyError:  # a user that only has a number
        return data_dir


_COUNTS: Mapping[str, Callable[[str], int]] = {
    "max_failures": attempts,
    "children_most": whole,
    "children_parallel": attempts,
    "children_depth": whole,
}


def _can_be_dialled(text: str) -> bool:
    try:
        parts = urlsplit(text)
        number = parts.path.strip("/")
        return text.isprintable() and parts.port != 0 and (parts.scheme == "unix" or number.isdecimal() or not number)
    except ValueError:
        return False


def _redis_url(text: str) -> str:
    """As it is. It may hold a password, so what is wrong with it is not repeated."""
    if not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    if not _can_be_dialled(text):
        raise ValueError("must be redis://[:PASSWORD@]HOST[:PORT][/NUMBER]; in a password, / is written as %2F")
    return text


def _private_key(text: str) -> SecretStr:
    """The PEM, from a file if it is given as @FILE; line ends may be written as a backslash and an n."""
    if text.startswith("@"):
        try:
            text = Path(text[1:]).expanduser().read_text()
        except (OSError, ValueError, RuntimeError) as error:
            raise ValueError(f"names a file that cannot be read ({type(error).__name__})") from None
    pem = text.replace("\\n", "\n").strip()
    if not pem.startswith("-----BEGIN ") or "PRIVATE KEY-----" not in pem:
        raise ValueError("must be a private key as PEM, or @FILE with the file's name")
    return SecretStr(pem + "\n")
