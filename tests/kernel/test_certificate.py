"""Certificates as the compiled loop finds and tells them apart, beside the decoders on the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.decode.flight import ServerFlight, server_flight
from sensor.decode.x509 import CertificateNames, certificate_names
from sensor.kernel import layout
from sensor.kernel.certificate import leaf_certificate, names_text
from sensor.kernel.hello import FOUND, NONE, ODD, PARTIAL
from sensor.model import Malformed
from tests.decode.samples import (
    RFC_8448_SERVER_HELLO,
    TLS_1_2_SERVER_HELLO,
    certificate,
    flight,
    message,
    records,
)

SEED = np.uint64(12345)
LEAF = certificate("a.example", "a.example", "b.example")
FLIGHTS = [
    flight(LEAF),
    records(RFC_8448_SERVER_HELLO),
    records(TLS_1_2_SERVER_HELLO) + b"\x14\x03\x03\x00\x01\x01",
    records(TLS_1_2_SERVER_HELLO) + records(message(4, bytes(9))),
    records(TLS_1_2_SERVER_HELLO) + records(message(11, bytes(3))),
    records(TLS_1_2_SERVER_HELLO + message(11, b"\x00\x00\x09\x00\x00\x09" + bytes(3))),
    flight(LEAF, cuts=(300,)),
]


def found_in(data: bytes) -> tuple[int, bytes]:
    found = np.zeros(layout.F_SIZE, np.int64)
    answer = int(leaf_certificate(np.frombuffer(data, np.uint8), 0, len(data), found))
    start, length = found[[layout.F_NAME, layout.F_NAME_BYTES]].tolist()
    return answer, data[start : start + length] if answer == FOUND else b""


def agrees(data: bytes) -> int:
    """Checks the loop against the decoder; returns its answer. What is odd to the loop the decoder may read in any way."""
    answer, leaf = found_in(data)
    decoded = server_flight(data)
    if answer == FOUND:
        assert decoded == ServerFlight(decoded.hello, leaf) if isinstance(decoded, ServerFlight) else False
    elif answer == NONE:
        assert isinstance(decoded, ServerFlight)
        assert decoded.certificate is None
    elif answer == PARTIAL:  # the decoder may know by half a head already that none will come
        assert decoded is None or (isinstance(decoded, ServerFlight) and decoded.certificate is None)
    else:
        assert answer == ODD
    return answer


@pytest.mark.parametrize("data", FLIGHTS)
def test_every_prefix_as_the_decoder_reads_it(data):
    answers = {agrees(data[:end]) for end in range(6, len(data) + 1)}
    assert answers <= {FOUND, NONE, PARTIAL, ODD}


def test_what_is_decided_here():
    assert found_in(flight(LEAF)) == (FOUND, LEAF)
    assert found_in(records(RFC_8448_SERVER_HELLO))[0] == NONE
    assert found_in(flight(LEAF, cuts=(300,)))[0] == ODD  # a message that goes on in the next record


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FLIGHTS), st.integers(0, 200), st.integers(0, 255))
def test_one_byte_changed(data, at, value):
    damaged = bytearray(data)
    damaged[at % len(data)] = value
    if damaged[0] == 22 and damaged[5] == 2:  # what `assemble.judge` has seen before it asks
        answer, leaf = found_in(bytes(damaged))
        decoded = server_flight(bytes(damaged))
        if answer == FOUND and isinstance(decoded, ServerFlight):
            assert decoded.certificate == leaf
        if answer in {NONE, PARTIAL} and isinstance(decoded, ServerFlight):
            assert decoded.certificate is None


def text_of(der: bytes) -> str:
    text = np.zeros(256, np.uint8)
    length = int(names_text(np.frombuffer(der, np.uint8), 0, len(der), SEED, text))
    return text[:length].tobytes().decode("ascii")


def test_the_same_names_give_the_same_text():
    again = LEAF[:-1] + bytes([LEAF[-1] ^ 1])  # another signature
    assert text_of(LEAF) == text_of(again) != ""
    others = [
        certificate("a.example", "a.example"),
        certificate("b.example", "a.example", "b.example"),
        certificate("a.example"),
        certificate("a.example", "b.example", "a.example"),
    ]
    assert len({text_of(LEAF), *map(text_of, others)}) == 5


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x82", LEAF[:40], LEAF[1:], bytes(300), b"\x30\x84" + bytes(90)])
def test_what_is_none_has_no_text(data):
    assert text_of(data) == ""


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(LEAF) - 1), st.integers(0, 255))
def test_what_has_the_same_text_has_the_same_names(at, value):
    damaged = LEAF[:at] + bytes([value]) + LEAF[at + 1 :]
    if text_of(damaged) == text_of(LEAF):
        names = certificate_names(damaged)
        assert isinstance(names, Malformed) or names == certificate_names(LEAF)
        assert isinstance(certificate_names(LEAF), CertificateNames)
