"""`shipmate agents`: which coding agents there are, how one is installed, whether one works. `bot/cli.py` calls it."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping

from bot import agent_check
from jobs.settings import JobSettings
from sandbox import agents
from sandbox.agent_install import NotInstalled, install

DONE, FAILED = 0, 1


def run(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Run one verb; returns the exit code."""
    settings = JobSettings.from_env(env)
    if args.verb == "list":
        return _list(args, settings)
    return _install(args, settings) if args.verb == "install" else _check(args, env, settings)


def _list(args: argparse.Namespace, settings: JobSettings) -> int:
    rows = [
        {
            "name": row.name,
            "title": row.title,
            "installed": agents.installed(row, settings.agents_dir),
            "chosen": row.name == settings.agent,
            "licence": row.licence,
            "models": list(row.speaks),
            "gate": row.gate,
            "resumes": row.resumes,
            "primes": row.primes,
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
        print(f"{mark} {row['name']:<10} {state}\n    {row['title']} {row['lacks']}\n    Licence: {row['licence']}.")
    print("\n* is the one that new boxes start (SHIPMATE_AGENT). Whether one works here: shipmate agents check NAME")
    return DONE


def _install(args: argparse.Namespace, settings: JobSettings) -> int:
    row = agents.row(args.name)
    if not row.fetched:
        return _told(args, row.name, f"{row.name} is nothing to fetch: there is nothing to install.", "")
    print(f"Fetching {row.name} … (licence: {row.licence})", file=sys.stderr)
    try:
        path = install(row, settings.agents_dir)
    except (NotInstalled, ValueError) as failed:
        print(f"shipmate: {row.name} was not installed. {failed}", file=sys.stderr)
        return FAILED
    return _told(args, row.name, f"{row.name} is installed: {path}", str(path))


def _check(args: argparse.Namespace, env: Mapping[str, str], settings: JobSettings) -> int:
    """One scripted turn of the real agent in a real box, from a mention to a pull request."""
    row = agents.row(args.name)
    if not agents.installed(row, settings.agents_dir):
        problem = f"it is not installed. Run: shipmate agents install {row.name}"
        return _checked(args, agent_check.Checked(False, problem, {}))
    print(f"Trying {row.name} with a scripted model …", file=sys.stderr)
    return _checked(args, asyncio.run(agent_check.check(row.name, env)))


def _checked(args: argparse.Namespace, found: agent_check.Checked) -> int:
    if args.as_json:
        print(json.dumps({"name": args.name, "good": found.good, "problem": found.problem, **found.report}, indent=2))
    elif found.good:
        print(f"{args.name} works: it read, edited, ran the tests and ended its turn; {found.words}.")
    if not found.good and not args.as_json:
        print(f"shipmate: {args.name} does not work here: {found.problem}", file=sys.stderr)
    return DONE if found.good else FAILED


def _told(args: argparse.Namespace, name: str, words: str, path: str) -> int:
    print(json.dumps({"name": name, "path": path}) if args.as_json else words)
    return DONE
