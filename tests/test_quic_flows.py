"""QUIC flows whose hello is not whole: put together, given up, and never more than there is room for."""

from __future__ import annotations

from collections import Counter

import pytest

from sensor.decode.gquic import Chlo
from sensor.decode.tls import ClientHello
from sensor.model import Malformed
from sensor.quic_flows import MALFORMED_LIMIT, QuicFlows
from tests.decode import google
from tests.decode.samples import FULL_HELLO, crypto, initial

HALF = initial(crypto(0, FULL_HELLO[:80]).ljust(1170, b"\x00"))
REST = initial(crypto(80, FULL_HELLO[80:]).ljust(1170, b"\x00"), number=1)
FAKE = HALF[:-1] + bytes([HALF[-1] ^ 1])


@pytest.fixture
def counts() -> Counter[str]:
    return Counter()


def test_a_hello_in_two_and_then_nothing_is_kept(counts):
    flows = QuicFlows(counts)
    assert flows.read(1, HALF) is None
    assert flows.read(2, google.plain(46, google.stream(0, google.HELLO, 46))) == Chlo("www.youtube.com")
    assert (len(flows), flows.held_bytes) == (1, len(HALF))
    assert isinstance(flows.read(1, REST), ClientHello)
    assert (len(flows), flows.held_bytes) == (0, 0)
    assert not counts


def test_what_only_looks_like_it_is_given_up(counts):
    flows = QuicFlows(counts)
    answers = [flows.read(1, FAKE) for _ in range(MALFORMED_LIMIT)]
    assert answers[:-1] == [None] * (MALFORMED_LIMIT - 1)
    assert isinstance(answers[-1], Malformed)
    assert counts == {"quic_malformed": MALFORMED_LIMIT}
    assert len(flows) == 0


@pytest.mark.parametrize("datagram", [HALF, FAKE])
def test_no_more_flows_than_there_is_room_for(counts, datagram):
    flows = QuicFlows(counts, max_flows=10)
    for key in range(25):
        assert flows.read(key, datagram) is None
        assert len(flows) <= 10
    assert counts["streams_given_up"] == 15
    assert flows.read(20, HALF) is None
    assert isinstance(flows.read(20, REST), ClientHello)  # the newer ones are still there


def test_no_more_bytes_than_there_is_room_for(counts):
    flows = QuicFlows(counts, max_bytes=5 * len(HALF))
    for key in range(12):
        flows.read(key, HALF)
        assert flows.held_bytes <= 5 * len(HALF)
    assert (len(flows), counts["streams_given_up"]) == (5, 7)
    for _ in range(30):  # one flow alone, again and again
        flows.read(11, HALF)
        assert flows.held_bytes <= 5 * len(HALF)


def test_flows_that_end_are_forgotten(counts):
    flows = QuicFlows(counts)
    for key in range(6):
        flows.read(key, HALF)
    flows.forget({0, 1, 99})
    flows.drop(2)
    flows.drop(2)
    assert (len(flows), flows.held_bytes) == (3, 3 * len(HALF))
    flows.reset()
    assert (len(flows), flows.held_bytes) == (0, 0)
    assert flows.read(3, REST) is None  # begun anew
