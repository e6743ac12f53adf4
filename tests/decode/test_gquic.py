"""Google's QUIC before the standard, against packets written by hand and against real ones."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.decode.cursor import Cursor
from sensor.decode.gquic import NEWEST, OLDEST, Chlo, Packet, _fnv, chlo, frames, packet, version_number
from sensor.decode.quic import Initial, QuicHello, initials
from sensor.decode.tls import ClientHello
from sensor.model import Malformed
from tests.decode import google, sealing
from tests.decode.samples import FULL_HELLO
from tests.proofs import proves

ALL = range(OLDEST, NEWEST + 1)
BY_HAND = "packets written by hand"
OFFSET_BASIS = 0x6C62272E07BB014262B821756295C58D


def versions(*numbers: int) -> list[object]:
    """Each as a parameter; those of the table with the mark of what they prove."""
    listed = {39: "gQUIC Q039", 43: "gQUIC Q043", 44: "gQUIC Q044", 46: "gQUIC Q046"}
    return [
        pytest.param(number, marks=proves(listed[number], BY_HAND)) if number in listed else number
        for number in numbers
    ]


def read(data: bytes) -> Packet:
    found = packet(data)
    assert isinstance(found, Packet)
    return found


@pytest.mark.parametrize(
    ("data", "published"),
    [
        (b"", 0x6C62272E07BB014262B821756295C58D),
        (b"a", 0xD228CB696F1A8CAF78912B704E4A8964),
        (b"foobar", 0x343E1662793C64BF6F0D3597BA446F18),
    ],
)
def test_the_hash_is_fnv_1a_of_128_bits(data, published):
    """draft-eastlake-fnv, C: test vectors."""
    assert _fnv(data, OFFSET_BASIS) == google.fnv(data) == published


@pytest.mark.parametrize("version", versions(*ALL))
def test_a_hello_of_every_version(version):
    data = google.plain(version, google.stream(0, google.HELLO, version).ljust(1300, b"\x00"))
    found = read(data)
    assert found == Packet(
        version, google.CONNECTION, ((0, google.HELLO),), None if version <= 35 else True, damaged=None
    )
    assert QuicHello().add(data) == Chlo("www.youtube.com")


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("number_bytes", [1, 2, 4, 6])
def test_other_frames_before_the_hello(version, number_bytes):
    payload = (
        google.ack(version)
        + google.ack(version, blocks=True)
        + google.others(version, number_bytes)
        + google.stream(0, b"H2", version, stream_id=3)
        + google.stream(0, google.HELLO, version, length=False)
    )
    found = read(google.plain(version, payload, number=7, number_bytes=number_bytes))
    assert found.crypto == ((0, google.HELLO),)
    assert found.damaged is None


@pytest.mark.parametrize("version", [25, 33, 35, 39, 43, 46])
def test_a_hello_over_several_packets_in_any_order(version):
    big = google.chlo((b"PAD\0", bytes(3000)), (b"SNI\0", google.NAME))
    cuts = [0, 5, 1300, 2600, len(big)]
    parts = [
        google.plain(version, google.stream(start, big[start:end], version), number=number)
        for number, (start, end) in enumerate(pairwise(cuts), 1)
    ]
    assembler = QuicHello()
    assert assembler.add(parts[2]) is None
    assert assembler.add(parts[3]) is None
    assert assembler.add(parts[0]) is None
    assert assembler.add(parts[0]) is None
    assert assembler.add(parts[1]) == Chlo("www.youtube.com")


def test_a_second_hello_where_the_first_was_not_captured():
    """After a REJ the client says more in a second CHLO, behind the first one in the same stream."""
    again = google.chlo((b"PAD\0", bytes(1500)), (b"SNI\0", google.NAME), (b"SCID", bytes(16)))
    first = google.plain(46, google.ack(46) + google.stream(1314, again[:900], 46), number=2)
    second = google.plain(46, google.stream(1314 + 900, again[900:], 46), number=3)
    assembler = QuicHello()
    assert assembler.add(first) is None
    assert assembler.add(second) == Chlo("www.youtube.com")


@pytest.mark.parametrize("version", ALL)
def test_a_hash_that_does_not_fit_is_not_claimed(version):
    data = bytearray(google.plain(version, google.stream(0, google.HELLO, version).ljust(600, b"\x00")))
    data[-1] ^= 1
    found = packet(bytes(data))
    assert isinstance(found, Malformed)
    assert "hash" in found.reason
    assert isinstance(QuicHello().add(bytes(data)), Malformed)


def test_later_packets_that_are_encrypted_get_nowhere_near_the_hello():
    """They say their version until the server has answered, and their first bytes may look like a frame."""
    big = google.chlo((b"PAD\0", bytes(1500)), (b"SNI\0", google.NAME))
    assembler = QuicHello()
    assert assembler.add(google.plain(43, google.stream(0, big[:700], 43))) is None
    fake = google.plain(43, google.stream(700, b"\xff" * 700, 43), sender=b"nobody")
    assert assembler.add(fake) is None
    assert assembler.add(google.plain(43, google.stream(700, big[700:], 43))) == Chlo("www.youtube.com")


def test_what_the_server_says_is_not_taken_for_the_client():
    reject = b"REJ\0" + bytes(60)
    assembler = QuicHello()
    data = google.plain(46, google.stream(0, reject, 46), sender=google.SERVER)
    assert read(data).from_client is False
    assert assembler.add(data) is None
    assert assembler.add(google.plain(46, google.stream(0, google.HELLO, 46))) == Chlo("www.youtube.com")


def test_versions_that_a_server_offers_are_no_packet():
    """Public flags with the version bit, then a list: what a server answers to a version that it does not know."""
    for offer in (b"Q046Q043Q039", b"Q039" * 20):
        data = b"\x09" + google.CONNECTION + offer
        found = packet(data)
        assert found is None or isinstance(found, Malformed)
    assembler = QuicHello()
    assembler.add(b"\x09" + google.CONNECTION + b"Q043Q039Q035" * 4)
    assert assembler.add(google.plain(39, google.stream(0, google.HELLO, 39))) == Chlo("www.youtube.com")


def test_private_flags_up_to_q033():
    hello = google.stream(0, google.HELLO, 30)
    assert read(google.plain(30, hello, private=b"\x01")).crypto == ((0, google.HELLO),)
    assert read(google.plain(30, hello, private=b"\x02\x01")).crypto == ((0, google.HELLO),)  # in an FEC group
    assert read(google.plain(30, hello, private=b"\x06\x01")).crypto == ()  # a parity packet


@pytest.mark.parametrize("flags", [0x00, 0x01, 0x08, 0x0B, 0x49, 0x0A])
def test_public_flags_of_other_packets(flags):
    """No version, no id, a reset, multipath: nothing that a client begins with."""
    assert isinstance(packet(bytes([flags]) + google.plain(39, b"")[1:]), Malformed)


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"Q046", 46), (b"Q099", 99), (b"T046", 0), (b"Q4 6", 0), (b"Q0a6", 0), (b"Q146", 0), (b"Q0\xb2\xb3", 0)],
)
def test_versions_are_told_by_letter_and_digits(text, number):
    assert version_number(int.from_bytes(text, "big")) == number


@pytest.mark.parametrize("version", [23, 44, 50])
def test_public_flags_with_a_version_that_had_none(version):
    data = google.hashed(b"\x09" + google.CONNECTION + google.tag(version) + b"\x01", b"\x00" * 40, version, b"Client")
    assert isinstance(packet(data), Malformed)


def test_a_packet_whose_frames_break_keeps_those_before():
    found = read(google.plain(46, google.stream(0, google.HELLO, 46) + b"\x30"))
    assert found.crypto == ((0, google.HELLO),)
    assert found.damaged is not None
    assert QuicHello().add(google.plain(46, google.stream(0, google.HELLO, 46) + b"\xa0\x01\xff\xff")) is not None


def test_a_chlo_without_a_name():
    assert chlo(google.chlo((b"PAD\0", bytes(20)))) == Chlo(None)
    assert chlo(google.chlo()) == Chlo(None)
    assert chlo(google.chlo((b"SNI\0", b""))) == Chlo(None)


def test_a_chlo_needs_every_byte():
    for end in range(len(google.HELLO)):
        assert chlo(google.HELLO[:end]) is None
    assert chlo(google.HELLO + b"SHLO") == Chlo("www.youtube.com")


@pytest.mark.parametrize(
    ("message", "offset"),
    [
        (b"SHLO" + bytes(4), 0),
        (b"CHLO\xff\xff\0\0", 4),
        (b"CHLO\2\0\0\0" + struct.pack("<4sI4sI", b"PAD\0", 9, b"SNI\0", 8) + bytes(9), 20),
    ],
)
def test_a_chlo_that_cannot_be(message, offset):
    found = chlo(message)
    assert isinstance(found, Malformed)
    assert found.offset == offset


def test_a_name_is_shown_escaped():
    assert chlo(google.chlo((b"SNI\0", b"a\x1b[31m.example"))) == Chlo("a\\027[31m.example")


@given(st.binary(max_size=200), st.integers(OLDEST, 51))
def test_any_bytes_as_frames(data, version):
    pieces, damaged = frames(Cursor(data, 0, len(data)), version, 1)
    assert sum(len(piece) for _, piece in pieces) <= len(data)
    assert damaged is None or 0 <= damaged.offset <= len(data)


@given(st.binary(max_size=120).flatmap(lambda start: st.tuples(st.just(start), st.integers(OLDEST, NEWEST))))
def test_any_payload_with_the_right_hash(drawn):
    payload, version = drawn
    found = packet(google.plain(version, payload))
    assert isinstance(found, Packet | Malformed)
    QuicHello().add(google.plain(version, payload))


@proves("gQUIC Q050", "packets sealed by the cryptography package")
def test_q050_seals_a_chlo():
    payload = google.ack(50) + google.crypto(100, google.HELLO[100:]) + google.crypto(0, google.HELLO[:100])
    data = sealing.sealed(0x51303530, payload.ljust(1200, b"\x00"), key_dcid=google.CONNECTION)
    opened = initials(data)
    assert isinstance(opened, tuple)
    assert isinstance(opened[0], Initial)
    assert (opened[0].key_dcid, [offset for offset, _ in opened[0].crypto]) == (google.CONNECTION, [100, 0])
    assert QuicHello().add(data) == Chlo("www.youtube.com")


@pytest.mark.parametrize(
    "version",
    [
        pytest.param(0x54303530, marks=proves("gQUIC T050", "packets sealed by the cryptography package")),
        pytest.param(0x54303531, marks=proves("gQUIC T051", "packets sealed by the cryptography package")),
    ],
)
def test_t050_and_t051_seal_a_hello_of_tls(version):
    payload = b"\x07" + google.crypto(60, FULL_HELLO[60:]) + google.crypto(0, FULL_HELLO[:60])
    found = QuicHello().add(sealing.sealed(version, payload.ljust(1200, b"\x00"), number=1))
    assert isinstance(found, ClientHello)
    assert found.sni == "web.whatsapp.net"


def test_frames_of_google_that_break_say_where():
    payload = google.crypto(0, google.HELLO) + b"\x30"
    opened = initials(sealing.sealed(0x51303530, payload, key_dcid=google.CONNECTION))
    assert isinstance(opened, tuple)
    assert opened[0].crypto == ((0, google.HELLO),)
    assert opened[0].damaged is not None
    assert opened[0].damaged.offset > len(google.HELLO)
