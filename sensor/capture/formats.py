"""File headers: which format the first bytes are, classic pcap's header, pcapng's sections and interfaces.

Sources: draft-ietf-opsawg-pcap section 4, draft-ietf-opsawg-pcapng sections 4.1 and 4.2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

# Magic as the four bytes lie in the file -> (big-endian, nanoseconds in the timestamp's unit, bytes of a record header).
_PCAP_MAGIC = {
    value.to_bytes(4, order): (order == "big", fraction_ns, header_bytes)
    for value, fraction_ns, header_bytes in (
        (0xA1B2C3D4, 1000, 16),
        (0xA1B23C4D, 1, 16),
        (0xA1B2CD34, 1000, 24),  # Kuznetzov's patched libpcap: interface, protocol and packet type follow the lengths
    )
    for order in ("big", "little")
}
_SECTION_MAGIC = b"\x0a\x0d\x0d\x0a"
_BYTE_ORDER_BIG = b"\x1a\x2b\x3c\x4d"
_BYTE_ORDER_LITTLE = b"\x4d\x3c\x2b\x1a"

PCAP_HEADER_BYTES = 24
SECTION_HEADER_BYTES = 28
SNIFFED_BYTES = 12  # enough for `sniff`

_OPTION_END = 0
_OPTION_TSRESOL = 9
_OPTION_TSOFFSET = 14

_MAX_I64 = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class PcapHeader:
    """What the records of a classic pcap need to be read."""

    big: bool
    fraction_ns: int
    record_header_bytes: int
    link: int


@dataclass(frozen=True, slots=True)
class Interface:
    """One pcapng interface. `resolution` is if_tsresol: 10**-n seconds, or 2**-n with the high bit set."""

    link: int
    snaplen: int
    resolution: int = 6
    offset_s: int = 0


def sniff(head: bytes) -> Literal["pcap", "pcapng", ""]:
    """Return the format that the first `SNIFFED_BYTES` bytes announce, "" if none; a shorter head is judged by what is there."""
    if head[:4] in _PCAP_MAGIC:
        return "pcap"
    if head[:4] == _SECTION_MAGIC and (
        len(head) < SNIFFED_BYTES or head[8:12] in {_BYTE_ORDER_BIG, _BYTE_ORDER_LITTLE}
    ):
        return "pcapng"
    return ""


def pcap_header(head: bytes) -> PcapHeader:
    """Read a file header of `PCAP_HEADER_BYTES` that `sniff` took for pcap."""
    big, fraction_ns, record_header_bytes = _PCAP_MAGIC[head[:4]]
    (network,) = struct.unpack_from(">I" if big else "<I", head, 20)
    # The high half says whether, and how long, a frame check sequence ends each packet.
    return PcapHeader(big, fraction_ns, record_header_bytes, network & 0xFFFF)


def section_header(head: bytes) -> tuple[bool, int] | str:
    """Read the first `SECTION_HEADER_BYTES` of a section header: (big-endian, bytes of the block), or what is wrong."""
    order = head[8:12]
    if order not in {_BYTE_ORDER_BIG, _BYTE_ORDER_LITTLE}:
        return "a section header has no byte order"
    big = order == _BYTE_ORDER_BIG
    length, major = struct.unpack_from(">4xI4xH" if big else "<4xI4xH", head)
    if length < SECTION_HEADER_BYTES or length % 4:
        return f"a section header's length of {length} bytes is not possible"
    if major != 1:
        return f"pcapng version {major} is not known"
    return big, length


def interface(block: bytes, *, big: bool) -> Interface | None:
    """Read a whole interface description block; None if it is shorter than its fixed part."""
    if len(block) < 20:
        return None
    order = ">" if big else "<"
    link, snaplen = struct.unpack_from(order + "8xH2xI", block)
    resolution, offset_s = 6, 0
    at, end = 16, len(block) - 4
    while at + 4 <= end:
        code, length = struct.unpack_from(order + "HH", block, at)
        at += 4
        if code == _OPTION_END or at + length > end:
            break
        if code == _OPTION_TSRESOL and length == 1:
            resolution = block[at]
        elif code == _OPTION_TSOFFSET and length == 8:
            (offset_s,) = struct.unpack_from(order + "q", block, at)
        at += (length + 3) & ~3
    return Interface(link, snaplen, resolution, offset_s)


def clock(resolution: int, offset_s: int) -> tuple[int, int, int, int]:
    """Return (kind, a, b, offset_ns) of `frames.INTERFACE_ROW` for an if_tsresol and an if_tsoffset."""
    offset_ns = offset_s * 1_000_000_000
    if abs(offset_ns) > _MAX_I64:
        return 3, 1, 1, 0
    digits = resolution & 0x7F
    if resolution & 0x80:
        return 2, digits, 0, offset_ns
    if digits <= 9:
        factor = 10 ** (9 - digits)
        return 0, factor, _MAX_I64 // factor, offset_ns
    # Two steps keep each divisor below 2**31 or, past 10**18, make the quotient 0 as it is.
    first = min(digits - 9, 9)
    return 1, 10**first, 10 ** min(digits - 9 - first, 18), offset_ns
