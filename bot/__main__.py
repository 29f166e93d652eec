"""The console script `shipmate`, and `python -m bot`: `bot/cli.py`, and a Ctrl-C that finds us still loading."""

import signal
import sys

# Loading takes a moment, and meanwhile there is nothing to put in order.
_usual = signal.signal(signal.SIGINT, signal.SIG_DFL)

from bot import cli  # noqa: E402


def main() -> int:
    """Run the command line of this process."""
    signal.signal(signal.SIGINT, _usual)
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
