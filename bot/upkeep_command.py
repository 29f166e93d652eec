"""`shipmate upkeep`: looks every few seconds for what is due, until told to end. Called by `bot/cli.py`."""

import argparse
import asyncio
from collections.abc import MutableMapping

from bot.program import keep_to_ourselves, record_answers, until_told_to_end
from jobs.settings import JobSettings
from jobs.upkeep import Upkeep
from jobs.wiring import workshop


def run(_args: argparse.Namespace, env: MutableMapping[str, str]) -> int:
    """Run it; returns the exit code."""
    settings = JobSettings.from_env(env)
    keep_to_ourselves(env, settings.secrets(), settings)
    asyncio.run(_look(settings))
    return 0


async def _look(settings: JobSettings) -> None:
    await record_answers(settings)
    async with workshop(settings) as shop:
        await until_told_to_end(Upkeep(shop).run())
