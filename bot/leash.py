"""Becomes a program that ends when its parent does, however that ends. Run as a script, by its path.

`python leash.py PARENT PROGRAM ARG…`, where PARENT is the process that must live. `bot/supervisor.py` starts everything
so: otherwise a supervisor that is killed would leave all it runs behind, and the next one could not begin.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: str, program: str, *args: str) -> None:
    """Ask the kernel, where it can be asked, and become the program."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the parent is gone already")
    os.execv(program, [program, *args])


if __name__ == "__main__":
    main(*sys.argv[1:])
