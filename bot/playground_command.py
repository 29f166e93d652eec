"""`shipmate playground`: the stand-ins for Slack, forge and model, until told to end. Called by `bot/cli.py`."""

import argparse
import asyncio
from collections.abc import Mapping

from bot.playground import server
from bot.program import until_told_to_end


def run(args: argparse.Namespace, _env: Mapping[str, str]) -> int:
    """Run it; returns the exit code."""
    serving = server.serve(args.port, args.state, args.env_file, args.webhook_url)
    asyncio.run(until_told_to_end(serving))
    return 0
