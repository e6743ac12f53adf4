"""Headers as scapy, dpkt and tshark read them, on the same frames."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any

import dpkt
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from sensor.capture import open_paths
from sensor.kernel import fields
from sensor.model import LinkType
from tests import captures

if TYPE_CHECKING:
    from pathlib import Path
from tests.kernel.packets import GRE, TCP, UDP, Seen, ether, ipv4, ipv6, look, tcp, udp, wrapped
from tests.kernel.test_headers import (
    DESTINATION,
    FRAGMENT_FIRST,
    FRAGMENT_LATER,
    FRAGMENT_ONLY,
    HOP,
    PLAIN_LINKS,
    ROUTING,
)

# What scapy and dpkt make of the same frames.


@st.composite
def frames(draw) -> tuple[bytes, int]:
    """Well-formed frames of every shape."""
    payload = draw(st.binary(max_size=40))
    proto = draw(st.sampled_from([TCP, TCP, UDP, UDP, GRE]))
    options = b"\x01" * (4 * draw(st.integers(0, 10)))
    body = {TCP: tcp(payload, options=options), UDP: udp(payload), GRE: b"\0\0\x88\xb5" + payload}[proto]
    if draw(st.booleans()):
        fragment = draw(st.sampled_from([0, 0, 0x4000, 0x2000, 0x2003, 0x0010]))
        zero = draw(st.integers(0, 9)) == 0
        packet = ipv4(
            body, proto, fragment=fragment, options=b"\x01" * (4 * draw(st.integers(0, 10))), total=0 if zero else None
        )
        padding = b"" if zero else draw(st.sampled_from([b"", b"", bytes(9), b"\xff" * 46]))
    else:
        chain = draw(
            st.lists(
                st.sampled_from([HOP, DESTINATION, ROUTING, FRAGMENT_ONLY, FRAGMENT_FIRST, FRAGMENT_LATER]), max_size=4
            )
        )
        packet = ipv6(body, proto, headers=tuple(chain))
        padding = draw(st.sampled_from([b"", b"", bytes(9), b"\xff" * 46]))
    link = draw(st.sampled_from(PLAIN_LINKS))
    if link == 1 and draw(st.booleans()):
        kinds = draw(st.sampled_from([(0x8100,), (0x8100, 0x8100), (0x88A8, 0x8100)]))
        tags = [(kind, draw(st.integers(0, 4095))) for kind in kinds]
        return ether(packet, tags=tuple(tags)) + padding, link
    return wrapped(packet, link) + padding, link


def scapy_layers(data: bytes, link: int) -> Any:
    from scapy.config import conf
    from scapy.layers import dot11, inet, inet6, l2  # noqa: F401 - they register their link types

    if link in {LinkType.NULL, LinkType.LOOP}:
        return inet6.IPv46(data[4:])  # scapy knows this machine's number of IPv6 only
    top = inet6.IPv46 if link in {12, 14, 101, 228, 229} else conf.l2types[link]
    return top(data)


@settings(max_examples=250, deadline=None)
@given(frames())
def test_as_scapy_reads_it(frame):
    from scapy.layers.inet import IP
    from scapy.layers.inet import TCP as TCP_LAYER
    from scapy.layers.inet import UDP as UDP_LAYER
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
    from scapy.layers.l2 import Dot1Q
    from scapy.packet import Raw

    data, link = frame
    seen = look(data, link)
    parsed = scapy_layers(data, link)
    packet = parsed.getlayer(IP) or parsed.getlayer(IPv6)
    assert packet is not None
    later = (
        packet.frag
        if isinstance(packet, IP)
        else any(
            parsed.getlayer(IPv6ExtHdrFragment, i).offset
            for i in range(1, count_layers(parsed, IPv6ExtHdrFragment) + 1)
        )
    )
    assert (seen.src, seen.dst) == (packet.src, packet.dst)
    if later:
        assert seen.kind == "ignored_later_fragment"
        return
    tags = [parsed.getlayer(Dot1Q, i).vlan for i in range(1, count_layers(parsed, Dot1Q) + 1)]
    assert seen.h[fields.H_VLAN] == (tags[-1] if tags else -1)
    transport = parsed.getlayer(TCP_LAYER) or parsed.getlayer(UDP_LAYER)
    if transport is None:
        assert seen.kind == "classified_other"
        return
    assert seen.kind == ("classified_tcp" if isinstance(transport, TCP_LAYER) else "classified_udp")
    assert seen.ports == (transport.sport, transport.dport)
    raw = transport.getlayer(Raw)
    assert seen.payload == (bytes(raw.load) if raw else b"")
    if isinstance(transport, TCP_LAYER):
        assert seen.h[fields.H_SEQUENCE] == transport.seq
        assert seen.h[fields.H_TCP_FLAGS] == int(transport.flags) & 0xFF


def count_layers(parsed: Any, layer: Any) -> int:
    count = 0
    while parsed.getlayer(layer, count + 1):
        count += 1
    return count


DPKT_LINKS = {1: dpkt.ethernet.Ethernet, 113: dpkt.sll.SLL, 276: dpkt.sll2.SLL2, 0: dpkt.loopback.Loopback}


@settings(max_examples=500, deadline=None)
@given(frames().filter(lambda frame: frame[1] in DPKT_LINKS))
def test_as_dpkt_reads_it(frame):
    data, link = frame
    seen = look(data, link)
    try:
        packet = DPKT_LINKS[link](data).data
    except AttributeError:
        reject()  # dpkt's trouble with some chains of extension headers
    assert isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6)
    family = socket.AF_INET if isinstance(packet, dpkt.ip.IP) else socket.AF_INET6
    assert (seen.src, seen.dst) == (socket.inet_ntop(family, packet.src), socket.inet_ntop(family, packet.dst))
    if isinstance(packet, dpkt.ip.IP):
        assert (seen.kind == "ignored_later_fragment") == bool(packet.offset)
    body = packet.data
    if isinstance(body, dpkt.tcp.TCP | dpkt.udp.UDP) and seen.kind != "ignored_later_fragment":
        assert seen.ports == (body.sport, body.dport)
        assert seen.payload == bytes(body.data)[: len(seen.payload)]


# What tshark makes of real frames.

FIELDS = (
    "frame.number", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "ip.frag_offset", "ipv6.fraghdr.offset", "vlan.id", "ip.ttl", "ipv6.hlim",
    "tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.flags", "tcp.len", "udp.srcport", "udp.dstport", "udp.length", "arp.opcode", "_ws.malformed",
)  # fmt: skip
# Nothing above IP but TCP and UDP, so that no tunnel, and no packet quoted in an ICMP error, is read.
PROTOCOLS = ("frame", "eth", "vlan", "ieee8021ad", "sll", "null", "raw", "llc", "radiotap", "wlan", "arp", "ip", "ipv6", "ipv6.hopopts",
             "ipv6.routing", "ipv6.fraghdr", "ipv6.dstopts", "mipv6", "ah", "tcp", "udp", "data", "ethertype")  # fmt: skip


def pcap(path: Path, link: int, frames: list[tuple[int, bytes]]) -> None:
    """`frames`: (bytes on the wire, what was captured)."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link))
        for i, (wire_bytes, data) in enumerate(frames):
            file.write(struct.pack("<IIII", i, 0, len(data), wire_bytes) + data)


def told_by_tshark(path: Path) -> list[dict[str, str]]:
    enabled = [part for name in PROTOCOLS for part in ("--enable-protocol", name)]
    wanted = [part for name in FIELDS for part in ("-e", name)]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(path), "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE",
         "-o", "tcp.analyze_sequence_numbers:FALSE", "--disable-protocol", "ALL", *enabled, "-T", "fields", *wanted],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in done.stdout.splitlines()]


def same_as_tshark(seen: Seen, told: dict[str, str], wire_bytes: int) -> str:
    """Compares one frame; returns what was compared, or "" where tshark saw none or two packets in it."""
    src, dst = told["ip.src"] or told["ipv6.src"], told["ip.dst"] or told["ipv6.dst"]
    if (told["ip.src"] and told["ipv6.src"]) or "," in src:
        return ""  # one in the other
    if not src:
        if any(notice.startswith("tunnel_") for notice in seen.notices):
            return "tunnel"
        assert not seen.kind.startswith("classified"), told
        assert (seen.kind == "ignored_arp") == bool(told["arp.opcode"])
        return "no ip"
    if seen.kind.startswith("dropped_"):
        return "dropped"
    if any(notice.startswith("tunnel_") for notice in seen.notices) or seen.kind == "ignored_not_ip":
        return "tunnel"  # test_tunnels.py looks into these
    assert (seen.src, seen.dst) == (src, dst)
    assert seen.h[fields.H_TTL] == int(told["ip.ttl"] or told["ipv6.hlim"])
    if told["vlan.id"]:
        assert seen.h[fields.H_VLAN] == int(told["vlan.id"].split(",")[-1])
    offset = told["ip.frag_offset"] or told["ipv6.fraghdr.offset"]
    assert (seen.kind == "ignored_later_fragment") == (offset not in {"", "0"})
    if told["tcp.srcport"]:
        assert seen.kind == "classified_tcp"
        assert seen.ports == (int(told["tcp.srcport"]), int(told["tcp.dstport"]))
        if told["tcp.len"]:
            assert seen.h[fields.H_SEQUENCE] == int(told["tcp.seq_raw"])
            assert seen.h[fields.H_TCP_FLAGS] == int(told["tcp.flags"], 16) & 0xFF
            if len(seen.data) + seen.h[fields.H_MISSING] <= wire_bytes:  # else IP promises more than there ever was
                assert len(seen.payload) + seen.h[fields.H_MISSING] == int(told["tcp.len"])
        return "tcp"
    if told["udp.srcport"]:
        assert seen.kind == "classified_udp"
        assert seen.ports == (int(told["udp.srcport"]), int(told["udp.dstport"]))
        if told["udp.length"] and not seen.h[fields.H_FRAGMENT]:
            length = len(seen.payload) + seen.h[fields.H_MISSING]
            assert length == int(told["udp.length"]) - 8 or told["_ws.malformed"] or int(told["udp.length"]) < 8
        return "udp"
    return "ip"


@pytest.mark.captures
@pytest.mark.tshark
def test_as_tshark_reads_it(tmp_path):
    if shutil.which("tshark") is None:
        pytest.skip("no tshark")
    by_link: dict[int, list[tuple[int, bytes]]] = {}
    source = open_paths([captures.folder()])
    for batch in source.batches():
        for row in batch.frames[::3]:
            start, size = int(row["offset"]), int(row["captured_bytes"])
            if int(row["link"]) in PLAIN_LINKS:
                by_link.setdefault(int(row["link"]), []).append(
                    (int(row["wire_bytes"]), batch.buffer[start : start + size].tobytes())
                )
    compared: Counter[str] = Counter()
    for link, chosen in by_link.items():
        path = tmp_path / f"{link}.pcap"
        pcap(path, link, chosen)
        told = told_by_tshark(path)
        assert len(told) == len(chosen)
        for (wire_bytes, data), one in zip(chosen, told, strict=True):
            compared[same_as_tshark(look(data, link, wire_bytes), one, wire_bytes)] += 1
    assert compared["tcp"] > 5000
    assert compared["udp"] > 3000
    assert compared["no ip"] > 50
    assert compared["dropped"] < 10
    assert compared["tunnel"] < sum(compared.values()) // 20
    assert compared[""] < sum(compared.values()) // 20
