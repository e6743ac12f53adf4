"""The name in a ClientHello, however it comes: cut, out of order, sent again, behind other talk; and in a certificate."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.kernel import layout
from sensor.model import Batch
from tests.decode import samples
from tests.kernel.harness import packed
from tests.lines import SYN, Line, Talk, names
from tests.proofs import proves

NAME = "chat.app.example"
SNI = [("tls_sni", NAME)]


def hello(*, name: str | None = NAME, padding: int = 0) -> bytes:
    """A ClientHello in one record; `padding` bytes make it as long as one with a post-quantum key share."""
    parts = [samples.extension(43, samples.vector8(b"\x03\x04\x03\x03"))]
    if name is not None:
        parts.append(samples.server_name(name.encode()))
    parts.append(samples.extension(51, samples.vector16(b"\x11\xec" + samples.vector16(b"k" * padding))))
    return samples.records(samples.client_hello(*parts))


HELLO = hello()
LONG = hello(padding=1216)


@proves("TLS, ClientHello", "OpenSSL and RFC 8448, 3")
def test_in_one_segment():
    assert names(Talk().client(HELLO).frames) == SNI
    assert names(Talk().client(samples.records(samples.RFC_8448_HELLO)).frames) == [("tls_sni", "server")]


@proves("TLS, any port", "segments cut by hand")
@pytest.mark.parametrize("port", [1, 25, 80, 5222, 8443, 65535])
def test_on_any_port(port):
    assert names(Talk(port=port).client(HELLO).frames) == SNI


@proves("TLS, ClientHello over several records", "records cut by hand")
@pytest.mark.parametrize("cuts", [(1,), (3, 4, 5), tuple(range(1, 100)), (200,)])
def test_over_several_records(cuts):
    data = samples.records(HELLO[5:], *cuts)
    assert names(Talk().client(data).frames) == SNI
    assert names(Talk().client(data[:100], data[100:]).frames) == SNI


@proves("TLS, post-quantum key share in two packets", "segments cut by hand")
@proves("TLS, ClientHello over several segments", "segments cut by hand")
@pytest.mark.parametrize("cut", [1, 4, 5, 6, 9, 43, 100, 1400])
def test_over_two_segments(cut):
    assert names(Talk().client(LONG[:cut], LONG[cut:]).frames) == SNI


def test_byte_by_byte():
    assert names(Talk().client(*[HELLO[at : at + 1] for at in range(90)], HELLO[90:]).frames) == SNI


@proves("TLS, segments out of order", "hypothesis")
@proves("TLS, segments that overlap", "hypothesis")
@proves("TLS, segments sent again", "hypothesis")
@settings(max_examples=200, deadline=None)
@given(
    cuts=st.sets(st.integers(1, len(LONG) - 1), max_size=8),
    overlap=st.integers(0, 30),
    again=st.lists(st.integers(0, 8), max_size=4),
    seed=st.integers(0, 1 << 16),
    batches=st.integers(1, 4),
    sequence=st.sampled_from([1000, 0xFFFFFFFF - 700, 0xFFFFFFFF, 0x7FFFFF00]),
)
def test_in_any_order(cuts, overlap, again, seed, batches, sequence):
    edges = [0, *sorted(cuts), len(LONG)]
    parts = [(max(start - overlap, 0), end) for start, end in pairwise(edges)]
    parts += [parts[i % len(parts)] for i in again]
    random.Random(seed).shuffle(parts)
    talk = Talk(sequence=sequence)
    for start, end in parts:
        talk.put(LONG[start:end], client=True, at=start)
    found = Line().read(talk.frames, batches=batches).names
    assert [(source, name) for source, name, _ in found] == SNI
    assert not Line().read([frame for frame in talk.frames if LONG[-9:] not in frame[1]]).names


def test_the_first_copy_of_a_byte_counts():
    other = LONG.replace(b"chat.app", b"evil.app")
    talk = Talk().client(LONG[:900]).put(other[:900], client=True, at=0).put(other[600:], client=True, at=600)
    assert names(talk.frames) == SNI


@proves("TLS, data in the SYN (TCP Fast Open)", "segments made by hand")
def test_data_in_the_syn():
    """RFC 7413: the data begins one behind the SYN's own number."""
    for first in (HELLO, LONG[:500]):
        rest = b"" if first == HELLO else LONG[500:]
        talk = Talk(begun=False).put(first, client=True, at=-1, flags=SYN)
        talk.put(b"", client=False, at=-1, flags=0x12)
        if rest:
            talk.put(rest, client=True, at=len(first))
        assert names(talk.frames) == SNI


def test_data_in_the_syn_that_the_server_did_not_take():
    talk = Talk(begun=False).put(LONG[:500], client=True, at=-1, flags=SYN).put(b"", client=False, at=-1, flags=0x12)
    assert names(talk.client(LONG[:1400], LONG[1400:]).frames) == SNI


@pytest.mark.parametrize("parts", [(HELLO,), (LONG[:1000], LONG[1000:])])
def test_a_capture_that_begins_in_the_middle(parts):
    assert names(Talk(begun=False).client(*parts).frames) == SNI


@proves("TLS, SSLv2-compatible hello", "bytes made by hand")
def test_a_hello_in_sslv2_dress_is_a_hello():
    talk = Talk().client(samples.V2_HELLO)
    assert names(talk.frames) == []
    assert not Line().read(talk.frames).counts


# Talk before TLS. Each: what the client and the server say in turn, before the client's hello.
SMTP = [
    (0, b"220 mail.example ESMTP\r\n"),
    (1, b"EHLO pc\r\n"),
    (0, b"250 STARTTLS\r\n"),
    (1, b"STARTTLS\r\n"),
    (0, b"220 Go\r\n"),
]
IMAP = [
    (0, b"* OK\r\n"),
    (1, b"a1 CAPABILITY\r\n"),
    (0, b"* CAPABILITY STARTTLS\r\na1 OK\r\n"),
    (1, b"a2 STARTTLS\r\n"),
    (0, b"a2 OK\r\n"),
]
POP3 = [(0, b"+OK\r\n"), (1, b"CAPA\r\n"), (0, b"+OK\r\nSTLS\r\n.\r\n"), (1, b"STLS\r\n"), (0, b"+OK\r\n")]
FTP = [(0, b"220 FTP\r\n"), (1, b"AUTH TLS\r\n"), (0, b"234 OK\r\n")]
XMPP = [
    (1, b"<?xml version='1.0'?><stream:stream to='chat.example' xmlns='jabber:client'>"),
    (0, b"<?xml version='1.0'?><stream:stream><stream:features><starttls/></stream:features>"),
    (1, b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
    (0, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
]
LDAP = [
    (1, bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"),
    (0, bytes.fromhex("300c02010178070a010004000400")),
]
POSTGRESQL = [(1, bytes.fromhex("0000000804d2162f")), (0, b"S")]
POSTGRESQL_GSS = [(1, bytes.fromhex("0000000804d21630")), (0, b"N"), *POSTGRESQL]
MYSQL = [
    (0, b"\x4a\x00\x00\x00\x0a8.0.36\x00" + bytes(64)),
    (1, bytes.fromhex("20000001 85aeff19 00000001 2d") + bytes(23)),
]
RDP = [
    (1, bytes.fromhex("030000130ee000000000000100080003000000")),
    (0, bytes.fromhex("030000130ed000001234000200080002000000")),
]
SOCKS5 = [
    (1, b"\x05\x01\x00"),
    (0, b"\x05\x00"),
    (1, b"\x05\x01\x00\x03\x0bapp.example\x01\xbb"),
    (0, b"\x05\x00\x00\x01" + bytes(6)),
]
SOCKS4A = [(1, b"\x04\x01\x01\xbb\x00\x00\x00\x01me\x00app.example\x00"), (0, b"\x00\x5a" + bytes(6))]
PROXY_1 = [(1, b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\n")]
PROXY_2 = [(1, bytes.fromhex("0d0a0d0a000d0a515549540a 21 11 000c c0000201 c0000202 c350 01bb"))]
TALKS: dict[str, tuple[list[tuple[int, bytes]], int, Any]] = {
    "SMTP": (SMTP, 25, proves("TLS, inside SMTP STARTTLS", "RFC 3207")),
    "IMAP": (IMAP, 143, proves("TLS, inside IMAP STARTTLS", "RFC 9051")),
    "POP3": (POP3, 110, ()),
    "FTP": (FTP, 21, ()),
    "XMPP": (XMPP, 5222, proves("TLS, inside XMPP STARTTLS", "RFC 6120")),
    "LDAP": (LDAP, 389, proves("TLS, inside LDAP StartTLS", "RFC 4511")),
    "PostgreSQL": (POSTGRESQL, 5432, proves("TLS, inside PostgreSQL SSLRequest", "PostgreSQL 17, 53.7")),
    "PostgreSQL, GSS first": (POSTGRESQL_GSS, 5432, ()),
    "MySQL": (MYSQL, 3306, ()),
    "RDP": (RDP, 3389, ()),
    "SOCKS5": (SOCKS5, 1080, ()),
    "SOCKS4a": (SOCKS4A, 1080, ()),
    "PROXY 1": (PROXY_1, 443, ()),
    "PROXY 2": (PROXY_2, 443, ()),
}
EACH_TALK = pytest.mark.parametrize(
    ("said", "port"), [pytest.param(said, port, marks=marks, id=name) for name, (said, port, marks) in TALKS.items()]
)


def talked(said: list[tuple[int, bytes]], port: int) -> Talk:
    talk = Talk(port=port)
    for side, data in said:
        (talk.client if side else talk.server)(data)
    return talk


@EACH_TALK
def test_tls_that_begins_later(said, port):
    assert names(talked(said, port).client(HELLO).frames) == SNI
    assert names(talked(said, port + 10000).client(LONG[:1300], LONG[1300:]).frames) == SNI
    assert (
        names(
            talked(said, port)
            .client(LONG[:1300])
            .put(LONG[1200:], client=True, at=talked(said, port).sent[True] + 1200)
            .frames
        )
        == SNI
    )


@EACH_TALK
def test_what_is_no_hello_does_not_become_one(said, port):
    """The answer was no, and the talk goes on in the clear."""
    assert names(talked(said, port).client(b"QUIT\r\n", b"\x16\x03\x01 and more", HELLO[:8]).frames) == []


@pytest.mark.parametrize("said", [PROXY_1, PROXY_2, POSTGRESQL[:1], MYSQL[1:]])
def test_a_hello_in_the_segment_of_what_comes_before_it(said):
    before = said[0][1]
    assert names(Talk().client(before + HELLO).frames) == SNI
    assert names(Talk().client(before + LONG[:1200], LONG[1200:]).frames) == SNI
    assert names(Talk().client(before + b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").frames) == [
        ("http_host", "a.example")
    ]


@proves("TLS, inside HTTP CONNECT", "RFC 9110, 9.3.6")
def test_http_connect_tells_both_names():
    for request in (
        b"CONNECT app.example:443 HTTP/1.1\r\nHost: app.example:443\r\n\r\n",
        b"CONNECT app.example:443 HTTP/1.0\r\n\r\n",
    ):
        talk = Talk(port=3128).client(request).server(b"HTTP/1.1 200 OK\r\n\r\n").client(LONG[:1300], LONG[1300:])
        assert names(talk.frames) == [("http_host", "app.example"), *SNI]


def test_a_plain_request_does_not_go_over_to_tls():
    talk = (
        Talk(port=80)
        .client(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        .server(b"HTTP/1.1 200 OK\r\n\r\n")
        .client(HELLO)
    )
    assert names(talk.frames) == [("http_host", "a.example")]


def test_too_far_into_a_stream_nothing_is_looked_for():
    talk = Talk(port=9).client(b"hello", *[b"x" * 1000] * 65)
    assert names(Talk(port=9).client(b"hello", *[b"x" * 1000] * 65).frames) == []
    assert names(talk.client(HELLO).frames) == SNI
    assert names(talk.client(b"x" * 1000, HELLO).frames) == SNI  # told once: TLS has begun
    assert names(Talk(port=9).client(b"hello", *[b"x" * 1000] * 66, HELLO).frames) == []


def test_pieces_from_before_do_not_mix_with_the_hello():
    """A segment was lost, and what followed was kept in vain; then TLS begins."""
    talk = Talk().put(b"a" * 500, client=True, at=300).put(b"EHLO x\r\n", client=True, at=0)
    assert names(talk.put(LONG[:1000], client=True, at=800).put(LONG[1000:], client=True, at=1800).frames) == SNI


# Certificates.

flight, certificate = samples.flight, samples.certificate
LEAF = certificate("*.app.example", "*.app.example", "app.example")
CERTIFICATE = [("tls_cert", "*.app.example")]


@proves("TLS, certificate subject, server's side only", "certificates made by cryptography")
@pytest.mark.parametrize("cuts", [(), (1,), (50, 60), (90, 200, 300, 400)])
@pytest.mark.parametrize("size", [100, 400, 536, 1400, 60000])
def test_the_servers_side_alone(cuts, size):
    data = flight(LEAF, cuts=cuts)
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    assert names(Talk(begun=False).server(*parts).frames) == CERTIFICATE
    assert names(Talk().server(*parts).frames, batches=3) == CERTIFICATE


def test_a_flight_out_of_order():
    data = flight(LEAF)
    talk = Talk()
    for start in (400, 0, 200, 600, 100, 800):
        talk.put(data[start : start + 250], client=False, at=start)
    assert names(talk.frames) == CERTIFICATE


def test_a_client_that_gives_no_name():
    assert names(Talk().client(hello(name=None)).server(flight(LEAF)).frames) == CERTIFICATE


def test_an_address_is_no_name():
    found = names(Talk().client(hello(name="198.51.100.7")).server(flight(LEAF)).frames)
    assert found == [("tls_sni", "198.51.100.7"), *CERTIFICATE]
    long = hello(name="198.51.100.7", padding=1216)
    assert names(Talk().client(long[:1000], long[1000:]).server(flight(LEAF)).frames) == found


@pytest.mark.parametrize("parts", [(HELLO,), (LONG[:1000], LONG[1000:])])
def test_where_the_client_gave_a_name_the_certificate_is_not_read(parts):
    line = Line().read(Talk().client(*parts).server(flight(certificate("broken.example")[:-40])).frames)
    assert [(source, name) for source, name, _ in line.names] == SNI
    assert not line.counts


def test_a_plain_hello_with_a_name_spares_the_decoders_the_flight():
    talk = Talk().client(HELLO).server(flight(LEAF)[:600], flight(LEAF)[600:])
    parts = Line().loop.scanner.read(Batch(*packed(talk.frames))).parts
    assert [int(kind) for clues, _ in parts for kind in clues["kind"] if kind != layout.KIND_NEW_FLOW] == [
        layout.KIND_TLS
    ]


@proves("TLS, certificate SAN, server's side only", "certificates made by cryptography")
@pytest.mark.parametrize(
    ("common_name", "dns_names", "name"),
    [
        ("one.test", (), "one.test"),
        (None, ("first.test", "second.test"), "first.test"),
        ("Clinic Server 7", ("first.test",), "first.test"),
        ("localhost", ("first.test",), "first.test"),
        ("localhost", (), "localhost"),
        ("*.facebook.test", ("*.facebook.test", "*.app.example"), "*.app.example"),
        ("*.facebook.test", ("*.facebook.test", "*.app.example", "www.app.example"), "*.app.example"),
        ("*.facebook.test", ("*.app.example", "*.other.example"), "*.facebook.test"),
        ("*.other.example", ("*.other.example", "*.app.example"), "*.other.example"),
    ],
)
def test_which_of_a_certificates_names_speaks(common_name, dns_names, name):
    assert names(Talk().server(flight(certificate(common_name, *dns_names))).frames) == [("tls_cert", name)]


def test_certificates_behind_starttls():
    assert names(talked(SMTP, 25).client(hello(name=None)).server(flight(LEAF)).frames) == CERTIFICATE
    assert names(talked(POSTGRESQL, 5432).server(flight(LEAF)[:700], flight(LEAF)[700:]).frames) == CERTIFICATE


@pytest.mark.parametrize(
    "data",
    [
        samples.records(samples.SERVER_HELLO) + b"\x14\x03\x03\x00\x01\x01",  # TLS 1.3
        samples.records(samples.TLS_1_2_SERVER_HELLO) + b"\x14\x03\x03\x00\x01\x01",  # resumed
        samples.records(samples.TLS_1_2_SERVER_HELLO + samples.message(12, bytes(300))),  # anonymous
        samples.records(samples.TLS_1_2_SERVER_HELLO + samples.message(11, bytes(3))),
    ],
)
def test_servers_that_show_no_certificate(data):
    line = Line().read(Talk().server(data).server(b"\x17\x03\x03\x00\x10" + bytes(16)).frames)
    assert line.names == []
    assert not line.counts


def test_damaged_certificates_are_counted():
    broken = flight(LEAF[:40] + b"\xff" * 60 + LEAF[100:])
    line = Line().read(Talk().server(broken).frames)
    assert line.names == []
    assert line.counts == {"certificates_malformed": 1}


def test_hidden_names_are_noted_whoever_read_the_hello():
    plain = samples.records(
        samples.client_hello(samples.server_name(b"a.example"), samples.extension(0xFE0D, samples.ECH_OUTER))
    )
    assert Line().read(Talk().client(plain).frames).flags == [layout.HELLO_ECH_OUTER]
    assert Line().read(Talk().client(plain[:90], plain[90:]).frames).flags == [layout.HELLO_ECH_OUTER]
    nameless = samples.records(samples.client_hello(samples.extension(0xFE0D, samples.ECH_OUTER)))
    assert Line().read(Talk().client(nameless).frames).flags == [layout.HELLO_ECH_OUTER]


@proves("TLS, ALPN", "bytes made by hand")
def test_what_else_a_hello_says_whoever_read_it():
    """Plain hellos are read again for it, others when their pieces have come together, behind whatever stood before."""
    alpn = samples.extension(16, samples.vector16(samples.vector8(b"h2") + samples.vector8(b"http/1.1")))
    data = samples.records(samples.client_hello(samples.server_name(b"chat.app.example"), alpn))
    facts = None
    for frames in (
        Talk().client(data).frames,
        Talk().client(data[:90], data[90:]).frames,
        Talk().client(PROXY_1[0][1] + data).frames,
        talked(SMTP, 25).client(data).frames,
    ):
        line = Line().read(frames)
        line.hellos.list_all(line.clues)
        found = line.hellos.listed(0)
        assert found is not None
        assert found == (facts or found)
        facts = found
    assert facts is not None
    assert (facts.alpn, facts.tls_version, facts.ja4[:10]) == (("h2", "http/1.1"), "TLS 1.2", "t12d0202h2")
    assert str(facts) == f"TLS 1.2, ALPN h2 http/1.1, JA4 {facts.ja4}"
