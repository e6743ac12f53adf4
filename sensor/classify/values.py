"""Single values of signature files: names, expressions, ports, networks, bytes.

Every function here raises SignatureError("file:line: key: reason") and nothing else.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from sensor.classify import pattern
from sensor.classify.rules import Ports, Range

if TYPE_CHECKING:
    from sensor.classify.rules import Side
    from sensor.classify.yamlfile import Field

V4_MAPPED: Final = 0xFFFF << 32
_PORTS: Final = re.compile(r"(tcp|udp|esp(?! ))(?: (\d{1,5})(?:-(\d{1,5}))?)?\Z")
_HEX: Final = re.compile(r"([0-9a-f]{2}){1,64}\Z")


def domain(item: Field) -> str:
    """A domain name of two labels or more."""
    text = item.text()
    if not pattern.is_domain(text):
        item.fail(f"{text!r} is not a domain name of two labels or more, in small letters, without a dot at its ends")
    return text


def expression(item: Field) -> str:
    """A regular expression of the restricted kind."""
    text = item.text()
    try:
        pattern.check(text)
    except ValueError as error:
        item.fail(f"{text!r}: {error}")
    return text


def ports(item: Field) -> Ports:
    """Text such as "udp", "udp 3478" or "udp 3478-3481"."""
    text = item.text()
    found = _PORTS.match(text)
    low, high = (0, 65535) if not found or found[2] is None else (int(found[2]), int(found[3] or found[2]))
    if not found or not 0 <= low <= high <= 65535:
        item.fail(f"{text!r} is not of the form 'udp 3478' or 'tcp 5000-5010'")
    return Ports(found[1], low, high)


def network(item: Field) -> Range:
    """A CIDR, its host bits zero."""
    text = item.text()
    try:
        found = ipaddress.ip_network(text)
    except ValueError as error:
        item.fail(f"{text!r} is not a CIDR: {error}")
    low, bits = int(found.network_address), found.prefixlen
    return Range(bits + 96, low | V4_MAPPED) if found.version == 4 else Range(bits, low)


def octets(item: Field) -> bytes:
    """1 to 64 bytes as small hexadecimal digits."""
    text = item.text()
    if not _HEX.match(text):
        item.fail("expected 1 to 64 bytes as pairs of small hexadecimal digits")
    return bytes.fromhex(text)


def side(item: Field) -> Side:
    """Who sends it."""
    text = item.one_of(("client", "server", "either"))
    return "client" if text == "client" else "server" if text == "server" else "either"
