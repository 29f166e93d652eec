"""`shipmate agents`: which coding agents there are, and how one is installed. Called by `bot/cli.py`."""

import argparse
import json
import sys

from jobs.settings import JobSettings
from sandbox import agents
from sandbox.agent_install import NotInstalled, install

DONE, FAILED = 0, 1


def run(args: argparse.Namespace, settings: JobSettings) -> int:
    """Run one verb; returns the exit code."""
    return _list(args, settings) if args.verb == "list" else _install(args, settings)


def _list(args: argparse.Namespace, settings: JobSettings) -> int:
    rows = [
        {
            "name": row.name,
            "title": row.title,
            "installed": agents.installed(row, settings.agents_dir),
            "chosen": row.name == settings.agent,
            "lacks": row.lacks,
        }
        for row in agents.ROWS.values()
    ]
    if args.as_json:
        print(json.dumps(rows, indent=2))
        return DONE
    for row in rows:
        mark = "*" if row["chosen"] else " "
        state = "installed" if row["installed"] else f"not installed: shipmate agents install {row['name']}"
        print(f"{mark} {row['name']:<10} {state}\n    {row['title']} {row['lacks']}")
    print("\n* is the one that new boxes start (SHIPMATE_AGENT).")
    return DONE


def _install(args: argparse.Namespace, settings: JobSettings) -> int:
    row = agents.row(args.name)
    if not row.packages:
        return _told(args, row.name, f"{row.name} is part of Shipmate: there is nothing to install.", "")
    print(f"Fetching {row.name} …", file=sys.stderr)
    try:
        path = install(row, settings.agents_dir)
    except NotInstalled as failed:
        print(f"shipmate: {row.name} was not installed. {failed}", file=sys.stderr)
        return FAILED
    return _told(args, row.name, f"{row.name} is installed: {path}", str(path))


def _told(args: argparse.Namespace, name: str, words: str, path: str) -> int:
    print(json.dumps({"name": name, "path": path}) if args.as_json else words)
    return DONE
