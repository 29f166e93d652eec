"""`shipmate worker`: so many workers of one queue, until told to end. Called by `bot/cli.py`."""

import argparse
import asyncio
from collections.abc import MutableMapping

from bot.program import keep_to_ourselves, record_answers
from jobs import worker
from jobs.settings import JobSettings


def run(args: argparse.Namespace, env: MutableMapping[str, str]) -> int:
    """Run it; returns the exit code."""
    settings = JobSettings.from_env(env)
    keep_to_ourselves(env, settings.secrets(), settings)
    asyncio.run(record_answers(settings))
    worker.run(args.queue, settings, count=args.count)
    return 0
