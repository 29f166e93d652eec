"""The console script `shipmate`: one sub-command for each line of the Procfile, and the ones that a person types.

The only place that reads the environment. Every command builds its settings here and hands them down.
Exit codes: 0 done, 1 failed, 2 used wrongly, 3 this machine does not allow isolation.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bot import agents_command, app, cost_command, demo, doctor, images_command
from bot.settings import VARIABLES, BotSettings
from jobs import log, worker
from jobs.settings import JobSettings

SECRETS = (
    *(name for name in VARIABLES.values() if name.endswith(("_TOKEN", "_SECRET", "_KEY"))),
    *("GITHUB_TOKEN", "GITHUB_APP_PRIVATE_KEY", "REDIS_URL"),
)
QUEUES = ("boxes", "images", "publish")


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run one command; returns its exit code."""
    args = parser().parse_args(argv)
    try:
        code: int = args.run(args, os.environ)
    except ValueError as wrong:
        print(f"shipmate: {wrong}", file=sys.stderr)
        return 2
    except (app.CannotStart, OSError) as trouble:  # or a port that is taken, a folder that cannot be written
        print(f"shipmate: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="shipmate", description=__doc__.splitlines()[0] if __doc__ else "")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _command(commands, "web", _web, "the web process: Slack, pages, webhooks and the gateway")
    work = _command(commands, "worker", _worker, "a worker of one queue")
    work.add_argument("--queue", required=True, choices=QUEUES)
    work.add_argument("--count", type=_positive, default=1, help="how many processes (default 1)")
    _command(commands, "upkeep", _upkeep, "looks every few seconds for what is due")
    _demo_arguments(
        _command(commands, "demo", _demo, "everything on this machine, with stand-ins for Slack and GitHub")
    )
    play = _command(commands, "playground", _playground, "the stand-ins alone; prints KEY=value lines")
    play.add_argument("--port", type=_port, default=0, help="default: a free one")
    play.add_argument("--state", type=Path, help="keep the workspace and the forge here (default: forget them)")
    play.add_argument(
        "--env-file", type=Path, help="write the KEY=value lines here, readable by you alone, and print none"
    )
    play.add_argument("--webhook-url", default="", help="where the forge's webhooks go")
    check = _command(commands, "doctor", _doctor, "checks every setting and outside thing in use")
    check.add_argument("--json", action="store_true", dest="as_json")
    check.add_argument("--drill", action="store_true", help="make, use, keep, restore and end a real box, with times")
    _agent_arguments(_command(commands, "agents", _agents, "the coding agents that can be used"))
    cost_command.add_arguments(_command(commands, "cost", _cost, "what the boxes of sessions cost, or would, on Modal"))
    _image_arguments(_command(commands, "images", _images, "the environments that sessions start from"))
    return top


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace, Mapping[str, str]], int],
    help_text: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=help_text, description=help_text)
    command.set_defaults(run=run)
    return command


def _demo_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--port", type=_port, default=None, help="of the page (default: a free one)")
    command.add_argument("--agent", default="rehearsal", help="rehearsal (default), opencode, …")
    command.add_argument(
        "--state", type=Path, default=None, help="default: .shipmate; with --say: forgotten at the end"
    )
    command.add_argument(
        "--say", metavar="TEXT", help="no page: say this, wait for the pull request, print what happened"
    )
    command.add_argument("--as", dest="say_as", default="Ada", metavar="NAME")
    command.add_argument("--reply", metavar="TEXT", help="a second person replies")
    command.add_argument("--reply-as", default="Grace", metavar="NAME")
    command.add_argument("--reply-when", choices=("running", "done"), default="done")
    command.add_argument("--timeout", type=_positive, default=300, help="seconds (default 300)")
    command.add_argument("--json", action="store_true", dest="as_json", help="one JSON object on stdout")


def _agent_arguments(command: argparse.ArgumentParser) -> None:
    verbs = command.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="what can be used, and what is installed")
    listing.add_argument("--json", action="store_true", dest="as_json")
    install = verbs.add_parser("install", help="fetch an agent, pinned and checked by its digest")
    install.add_argument("name")
    install.add_argument("--json", action="store_true", dest="as_json")
    check = verbs.add_parser("check", help="let an agent work one turn in a box, with a scripted model")
    check.add_argument("name")
    check.add_argument("--json", action="store_true", dest="as_json")


def _image_arguments(command: argparse.ArgumentParser) -> None:
    verbs = command.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="the images of each repository, and how its last build went")
    build = verbs.add_parser("build", help="build one now, and show what happens")
    build.add_argument("repository", metavar="OWNER/NAME")
    log_of = verbs.add_parser("log", help="what the newest build said")
    log_of.add_argument("repository", metavar="OWNER/NAME")
    log_of.add_argument("--build", metavar="ID", help="another build than the newest one")
    log_of.add_argument("--follow", action="store_true", help="until it is over")
    prune = verbs.add_parser("prune", help="let go of older images and logs")
    prune.add_argument("repository", metavar="OWNER/NAME", nargs="?", help="of this one only")
    prune.add_argument("--keep", type=_positive, default=1, help="so many of each repository stay (default 1)")
    for verb in (listing, build, prune):
        verb.add_argument("--json", action="store_true", dest="as_json")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return int(text)


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 0 to 65535, not {text!r}")
    return int(text)


def _keep_to_ourselves(secrets: Sequence[str], settings: JobSettings) -> None:
    """No line of the log has these, and no child of this process inherits what they came in."""
    log.configure(secrets)
    for name in (*SECRETS, *(one.key_variable for one in settings.upstreams)):
        os.environ.pop(name, None)


def _web(_args: argparse.Namespace, env: Mapping[str, str]) -> int:
    settings = BotSettings.from_env(env)
    _keep_to_ourselves(settings.secrets(), settings.jobs)
    asyncio.run(app.run_web(settings))
    return 0


def _worker(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    settings = JobSettings.from_env(env)
    _keep_to_ourselves(settings.secrets(), settings)
    asyncio.run(app.record_answers(settings))
    worker.run(args.queue, settings, count=args.count)
    return 0


def _upkeep(_args: argparse.Namespace, env: Mapping[str, str]) -> int:
    settings = JobSettings.from_env(env)
    _keep_to_ourselves(settings.secrets(), settings)
    asyncio.run(app.run_upkeep(settings))
    return 0


def _demo(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    return demo.run(args, env)


def _playground(args: argparse.Namespace, _env: Mapping[str, str]) -> int:
    asyncio.run(app.run_playground(args.port, args.state, args.env_file, args.webhook_url))
    return 0


def _doctor(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    return doctor.run(env, as_json=args.as_json, drill=args.drill)


def _cost(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    return cost_command.run(args, JobSettings.from_env(env))


def _agents(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    return agents_command.run(args, env)


def _images(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    return images_command.run(args, JobSettings.from_env(env))
