"""A server's first flight (RFC 5246, 7.4.2; RFC 8446, 4.1.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.decode.flight import ServerFlight, server_flight
from sensor.decode.tls import ServerHello
from sensor.model import Malformed
from tests.decode.samples import (
    RFC_8448_HELLO,
    RFC_8448_SERVER_HELLO,
    TLS_1_2_SERVER_HELLO,
    certificate,
    flight,
    message,
    records,
)

LEAF = certificate("a.example", "a.example")
HELLO = ServerHello(0x0303, 0xC02F)
WHOLE = flight(LEAF)


@given(cuts=st.sets(st.integers(1, len(WHOLE) - 10), max_size=9))
def test_records_may_cut_anywhere(cuts):
    assert server_flight(flight(LEAF, cuts=tuple(sorted(cuts)))) == ServerFlight(HELLO, LEAF)


def test_the_certificate_is_told_as_soon_as_it_is_complete():
    end = WHOLE.index(LEAF) + len(LEAF)
    assert server_flight(WHOLE[:end]) == ServerFlight(HELLO, LEAF)
    assert server_flight(WHOLE[: end - 1]) is None


def test_tls_1_3_shows_none():
    """RFC 8448, 3."""
    assert server_flight(records(RFC_8448_SERVER_HELLO)) == ServerFlight(ServerHello(0x0304, 0x1301), None)


@pytest.mark.parametrize(
    "behind",
    [
        b"\x14\x03\x03\x00\x01\x01",
        b"\x15\x03\x03\x00\x02\x02\x28",
        records(message(4, bytes(9))),
        records(message(11, bytes(3))),
    ],
)
def test_without_a_certificate(behind):
    assert server_flight(records(TLS_1_2_SERVER_HELLO) + behind) == ServerFlight(HELLO, None)


@pytest.mark.parametrize(
    "data",
    [
        records(RFC_8448_HELLO),
        b"SSH-2.0",
        records(TLS_1_2_SERVER_HELLO + message(11, b"\x00\x00\x09\x00\x00\x09" + bytes(3))),
        records(TLS_1_2_SERVER_HELLO + message(11, b"\xff\xff\xff\xff\xff\xff")),
    ],
)
def test_what_is_none(data):
    assert isinstance(server_flight(data), Malformed)
