"""What goes wrong with the disk that boxes are on, in the provider protocol's words. Pure.

`folder_provider.py` asks what to raise; `layers.py` and `fingerprint.py` whether an error says anything about the disk.
"""

import errno

from sandbox.provider import BoxError, Permanent, Temporary

FULL, FULL_SECONDS, OTHER_SECONDS = (errno.ENOSPC, errno.EDQUOT), 20.0, 30.0
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # what this process is short of just now
HOPELESS = (errno.ENAMETOOLONG, errno.ELOOP, errno.EMLINK)  # what is wrong with a tree itself


def judged(what: str, failed: BaseException) -> BoxError:
    """The error, without the name of the file: a box chose it, and it may be longer than any log line.

    Only what is wrong with the tree itself is for good: whatever ails this machine passes, or somebody mends it, and
    until then the tree is all that there is of somebody's work.
    """
    if not isinstance(failed, OSError):
        return Permanent(f"{what}: {type(failed).__name__}")
    if failed.errno in FULL:
        return Temporary(f"{what}: the disk of the boxes is full", FULL_SECONDS)
    said = f"{what}: {failed.strerror or type(failed).__name__}"
    return Permanent(said) if failed.errno in HOPELESS else Temporary(said, OTHER_SECONDS)


def is_of_ours(failed: BaseException) -> bool:
    """Whether it says nothing about what is on the disk: it could not be looked at just now."""
    return isinstance(failed, OSError) and failed.errno in SCARCE
