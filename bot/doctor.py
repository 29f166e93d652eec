"""`shipmate doctor`: looks at every setting and outside thing in use, and says per line how to mend what is wrong.

Called by `bot/cli.py`. A check asks the real thing, changes nothing, and is bounded in time; only the drill of a box
(`doctor_drill.py`) makes something, and takes it away again. Exit code 0: all is well; 1: something has to be mended.
"""

import argparse
import asyncio
import json
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot import doctor_agent, doctor_drill, doctor_running
from bot.findings import Finding
from bot.gateway import sockets
from bot.github import HEARD
from bot.settings import BotSettings
from bot.slack.calls import METHODS
from jobs import archive, census
from jobs.github import ForgeDown, ForgeRefused
from jobs.store import Store
from jobs.wiring import forge, modal_place, workshop
from sandbox import host_processes, probe
from sandbox.cgroup import Cgroups
from sandbox.side_by_side import HERE

DONE, FAILED = 0, 1
CHECK_SECONDS = 15.0
FILES_LOOKED_AT, LOOK_SECONDS, NAMED_MOST = 1000, 5.0, 5  # of the archive
NOT_SET_UP = (
    "set MODAL_TOKEN_ID, MODAL_TOKEN_SECRET and SHIPMATE_PUBLIC_URL, at which boxes reach `shipmate web` by https"
)
LEAST_REDIS = (6, 2)
EVENT_SCOPES = ("app_mentions:read",)  # beside those of the methods that we call


def run(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Run `shipmate doctor`; returns the exit code."""
    return check(env, as_json=args.as_json, drill=args.drill)


def check(env: Mapping[str, str], *, as_json: bool, drill: bool = False) -> int:
    """Check everything and print it; returns the exit code. `drill`: with a real box on this machine, too."""
    try:
        settings = BotSettings.from_env(env)
    except ValueError as wrong:
        findings = [Finding("settings", line, "correct that variable") for line in str(wrong).splitlines()]
    else:
        findings = [Finding("settings", f"read; data in {settings.jobs.data_dir}"), *asyncio.run(_all(settings, drill))]
    print(json.dumps([asdict(one) for one in findings], indent=2) if as_json else "\n".join(map(_line, findings)))
    return DONE if all(one.well for one in findings) else FAILED


async def _all(settings: BotSettings, drill: bool) -> list[Finding]:
    return [*await examine(settings), *await _drill(settings, drill)]


def _line(one: Finding) -> str:
    return f"{'ok   ' if one.well else 'WRONG'}  {one.what}: {one.said}" + (
        f"\n       → {one.mend}" if one.mend else ""
    )


async def examine(settings: BotSettings) -> list[Finding]:
    """Every check, side by side; a check that breaks is a finding too."""
    checks: dict[str, Callable[[BotSettings], Awaitable[list[Finding]]]] = {
        "redis": _redis, "slack": _slack, "github": _github, "webhooks": _webhooks,
        "isolation": _isolation, "agent": doctor_agent.agent, "model": doctor_agent.model, "folders": _folders,
        "git": _git, "archive": _archive, "running": _running,
    }  # fmt: skip
    found = await asyncio.gather(*(_bounded(name, check(settings)) for name, check in checks.items()))
    return [one for some in found for one in some]


async def _bounded(name: str, check: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check
    except TimeoutError:
        return [Finding(name, f"no answer within {CHECK_SECONDS:.0f} s", "see whether it can be reached from here")]
    except Exception as broke:
        return [Finding(name, f"could not be looked at: {type(broke).__name__}: {broke}", "see its settings")]


async def _redis(settings: BotSettings) -> list[Finding]:
    mend = "start a Redis 6.2 or later (or Valkey) there, or set REDIS_URL to where one runs, with its password"
    try:
        store = await Store.open(settings.jobs.redis_url, archive=settings.jobs.data_dir / "archive")
    except (OSError, ValueError) as trouble:
        return [Finding("redis", f"{_without_password(settings.jobs.redis_url)} cannot be used: {trouble}", mend)]
    try:
        info = await store.info()
    except OSError as trouble:
        return [Finding("redis", f"it does not answer: {trouble}", mend)]
    finally:
        await store.close()
    version = info.get("redis_version", "0")
    found = [Finding("redis", f"version {version} at {_without_password(settings.jobs.redis_url)}")]
    if tuple(int(part) for part in version.split(".")[:2]) < LEAST_REDIS:
        found = [Finding("redis", f"version {version} is too old", "use Redis 6.2 or later, or Valkey")]
    if info.get("maxmemory_policy", "noeviction") != "noeviction":
        found.append(Finding("redis memory", "it may throw keys away", "set maxmemory-policy to noeviction"))
    if info.get("aof_enabled", "1") != "1":
        found.append(Finding("redis log", "its append-only file is off: a crash loses work", "set appendonly to yes"))
    return found


async def _running(settings: BotSettings) -> list[Finding]:
    """What runs just now; nothing if the record cannot be read, for that is said already."""
    async with workshop(settings.jobs) as shop:
        try:
            await shop.store.ping()
        except OSError:
            return []
        return doctor_running.findings(await census.take(shop), await asyncio.to_thread(_gateways, settings))


async def _archive(settings: BotSettings) -> list[Finding]:
    """Whether closed sessions can be read back."""
    folder = settings.jobs.data_dir / "archive"
    seen = await asyncio.to_thread(archive.look, folder, FILES_LOOKED_AT, LOOK_SECONDS)
    said = f"{seen.files} closed sessions in {folder}"
    if not seen.broken:
        return [Finding("archive", f"{said}; the {seen.looked_at} written last can be read" if seen.files else said)]
    named = ", ".join(seen.broken[:NAMED_MOST]) + (" …" if len(seen.broken) > NAMED_MOST else "")
    said += f"; of the {seen.looked_at} written last {len(seen.broken)} cannot be read: {named}"
    return [Finding("archive", said, "put them back from a backup, or move them away: then their threads begin anew")]


async def _drill(settings: BotSettings, here: bool) -> list[Finding]:
    """A real life of a box at each place far away where boxes are to be; on this machine, too, if that is asked for."""
    found = []
    async with workshop(settings.jobs) as shop:
        for place in sorted(settings.jobs.used_places):
            if place == "modal" and modal_place(settings.jobs) is None:
                found.append(Finding("modal", "boxes are to run there, but it is not set up", NOT_SET_UP))
            elif place != HERE or here:
                print(doctor_drill.ANNOUNCED.format(place=place), file=sys.stderr, flush=True)
                found += await doctor_drill.drilled(shop.provider, place)
    return found


def _gateways(settings: BotSettings) -> int:
    """How many web processes of this machine listen for boxes."""
    return sum(sockets.answers(path) for path in settings.jobs.gateway_dir.glob(sockets.PATTERN))


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


async def _slack(settings: BotSettings) -> list[Finding]:
    if settings.slack_bot_token is None:
        return [Finding("slack", "off", "set SLACK_BOT_TOKEN (the app's Install page shows it)")]
    client = AsyncWebClient(token=settings.slack_bot_token.get_secret_value(), base_url=settings.slack_api_url)
    try:
        answer = await client.auth_test()
    except SlackApiError as refused:
        said = str(refused.response.get("error", "no"))
        return [Finding("slack bot token", f"refused: {said}", "copy SLACK_BOT_TOKEN (xoxb-…) again")]
    except (aiohttp.ClientError, OSError) as trouble:
        said = f"{settings.slack_api_url} cannot be reached: {type(trouble).__name__}"
        return [Finding("slack", said, "see SLACK_API_URL and the network")]
    found = [Finding("slack bot token", f"{answer.get('user')} in {answer.get('team')}")]
    found.append(_scopes(str(answer.headers.get("x-oauth-scopes", ""))))
    return [*found, await _delivery(settings, client)]


def _scopes(granted: str) -> Finding:
    needed = {scope for method in METHODS.values() for scope in method.scopes} | set(EVENT_SCOPES)
    missing = needed - {scope.strip() for scope in granted.split(",")}
    if not granted:
        return Finding("slack scopes", "Slack did not say which")
    if missing:
        return Finding(
            "slack scopes", f"missing: {', '.join(sorted(missing))}", "add them (manifest.yml) and install again"
        )
    return Finding("slack scopes", "all there")


async def _delivery(settings: BotSettings, client: AsyncWebClient) -> Finding:
    if settings.slack_app_token is not None:
        try:
            await client.apps_connections_open(app_token=settings.slack_app_token.get_secret_value())
        except SlackApiError as refused:
            said = str(refused.response.get("error", "no"))
            return Finding(
                "slack app token", f"refused: {said}", "make SLACK_APP_TOKEN (xapp-…) with the scope connections:write"
            )
        return Finding("slack delivery", "Socket Mode")
    if settings.slack_signing_secret is None:
        return Finding("slack delivery", "none", "set SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET (HTTP)")
    return Finding("slack delivery", f"signed HTTP at {settings.url}/slack/events")


async def _github(settings: BotSettings) -> list[Finding]:
    if not settings.jobs.repositories:
        return [Finding("github", "no repository is enabled", "set SHIPMATE_REPOSITORIES=owner/name,owner/other")]
    if settings.jobs.github_token is None and settings.jobs.github_app_id is None:
        mend = "set GITHUB_TOKEN, or GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY"
        return [Finding("github", "no credential", mend)]
    found, ours = [], forge(settings.jobs)
    for repository in settings.jobs.repositories:
        try:
            found.append(Finding("github", f"may push to {await ours.whoami(repository.name)}"))
        except ForgeRefused as refused:
            found.append(Finding(f"github {repository.name}", str(refused), _mend_forge(str(refused))))
        except ForgeDown as down:
            found.append(Finding(f"github {repository.name}", str(down), "see GITHUB_API_URL and the network"))
    return found


def _mend_forge(refusal: str) -> str:
    if "401" in refusal or "private key" in refusal:
        return "set GITHUB_TOKEN, or the app's id and key, anew"
    if "404" in refusal:
        return "correct the name in SHIPMATE_REPOSITORIES, or give the credential access to it"
    return "give the credential write access to contents and pull requests there"


async def _webhooks(settings: BotSettings) -> list[Finding]:
    if settings.github_webhook_secret is None:
        return [
            Finding(
                "webhooks", "off: merges and reviews are neither told in threads nor counted (GITHUB_WEBHOOK_SECRET)"
            )
        ]
    try:
        events = await forge(settings.jobs).app_events()
    except (ForgeRefused, ForgeDown):
        events = ()  # `github` says why
    return [webhooks_of(events, f"{settings.url}/github/events")]


def webhooks_of(events: Sequence[str], address: str) -> Finding:
    """What comes of the webhooks that our app asks for; none at all: they are a repository's, which we cannot ask."""
    lacking = [event for event in HEARD if event not in events] if events else []
    if not lacking:
        return Finding("webhooks", f"taken at {address}")
    said = f"taken at {address}, but the app does not ask for {', '.join(lacking)}: threads will not hear of that"
    first = "in the app's settings let it read issues, checks and commit statuses"
    return Finding("webhooks", said, f"{first}, then tick these under *Subscribe to events*")


async def _isolation(settings: BotSettings) -> list[Finding]:
    if HERE not in settings.jobs.used_places:
        return [Finding("isolation", f"that of {', '.join(settings.jobs.far_places)}: no box is on this machine")]
    if settings.jobs.unisolated:
        return [Finding("isolation", "switched off: agents run with your rights", "unset SHIPMATE_UNISOLATED")]
    found = await asyncio.to_thread(probe.probe)
    if not found.allowed:
        return [Finding("isolation", found.reason, found.remedy)]
    freezes = Cgroups(settings.jobs.boxes_dir).freezes()
    return [Finding("isolation", found.reason), *kept_while_alive(freezes, host_processes.tells_timers())]


def kept_while_alive(freezes: bool, tells_timers: bool) -> list[Finding]:
    """Whether what a box has can be copied while it lives; nothing where it can."""
    if freezes or tells_timers:
        return []
    said = (
        "boxes cannot be held still here (no cgroup freezer, no /proc/self/timers): no turn is kept before they sleep"
    )
    return [Finding("snapshots", said, "run `shipmate worker` as root, or a kernel with CONFIG_CHECKPOINT_RESTORE")]


async def _git(settings: BotSettings) -> list[Finding]:
    program = shutil.which("git", path=settings.jobs.search_path)
    if program is None:
        return [Finding("git", "is not on PATH", "install it: the gateway keeps its mirrors with it")]
    return [Finding("git", program)]


async def _folders(settings: BotSettings) -> list[Finding]:
    found = []
    for name, folder in (("data", settings.jobs.data_dir), ("boxes", settings.jobs.boxes_dir)):
        trouble = await asyncio.to_thread(_unwritable, folder)
        said = f"{folder} can be written" if not trouble else f"{folder}: {trouble}"
        mend = f"make it writable, or set SHIPMATE_{name.upper()}_DIR" if trouble else ""
        found.append(Finding(f"{name} folder", said, mend))
    return found


def _unwritable(folder: Path) -> str:
    place = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    try:
        probing = place / ".shipmate-doctor"
        probing.touch()
        probing.unlink()
    except OSError as trouble:
        return trouble.strerror or str(trouble)
    return ""
