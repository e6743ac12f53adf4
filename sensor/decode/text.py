r"""Bytes from the wire as text that is safe to show: escaped as in DNS master files (RFC 1035, 5.1).

Whatever is not printable ASCII becomes \DDD (decimal), a backslash becomes \\, so that two different inputs never give
the same text, and no control character, terminal escape or look-alike letter comes out.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address

_NOT_NAME = re.compile(rb"[^\x21-\x5b\x5d-\x7e]")
_NOT_LABEL = re.compile(rb"[^\x21-\x2d\x2f-\x5b\x5d-\x7e]")
_NOT_TEXT = re.compile(rb"[^\x20-\x5b\x5d-\x7e]")


def _escaped(found: re.Match[bytes]) -> bytes:
    byte = found[0]
    return b"\\" + byte if byte in b"\\." else b"\\%03d" % byte[0]


def text(data: bytes) -> str:
    """Free text, such as a STUN realm: spaces and upper case stay."""
    return _NOT_TEXT.sub(_escaped, data).decode("ascii")


def host(data: bytes) -> str:
    """A host name: lower case (ASCII only), without a final dot, spaces escaped too."""
    return _NOT_NAME.sub(_escaped, data.lower()).removesuffix(b".").decode("ascii")


def is_address(name: str) -> bool:
    """Whether a host is given by its IP address, or something that looks like one: it has no name then."""
    return ":" in name or not name.strip("0123456789.")


def labels(parts: list[bytes]) -> str:
    r"""The labels of a DNS name, joined by dots; lower case, a dot inside a label becomes \. ."""
    joined = b".".join(parts).lower()
    if _NOT_NAME.search(joined) or joined.count(b".") >= len(parts):
        joined = b".".join([_NOT_LABEL.sub(_escaped, part) for part in parts]).lower()
    return joined.decode("ascii")


def ipv4(raw: bytes) -> str:
    """Four bytes as dotted decimal."""
    first, second, third, fourth = raw
    return f"{first}.{second}.{third}.{fourth}"


def ipv6(raw: bytes) -> str:
    """Sixteen bytes as text (RFC 5952)."""
    return str(IPv6Address(raw))
