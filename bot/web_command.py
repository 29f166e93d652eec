"""`shipmate web`: Slack, pages, webhooks and the gateway, until told to end. Called by `bot/cli.py`."""

import argparse
import asyncio
from collections.abc import MutableMapping

from bot.app import run_web
from bot.program import keep_to_ourselves, open_many_files
from bot.settings import BotSettings


def run(_args: argparse.Namespace, env: MutableMapping[str, str]) -> int:
    """Run it; returns the exit code."""
    settings = BotSettings.from_env(env)
    keep_to_ourselves(env, settings.secrets(), settings.jobs)
    open_many_files()
    asyncio.run(run_web(settings))
    return 0
