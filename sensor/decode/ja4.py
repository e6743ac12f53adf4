"""JA4: a fingerprint of what a client offers in its ClientHello (FoxIO, "JA4: TLS Client Fingerprinting").

Of the JA4 family this is the one under the BSD 3-clause licence, copyright FoxIO. GREASE values (RFC 8701) count nowhere.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from sensor.decode.tls import ALPN, SERVER_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensor.decode.tls import ClientHello

Transport = Literal["t", "q", "d"]  # TLS over TCP, QUIC, DTLS

VERSIONS = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
    0xFEFF: "d1",
    0xFEFD: "d2",
    0xFEFC: "d3",
}
NAMES = {
    "13": "TLS 1.3",
    "12": "TLS 1.2",
    "11": "TLS 1.1",
    "10": "TLS 1.0",
    "s3": "SSL 3.0",
    "s2": "SSL 2.0",
    "d1": "DTLS 1.0",
    "d2": "DTLS 1.2",
    "d3": "DTLS 1.3",
}
NOTHING = "000000000000"
ESCAPED = re.compile(rb"\\(\d{3}|.)")


def ja4(hello: ClientHello, transport: Transport) -> str:
    """The fingerprint: "t13d1516h2_8daaf6152771_e5627efa2ab1"."""
    ciphers = plain(hello.ciphers)
    extensions = plain(hello.extensions)
    algorithms = plain(hello.signature_algorithms)
    others = sorted(kind for kind in extensions if kind not in {SERVER_NAME, ALPN})
    lists = _hex(others) + ("_" + _hex(algorithms) if algorithms else "")
    return (
        f"{transport}{version_code(hello)}{'d' if SERVER_NAME in extensions else 'i'}"
        f"{min(len(ciphers), 99):02}{min(len(extensions), 99):02}{_protocol(hello.alpn)}"
        f"_{_hashed(_hex(sorted(ciphers)))}_{_hashed(lists) if others else NOTHING}"
    )


def plain(values: Iterable[int]) -> list[int]:
    """The values without GREASE: 0x0A0A, 0x1A1A and so on (RFC 8701, 2)."""
    return [value for value in values if value & 0x0F0F != 0x0A0A or value >> 8 != value & 0xFF]


def version_code(hello: ClientHello) -> str:
    """The highest version offered, in two characters; those of DTLS count down."""
    offered = plain(hello.versions)
    if not offered:
        return VERSIONS.get(hello.legacy_version, "00")
    datagram = hello.legacy_version >> 8 == 0xFE
    return VERSIONS.get(min(offered) if datagram else max(offered), "00")


def version_name(hello: ClientHello) -> str:
    """The highest version offered, for people: "TLS 1.3"; empty where it is none that is known."""
    return NAMES.get(version_code(hello), "")


def _hex(values: Iterable[int]) -> str:
    return ",".join(f"{value:04x}" for value in values)


def _hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12] if text else NOTHING


def _protocol(alpn: tuple[str, ...]) -> str:
    """The first and last character of the first protocol; of its bytes in hexadecimal where one of them is none."""
    if not alpn or not alpn[0]:
        return "00"
    raw = ESCAPED.sub(_byte, alpn[0].encode("ascii"))
    ends = raw[:1] + raw[-1:]
    return ends.decode("ascii") if ends.isalnum() else raw.hex()[0] + raw.hex()[-1]


def _byte(found: re.Match[bytes]) -> bytes:
    r"""Undoes what `text` did to a byte: \DDD, or the backslash."""
    return bytes([int(found[1])]) if len(found[1]) == 3 else found[1]
