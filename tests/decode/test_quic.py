import hmac
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.decode.quic import Initial, QuicHello, initials
from sensor.decode.quic_keys import VERSIONS, Hmac
from sensor.decode.tls import ClientHello
from sensor.model import Malformed
from tests.decode import google, sealing
from tests.decode.samples import (
    FULL_HELLO,
    RFC_DCID,
    RFC_HELLO,
    RFC_SERVER_V1,
    RFC_SERVER_V2,
    V1,
    V2,
    crypto,
    initial,
    rfc_client,
    varint,
    vector8,
)
from tests.proofs import proves

# First and last bytes of the protected packets in RFC 9001, A.2 and RFC 9369, A.2. The tag covers all between.
PUBLISHED = {
    V1: ("c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11", "e221af44860018ab0856972e194cd934"),
    V2: ("d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485", "a18b2faa745b6fe189cf772a9f84cbfc"),
}
SERVER_SCID = bytes.fromhex("f067a5502a4262b5")


def one(opened: object) -> Initial:
    assert isinstance(opened, tuple)
    assert len(opened) == 1
    assert isinstance(opened[0], Initial)
    return opened[0]


@pytest.mark.parametrize(
    "version",
    [
        pytest.param(V1, marks=proves("QUIC v1", "RFC 9001, A.2")),
        pytest.param(V2, marks=proves("QUIC v2", "RFC 9369, A.2")),
    ],
)
def test_the_clients_initial_of_the_rfc(version):
    packet = rfc_client(version)
    start, end = PUBLISHED[version]
    assert packet.startswith(bytes.fromhex(start))
    assert packet.endswith(bytes.fromhex(end))
    opened = one(initials(packet))
    assert opened == Initial(
        version=version,
        dcid=RFC_DCID,
        scid=b"",
        packet_number=2,
        crypto=((0, RFC_HELLO),),
        from_client=True,
        key_dcid=RFC_DCID,
    )
    hello = QuicHello().add(packet)
    assert isinstance(hello, ClientHello)
    assert hello.sni == "example.com"


@proves("QUIC, the server's Initial", "RFC 9001, A.3; RFC 9369, A.3")
@pytest.mark.parametrize(("packet", "version"), [(RFC_SERVER_V1, V1), (RFC_SERVER_V2, V2)])
def test_the_servers_initial_of_the_rfc_opens_for_who_knows_the_connection_id(packet, version):
    opened = one(initials(packet, dcid=RFC_DCID))
    assert (opened.version, opened.scid, opened.packet_number) == (version, SERVER_SCID, 1)
    assert not opened.from_client
    assert opened.crypto[0][1].startswith(b"\x02\x00\x00\x56")
    assert isinstance(initials(packet), Malformed)


KEYS = {
    **{0xFF000000 + draft: f"QUIC draft {draft}" for draft in range(22, 35)},
    0xFACEB001: "QUIC mvfst, draft 22",
    0xFACEB002: "QUIC mvfst, draft 27",
    0xFACEB00E: "QUIC mvfst, experimental",
    0xFACEB003: "QUIC mvfst, version 1",
}


@pytest.mark.parametrize(
    "version",
    [
        pytest.param(version, marks=proves(KEYS[version], "packets sealed by the cryptography package"))
        if version in KEYS
        else version
        for version in sorted(sealing.SALTS)
    ],
)
def test_every_version(version):
    google_frames = version in {0x51303530, 0x54303530, 0x54303531}
    write = google.crypto if google_frames else crypto
    opened = one(initials(sealing.sealed(version, write(0, FULL_HELLO))))
    assert opened.crypto == ((0, FULL_HELLO),)
    assert (opened.version, opened.from_client, opened.packet_number) == (version, True, 5)
    assert opened.damaged is None
    reply = sealing.sealed(version, write(0, b"\x02"), dcid=b"", scid=SERVER_SCID, side=b"server in")
    assert one(initials(reply, dcid=RFC_DCID)).from_client is False


def test_the_versions_tested_are_those_that_are_read():
    """Of Meta's numbers the unused ones between are read like their neighbours."""
    assert set(sealing.SALTS) <= set(VERSIONS)
    assert all(0xFACEB000 <= number < 0xFACEB020 for number in set(VERSIONS) - set(sealing.SALTS))


@proves("QUIC, versions reserved for negotiation", "packets sealed by the cryptography package")
@pytest.mark.parametrize("version", [0x0A0A0A0A, 0x1A2A3A4A, 0xFAFAFAFA])
@pytest.mark.parametrize("salt", [sealing.FORCING, sealing.VERSION_1, sealing.DRAFT_29])
def test_versions_that_make_a_server_negotiate(version, salt):
    """RFC 9000, 15. The client then begins anew with a version that is offered, and mostly with the same id."""
    assembler = QuicHello()
    first = sealing.sealed(version, crypto(0, FULL_HELLO[:80]).ljust(1200, b"\x00"), salt=salt)
    assert assembler.add(first) is None
    offer = b"\x80" + bytes(4) + b"\x00" + vector8(RFC_DCID) + V1.to_bytes(4, "big") + version.to_bytes(4, "big")
    assert assembler.add(offer) is None
    other = crypto(0, RFC_HELLO)
    found = assembler.add(initial(other))
    assert isinstance(found, ClientHello)
    assert found.sni == "example.com"


@given(st.binary(max_size=64), st.binary(max_size=200))
def test_hmac_is_that_of_the_standard_library(key, data):
    assert Hmac(key).digest(data) == hmac.digest(key, data, "sha256")


@proves("QUIC, CRYPTO between PADDING and PING", "packets sealed by aioquic")
def test_frames_of_every_kind_between_the_pieces_of_a_hello():
    ack = b"\x02" + varint(7) + varint(0) + varint(1) + varint(2) + varint(0) + varint(1)
    ack_ecn = b"\x03" + varint(7) + varint(0) + varint(0) + varint(2) + varint(1) * 3
    close = b"\x1c" + varint(0x128) + varint(6) + varint(3) + b"bye"
    payload = (
        b"\x01" + bytes(9) + crypto(100, RFC_HELLO[100:]) + ack + b"\x00" + ack_ecn + crypto(0, RFC_HELLO[:100]) + close
    )
    opened = one(initials(initial(payload)))
    assert opened.crypto == ((100, RFC_HELLO[100:]), (0, RFC_HELLO[:100]))
    assert opened.closed
    assert opened.damaged is None
    hello = QuicHello().add(initial(payload))
    assert isinstance(hello, ClientHello)


@pytest.mark.parametrize(
    "tail", [b"\x08stream", b"\x06\x00", b"\x02\x01\x00" + varint(2**62 - 1), b"\x1c\x00\x00\x09x"]
)
def test_a_packet_whose_frames_break_keeps_those_before(tail):
    head = crypto(0, RFC_HELLO)
    opened = one(initials(initial(head + tail)))
    assert opened.crypto == ((0, RFC_HELLO),)
    assert opened.damaged is not None
    assert opened.damaged.offset >= 22 + len(head)


@proves("QUIC, coalesced packets", "packets sealed by aioquic")
def test_coalesced_initials_and_what_may_follow_them():
    first, second = initial(crypto(0, b"a" * 40)), initial(crypto(40, b"b" * 40), number=1)
    handshake = b"\xe0" + first[1:14] + b"\x00" + varint(30) + bytes(30)
    for rest in (b"", bytes(100), b"\x40" + bytes(30), handshake, b"\xc0\x00\x00"):
        opened = initials(first + second + rest)
        assert isinstance(opened, tuple)
        assert [packet.crypto[0][0] for packet in opened] == [0, 40]
    assert initials(handshake) == ()
    # RFC 9000, 12.2: a coalesced packet for another connection id is not for this connection.
    stranger = initial(crypto(0, b"x" * 40), key_dcid=b"somebody")
    assert one(initials(first + stranger)).key_dcid == RFC_DCID


def test_one_coalesced_packet_that_does_not_open_does_not_spoil_the_others():
    good, bad = initial(crypto(0, b"a" * 40)), bytearray(initial(crypto(0, b"b" * 40)))
    bad[-1] ^= 1
    assert one(initials(bytes(bad) + good)).crypto == ((0, b"a" * 40),)
    assert isinstance(initials(bytes(bad)), Malformed)


def test_later_initials_to_the_id_that_the_server_chose():
    later = initial(crypto(0, b"a" * 40), dcid=SERVER_SCID)
    assert isinstance(initials(later), Malformed)
    assert one(initials(later, dcid=RFC_DCID)).from_client


def test_a_retry_and_the_hello_after_it():
    assembler = QuicHello()
    assert assembler.add(initial(crypto(0, RFC_HELLO[:50]))) is None
    retry = b"\xf0" + V1.to_bytes(4, "big") + b"\x00\x08" + SERVER_SCID + b"token" + bytes(16)
    assert initials(retry) == ()
    assert assembler.add(retry) is None
    after = initial(crypto(0, RFC_HELLO), key_dcid=SERVER_SCID, token=b"token")
    hello = assembler.add(after)
    assert isinstance(hello, ClientHello)


def test_version_negotiation_claims_nothing():
    assert initials(b"\x80" + bytes(4) + b"\x00\x08" + SERVER_SCID + V1.to_bytes(4, "big")) == ()


@proves("QUIC, hello over several datagrams", "packets sealed by aioquic")
def test_a_hello_over_several_datagrams_in_any_order_with_the_servers_between():
    hello = FULL_HELLO.ljust(2000, b"\x00")
    hello = b"\x01" + (1996).to_bytes(3, "big") + hello[4:]
    cuts = [0, 1, 700, 1300, 2000]
    packets = [
        initial(crypto(start, hello[start:end]).ljust(1100, b"\x00"), number=number)
        for number, (start, end) in enumerate(pairwise(cuts))
    ]
    assembler = QuicHello()
    assert assembler.add(packets[3]) is None
    assert assembler.add(RFC_SERVER_V1) is None
    assert assembler.add(packets[1]) is None
    assert assembler.add(b"\x40" + bytes(50)) is None  # 1-RTT: of no use, and no damage either
    assert assembler.add(packets[0]) is None
    found = assembler.add(packets[2])
    assert isinstance(found, ClientHello)
    assert found.sni == "web.whatsapp.net"


@proves("QUIC, what only looks like it", "bytes made by hand")
def test_what_does_not_open_is_not_claimed():
    packet = bytearray(rfc_client())
    packet[600] ^= 0x10
    assert isinstance(QuicHello().add(bytes(packet)), Malformed)
    # Bytes that look like an Initial in every field that is not encrypted.
    fake = b"\xc3" + V1.to_bytes(4, "big") + b"\x08" + RFC_DCID + b"\x00\x00" + varint(1180) + b"\x5a" * 1180
    assert initials(fake) == Malformed("looks like a QUIC Initial but does not open", 18)


@pytest.mark.parametrize(
    ("raw", "offset"),
    [
        (b"\x40" + bytes(40), 0),
        (b"\xc0\x12\x34\x56\x78" + bytes(40), 1),
        (b"\xc0\x00\x00\x00\x01\x15" + bytes(40), 5),
        (b"\xc0\x00\x00\x00\x01\x00\x15" + bytes(40), 6),
        (b"\xc0\x00\x00\x00\x01\x00\x00\x00\x13" + bytes(40), 9),
    ],
)
def test_headers_that_cannot_be(raw, offset):
    read = initials(raw)
    assert isinstance(read, Malformed)
    assert read.offset == offset


def test_a_hello_that_never_ends_is_given_up():
    assembler = QuicHello()
    long = b"\x01\x01\xff\xff"
    assert assembler.add(initial(crypto(0, long))) is None
    answer = None
    for offset in range(4, 70_000, 1000):
        answer = assembler.add(initial(crypto(offset, bytes(1000))))
        if answer is not None:
            break
    assert isinstance(answer, Malformed)
