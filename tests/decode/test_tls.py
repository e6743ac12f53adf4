import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.decode.tls import MAX_HELLO_BYTES, ClientHello, ServerHello, client_hello, first_handshake
from sensor.model import Malformed
from tests.decode import samples
from tests.decode.samples import FULL_HELLO, RFC_HELLO, SERVER_HELLO, extension, records, server_name, vector8, vector16
from tests.proofs import proves


def test_every_field_of_a_hello():
    assert client_hello(FULL_HELLO) == ClientHello(
        sni="web.whatsapp.net",
        alpn=("h2", "http/1.1"),
        legacy_version=0x0303,
        versions=(0x0A0A, 0x0304, 0x0303),
        ciphers=(0x1301, 0x1302),
        extensions=(0x0A0A, 0, 10, 13, 16, 43, 0xFE0D),
        groups=(0x11EC, 29, 23),
        signature_algorithms=(0x0403, 0x0804),
        ech=samples.ECH_OUTER,
    )


@proves("TLS, ALPN", "RFC 9001, A.2")
@proves("TLS, supported versions", "RFC 9001, A.2")
def test_the_hello_of_rfc_9001():
    hello = client_hello(RFC_HELLO)
    assert isinstance(hello, ClientHello)
    assert (hello.sni, hello.alpn, hello.versions) == ("example.com", ("alpn",), (0x0304,))
    assert hello.ech is None


def test_the_hellos_of_rfc_8448():
    hello = client_hello(samples.RFC_8448_HELLO)
    assert isinstance(hello, ClientHello)
    assert (hello.sni, hello.versions, hello.ciphers) == ("server", (0x0304,), (0x1301, 0x1303, 0x1302))
    assert first_handshake(records(samples.RFC_8448_SERVER_HELLO)) == ServerHello(0x0304, 0x1301)


def openssl_hello(name: str) -> bytes:
    """What this Python's OpenSSL sends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2", "http/1.1"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_a_hello_of_openssl():
    hello = first_handshake(openssl_hello("Chat.Example.org"))
    assert isinstance(hello, ClientHello)
    assert (hello.sni, hello.alpn) == ("chat.example.org", ("h2", "http/1.1"))
    assert hello.versions == (0x0304, 0x0303)


def test_hellos_as_scapy_reads_them():
    from scapy.layers.tls.extensions import TLS_Ext_ServerName
    from scapy.layers.tls.handshake import TLSClientHello

    for raw in (FULL_HELLO, RFC_HELLO, openssl_hello("a.example")[5:]):
        ours, theirs = client_hello(raw), TLSClientHello(raw)
        assert isinstance(ours, ClientHello)
        assert list(ours.ciphers) == theirs.ciphers
        assert list(ours.extensions) == [one.type for one in theirs.ext]
        named = next(one for one in theirs.ext if isinstance(one, TLS_Ext_ServerName))
        assert ours.sni == named.servernames[0].servername.decode().lower()


@given(st.sets(st.integers(1, len(FULL_HELLO) - 1), max_size=12))
def test_records_may_cut_the_hello_anywhere(cuts):
    assert first_handshake(records(FULL_HELLO, *sorted(cuts))) == client_hello(FULL_HELLO)


def test_what_follows_the_hello_does_not_matter_nor_that_its_record_goes_on():
    expected = client_hello(FULL_HELLO)
    assert first_handshake(records(FULL_HELLO) + b"\x17\x03\x03\x00\x05hello") == expected
    assert first_handshake(records(FULL_HELLO + SERVER_HELLO)) == expected
    cut = b"\x16\x03\x01" + (len(FULL_HELLO) + 100).to_bytes(2, "big") + FULL_HELLO
    assert first_handshake(cut) == expected


def test_server_hellos():
    assert first_handshake(records(SERVER_HELLO)) == ServerHello(0x0304, 0x1301)
    old = samples.message(2, b"\x03\x01" + bytes(32) + vector8(b"id") + b"\x00\x35\x00")
    assert first_handshake(records(old)) == ServerHello(0x0301, 0x0035)
    draft_18 = samples.message(2, b"\x7f\x12" + bytes(32) + b"\x13\x01" + vector16(b""))
    assert first_handshake(records(draft_18)) == ServerHello(0x7F12, 0x1301)


def test_hellos_without_extensions_are_hellos():
    for hello in (samples.client_hello(), samples.client_hello() + b""):
        read = client_hello(hello)
        assert isinstance(read, ClientHello)
        assert (read.sni, read.extensions) == (None, ())
    v2 = first_handshake(samples.V2_HELLO)
    assert isinstance(v2, ClientHello)
    assert (v2.legacy_version, v2.ciphers) == (0x0301, (0x2F, 0x35, 0x05, 0x0A, 0x13))


@pytest.mark.parametrize(
    "given_extension",
    [
        extension(0, b""),
        extension(0, vector16(b"")),
        extension(0, vector16(b"\x00" + vector16(b""))),
        extension(0, vector16(b"\x07" + vector16(b"not-a-host-name"))),
        extension(0, vector16(b"\x00" + vector16(b"."))),
    ],
)
def test_no_name_is_no_name(given_extension):
    hello = client_hello(samples.client_hello(given_extension))
    assert isinstance(hello, ClientHello)
    assert hello.sni is None
    assert hello.extensions == (0,)


def test_the_first_host_name_counts():
    several = extension(0, vector16(b"\x05" + vector16(b"x") + b"\x00" + vector16(b"one") + b"\x00" + vector16(b"two")))
    hello = client_hello(samples.client_hello(several, server_name(b"three")))
    assert isinstance(hello, ClientHello)
    assert (hello.sni, hello.extensions) == ("one", (0, 0))


def test_a_hostile_name_is_shown_harmless():
    hello = client_hello(samples.client_hello(server_name(b"Evil\x1b[31m\x00.\xffexample")))
    assert isinstance(hello, ClientHello)
    assert hello.sni == r"evil\027[31m\000.\255example"


def test_extensions_that_are_empty_where_a_list_belongs():
    hello = client_hello(samples.client_hello(*(extension(kind, b"") for kind in (0, 10, 13, 16, 43, 0xFE0D))))
    assert isinstance(hello, ClientHello)
    assert (hello.alpn, hello.groups, hello.versions, hello.ech) == ((), (), (), b"")


def test_a_hello_that_breaks_behind_its_name_keeps_the_name():
    """As radio networks deliver them; what comes before the damage is as it was sent."""
    raw = samples.client_hello(server_name(b"a.example"), extension(13, vector16(b"\x04\x03")), b"\x00\x0b\xb8\x89abc")
    read = client_hello(raw)
    assert isinstance(read, ClientHello)
    assert (read.sni, read.signature_algorithms, read.extensions) == ("a.example", (0x0403,), (0, 13, 11))
    assert read.damaged is not None
    assert read.damaged.offset == len(raw) - 3
    streamed = first_handshake(records(raw, 50))
    assert isinstance(streamed, ClientHello)
    assert streamed.damaged is not None
    assert streamed.damaged.offset == len(raw) - 3 + 10
    assert isinstance(client_hello(samples.client_hello(b"\x00\x0b\xb8\x89abc", server_name(b"a.example"))), Malformed)


HEADER, BEFORE_EXTENSIONS = 4, 4 + 2 + 32 + 33 + 6 + 2 + 2


@pytest.mark.parametrize(
    ("raw", "offset"),
    [
        (b"\x02" + RFC_HELLO[1:], 0),
        (b"\x01\xff\xff\xff" + bytes(50), 1),
        (samples.message(1, b"\x02" + bytes(70)), HEADER),
        (samples.message(1, b"\x03\x03" + bytes(10)), HEADER),
        (samples.client_hello(ciphers=b"\x13\x01\x13"), HEADER + 2 + 32 + 33 + 2),
        (samples.client_hello(b"\x00\x00\x00\x09"), BEFORE_EXTENSIONS + 4),
        (samples.client_hello(b"\x00"), BEFORE_EXTENSIONS),
        (samples.client_hello(extension(0, b"\x00\x09\x00\x00\x03abc")), BEFORE_EXTENSIONS + 6),
        (samples.client_hello(extension(16, b"\x00\x02\x05a")), BEFORE_EXTENSIONS + 7),
        (samples.client_hello(extension(10, b"\x00\x03abc")), BEFORE_EXTENSIONS + 6),
    ],
)
def test_broken_hellos_say_where(raw, offset):
    read = client_hello(raw)
    assert isinstance(read, Malformed)
    assert read.offset == offset
    if raw[0] == 1:
        # In a stream the same place lies behind the headers of the records before it.
        streamed = first_handshake(records(raw, 2, 30))
        assert isinstance(streamed, Malformed)
        assert streamed.offset == offset + (5 if offset < 2 else 10 if offset < 30 else 15)


@pytest.mark.parametrize(
    ("raw", "offset"),
    [
        (b"GET / HTTP/1.1\r\n", 0),
        (b"\x17\x03\x03\x00\x10" + bytes(16), 0),
        (b"\x16\x04\x03\x00\x10" + bytes(16), 1),
        (b"\x16\x03\x03\xff\xff" + bytes(16), 3),
        (b"\x16\x03\x03\x00\x00" + bytes(16), 3),
        (b"\x16\x03\x03\x00\x10\x0b" + bytes(16), 5),
        (records(FULL_HELLO[:50]) + b"\x15\x03\x03\x00\x02\x02\x28", 55),
        (b"\x80\x2e\x02\x03\x01" + bytes(60), 2),
        (b"\x80\x2e\x01\x05\x01" + bytes(60), 3),
        (b"\x80\x2e\x01\x03\x01\x00\x14\x00\x00\x00\x10" + bytes(60), 5),
    ],
)
def test_what_is_no_hello_is_refused_as_soon_as_it_shows(raw, offset):
    read = first_handshake(raw)
    assert isinstance(read, Malformed)
    assert read.offset == offset


def test_the_longest_hello_there_can_be():
    """RFC 8446, 4.1.2: every vector full. One byte more is refused before it has arrived."""
    extensions = extension(0x1234, bytes(0xFFFF - 4))
    body = b"\x03\x03" + bytes(32) + vector8(b"s" * 32) + vector16(bytes(0xFFFE)) + vector8(bytes(0xFF))
    hello = samples.message(1, body + vector16(extensions))
    assert len(hello) == 4 + MAX_HELLO_BYTES
    assert isinstance(client_hello(hello), ClientHello)
    assert isinstance(client_hello(samples.message(1, bytes(MAX_HELLO_BYTES + 1))[:10]), Malformed)
