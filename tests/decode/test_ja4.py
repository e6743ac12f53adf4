"""JA4 as FoxIO and nDPI publish it, for hellos of known contents and of public captures."""

from __future__ import annotations

import pytest

from sensor.decode import dtls, quic
from sensor.decode.ja4 import ja4, version_name
from sensor.decode.tls import ClientHello, client_hello, first_handshake
from tests import captures
from tests.decode import samples
from tests.kernel.harness import payloads
from tests.proofs import proves

# "Raw, original order" of FoxIO's technical_details/JA4.md, and of a Chrome 143.
FOXIO = (
    "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035_"
    "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015_"
    "0403,0804,0401,0503,0805,0501,0806,0601"
)
CHROME = (
    "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035_"
    "002d,0033,0010,fe0d,0017,44cd,0000,000b,000a,002b,ff01,0023,0012,0005,000d,001b_"
    "0403,0804,0401,0503,0805,0501,0806,0601"
)


def offered(lists: str, *, alpn: tuple[str, ...] = ("h2", "http/1.1"), grease: bool = False) -> ClientHello:
    """A hello with these ciphers, extensions and signature algorithms."""
    ciphers, extensions, algorithms = (
        tuple(int(one, 16) for one in part.split(",") if one) for part in lists.split("_")
    )
    more = (0x7A7A,) if grease else ()
    return ClientHello(
        "a.example",
        alpn,
        0x0303,
        (*more, 0x0304, 0x0303),
        (*more, *ciphers),
        (*more, *extensions, *more),
        more,
        (*more, *algorithms),
    )


@proves("TLS, JA4 of the client", "FoxIO's specification")
@pytest.mark.parametrize("grease", [False, True])
@pytest.mark.parametrize(
    ("lists", "expected"),
    [(FOXIO, "t13d1516h2_8daaf6152771_e5627efa2ab1"), (CHROME, "t13d1516h2_8daaf6152771_d8a2da3f94cd")],
)
def test_published_hellos(lists, expected, grease):
    assert ja4(offered(lists, grease=grease), "t") == expected


def test_without_signature_algorithms():
    lists = FOXIO.rpartition("_")[0] + "_"
    assert ja4(offered(lists), "t").endswith("_6d807ffa2a79")


def test_without_anything():
    assert ja4(offered("__", alpn=()), "t") == "t13i000000_000000000000_000000000000"
    assert ja4(offered("_0000,0010_"), "t") == "t13d0002h2_000000000000_000000000000"


@pytest.mark.parametrize(
    ("protocol", "shown"),
    [
        (b"h2", "h2"),
        (b"http/1.1", "h1"),
        (b"x", "xx"),
        (b"", "00"),
        (b"\xab", "ab"),
        (b"\xab\xcd", "ad"),
        (b"\x30\xab", "3b"),
        (b"\x30\x31\xab\xcd", "3d"),
        (b"\x30\xab\xcd\x31", "01"),
        (b"\\x", "58"),
        (b"a b", "ab"),
    ],
)
def test_the_first_protocols_ends(protocol, shown):
    hello = client_hello(samples.client_hello(samples.extension(16, samples.vector16(samples.vector8(protocol)))))
    assert isinstance(hello, ClientHello)
    assert ja4(hello, "t")[8:10] == shown


@pytest.mark.parametrize(
    ("versions", "legacy", "code", "name"),
    [
        ((0x0A0A, 0x0304, 0x0303), 0x0303, "13", "TLS 1.3"),
        ((), 0x0303, "12", "TLS 1.2"),
        ((), 0x0301, "10", "TLS 1.0"),
        ((), 0x0300, "s3", "SSL 3.0"),
        ((), 0xFEFF, "d1", "DTLS 1.0"),
        ((), 0xFEFD, "d2", "DTLS 1.2"),
        ((0xFEFD, 0xFEFC), 0xFEFD, "d3", "DTLS 1.3"),
        ((0x7F1C,), 0x0303, "00", ""),
    ],
)
@proves("TLS, supported versions", "hellos made by hand")
def test_versions(versions, legacy, code, name):
    hello = ClientHello(None, (), legacy, versions, (), (), (), ())
    assert (ja4(hello, "d")[1:3], version_name(hello)) == (code, name)


def test_more_than_two_digits_can_say():
    many = ",".join(f"{number:04x}" for number in range(0x100, 0x100 + 120))
    assert ja4(offered(f"{many}_{many}_"), "q")[:8] == "q13i9999"


@pytest.mark.captures
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(
            "ndpi__443-curl.pcap", "t12d6707h2_2955a3196ffa_c83f907a73d3", marks=proves("TLS, JA4 of the client")
        ),
        ("ndpi__dtls.pcap", "dd2i120700_7c0e62f61317_d9dd6182da81"),
        ("ndpi__quic-v2.pcapng", "q13d0310h3_55b375c5d22e_0a3b52e28cea"),
    ],
)
def test_as_ndpi_publishes_it_for_public_captures(name, expected):
    """tests/cfgs/default/result of nDPI."""
    hello: object
    for proto, _, _, data in payloads(captures.capture(name), 50):
        if proto == 6:
            hello = first_handshake(data) if data[:1] == b"\x16" else None
        else:
            hello = quic.QuicHello().add(data) if expected[0] == "q" else dtls.DtlsHello().add(data)
        if isinstance(hello, ClientHello):
            assert ja4(hello, "t" if proto == 6 else "q" if expected[0] == "q" else "d") == expected
            return
    raise AssertionError(f"no hello in {name}")
