"""Names in an X.509 certificate: the subject's common name and the DNS names it holds for (RFC 5280, 4.1 and 4.2.1.6).

A walk through the DER encoding (ITU-T X.690) as far as these names; nothing is verified, and what is of no use is skipped
unread.
"""

from __future__ import annotations

from dataclasses import dataclass

from sensor.decode.cursor import Bad, Cursor, decoder
from sensor.decode.text import host

# Tags (X.690, 8.1.2; RFC 5280, 4.1).
INTEGER, OCTET_STRING, OBJECT_IDENTIFIER, SEQUENCE, SET = 0x02, 0x04, 0x06, 0x30, 0x31
VERSION, ISSUER_ID, SUBJECT_ID, EXTENSIONS = 0xA0, 0x81, 0x82, 0xA3  # [0] to [3] of the TBSCertificate
BMP_STRING, UNIVERSAL_STRING = 0x1E, 0x1C  # two and four bytes a character
DNS_NAME = 0x82  # [2] of a GeneralName
BOOLEAN = 0x01
LONG_TAG = 0x1F

COMMON_NAME = bytes.fromhex("550403")  # 2.5.4.3
SUBJECT_ALT_NAME = bytes.fromhex("551d11")  # 2.5.29.17

MAX_DNS_NAMES = 512  # kept of one certificate; content networks have some hundred


@dataclass(frozen=True, slots=True)
class CertificateNames:
    """As host names: lower case, escaped. `common_name`: the last, which is the most specific one (RFC 2818, 3.1)."""

    common_name: str | None
    dns_names: tuple[str, ...]


@decoder
def certificate_names(der: bytes) -> CertificateNames:
    """The names in the certificate at the start of `der`."""
    certificate = _inside(Cursor(der), SEQUENCE)
    fields = _inside(certificate, SEQUENCE)  # TBSCertificate
    kind, body = _element(fields)
    if kind == VERSION:
        kind, body = _element(fields)
    if kind != INTEGER:
        raise Bad("a certificate without a serial number", body.offset)
    for _ in ("signature", "issuer", "validity"):
        _element(fields)
    common_name = _common_name(_inside(fields, SEQUENCE))
    _element(fields)  # subjectPublicKeyInfo
    names: tuple[str, ...] = ()
    while fields.remaining:
        kind, body = _element(fields)
        if kind == EXTENSIONS:
            names = _dns_names(_inside(body, SEQUENCE))
    return CertificateNames(common_name, names)


def _element(cursor: Cursor) -> tuple[int, Cursor]:
    """The element at the cursor: its tag, and its contents (X.690, 8.1 and 10.1: the length is definite)."""
    at = cursor.offset
    kind, length = cursor.u8(), cursor.u8()
    if kind & LONG_TAG == LONG_TAG:
        raise Bad("no certificate has such a tag", at)
    if length >= 0x80:
        if length == 0x81:
            length = cursor.u8()
        elif length == 0x82:
            length = cursor.u16()
        elif length == 0x83:
            length = cursor.u24()
        else:
            raise Bad("no certificate has such a length", at + 1)
    return kind, cursor.sub(length)


def _inside(cursor: Cursor, wanted: int) -> Cursor:
    """The contents of the element at the cursor, which must be of this kind."""
    at = cursor.offset
    kind, body = _element(cursor)
    if kind != wanted:
        raise Bad(f"tag {kind:#04x} where {wanted:#04x} belongs", at)
    return body


def _common_name(name: Cursor) -> str | None:
    """A Name is a sequence of sets of (type, value) (RFC 5280, 4.1.2.4)."""
    found = None
    while name.remaining:
        members = _inside(name, SET)
        while members.remaining:
            pair = _inside(members, SEQUENCE)
            if _inside(pair, OBJECT_IDENTIFIER).rest() == COMMON_NAME:
                kind, value = _element(pair)
                found = host(_narrow(kind, value.rest())) or found
    return found


def _narrow(kind: int, value: bytes) -> bytes:
    """A string with one byte for each ASCII character; others stay as they are, to be escaped."""
    width = {BMP_STRING: 2, UNIVERSAL_STRING: 4}.get(kind, 1)
    plain = value[width - 1 :: width]
    wide = b"".join(bytes(width - 1) + plain[i : i + 1] for i in range(len(plain)))
    return plain if wide == value else value


def _dns_names(extensions: Cursor) -> tuple[str, ...]:
    """The dNSName entries of the first subjectAltName."""
    while extensions.remaining:
        extension = _inside(extensions, SEQUENCE)
        if _inside(extension, OBJECT_IDENTIFIER).rest() != SUBJECT_ALT_NAME:
            continue
        kind, value = _element(extension)
        if kind == BOOLEAN:  # critical
            kind, value = _element(extension)
        if kind != OCTET_STRING:
            raise Bad("an extension without a value", value.offset)
        entries = _inside(value, SEQUENCE)
        names: list[str] = []
        while entries.remaining and len(names) < MAX_DNS_NAMES:
            kind, value = _element(entries)
            if kind == DNS_NAME and (name := host(value.rest())):
                names.append(name)
        return tuple(names)
    return ()
