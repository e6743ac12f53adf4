"""Stations, frames and the trace they go into: Ethernet with an 802.1Q tag, IPv4 or IPv6, UDP or TCP, right checksums.

Times are seconds after the trace's start. A frame is named by its reference (order of making) until the trace is
sorted by time; `Trace.numbers` then gives frame numbers from 1, as Wireshark counts.
"""

from __future__ import annotations

import random
import struct
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw
from scapy.utils import RawPcapWriter, checksum

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

GATEWAY_MAC = "00:00:5e:00:53:01"  # documentation range of RFC 9542 section 2.1.2
TAGGED = 18  # bytes of Ethernet header and 802.1Q tag
SMALLEST = 60  # bytes of an Ethernet frame on the wire, without its check sum


@dataclass(frozen=True, slots=True)
class Station:
    """Who sends or receives. `vlan` 0 lies beyond the gateway, then `mac` is the gateway's and `ttl` is what is left."""

    name: str
    ip4: str
    ip6: str = ""
    mac: str = GATEWAY_MAC
    vlan: int = 0
    ttl: int = 64
    system: str = "linux"  # windows sends no TCP timestamps
    network: str = ""

    def address(self, six: bool) -> str:
        return self.ip6 if six else self.ip4


@dataclass(frozen=True, slots=True)
class Link:
    """Two ends of a UDP flow; `turned` is the way back."""

    src: Station
    sport: int
    dst: Station
    dport: int
    six: bool = False
    dscp: int = 0

    def turned(self) -> Link:
        return Link(self.dst, self.dport, self.src, self.sport, self.six, self.dscp)


@dataclass(slots=True)
class Use:
    """One thing a device did with an app, and the frames of it (references)."""

    device: Station
    app: str
    activity: str
    must_be: str
    note: str
    frames: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Name:
    """One name put on the wire. `frames`: references of all frames that carry its message; the last one completes it."""

    kind: str
    name: str
    client: str
    frames: tuple[int, ...]
    extra: tuple[tuple[str, str], ...] = ()


class Trace:
    """Frames in the making, with the truth about them."""

    def __init__(self, seed: str, start_s: int) -> None:
        self.seed, self.start_s = seed, start_s
        self.frames: list[tuple[int, bytes]] = []  # microseconds since 1970, bytes
        self.uses: list[Use] = []
        self.names: list[Name] = []
        self._open: list[Use] = []
        self._heads: dict[Link, bytes] = {}
        self._ids: dict[str, int] = {}

    def rng(self, label: str) -> random.Random:
        """Randomness of its own for each label, so that a change in one scene leaves the others as they are."""
        return random.Random(f"{self.seed}/{label}")

    def put(self, at: float, frame: bytes) -> int:
        """Take a finished frame; short ones are padded as a network card does."""
        self.frames.append((self.start_s * 1_000_000 + round(at * 1e6), frame.ljust(SMALLEST, b"\0")))
        ref = len(self.frames) - 1
        if self._open:
            self._open[-1].frames.append(ref)
        return ref

    def packet(self, at: float, packet: Packet) -> int:
        return self.put(at, bytes(packet))

    def udp(self, at: float, link: Link, payload: bytes) -> int:
        """One datagram. Scapy makes a flow's headers once; length, identification and checksums are set for each."""
        head = bytearray(self._heads.get(link) or self._udp_head(link))
        length = struct.pack("!H", len(payload) + 8)
        udp = TAGGED + (40 if link.six else 20)
        if link.six:
            head[TAGGED + 4 : TAGGED + 6] = length
            pseudo = bytes(head[TAGGED + 8 : udp])
        else:
            struct.pack_into("!HH", head, TAGGED + 2, udp - TAGGED + 8 + len(payload), self._next_id(link.src))
            struct.pack_into("!H", head, TAGGED + 10, checksum(bytes(head[TAGGED:udp])))
            pseudo = bytes(head[TAGGED + 12 : udp])
        head[udp + 4 : udp + 6] = length
        total = checksum(pseudo + b"\0\x11" + length + bytes(head[udp:]) + payload)
        struct.pack_into("!H", head, udp + 6, total or 0xFFFF)  # RFC 768: zero would mean "none"
        return self.put(at, bytes(head) + payload)

    def tcp(self, at: float, link: Link, fields: dict[str, Any], payload: bytes) -> int:
        """One segment; `fields` are scapy's (flags, seq, ack, window, options)."""
        packet = self._below(link) / TCP(sport=link.sport, dport=link.dport, **fields)
        return self.packet(at, packet / Raw(payload) if payload else packet)

    @contextmanager
    def use(self, device: Station, app: str, activity: str, must_be: str, note: str = "") -> Iterator[None]:
        """Frames made inside belong to this use of an app."""
        self._open.append(Use(device, app, activity, must_be, note))
        yield
        self.uses.append(self._open.pop())

    def say(self, kind: str, name: str, client: str, frames: Sequence[int], **extra: str) -> None:
        """Record a name that the frames carry."""
        self.names.append(Name(kind, name, client, tuple(frames), tuple(extra.items())))

    def numbers(self) -> list[int]:
        """Frame number of each reference, from 1, in time order."""
        numbers = [0] * len(self.frames)
        for place, ref in enumerate(self._order()):
            numbers[ref] = place + 1
        return numbers

    def write(self, path: Path) -> None:
        """Write a classic pcap: little-endian, microseconds, Ethernet."""
        with path.open("wb") as file:
            writer = RawPcapWriter(file, linktype=1, endianness="<", snaplen=262144)
            writer.write_header(None)
            for ref in self._order():
                time_us, frame = self.frames[ref]
                writer.write_packet(frame, sec=time_us // 1_000_000, usec=time_us % 1_000_000)
            writer.flush()

    def _order(self) -> list[int]:
        return sorted(range(len(self.frames)), key=lambda ref: (self.frames[ref][0], ref))

    def _next_id(self, station: Station) -> int:
        key = station.ip4 or station.name
        value = (self._ids.get(key, zlib.crc32(key.encode()) & 0xFFFF) + 1) & 0xFFFF
        self._ids[key] = value
        return value

    def _below(self, link: Link) -> Packet:
        src, dst = link.src, link.dst
        frame = Ether(src=src.mac, dst=dst.mac) / Dot1Q(vlan=src.vlan or dst.vlan)
        if link.six:
            return frame / IPv6(src=src.ip6, dst=dst.ip6, hlim=src.ttl, tc=link.dscp << 2)
        return frame / IP(src=src.ip4, dst=dst.ip4, ttl=src.ttl, tos=link.dscp << 2, flags="DF", id=self._next_id(src))

    def _udp_head(self, link: Link) -> bytes:
        head = bytearray(bytes(self._below(link) / UDP(sport=link.sport, dport=link.dport)))
        udp = len(head) - 8
        head[udp + 6 : udp + 8] = b"\0\0"
        if not link.six:
            head[TAGGED + 10 : TAGGED + 12] = b"\0\0"
        return self._heads.setdefault(link, bytes(head))


def packed(address: str) -> bytes:
    """4 or 16 bytes of an address."""
    return ip_address(address).packed
