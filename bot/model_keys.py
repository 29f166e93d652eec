"""Keys of model providers, as given or from a file that is read again when it changes.

`bot/settings.py` reads them from the environment; the model gateway asks for the value at every request, so a key is
changed by changing its file, without a restart. What is read from a file is hidden from the log like any other secret.
"""

import logging
from pathlib import Path

from pydantic import SecretStr

from jobs import log as jobs_log
from jobs.settings_reader import secret

log = logging.getLogger(__name__)
FILE_BYTES = 10_000


class ModelKey:
    """One key. Its value appears only in what `get_secret_value` returns."""

    def __init__(self, value: SecretStr, file: Path | None = None) -> None:
        self._value, self._file = value, file
        self._seen = _marks(file) if file is not None else None

    def __repr__(self) -> str:
        return f"ModelKey({self._value!r}, {self._file})"

    def get_secret_value(self) -> str:
        """The key as it is now. A file that cannot be read, or holds no key, leaves the last one in use."""
        if self._file is not None and (marks := _marks(self._file)) != self._seen:
            self._seen = marks
            self._read_again(self._file)
        return self._value.get_secret_value()

    def _read_again(self, file: Path) -> None:
        try:
            fresh = _content(file)
        except ValueError as wrong:
            log.warning("the key of before stays in use: %s %s", file, wrong)
            return
        if fresh != self._value:
            jobs_log.hide([fresh.get_secret_value()])
            self._value = fresh
            log.info("there is a new key in %s; it is used from now on", file)


def model_key(text: str) -> ModelKey:
    """The key itself, or @FILE. Raises ValueError, which never repeats the key."""
    if not text.startswith("@"):
        return ModelKey(secret(text))
    try:
        file = Path(text[1:]).expanduser()
    except RuntimeError:
        raise ValueError("names a file of a user that there is not") from None
    return ModelKey(_content(file), file)


def _marks(file: Path) -> tuple[int, ...] | None:
    """What changes when a file does, or when another one takes its place; None: it is not there."""
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)


def _content(file: Path) -> SecretStr:
    try:
        with file.open("rb") as opened:
            raw = opened.read(FILE_BYTES)
        text = raw.decode("ascii").strip()
    except (OSError, ValueError) as error:
        raise ValueError(f"names a file that cannot be read ({type(error).__name__})") from None
    if not text:
        raise ValueError("names a file that is empty")
    return secret(text)
