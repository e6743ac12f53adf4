import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.decode.stun import StunMessage, message
from sensor.model import Malformed
from tests.decode.samples import STUN_LONG_TERM, STUN_REQUEST, STUN_RESPONSE_V4, STUN_RESPONSE_V6, u16, vector16
from tests.proofs import proves

COOKIE = bytes.fromhex("2112a442")
TRANSACTION = bytes(range(12))


def stun(kind: int, attributes: bytes = b"", cookie: bytes = COOKIE) -> bytes:
    return u16(kind) + u16(len(attributes)) + cookie + TRANSACTION + attributes


def attribute(kind: int, value: bytes) -> bytes:
    return u16(kind) + vector16(value) + bytes(-len(value) % 4)


def read(raw: bytes) -> StunMessage:
    found = message(raw)
    assert isinstance(found, StunMessage)
    return found


@proves("STUN, realm, software, username", "RFC 5769, 2.1")
def test_the_request_of_rfc_5769():
    found = read(STUN_REQUEST)
    assert (found.method, found.cls, found.magic) == (1, 0, True)
    assert found.transaction_id == bytes.fromhex("b7e7a701bc34d686fa87dfae")
    assert (found.software, found.username, found.realm) == ("STUN test client", "evtj:h6vY", None)
    assert [number for number, _ in found.attributes] == [0x8022, 0x24, 0x8029, 6, 8, 0x8028]


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        (STUN_RESPONSE_V4, "192.0.2.1:32853"),
        (STUN_RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ],
)
def test_the_responses_of_rfc_5769(raw, address):
    found = read(raw)
    assert (found.method, found.cls, found.software) == (1, 2, "test vector")
    assert found.xor_mapped == address
    assert found.mapped is None


@proves("STUN, realm, software, username", "RFC 5769, 2.4")
def test_the_long_term_request_of_rfc_5769():
    found = read(STUN_LONG_TERM)
    assert found.realm == "example.org"
    assert found.username is not None
    assert found.username.startswith(r"\227\131\158")  # UTF-8, shown as its bytes


# RFC 8489, 5 and RFC 8656, 17: some types and what they are.
@pytest.mark.parametrize(
    ("kind", "method", "cls"),
    [
        (0x0001, 1, 0),
        (0x0011, 1, 1),
        (0x0101, 1, 2),
        (0x0111, 1, 3),
        (0x0003, 3, 0),
        (0x0113, 3, 3),
        (0x0016, 6, 1),
        (0x0017, 7, 1),
        (0x0108, 8, 2),
        (0x0800, 0x200, 0),
        (0x0801, 0x201, 0),
        (0x3FFF, 0xFFF, 3),
    ],
)
def test_method_and_class(kind, method, cls):
    found = read(stun(kind))
    assert (found.method, found.cls) == (method, cls)


def test_turn_addresses():
    peer_one = attribute(
        0x12, b"\x00\x01" + u16(5000 ^ 0x2112) + bytes(a ^ b for a, b in zip(b"\xc0\x00\x02\x05", COOKIE, strict=True))
    )
    peer_two = attribute(
        0x12, b"\x00\x01" + u16(5001 ^ 0x2112) + bytes(a ^ b for a, b in zip(b"\xc0\x00\x02\x06", COOKIE, strict=True))
    )
    relayed = attribute(0x16, b"\x00\x02" + u16(443 ^ 0x2112) + bytes(16))
    found = read(stun(0x0008, peer_one + relayed + peer_two + attribute(0x01, b"\x00\x01\x0d\x96\xc0\x00\x02\x01")))
    assert found.peers == ("192.0.2.5:5000", "192.0.2.6:5001")
    assert found.relayed == "[2112:a442:1:203:405:607:809:a0b]:443"
    assert found.mapped == "192.0.2.1:3478"


def test_attributes_that_vendors_fill_in_their_own_way_do_not_spoil_the_message():
    odd = (
        attribute(0x20, b"\x00\x07abcdef")
        + attribute(0x12, b"")
        + attribute(0x01, b"\x00\x01\x00")
        + attribute(0xDABA, b"1234")
    )
    found = read(stun(0x0101, odd))
    assert (found.xor_mapped, found.peers, found.mapped) == (None, (), None)
    assert found.attributes[-1] == (0xDABA, b"1234")


def test_text_is_shown_harmless_and_without_padding():
    found = read(stun(0x0001, attribute(0x14, b"turner.facebook\x00") + attribute(0x06, b"a\x1b\xff")))
    assert (found.realm, found.username) == ("turner.facebook", r"a\027\255")


def test_the_first_of_a_type_counts():
    assert read(stun(0x0001, attribute(0x14, b"one!") + attribute(0x14, b"two!"))).realm == "one!"


def test_relays_that_do_not_pad():
    unpadded = u16(0x4000) + vector16(b"x" * 102)
    assert read(stun(0x0003, unpadded)).attributes == ((0x4000, b"x" * 102),)
    followed = unpadded + u16(0x0014) + vector16(b"realm")
    assert read(stun(0x0003, followed)).realm == "realm"


def test_bytes_behind_the_message_are_not_looked_at():
    assert read(STUN_REQUEST + b"\xff" * 9) == read(STUN_REQUEST)


@proves("STUN, classic", "bytes made by hand after RFC 3489, 11")
def test_classic_stun():
    """RFC 3489, as Zoom's direct calls send it: no cookie, an attribute of their own."""
    raw = stun(0x0001, attribute(0x0101, b"12345678901234567890"), cookie=b"\x01\x02\x03\x04")
    found = read(raw)
    assert (found.method, found.magic) == (1, False)
    assert found.transaction_id == b"\x01\x02\x03\x04" + TRANSACTION
    assert found.attributes == ((0x0101, b"12345678901234567890"),)
    assert (
        read(stun(0x0101, attribute(1, b"\x00\x01\x0d\x96\xc0\x00\x02\x01"), cookie=bytes(4))).mapped
        == "192.0.2.1:3478"
    )
    assert isinstance(message(raw + b"\x00"), Malformed)
    assert isinstance(message(raw[:-1]), Malformed)


@pytest.mark.parametrize(
    ("raw", "offset"),
    [
        (b"\x40\x00\x00\x04data", 0),  # TURN ChannelData (RFC 8656, 12.4)
        (b"\x80\x60" + bytes(30), 0),  # RTP
        (b"\x16\xfe\xfd" + bytes(30), 4),  # DTLS
        (b"\x00\x03\x00\x00" + bytes(16), 4),  # a classic message of a type that RFC 3489 does not have
        (b"\x00\x01\x00\x08" + bytes(16), 4),
        (stun(0x0001, b"\x00\x06\x00\x09abcd"), 24),
        (stun(0x0001, b"\x00\x06\x00"), 20),
    ],
)
def test_what_is_no_stun(raw, offset):
    found = message(raw)
    assert isinstance(found, Malformed)
    assert found.offset == offset


@given(st.binary(min_size=20, max_size=200))
def test_chance_does_not_make_stun(raw):
    if raw[4:8] != COOKIE:
        found = message(raw)
        assert isinstance(found, Malformed) or int.from_bytes(raw[2:4], "big") == len(raw) - 20
