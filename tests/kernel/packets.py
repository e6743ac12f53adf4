"""Packets made by hand, layer by layer, and what the loop makes of the headers of one."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field

import numpy as np

from sensor.kernel import fields, layout
from sensor.kernel.headers import locate
from sensor.model import LinkType

MACS = b"\x02\0\0\0\0\x01" + b"\x02\0\0\0\0\x02"  # destination, source
V4_SRC, V4_DST = b"\x0a\0\0\x01", b"\xc6\x33\x64\x07"
V6_SRC, V6_DST = bytes.fromhex("20010db8" + "00" * 11 + "01"), bytes.fromhex("fe80" + "ff" * 14)
TCP, UDP, ICMP, GRE, ICMP6 = 6, 17, 1, 47, 58


@dataclass(slots=True)
class Seen:
    """One frame as `locate` sees it; addresses as text, everything else as left in the scratch array."""

    kind: str
    notices: dict[str, int]
    h: list[int] = field(default_factory=list)
    data: bytes = b""

    @property
    def src(self) -> str:
        return address(self.h[fields.H_SRC_HIGH], self.h[fields.H_SRC_LOW])

    @property
    def dst(self) -> str:
        return address(self.h[fields.H_DST_HIGH], self.h[fields.H_DST_LOW])

    @property
    def ports(self) -> tuple[int, int]:
        return self.h[fields.H_SRC_PORT], self.h[fields.H_DST_PORT]

    @property
    def payload(self) -> bytes:
        return self.data[self.h[fields.H_PAYLOAD] : self.h[fields.H_END]]


def address(high: int, low: int) -> str:
    raw = (high << 64 | low & (1 << 64) - 1).to_bytes(16, "big", signed=high < 0)
    if raw.startswith(bytes(10) + b"\xff\xff"):
        return socket.inet_ntop(socket.AF_INET, raw[12:])
    return socket.inet_ntop(socket.AF_INET6, raw)


def look(data: bytes, link: int = 1, wire_bytes: int | None = None) -> Seen:
    """`locate` on a frame that stands alone in its array."""
    h = np.full(fields.H_SIZE, -7, np.int64)  # what an earlier frame left must not matter
    notices = np.zeros(len(layout.NOTICES), np.int64)
    wire_end = len(data) if wire_bytes is None else wire_bytes
    kind = int(locate(np.frombuffer(data or b"\0", np.uint8), 0, len(data), wire_end, link, h, notices))
    noticed = {name: count for name, count in zip(layout.NOTICES, notices.tolist(), strict=True) if count}
    return Seen(layout.COUNTERS[kind], noticed, h.tolist(), data)


def tcp(payload: bytes = b"", *, options: bytes = b"", offset: int | None = None) -> bytes:
    words = 5 + len(options) // 4 if offset is None else offset
    return struct.pack(">HHIIBBHHH", 51000, 52000, 0xFEDCBA98, 7, words << 4, 0x18, 500, 0, 0) + options + payload


def udp(payload: bytes = b"", *, length: int | None = None) -> bytes:
    return struct.pack(">HHHH", 51000, 52000, 8 + len(payload) if length is None else length, 0) + payload


def ipv4(
    body: bytes,
    proto: int = TCP,
    *,
    total: int | None = None,
    fragment: int = 0,
    options: bytes = b"",
    first: int | None = None,
) -> bytes:
    words = 5 + len(options) // 4
    total = words * 4 + len(body) if total is None else total
    head = struct.pack(">BBHHHBBH", 0x40 | words if first is None else first, 0, total, 1, fragment, 63, proto, 0)
    return head + V4_SRC + V4_DST + options + body


def ipv6(
    body: bytes, proto: int = TCP, *, length: int | None = None, headers: tuple[tuple[int, bytes], ...] = ()
) -> bytes:
    """`headers`: extension headers as (type, everything behind the next-header byte)."""
    kinds = [kind for kind, _ in headers] + [proto]
    chain = b"".join(bytes([kinds[i + 1]]) + rest for i, (_, rest) in enumerate(headers))
    length = len(chain) + len(body) if length is None else length
    return struct.pack(">IHBB", 6 << 28, length, kinds[0], 63) + V6_SRC + V6_DST + chain + body


def ether(body: bytes, kind: int | None = None, *, tags: tuple[tuple[int, int], ...] = ()) -> bytes:
    """`tags`: (ether type of the tag, VLAN number), outermost first."""
    kind = (0x86DD if body[0] >> 4 == 6 else 0x0800) if kind is None else kind
    return MACS + b"".join(struct.pack(">HH", *tag) for tag in tags) + kind.to_bytes(2, "big") + body


def ether_type(body: bytes) -> bytes:
    return b"\x86\xdd" if body[0] >> 4 == 6 else b"\x08\x00"


SNAP = b"\xaa\xaa\x03\0\0\0"


def wifi(
    body: bytes,
    *,
    to_ds: int = 1,
    from_ds: int = 0,
    qos: bool = True,
    order: bool = False,
    kind: int = 8,
    more: int = 0,
) -> bytes:
    flags = to_ds | from_ds << 1 | (0x80 if order else 0) | more
    head = (
        bytes([kind | (0x80 if qos else 0), flags])
        + b"\0\0"
        + b"\x02\0\0\0\0\x0a"
        + b"\x02\0\0\0\0\x0b"
        + b"\x02\0\0\0\0\x0c"
        + b"\0\0"
    )
    head += (
        (b"\x02\0\0\0\0\x0d" if to_ds and from_ds else b"")
        + (b"\0\0" if qos else b"")
        + (b"\0\0\0\0" if qos and order else b"")
    )
    return head + body


def radiotap(body: bytes) -> bytes:
    return b"\0\0\x08\0\0\0\0\0" + body


def wrapped(packet: bytes, link: int) -> bytes:
    """An IP packet as a frame of a link type."""
    v6 = packet[0] >> 4 == 6
    match link:
        case LinkType.ETHERNET:
            return ether(packet)
        case LinkType.LINUX_SLL:
            return b"\0\0\0\x01\0\x06" + MACS[6:] + b"\0\0" + ether_type(packet) + packet
        case LinkType.LINUX_SLL2:
            return ether_type(packet) + b"\0\0\0\0\0\x02\0\x01\0\x06" + MACS[6:] + b"\0\0" + packet
        case LinkType.NULL:
            return struct.pack("<I", 30 if v6 else 2) + packet
        case LinkType.LOOP:
            return struct.pack(">I", 24 if v6 else 2) + packet
        case LinkType.IEEE802_11:
            return wifi(SNAP + ether_type(packet) + packet)
        case LinkType.IEEE802_11_RADIOTAP:
            return radiotap(wifi(SNAP + ether_type(packet) + packet))
        case LinkType.PPP:
            return (b"\x57" if v6 else b"\xff\x03\x00\x21") + packet
        case LinkType.PPP_HDLC:
            return (b"\xff\x03\x00\x57" if v6 else b"\x0f\x00\x08\x00") + packet
        case LinkType.PPP_ETHER:
            return pppoe((b"\x00\x57" if v6 else b"\x21") + packet)
        case LinkType.C_HDLC:
            return b"\x0f\x00" + ether_type(packet) + packet
        case LinkType.FDDI:
            return b"\x50" + MACS + SNAP + ether_type(packet) + packet
        case LinkType.PPI:
            return struct.pack("<BBHIHH", 0, 0, 12, 101, 2, 0) + packet
        case LinkType.NFLOG:
            return b"\x0a\0\0\0\x05\0\x0a\0x\0\0\0" + struct.pack("<HH", 4 + len(packet), 9) + packet
    return packet


def pppoe(body: bytes) -> bytes:
    return b"\x11\0\0\x07" + struct.pack(">H", len(body)) + body


ALL_LINKS = [int(link) for link in LinkType]
