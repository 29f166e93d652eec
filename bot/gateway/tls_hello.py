"""Which server a TLS connection asks for, read from its first bytes. Pure; `egress.py` compares it.

A tunnel to a listed host is for that host: where many stand behind one front door, the name in the greeting decides
which of them answers, and anything that is no TLS at all has no business at port 443.
"""

MOST_BYTES = 64 << 10
HANDSHAKE, CLIENT_HELLO, SERVER_NAME, HOST = 22, 1, 0, 0
RECORD_MOST = (1 << 14) + 256


class NoHello(ValueError):
    """These bytes do not begin a TLS connection to a named server."""


class Greeting:
    """What one connection has said so far. Each byte is read once, in however small pieces and records it comes."""

    def __init__(self) -> None:
        self._unread, self._message, self._size = bytearray(), bytearray(), 0

    def server_name(self, piece: bytes) -> str | None:
        """The name, in lower case, once this piece makes it known; None while there is too little. Raises NoHello."""
        self._unread += piece
        self._size += len(piece)
        while len(self._unread) >= 5:
            length = int.from_bytes(self._unread[3:5], "big")
            if self._unread[0] != HANDSHAKE or self._unread[1] != 3 or not 0 < length <= RECORD_MOST:
                raise NoHello("it is no TLS")
            if (name := self._name_with(self._unread[5 : 5 + length])) is not None:
                return name
            if len(self._unread) < 5 + length:
                break
            self._message += self._unread[5 : 5 + length]
            del self._unread[: 5 + length]
        if (self._unread and self._unread[0] != HANDSHAKE) or self._size > MOST_BYTES:
            raise NoHello("it is no TLS")
        return None

    def _name_with(self, more: bytearray) -> str | None:
        """The name, if what was read and this is the whole message."""
        begin = self._message[:4] + more[: max(0, 4 - len(self._message))]
        if len(begin) < 4:
            return None
        end = 4 + int.from_bytes(begin[1:], "big")
        if begin[0] != CLIENT_HELLO or end > MOST_BYTES:
            raise NoHello("it does not begin with a greeting")
        if len(self._message) + len(more) < end:
            return None
        return _name(_Cursor(bytes((self._message + more)[4:end])))


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
