"""What every decoder promises: a value, None or Malformed with an offset inside the input; nothing else ever escapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.decode import dns, dtls, ech, flight, gquic, http, nbns, quic, stun, tls, x509
from sensor.decode.cursor import Cursor
from sensor.model import Malformed
from tests.decode import google, samples, sealing

Decoder = Callable[[bytes], Any]


def initials_of_a_known_connection(data: bytes) -> Any:
    return quic.initials(data, dcid=samples.RFC_DCID)


def tcp_messages(stream: bytes) -> Any:
    found, taken = dns.tcp_messages(stream)
    assert 0 <= taken <= len(stream)
    for one in found:
        assert isinstance(one, dns.DnsMessage | Malformed)
        assert not isinstance(one, Malformed) or 0 <= one.offset <= taken
    return found


INITIAL = samples.rfc_client()
COALESCED = samples.initial(samples.crypto(0, samples.FULL_HELLO)) + samples.initial(
    samples.crypto(0, b"x" * 30), number=1
)
PLAIN = [
    google.plain(
        version,
        google.ack(version) + google.others(version) + google.stream(0, google.HELLO, version),
        private=b"\x02\x07",
    )
    for version in (24, 33, 34, 39, 43, 44, 46, 49)
]
Q050 = sealing.sealed(0x51303530, google.ack(50, blocks=True) + google.crypto(0, google.HELLO))
T051 = sealing.sealed(0x54303531, google.others(51) + google.crypto(0, samples.FULL_HELLO))
FORCING = sealing.sealed(0x1A2A3A4A, samples.crypto(0, samples.FULL_HELLO), salt=sealing.FORCING)
DTLS_BODY = samples.dtls_hello(
    samples.server_name(b"Call.Example.com"), samples.extension(10, samples.vector16(b"\x00\x1d"))
)
DTLS = samples.dtls_record(samples.dtls_fragment(DTLS_BODY))
LEAF = samples.certificate("www.example.com", "www.example.com", "example.com")
# Decoder, inputs that give a value, and the type of that value.
DECODERS: dict[str, tuple[Decoder, list[bytes], type | tuple[type, ...]]] = {
    "tls.client_hello": (
        tls.client_hello,
        [samples.RFC_HELLO, samples.RFC_8448_HELLO, samples.FULL_HELLO],
        tls.ClientHello,
    ),
    "tls.first_handshake": (
        tls.first_handshake,
        [
            samples.records(samples.FULL_HELLO, 3, 60),
            samples.records(samples.RFC_HELLO),
            samples.records(samples.SERVER_HELLO),
            samples.V2_HELLO,
        ],
        (tls.ClientHello, tls.ServerHello),
    ),
    "ech.public_names": (ech.public_names, [samples.ECH_CONFIGS, b"\0\0"], tuple),
    "nbns.message": (
        nbns.message,
        [samples.NBNS_QUERY, samples.NBNS_REGISTRATION, samples.NBNS_RESPONSE],
        nbns.NetbiosMessage,
    ),
    "tls.datagram_hello": (tls.datagram_hello, [DTLS_BODY], tls.ClientHello),
    "dtls.fragments": (dtls.fragments, [DTLS, samples.dtls_record(samples.dtls_fragment(DTLS_BODY, 5, 9)) * 2], tuple),
    "dtls.DtlsHello": (lambda data: dtls.DtlsHello().add(data), [DTLS], tls.ClientHello),
    "flight.server_flight": (
        flight.server_flight,
        [
            samples.flight(LEAF),
            samples.flight(LEAF, cuts=(3, 40, 90, 95, 200)),
            samples.records(samples.RFC_8448_SERVER_HELLO),
            samples.records(samples.TLS_1_2_SERVER_HELLO) + b"\x14\x03\x03\x00\x01\x01",
        ],
        flight.ServerFlight,
    ),
    "x509.certificate_names": (x509.certificate_names, [LEAF], x509.CertificateNames),
    "ech.ech": (ech.ech, [samples.ECH_OUTER, b"\x01"], ech.Ech),
    "quic.initials": (quic.initials, [INITIAL, samples.rfc_client(samples.V2), COALESCED, Q050, T051, FORCING], tuple),
    "quic.initials known": (
        initials_of_a_known_connection,
        [samples.RFC_SERVER_V1, samples.RFC_SERVER_V2, INITIAL],
        tuple,
    ),
    "quic.QuicHello": (
        lambda data: quic.QuicHello().add(data),
        [INITIAL, COALESCED, Q050, T051, FORCING],
        (tls.ClientHello, gquic.Chlo),
    ),
    "gquic.packet": (gquic.packet, PLAIN, gquic.Packet),
    "gquic.QuicHello": (lambda data: quic.QuicHello().add(data), PLAIN, (tls.ClientHello, gquic.Chlo)),
    "gquic.chlo": (gquic.chlo, [google.HELLO, google.chlo()], gquic.Chlo),
    "dns.message": (dns.message, [samples.dns_response()], dns.DnsMessage),
    "dns.tcp_messages": (tcp_messages, [samples.vector16(samples.dns_response()) * 2], tuple),
    "http.request": (http.request, [samples.HTTP_REQUEST], http.HttpRequest),
    "stun.message": (
        stun.message,
        [samples.STUN_REQUEST, samples.STUN_RESPONSE_V4, samples.STUN_RESPONSE_V6, samples.STUN_LONG_TERM],
        stun.StunMessage,
    ),
}
EACH = pytest.mark.parametrize("name", DECODERS)
# Datagrams of Google's old QUIC say no length: what is cut has another hash, and that is all there is to see.
WITHOUT_LENGTH = {"gquic.packet", "gquic.QuicHello"}


def answer(name: str, data: bytes) -> Any:
    """The decoder's answer, checked to be one of the three."""
    decode, _, kind = DECODERS[name]
    found = decode(data)
    if isinstance(found, Malformed):
        assert found.reason
        if "QuicHello" not in name and name != "dtls.DtlsHello":  # theirs may be one in what was put together
            assert 0 <= found.offset <= len(data)
    else:
        assert found is None or isinstance(found, kind)
    hash(found)  # frozen to the last field
    return found


@EACH
def test_every_vector_gives_a_value(name):
    _, vectors, kind = DECODERS[name]
    for vector in vectors:
        assert isinstance(answer(name, vector), kind)


@EACH
def test_every_prefix_of_every_vector(name):
    for vector in DECODERS[name][1]:
        for end in range(len(vector)):
            answer(name, vector[:end])


@pytest.mark.parametrize("name", DECODERS.keys() - WITHOUT_LENGTH)
def test_a_prefix_of_what_gives_a_value_is_never_malformed(name):
    """More bytes may still come, so a truncation alone proves nothing. Classic STUN has no vector here: it must fit."""
    for vector in DECODERS[name][1]:
        for end in range(len(vector)):
            assert not isinstance(answer(name, vector[:end]), Malformed)


@EACH
@settings(max_examples=150)
@given(data=st.binary(max_size=300))
def test_garbage(name, data):
    answer(name, data)


@EACH
@settings(max_examples=150)
@given(data=st.data())
def test_damaged_vectors(name, data):
    vector = bytearray(data.draw(st.sampled_from(DECODERS[name][1])))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(vector) - 1))
        if data.draw(st.booleans()):
            vector[at] = data.draw(st.integers(0, 255))
        else:
            vector[at:at] = data.draw(st.binary(max_size=6))
    answer(name, bytes(vector))


@settings(max_examples=200)
@given(payload=st.binary(max_size=200), number=st.integers(0, 2**32 - 1))
def test_garbage_in_a_packet_that_opens(payload, number):
    packet = samples.initial(payload, number=number)
    found = answer("quic.initials", packet)
    assert isinstance(found, tuple)
    assert found[0].packet_number == number
    answer("quic.QuicHello", packet)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 70_000), st.binary(max_size=100)), max_size=12))
def test_garbage_as_crypto_data(frames):
    assembler = quic.QuicHello()
    for offset, data in frames:
        found = assembler.add(samples.initial(samples.crypto(offset, data)))
        assert found is None or isinstance(found, tls.ClientHello | Malformed)


class Counting(Cursor):
    """A cursor that counts what is done with it."""

    __slots__ = ()
    operations = 0


def _counted(name: str) -> Callable[..., Any]:
    plain = getattr(Cursor, name)

    def counted(self: Counting, *args: Any) -> Any:
        Counting.operations += 1
        found = plain(self, *args)
        if name == "strings":
            Counting.operations += len(found)
        return found

    return counted


for _name, _method in vars(Cursor).items():
    if callable(_method) and _name != "_short":
        setattr(Counting, _name, _counted(_name))


def deep_dns() -> bytes:
    """Names with as many labels as there can be, and as many pointers into them as fit."""
    raw = bytes.fromhex("0001 8180 0001") + samples.u16(0xFFFF) + bytes(4) + b"\x01a" * 127 + b"\x00\x00\x01\x00\x01"
    at = 12
    while len(raw) < 16_000:
        here = len(raw)
        raw += (
            samples.u16(0xC000 | at)
            + samples.u16(5)
            + samples.u16(1)
            + bytes(4)
            + samples.vector16(samples.u16(0xC00C + 2))
        )
        at = here
    return raw


def there_and_back_dns() -> bytes:
    """Questions whose names point forward to the end of a tower that leads back."""
    pointers = [b"\x01a\x00", *(samples.u16(0xC000 | place) for place in (18, *range(21, 21 + 2 * 124, 2)))]
    tower = b"".join(pointers)
    last = 18 + len(tower) - 2
    question = samples.u16(0xC000 | last) + samples.u16(1) + samples.u16(1)
    return bytes.fromhex("0001 0100 0005 0000 0000 0000") + question + tower + question * 4


def failing_dns() -> bytes:
    """Towers of pointers that end in a name that is too long, in contents that do not stop the message."""
    raw = bytes.fromhex("0001 8180 0000") + samples.u16(0xFFFF) + bytes(4)
    raw += b"\x00" + samples.u16(16) + samples.u16(1) + bytes(4) + samples.vector16(b"\x01a" * 130)
    at = 12 + 11
    while len(raw) < 16_000:
        raw += b"\x00" + samples.u16(5) + samples.u16(1) + bytes(4)
        here = len(raw) + 2
        raw += samples.vector16(samples.u16(0xC000 | at))
        at = here if at == 23 or (here - 23) % 127 else at
    return raw


WORST = {
    "tls.client_hello": [
        samples.client_hello(*[samples.extension(0, b"")] * 4000),
        samples.client_hello(samples.server_name(b""), samples.extension(16, samples.vector16(b"\x00" * 9000))),
        samples.client_hello(samples.extension(0, samples.vector16(b"\x01\x00\x00" * 5000))),
    ],
    "tls.first_handshake": [samples.records(samples.client_hello(*[samples.extension(7, b"")] * 500), *range(1, 2000))],
    "dtls.fragments": [samples.dtls_record(samples.dtls_fragment(b"", 0, 0) * 1000)],
    "flight.server_flight": [
        samples.flight(LEAF, cuts=tuple(range(1, 1500))),
        samples.records(samples.TLS_1_2_SERVER_HELLO) + samples.records(samples.message(11, b"\x00")) * 2,
    ],
    "x509.certificate_names": [
        samples.certificate("a.example", *[f"{number}.example" for number in range(2000)]),
        samples.certificate("a.example").replace(b"a.example", b"0" * 9),
    ],
    "quic.initials": [
        (b"\xc0\x00\x00\x00\x01\x00\x00\x00\x14" + bytes(20)) * 1000,
        samples.initial(b"\x01\x00" * 8000),
        samples.initial(b"\x02\x00\x00" + samples.varint(2**40) + bytes(9000)),
    ],
    "dns.message": [
        deep_dns(),
        failing_dns(),
        there_and_back_dns(),
        bytes.fromhex("0001 0100 ffff ffff ffff ffff") + bytes(5) * 3000,
    ],
    "gquic.packet": [
        google.plain(46, b"\x07\x00" * 4000),
        google.plain(33, b"\x60\x00\x00\x00\x00\x00\xff\xff" * 1000),
        google.plain(46, google.stream(0, b"x", 46) * 2000),
    ],
    "gquic.chlo": [google.chlo(*[(bytes([n]) + b"\0\0\0", b"") for n in range(128)])],
    "dns.tcp_messages": [bytes(4000)],
    "http.request": [b"GET / HTTP/1.1\r\n" + b"a:\n" * 5000],
    "stun.message": [b"\x00\x01\xff\xfc\x21\x12\xa4\x42" + bytes(12) + bytes(0xFFFC)],
}
OPERATIONS_PER_BYTE = 3


@EACH
def test_work_is_bounded_by_the_bytes(name, monkeypatch):
    for module in (tls, dtls, ech, flight, x509, quic, gquic, dns, http, stun):
        monkeypatch.setattr(module, "Cursor", Counting)
    decode, vectors, _ = DECODERS[name]
    for data in [*vectors, *WORST.get(name, [])]:
        Counting.operations = 0
        decode(data)
        assert 0 < Counting.operations <= OPERATIONS_PER_BYTE * len(data)
