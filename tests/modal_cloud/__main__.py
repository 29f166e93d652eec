"""`python -m tests.modal_cloud [--port 0] [--state DIR] [--mode boxes|paper]`: serves until SIGTERM or SIGINT.

Prints one line of JSON when it listens: {"url": …, "admin": …, "several_users": whether a box has more than one user}.
"""

import argparse
import asyncio
import contextlib
import json
import resource
import signal
import sys
import tempfile
from pathlib import Path

from tests.modal_cloud.cloud import Cloud
from tests.modal_cloud.layers import remove


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.modal_cloud", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--admin-port", type=int, default=0)
    parser.add_argument(
        "--state", type=Path, help="a folder of its own, which it empties; without one: a temporary folder"
    )
    parser.add_argument("--mode", choices=("boxes", "paper"), default="boxes")
    asked = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    made = None if asked.state else Path(tempfile.mkdtemp(prefix="modal-", dir="/var/tmp"))
    state = (asked.state or made).resolve()
    state.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve(state, asked))
    if made is not None:
        remove(made)


async def _serve(state: Path, asked: argparse.Namespace) -> None:
    serving = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    await Cloud(state, asked.mode).serve(asked.port, asked.admin_port, _tell)


def _tell(addresses: dict[str, object]) -> None:
    print(json.dumps(addresses), flush=True, file=sys.stdout)


if __name__ == "__main__":
    main()
