"""Which versions of the wire (docs/wire.md) this release speaks. Pure.

The gateway lets their runners attach, workers give new boxes the newest one and write it on them, and the upkeep parks
the boxes of any other. A release that changes the wire speaks the version before it as well.
"""

from collections.abc import Mapping

SPOKEN: tuple[int, ...] = (1,)  # the newest last
NEWEST = SPOKEN[-1]
LABEL = "wire"


def spoken_with(labels: Mapping[str, str]) -> bool:
    """Whether a box with these labels is one that we can talk to. The first boxes did not say: they speak version 1."""
    return labels.get(LABEL, "1") in map(str, SPOKEN)
