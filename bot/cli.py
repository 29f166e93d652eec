"""The console script `shipmate`: one sub-command for each line of the Procfile, and the ones that a person types.

The only place that reads the environment: it hands it to the command, which builds its settings from it. A command is
named, and its module loaded when it runs, because a worker starts in half the time without the web process's libraries.
Exit codes: 0 done, 1 failed, 2 used wrongly, 3 this machine does not allow isolation.
"""

import argparse
import os
import sys
from pathlib import Path
from pkgutil import resolve_name

from bot.program import CannotStart

ABOUT = (
    "Background coding agents for a team that lives in Slack: a mention becomes a session, a session a pull request."
)
BEGIN = (
    "Begin with `shipmate demo`. Before you run it for a team: `shipmate doctor` says what is missing, line by line."
)
DAY = 86_400
QUEUES = ("boxes", "images", "publish", "boxes-modal", "images-modal")


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run one command; returns its exit code."""
    args = parser().parse_args(argv)
    try:
        code: int = resolve_name(args.run)(args, os.environ)
    except ValueError as wrong:
        print(f"shipmate: {wrong}", file=sys.stderr)
        return 2
    except (CannotStart, OSError) as trouble:  # or a port that is taken, a folder that cannot be written
        print(f"shipmate: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="shipmate", description=ABOUT, epilog=BEGIN)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _command(commands, "web", "bot.web_command:run", "the web process: Slack, pages, webhooks and the gateway")
    work = _command(commands, "worker", "bot.worker_command:run", "a worker of one queue")
    work.add_argument("--queue", required=True, choices=QUEUES)
    work.add_argument("--count", type=_positive, default=1, help="how many at a time (default 1)")
    _command(commands, "upkeep", "bot.upkeep_command:run", "looks every few seconds for what is due")
    _demo_arguments(
        _command(commands, "demo", "bot.demo:run", "everything on this machine, with stand-ins for Slack and GitHub")
    )
    play = _command(commands, "playground", "bot.playground_command:run", "the stand-ins alone; prints KEY=value lines")
    play.add_argument("--port", type=_port, default=0, help="default: a free one")
    play.add_argument("--state", type=Path, help="keep the workspace and the forge here (default: forget them)")
    play.add_argument(
        "--env-file", type=Path, help="write the KEY=value lines here, readable by you alone, and print none"
    )
    play.add_argument("--webhook-url", default="", help="where the forge's webhooks go")
    check = _command(commands, "doctor", "bot.doctor:run", "checks every setting and outside thing in use")
    check.add_argument("--json", action="store_true", dest="as_json", help="for programs")
    check.add_argument("--drill", action="store_true", help="make, use, keep, restore and end a real box, with times")
    _agent_arguments(_command(commands, "agents", "bot.agents_command:run", "the coding agents that can be used"))
    _cost_arguments(
        _command(commands, "cost", "bot.cost_command:run", "what the boxes of sessions cost, or would, on Modal")
    )
    _outcome_arguments(
        _command(commands, "outcomes", "bot.outcomes_command:run", "what became of sessions: merged, reviewed, revised")
    )
    _image_arguments(
        _command(commands, "images", "bot.images_command:run", "the environments that sessions start from")
    )
    return top


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: str,
    help_text: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=help_text, description=help_text)
    command.set_defaults(run=run)
    return command


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, help_text: str
) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=help_text, description=help_text)


def _demo_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--port", type=_port, default=None, help="of the page (default: a free one)")
    command.add_argument("--agent", default="rehearsal", help="rehearsal (default), opencode, …")
    command.add_argument(
        "--state", type=Path, default=None, help="default: .shipmate; with --say: forgotten at the end"
    )
    command.add_argument(
        "--say", metavar="TEXT", help="no page: say this, wait for the pull request, print what happened"
    )
    command.add_argument("--as", dest="say_as", default="Ada", metavar="NAME", help="who says it (default Ada)")
    command.add_argument("--reply", metavar="TEXT", help="a second person replies")
    command.add_argument("--reply-as", default="Grace", metavar="NAME", help="default: Grace")
    command.add_argument("--reply-when", choices=("running", "done"), default="done", help="default: done")
    command.add_argument("--timeout", type=_positive, default=300, help="seconds (default 300)")
    command.add_argument("--json", action="store_true", dest="as_json", help="one JSON object on stdout")


def _agent_arguments(command: argparse.ArgumentParser) -> None:
    verbs = command.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = _verb(verbs, "list", "what can be used, and what is installed")
    install = _verb(verbs, "install", "fetch an agent, pinned and checked by its digest")
    check = _verb(verbs, "check", "let an agent work one turn in a box, with a scripted model")
    for verb in (install, check):
        verb.add_argument("name", metavar="NAME", help="as `shipmate agents list` names it")
    for verb in (listing, install, check):
        verb.add_argument("--json", action="store_true", dest="as_json", help="for programs")


def _image_arguments(command: argparse.ArgumentParser) -> None:
    verbs = command.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = _verb(verbs, "list", "the images of each repository, and how its last build went")
    build = _verb(verbs, "build", "build one now, and show what happens")
    build.add_argument("repository", metavar="OWNER/NAME")
    log_of = _verb(verbs, "log", "what the newest build said")
    log_of.add_argument("repository", metavar="OWNER/NAME")
    log_of.add_argument("--build", metavar="ID", help="another build than the newest one")
    log_of.add_argument("--follow", action="store_true", help="until it is over")
    prune = _verb(verbs, "prune", "let go of older images and logs")
    prune.add_argument("repository", metavar="OWNER/NAME", nargs="?", help="of this one only")
    prune.add_argument("--keep", type=_positive, default=1, help="so many of each repository stay (default 1)")
    for verb in (listing, build, prune):
        verb.add_argument("--json", action="store_true", dest="as_json", help="for programs")


def _cost_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("session", nargs="?", help="one session's id; default: the last ones on record")
    command.add_argument("--sessions", type=_count, default=500, metavar="N", help="how many (default 500)")
    command.add_argument("--cores", type=_amount, help="what a box is charged for (default: what it asks for)")
    command.add_argument("--memory-mb", type=_amount, help="likewise")
    command.add_argument("--core-hour", type=_amount, help="dollars (default: Modal's list price)")
    command.add_argument("--gib-hour", type=_amount, help="dollars (default: Modal's list price)")
    command.add_argument("--json", action="store_true", dest="as_json", help="for programs")


def _outcome_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--since", type=_span, default=30 * DAY, metavar="TIME", help="such as 12h, 8w (default 30d)")
    command.add_argument("--repository", metavar="OWNER/NAME", help="of this one only")
    command.add_argument("--by", choices=("all", "day", "week", "month"), default="all", help="rows by time (UTC), too")
    command.add_argument("--json", action="store_true", dest="as_json", help="for programs")


def _span(text: str) -> float:
    number, unit = text[:-1], {"h": 3600, "d": DAY, "w": 7 * DAY}.get(text[-1:], 0)
    if not (unit and number.isascii() and number.isdecimal() and 0 < int(number) * unit <= 3650 * DAY):
        raise argparse.ArgumentTypeError(f"must be a time of at most 3650 days, such as 12h, 30d or 8w, not {text!r}")
    return float(int(number) * unit)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return int(text)


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 0 to 65535, not {text!r}")
    return int(text)


def _amount(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < 1e9:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return found


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= 100_000):
        raise argparse.ArgumentTypeError(f"must be a number from 1 to 100000, not {text!r}")
    return int(text)
