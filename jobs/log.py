"""The log of every process: one JSON object a line, with the session and the box it is about, and never a secret.

`bot/cli.py` calls `configure` first of all. Whoever works for a session wraps that in `about`, and every line that is
logged inside, by whichever library, carries the ids. Loops that must go on do each round `forgiven`.
"""

import contextlib
import json
import logging
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import TextIO

from sandbox.runner.visible import LINE_ENDS, UNSEEN

HIDDEN = "[secret]"
SHORTEST_SECRET = 4
LINES_MOST, WHILE_SECONDS = 200, 10.0  # about one box
ENOUGH = "(more lines about this box are left out for some seconds)"
HTTP, NO_HTTP = "aiohttp.server", "aiohttp.http_exceptions"  # who tells of requests that fail, and of what is none
LEVEL_OF = {"aiohttp.access": logging.WARNING, "slack_bolt": logging.WARNING, "slack_sdk": logging.WARNING}
_ABOUT: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("about", default=())
# What could turn or steer the screen of whoever reads the log, or could not be written at all. JSON hides the rest.
_UNSEEN = re.compile(f"[{UNSEEN}{LINE_ENDS}\u200c\u200d]")
# What looks like a credential is hidden too, for some are minted while we run.
_LOOKS_SECRET = re.compile(
    r"(?<=[Bb]earer )[\w.~+/=-]{8,}|(?<=[Bb]asic )[\w+/=]{8,}"
    r"|\b(?:xox[a-z]|xapp)-[\w-]{8,}|\b(?:gh[a-z]_|github_pat_|sk-)[\w-]{16,}"
)


def configure(secrets: Iterable[str], stream: TextIO | None = None) -> None:
    """Log to `stream` (default: stderr), without these secrets."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(_Line(secrets))
    handler.addFilter(_Sparing())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name, level in LEVEL_OF.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught


def hide(secrets: Iterable[str]) -> None:
    """From now on no line has these either: secrets that came while we run."""
    fresh = list(secrets)
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, _Line):
            handler.formatter.hide(fresh)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The last words of a process are a line like any other, so they hold no secret either."""
    logging.getLogger(__name__).critical("the process ends", exc_info=(kind, error, trace))


@contextlib.contextmanager
def about(*, session: str = "", box: str = "") -> Iterator[None]:
    """Everything that is logged inside is about this session and this box; what is not given stays as it was."""
    given = {name: value for name, value in (("session", session), ("box", box)) if value}
    token = _ABOUT.set(tuple((dict(_ABOUT.get()) | given).items()))
    try:
        yield
    finally:
        _ABOUT.reset(token)


@contextlib.contextmanager
def forgiven(log: logging.Logger, words: str) -> Iterator[None]:
    """What goes wrong inside is logged with these words and no more: one round at fault must not end its loop."""
    try:
        yield
    except Exception:
        log.exception(words)


class _Sparing(logging.Filter):
    """Passes only so many lines about one box in a while: what it asks for is refused, each time with a line.

    Whoever sends bytes that are no HTTP may be any box or stranger: all of them count as one, and are told in a line.
    """

    def __init__(self) -> None:
        super().__init__()
        self._since, self._lines = 0.0, Counter[str]()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is written; the last one of a while says so."""
        box = dict(_ABOUT.get()).get("box") or (HTTP if record.name == HTTP else None)
        if box is None:
            return True
        if record.exc_info and record.exc_info[1] is not None and type(record.exc_info[1]).__module__ == NO_HTTP:
            words = " ".join(str(record.exc_info[1]).split())
            record.msg, record.args, record.exc_info = f"what came is no HTTP: {words[:200]}", (), None
        if not 0 <= record.created - self._since < WHILE_SECONDS:
            self._since = record.created
            self._lines.clear()
        self._lines[box] += 1
        if self._lines[box] == LINES_MOST:
            record.msg, record.args = f"{record.getMessage()} {ENOUGH}", ()
        return self._lines[box] <= LINES_MOST


class _Line(logging.Formatter):
    """One record as one line."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._parts: set[str] = set()
        self._secret: re.Pattern[str] | None = None
        self.hide(secrets)

    def hide(self, secrets: Iterable[str]) -> None:
        """Leave these out, too."""
        self._parts |= {part for secret in secrets for part in _parts(secret)}
        longest_first = sorted(self._parts, key=len, reverse=True)
        self._secret = re.compile("|".join(re.escape(part) for part in longest_first)) if longest_first else None

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, str] = {
            "at": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "from": record.name,
            "said": self._without_secrets(record.getMessage()),
        }
        line |= {name: self._without_secrets(value) for name, value in _ABOUT.get()}
        if record.exc_info:
            line["trouble"] = self._without_secrets(self.formatException(record.exc_info))
        return _UNSEEN.sub(_escaped, json.dumps(line, ensure_ascii=False))

    def _without_secrets(self, text: str) -> str:
        if self._secret is not None:
            text = self._secret.sub(HIDDEN, text)
        return _LOOKS_SECRET.sub(HIDDEN, text)


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def _parts(secret: str) -> list[str]:
    """The secret as it may turn up: whole, and, if it has several lines, each line that gives something away."""
    lines = [line for line in secret.splitlines() if not line.startswith("-----")]
    return [part for part in {secret, secret.strip(), *lines} if len(part) >= SHORTEST_SECRET]
