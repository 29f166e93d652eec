"""Which server a TLS connection asks for: as real clients say it, in any pieces; and what is no such greeting."""

import ssl
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.gateway.tls_hello import NoHello, server_name


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


def test_the_name_is_known_with_the_last_byte_and_not_before() -> None:
    assert server_name(HELLO) == "pypi.org"
    assert server_name(HELLO + b"more") == "pypi.org"
    assert {server_name(HELLO[:end]) for end in range(len(HELLO))} == {None}


def test_a_greeting_in_several_records_is_put_together() -> None:
    body = HELLO[5:]
    records = [struct.pack("!BBBH", 22, 3, 1, len(piece)) + piece for piece in (body[:3], body[3:50], body[50:])]
    assert server_name(b"".join(records)) == "pypi.org"
    assert server_name(b"".join(records[:2])) is None


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
