"""When RQ's own books are looked after: by one of the threads of a process, for all. `worker_threads.py` asks."""

import threading

BOOKS_SECONDS = 30.0


class Books:
    """For all threads of a process."""

    def __init__(self) -> None:
        self._turn, self._next = threading.Lock(), 0.0

    def are_due(self, now: float) -> bool:
        """Whether whoever asks is to see to them; nobody else is then, for a while. `now`: seconds of any one clock."""
        with self._turn:
            due = now >= self._next
            if due:
                self._next = now + BOOKS_SECONDS
            return due
