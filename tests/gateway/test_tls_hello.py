"""Which server a TLS connection asks for: as real clients say it, in any pieces; and what is no such greeting."""

import ssl
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.gateway.tls_hello import MOST_BYTES, Greeting, NoHello


def greeting(name: str | None) -> bytes:
    """What a real client says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


HELLO = greeting("PyPI.org")


def server_name(*pieces: bytes) -> str | None:
    """What is known once these have come."""
    said = Greeting()
    return [said.server_name(piece) for piece in pieces][-1]


def in_records(body: bytes, size: int) -> list[bytes]:
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    return [struct.pack("!BBBH", 22, 3, 1, len(piece)) + piece for piece in pieces]


def test_the_name_is_known_with_the_last_byte_and_not_before() -> None:
    assert server_name(HELLO) == "pypi.org"
    assert server_name(HELLO + b"more") == "pypi.org"
    assert {server_name(HELLO[:end]) for end in range(len(HELLO))} == {None}


def test_a_greeting_in_several_records_is_put_together() -> None:
    body = HELLO[5:]
    records = [struct.pack("!BBBH", 22, 3, 1, len(piece)) + piece for piece in (body[:3], body[3:50], body[50:])]
    assert server_name(b"".join(records)) == "pypi.org"
    assert server_name(b"".join(records[:2])) is None


@pytest.mark.parametrize("size", [1, 7, 400])
def test_however_small_its_pieces_and_records_are_it_is_read(size: int) -> None:
    records = in_records(HELLO[5:], size)
    assert server_name(*records) == "pypi.org"
    whole = b"".join(records)
    assert server_name(*(whole[at : at + 1] for at in range(len(whole)))) == "pypi.org"


def test_one_that_never_ends_takes_no_time_and_has_an_end() -> None:
    endless, said = in_records(b"\x01\x00\xff\x00" + bytes(MOST_BYTES), 1), Greeting()
    began = time.process_time()
    with pytest.raises(NoHello):
        for record in endless:
            said.server_name(record)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"GET / HTTP/1.1\r\nHost: pypi.org\r\n\r\n",
        b"\x16",
        b"\x17\x03\x03\x00\x05hello",
        b"\x16\x02\x00\x00\x05hello",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        b"\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03\x00\x00",
        greeting(None),
    ],
)
def test_what_is_no_greeting_with_a_name_is_refused(said: bytes) -> None:
    if said == b"\x16":
        assert server_name(said) is None
        return
    with pytest.raises(NoHello):
        server_name(said)


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_name_too_little_or_refused(said: bytes) -> None:
    for data in (said, HELLO[:60] + said, b"\x16\x03\x01" + said):
        try:
            found = server_name(data)
        except NoHello:
            continue
        assert found is None or isinstance(found, str)
