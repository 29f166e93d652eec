"""Where a secret might lie after a run, and in which forms: for the test beside this file."""

import base64
import contextlib
import gzip
import hashlib
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import redis

LOOK_SECONDS = 0.04
TOKEN = re.compile(rb"[A-Za-z0-9_-]{40,60}")


@dataclass(frozen=True)
class Canaries:
    """Every secret of a run by its name, and the hashes of the tokens that boxes were given."""

    values: Mapping[str, str]
    hashes: set[str] = field(default_factory=set)

    def forms(self, name: str) -> list[bytes]:
        """The ways in which this one might be written."""
        value = self.values[name]
        basic = base64.b64encode(f"x-access-token:{value}".encode())
        return [value.encode(), base64.b64encode(value.encode()), basic, quote(value, safe="").encode()]

    def found_in(self, data: bytes) -> list[str]:
        """The names of the secrets that are in there."""
        found = [name for name in self.values if any(form in data for form in self.forms(name))]
        tokens = {hashlib.sha256(word).hexdigest() for word in TOKEN.findall(data)} & self.hashes
        return found + ["a box's token"] * bool(tokens)


def files(folder: Path, leaving_out: tuple[Path, ...] = ()) -> Iterator[tuple[str, bytes]]:
    """Every file below, by name, whatever can be read of it; what is compressed also as it was before."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if Path(parent, name) not in leaving_out]
        for name in names:
            path = Path(parent, name)
            if path in leaving_out or not path.is_file() or path.is_symlink():
                continue
            with contextlib.suppress(OSError):
                data = path.read_bytes()
                yield str(path), data
                if data[:2] == b"\x1f\x8b":
                    yield f"{path} (unpacked)", gzip.decompress(data)


def record(url: str) -> Iterator[tuple[str, bytes]]:
    """Every key of the record with all that it holds."""
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter("*"):
            kind = client.type(key).decode()
            whole = {
                "string": lambda key: [client.get(key)],
                "list": lambda key: client.lrange(key, 0, -1),
                "hash": lambda key: client.hgetall(key),
                "set": lambda key: client.smembers(key),
                "zset": lambda key: client.zrange(key, 0, -1),
                "stream": lambda key: client.xrange(key),
            }[kind](key)
            yield f"redis {key.decode()}", key + repr(whole).encode()


class Watch:
    """Looks again and again at what every process of this machine shows of itself: its arguments, its environment."""

    def __init__(self, canaries: Canaries) -> None:
        self._canaries, self._over = canaries, threading.Event()
        self._known: set[bytes] = set()
        self.shown: set[tuple[str, str, str]] = set()  # (the program, where, which secret)
        self.programs: set[str] = set()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):  # it has ended
                    self._look_at(process)

    def _look_at(self, process: Path) -> None:
        arguments = (process / "cmdline").read_bytes()
        if not arguments:
            return  # it is just becoming another program: the next look sees it as that
        program = _program(arguments.decode(errors="replace").split("\0"))
        self.programs.add(program)
        for where, data in (("arguments", arguments), ("environment", (process / "environ").read_bytes())):
            if program.encode() + b"\0" + data in self._known:
                continue
            self._known.add(program.encode() + b"\0" + data)
            self.shown |= {(program, where, name) for name in self._canaries.found_in(data)}


def _program(arguments: list[str]) -> str:
    """What a process is, in a word or two: `web`, `worker publish`, `git`, `bwrap`."""
    if "-m" in arguments and "bot" in arguments:
        told = arguments[arguments.index("bot") + 1 :]
        return f"worker {told[told.index('--queue') + 1]}" if "--queue" in told else (told or [""])[0]
    return Path(arguments[0]).name
