"""DTLS ClientHellos: whole, in fragments, with and without a cookie (RFC 6347, 4; RFC 9147, 5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.decode.dtls import DtlsHello, Fragment, fragments
from sensor.decode.tls import ClientHello
from sensor.model import Malformed
from tests.decode.samples import dtls_fragment, dtls_hello, dtls_record, extension, server_name, vector8, vector16
from tests.kernel.harness import datagram
from tests.lines import CLIENT, SERVER, names
from tests.proofs import proves

NAME = server_name(b"Call.Example.com")
BODY = dtls_hello(NAME, extension(10, vector16(b"\x00\x1d")))
VERSION_1_3 = extension(43, vector8(b"\xfe\xfc\xfe\xfd"))


def read(*datagrams: bytes) -> list[ClientHello | Malformed | None]:
    hello = DtlsHello()
    return [hello.add(one) for one in datagrams]


@pytest.mark.parametrize(
    ("version", "body"),
    [
        pytest.param(
            b"\xfe\xff", dtls_hello(NAME, version=b"\xfe\xff"), marks=proves("DTLS 1.0, ClientHello", "RFC 4347")
        ),
        pytest.param(b"\xfe\xfd", BODY, marks=proves("DTLS 1.2, ClientHello", "RFC 6347")),
        pytest.param(
            b"\xfe\xfd", dtls_hello(NAME, VERSION_1_3), marks=proves("DTLS 1.3, ClientHello", "RFC 9147, 5.3")
        ),
        (b"\xfe\xfc", dtls_hello(NAME, VERSION_1_3)),
    ],
)
def test_every_version(version, body):
    packet = dtls_record(dtls_fragment(body), version=version)
    (hello,) = read(packet)
    assert isinstance(hello, ClientHello)
    assert (hello.sni, hello.legacy_version) == ("call.example.com", int.from_bytes(body[:2], "big"))
    frames = [datagram(1, CLIENT, 40000, SERVER, 4433, packet)]
    assert names(frames) == [("dtls_sni", "call.example.com")]


def test_a_hello_without_a_name_as_webrtc_sends_it():
    (hello,) = read(dtls_record(dtls_fragment(dtls_hello(extension(14, b"\x00\x02\x00\x01\x00")))))
    assert isinstance(hello, ClientHello)
    assert hello.sni is None
    assert hello.ciphers == (0xC02B, 0xC02F)


@given(
    cuts=st.sets(st.integers(1, len(BODY) - 1), max_size=6),
    seed=st.randoms(use_true_random=False),
    overlap=st.integers(0, 9),
)
def test_fragments_in_any_order(cuts, seed, overlap):
    edges = [0, *sorted(cuts), len(BODY)]
    pieces = [dtls_fragment(BODY, max(edges[i] - overlap, 0), edges[i + 1]) for i in range(len(edges) - 1)]
    seed.shuffle(pieces)
    found = read(*map(dtls_record, pieces))
    assert found[:-1].count(None) == len(found) - 1 or any(isinstance(one, ClientHello) for one in found[:-1])
    whole = next(one for one in found if one)
    assert isinstance(whole, ClientHello)
    assert whole.sni == "call.example.com"


def test_several_records_and_several_fragments_in_a_datagram():
    (hello,) = read(
        dtls_record(dtls_fragment(BODY, 0, 20) + dtls_fragment(BODY, 20, 30)) + dtls_record(dtls_fragment(BODY, 30))
    )
    assert isinstance(hello, ClientHello)


def test_the_hello_with_the_servers_cookie_when_the_first_was_lost():
    again = dtls_hello(NAME, cookie=b"c" * 20)
    frames = [
        datagram(1, SERVER, 4433, CLIENT, 40000, dtls_record(dtls_fragment(b"\xfe\xff\x14" + b"c" * 20, kind=3))),
        datagram(2, CLIENT, 40000, SERVER, 4433, dtls_record(dtls_fragment(again, 0, 50, number=1))),
        datagram(3, CLIENT, 40000, SERVER, 4433, dtls_record(dtls_fragment(again, 50, number=1))),
    ]
    assert names(frames) == [("dtls_sni", "call.example.com")]
    first_half = dtls_record(dtls_fragment(BODY, 0, 50))
    assert read(first_half, dtls_record(dtls_fragment(again, number=1)))[1] is not None


def test_what_a_fragment_says():
    assert fragments(dtls_record(dtls_fragment(BODY, 3, 8, number=1))) == (Fragment(1, len(BODY), 3, BODY[3:8]),)
    encrypted = dtls_record(bytes(40), epoch=1)
    assert fragments(dtls_record(dtls_fragment(BODY)) + encrypted) == (Fragment(0, len(BODY), 0, BODY),)


@pytest.mark.parametrize(
    ("packet", "offset"),
    [
        (dtls_record(dtls_fragment(BODY), epoch=1), 0),
        (dtls_record(dtls_fragment(BODY), kind=23), 0),
        (dtls_record(dtls_fragment(BODY), version=b"\x03\x03"), 0),
        (dtls_record(dtls_fragment(BODY, kind=2)), 13),
        (dtls_record(b"\x01\x00\x00\x05\x00\x00\x00\x00\x03\x00\x00\x03abc"), 13),
        (dtls_record(dtls_fragment(BODY)[:-4]), 25),
    ],
)
def test_what_is_none(packet, offset):
    found = fragments(packet)
    assert isinstance(found, Malformed)
    assert found.offset == offset


def test_pieces_that_disagree():
    other = dtls_hello(NAME, NAME)
    assert isinstance(read(dtls_record(dtls_fragment(BODY, 0, 9)), dtls_record(dtls_fragment(other, 9)))[1], Malformed)
