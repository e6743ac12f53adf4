"""Names in certificates, beside what `cryptography` reads in them (RFC 5280)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from sensor.decode.flight import ServerFlight, server_flight
from sensor.decode.stream import Reassembler
from sensor.decode.text import host
from sensor.decode.x509 import CertificateNames, certificate_names
from sensor.model import Malformed
from tests import captures
from tests.decode.samples import certificate
from tests.kernel.harness import payloads

KEY = ec.generate_private_key(ec.SECP256R1())
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def made(subject: x509.Name, *extensions: tuple[x509.ExtensionType, bool]) -> bytes:
    builder = x509.CertificateBuilder(subject, subject, KEY.public_key(), 7, WHEN, WHEN.replace(year=2027))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def common_name(text: str, kind: _ASN1Type = _ASN1Type.UTF8String) -> x509.NameAttribute[str]:
    return x509.NameAttribute(NameOID.COMMON_NAME, text, kind)


COUNTRY = x509.NameAttribute(NameOID.COUNTRY_NAME, "AT")


def test_subject_and_alternative_names():
    assert certificate_names(certificate("WWW.Example.com", "www.example.com", "*.example.com")) == CertificateNames(
        "www.example.com", ("www.example.com", "*.example.com")
    )


@pytest.mark.parametrize(
    "kind",
    [
        _ASN1Type.UTF8String,
        _ASN1Type.PrintableString,
        _ASN1Type.IA5String,
        _ASN1Type.BMPString,
        _ASN1Type.UniversalString,
    ],
)
def test_every_kind_of_string(kind):
    assert certificate_names(made(x509.Name([COUNTRY, common_name("a.example", kind)]))) == CertificateNames(
        "a.example", ()
    )


def test_no_name_and_several():
    assert certificate_names(made(x509.Name([]))) == CertificateNames(None, ())
    assert certificate_names(made(x509.Name([COUNTRY]))) == CertificateNames(None, ())
    assert certificate_names(
        made(x509.Name([common_name("Example CA"), common_name("last.example")]))
    ) == CertificateNames("last.example", ())


def test_hostile_names_are_shown_harmless():
    found = certificate_names(made(x509.Name([common_name("a\x1b[31m\x00.example ü")])))
    assert found == CertificateNames("a\\027[31m\\000.example\\032\\195\\188", ())


def test_other_names_and_extensions_are_stepped_over():
    names = x509.SubjectAlternativeName(
        [
            x509.RFC822Name("a@example.com"),
            x509.DNSName("one.example"),
            x509.UniformResourceIdentifier("https://u.example"),
            x509.DNSName("two.example"),
        ]
    )
    usage = x509.BasicConstraints(ca=False, path_length=None)
    for critical in (False, True):
        found = certificate_names(
            made(x509.Name([COUNTRY]), (usage, True), (names, critical), (x509.OCSPNoCheck(), False))
        )
        assert found == CertificateNames(None, ("one.example", "two.example"))


LEAF = certificate("a.example", "a.example")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x31\x00", "tag 0x31"),
        (b"\x30\x80\x00\x00", "length"),
        (b"\x30\x84\x00\x00\x00\x00", "length"),
        (b"\x3f\x81\x00\x00", "tag"),
        (b"\x30\x02\x30\x00", "left in this field"),
        (b"\x30\x04\x30\x02\x04\x00", "serial"),
        (LEAF.replace(bytes.fromhex("0603551d11"), bytes.fromhex("0703551d11")), "tag 0x07"),
    ],
)
def test_what_is_no_certificate(data, reason):
    found = certificate_names(data)
    assert isinstance(found, Malformed)
    assert reason in found.reason


@pytest.mark.captures
def test_certificates_of_real_captures_as_cryptography_reads_them():
    """Servers' first flights, as far as segments come in order."""
    compared = 0
    for path in sorted(captures.folder().glob("*.pcap*")):
        streams: dict[tuple[int, int], Reassembler] = {}
        for proto, sport, dport, data in payloads(path, 4000):
            if proto != 6:
                continue
            pieces = streams.get((sport, dport))
            if pieces is None and data[:2] == b"\x16\x03" and data[5:6] == b"\x02":
                pieces = streams[sport, dport] = Reassembler(1 << 15)
            if pieces is None:
                continue
            pieces.add(len(pieces.prefix()), data)
            flight = server_flight(pieces.prefix())
            if flight is None:
                continue
            del streams[sport, dport]
            if isinstance(flight, ServerFlight) and flight.certificate:
                compared += agrees(flight.certificate)
    assert compared > 150


def agrees(der: bytes) -> bool:
    """Whether `cryptography` reads it at all; then both must read the same."""
    try:
        theirs = x509.load_der_x509_certificate(der)
        names = [one.value for one in theirs.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        extension = theirs.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        dns_names = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        dns_names = []
    except ValueError:
        return False
    ours = certificate_names(der)
    assert isinstance(ours, CertificateNames)
    shown = [host(name.encode()) for name in names if isinstance(name, str)]
    if len(shown) == len(names):
        assert ours.common_name == (shown[-1] if shown else None)
    assert list(ours.dns_names) == [host(name.encode()) for name in dns_names]
    return True
