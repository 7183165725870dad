"""Our reading of header lines is the library's."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from nats.aio.client import Client

from messaging.client import HeaderedClient
from messaging.connection import Connection

_TOKENS = st.sampled_from(
    [b"Nats-Sequence", b"a", b" ", b"\t", b":", b"\r\n", b"\n", b"\xff", b"\xc3\xa9", b"\x1f", b""]
)


@given(st.lists(_TOKENS | st.binary(max_size=4), max_size=30).map(b"".join))
@example(b"Nats-Msg-Id: a:b\r\nNats-Msg-Id:c\r\n\r\n")
@example(b"in side: x\r\n: nameless\r\nno separator\r\n")
def test_header_lines_read_as_the_library_reads_them(raw: bytes) -> None:
    assert HeaderedClient._parse_header_lines(raw) == Client._parse_header_lines(raw)


def test_every_connection_uses_it() -> None:
    assert isinstance(Connection(name="test").nc, HeaderedClient)
