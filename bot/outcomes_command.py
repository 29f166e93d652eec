"""`shipmate outcomes`: what became of the sessions on record, archived ones too. Called by `bot/cli.py`.

Everything is counted from the logs, at the moment it is asked for (`jobs/hindsight.py`), and nothing is changed.
Exit codes: 0 done, 1 there is nothing to count, 2 used wrongly.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bot.outcome_words import of, page
from bot.program import in_workshop
from jobs.hindsight import Hindsight
from jobs.outcomes import Row, row_of, rows
from jobs.settings import JobSettings
from jobs.wiring import Workshop

DONE, NOTHING = 0, 1
NAMED_MOST = 10
SHARES = ("merged_share", "approved_first_share", "approved_last_share", "revisions_each", "cost_per_merged")


def run(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Count and print; returns the exit code."""
    return count(args, JobSettings.from_env(env))


def count(args: argparse.Namespace, settings: JobSettings) -> int:
    """The same with settings that were read already."""
    return in_workshop(settings, lambda shop: _tell(shop, args))


async def _tell(shop: Workshop, args: argparse.Namespace) -> int:
    until = shop.clock()
    since = until - args.since
    wanted = (args.repository or "").lower()
    hindsight = Hindsight(shop.store)
    found = [one for one in await hindsight.since(since) if wanted in ("", one.repository.lower())]
    whole, parts = row_of(found), rows(found, args.by)
    if args.as_json:
        told = {"since": since, "until": until, "by": args.by, "unread": hindsight.unread, "whole": _as_json(whole)}
        print(json.dumps(told | {"rows": [_as_json(row) for row in parts]}, indent=2))
    elif found:
        print(f"Opened since {_instant(since)}:\n{page(whole, parts)}")
    else:
        of_it = f" of {args.repository}" if wanted else ""
        print(f"No session{of_it} was opened since {_instant(since)}. Look further back with --since, such as 90d.")
    if hindsight.unread:
        named = ", ".join(hindsight.unread[:NAMED_MOST]) + (" …" if len(hindsight.unread) > NAMED_MOST else "")
        print(f"Left out: {of(len(hindsight.unread), 'session')} that cannot be read ({named}).", file=sys.stderr)
    return DONE if found else NOTHING


def _as_json(row: Row) -> dict[str, Any]:
    return row.model_dump() | {name: getattr(row, name) for name in SHARES}


def _instant(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
