"""How much of the processor each box takes, as the kernel counts it for its processes. `local.py` asks at each look."""

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
USER, CHILDRENS_SYSTEM = 11, 14  # of what comes after the name in proc(5)'s stat: its own time, and its dead children's


class Meter:
    """Remembers what each box had taken when it was looked at last; forgetting it only means to begin again."""

    def __init__(self) -> None:
        self._looks: dict[str, tuple[float, float]] = {}  # when, and how many seconds until then

    def forget_all_but(self, boxes: Iterable[str]) -> None:
        """These boxes are the ones that there are."""
        self._looks = {name: look for name, look in self._looks.items() if name in set(boxes)}

    def taken(self, box: str, pids: list[int]) -> float:
        """How many processors it has taken since the last look, on average; 0 at the first."""
        now, seconds = time.monotonic(), sum(_seconds(pid) for pid in pids)
        before, had = self._looks.get(box, (now, seconds))
        self._looks[box] = (now, seconds)
        return max(seconds - had, 0.0) / (now - before) if now > before else 0.0


def _seconds(pid: int) -> float:
    with contextlib.suppress(OSError, ValueError):
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(ticks) for ticks in after_name[USER : CHILDRENS_SYSTEM + 1]) / TICKS
    return 0.0
