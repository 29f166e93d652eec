"""The lines of git's protocol: what a push asks for, and how it is advertised and answered. Pure.

`git.py` reads and writes with it. The commands of a push come from a box: whatever does not follow the protocol to the
letter is `Malformed`. See gitprotocol-common(5) and gitprotocol-pack(5).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

FLUSH = b"0000"
NOTHING = "0" * 40
LINE_BYTES = 65_520
COMMANDS_BYTES = 1 << 16  # of one push, all together
BAND_REPORT, BAND_WORDS = b"\x01", b"\x02"
_SHA = re.compile(rb"[0-9a-f]{40}")
_REF = re.compile(
    rb"refs/[!-~\x80-\xff]{1,1000}"
)  # what git calls a ref is narrower; only equality with a known one counts


class Malformed(ValueError):
    """Bytes that are not what the protocol says."""


class Command(NamedTuple):
    """One ref, and where a push would move it from and to. `NOTHING`: it is not there."""

    old: str
    new: str
    ref: str


class Asked(NamedTuple):
    """What a push asks for. `rest`: the bytes after it, where the pack begins."""

    commands: tuple[Command, ...]
    capabilities: frozenset[str]
    rest: bytes


def line(data: bytes | str) -> bytes:
    """One line. Raises Malformed if it is too long for one. Names of refs may be any bytes, kept as half characters."""
    content = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    if len(content) + 4 > LINE_BYTES:
        raise Malformed("the line is too long")
    return b"%04x" % (len(content) + 4) + content


def first_line(data: bytes, at: int = 0) -> tuple[bytes | None, int] | None:
    """(the line that begins at `at`, where the next one does); the line is None for a flush. None: it is not all there
    yet."""
    if len(data) < at + 4:
        return None
    if not re.fullmatch(rb"[0-9a-fA-F]{4}", data[at : at + 4]):
        raise Malformed("a line does not begin with its length")
    length = int(data[at : at + 4], 16)
    if length == 0:
        return None, at + 4
    if not 4 < length <= LINE_BYTES:
        raise Malformed(f"a line of length {length} has no place here")
    return (data[at + 4 : at + length], at + length) if len(data) >= at + length else None


def asked(data: bytes) -> Asked | None:
    """What a push asks for, once `data` has all of it; None until then."""
    commands: list[Command] = []
    capabilities: frozenset[str] = frozenset()
    at = 0
    while True:
        found = first_line(data, at)
        if (found[1] if found else len(data)) > COMMANDS_BYTES:
            raise Malformed("the push has too many commands")
        if found is None:
            return None
        content, at = found
        if content is None:
            return Asked(tuple(commands), capabilities, data[at:])
        if content.startswith(b"shallow ") and not commands:
            continue  # whether anything is missing is found out from the pack
        content, nul, said = content.partition(b"\0")
        if nul and not commands:
            capabilities = frozenset(said.decode("utf-8", "replace").split())
        commands.append(_command(content.removesuffix(b"\n")))


def _command(content: bytes) -> Command:
    old, _, more = content.partition(b" ")
    new, _, ref = more.partition(b" ")
    if not (_SHA.fullmatch(old) and _SHA.fullmatch(new) and _REF.fullmatch(ref)):
        raise Malformed("a command is not of the form: old new ref")
    return Command(old.decode(), new.decode(), ref.decode("utf-8", "replace"))


def service_name(service: str) -> bytes:
    """What an advertisement begins with."""
    return line(f"# service={service}\n") + FLUSH


def advertisement(service: str, refs: Mapping[str, str], capabilities: Sequence[str]) -> bytes:
    """The answer to a client that asks what a push would meet. `refs`: name → sha."""
    known = refs or {"capabilities^{}": NOTHING}
    lines = [f"{sha} {ref}" for ref, sha in known.items()]
    lines[0] += "\0" + " ".join(capabilities)
    return service_name(service) + b"".join(line(text + "\n") for text in lines) + FLUSH


def report(
    refused: Mapping[str, str | None], unpacked: str, words: Iterable[str], capabilities: frozenset[str]
) -> bytes:
    """What became of a push. `refused`: for each ref why not, None if it was done; `unpacked`: `ok`, or what was wrong.

    `words` are lines for the person who pushes, shown behind `remote:`.
    """
    if "report-status" not in capabilities:
        return b""
    lines = [f"unpack {_plain(unpacked)}\n"]
    lines += [f"ok {ref}\n" if why is None else f"ng {ref} {_plain(why)}\n" for ref, why in refused.items()]
    plain = b"".join(line(text) for text in lines) + FLUSH
    if "side-band-64k" not in capabilities:
        return plain
    room = LINE_BYTES - 5
    said = b"".join(line(BAND_WORDS + (_plain(text) + "\n").encode()) for text in words)
    pieces = (plain[at : at + room] for at in range(0, len(plain), room))
    return said + b"".join(line(BAND_REPORT + piece) for piece in pieces) + FLUSH


def _plain(text: str) -> str:
    """One line that a terminal may show."""
    return "".join(char if char.isprintable() else " " for char in text).strip()[:1000]
