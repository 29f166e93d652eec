"""Which server a TLS connection asks for, read from its first bytes. Pure; `egress.py` compares it.

A tunnel to a listed host is for that host: where many stand behind one front door, the name in the greeting decides
which of them answers, and anything that is no TLS at all has no business at port 443.
"""

MOST_BYTES = 64 << 10
HANDSHAKE, CLIENT_HELLO, SERVER_NAME, HOST = 22, 1, 0, 0
RECORD_MOST = (1 << 14) + 256


class NoHello(ValueError):
    """These bytes do not begin a TLS connection to a named server."""


def server_name(said: bytes) -> str | None:
    """The name, in lower case; None while there is too little to know. Raises NoHello."""
    message, at = bytearray(), 0
    while len(said) >= at + 5:
        length = int.from_bytes(said[at + 3 : at + 5], "big")
        if said[at] != HANDSHAKE or said[at + 1] != 3 or not 0 < length <= RECORD_MOST:
            raise NoHello("it is no TLS")
        piece = said[at + 5 : at + 5 + length]
        message += piece
        if len(message) >= 4:
            end = 4 + int.from_bytes(message[1:4], "big")
            if message[0] != CLIENT_HELLO or end > MOST_BYTES:
                raise NoHello("it does not begin with a greeting")
            if len(message) >= end:
                return _name(_Cursor(bytes(message[4:end])))
        if len(piece) < length:
            break
        at += 5 + length
    if said and said[0] != HANDSHAKE or len(said) > MOST_BYTES:
        raise NoHello("it is no TLS")
    return None


class _Cursor:
    """Reads on from where it is. Raises NoHello at the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def over(self) -> bool:
        """Whether everything was read."""
        return self._at >= len(self._data)

    def bytes(self, count: int) -> bytes:
        """So many bytes."""
        found = self._data[self._at : self._at + count]
        if len(found) < count:
            raise NoHello("its greeting is cut")
        self._at += count
        return found

    def number(self, size: int) -> int:
        """A number of so many bytes."""
        return int.from_bytes(self.bytes(size), "big")

    def part(self, size: int) -> "_Cursor":
        """A part whose length is written before it, in `size` bytes."""
        return _Cursor(self.bytes(self.number(size)))


def _name(hello: _Cursor) -> str:
    hello.bytes(2 + 32)  # version, random
    for size in (1, 2, 1):  # session, ciphers, compression
        hello.part(size)
    extensions = hello.part(2)
    while not extensions.over:
        kind, body = extensions.number(2), extensions.part(2)
        if kind == SERVER_NAME:
            names = body.part(2)
            if names.number(1) == HOST:
                return names.bytes(names.number(2)).decode("latin-1").lower()
    raise NoHello("it names no server")
