"""Where `locate` finds addresses, ports and payload, beside scapy, dpkt and tshark; and each reason for finding nothing."""

from __future__ import annotations

import struct

import pytest

from sensor.kernel import fields, layout
from sensor.kernel.internet import MAX_IPV6_EXTENSIONS
from sensor.kernel.shapes import MAX_VLAN_TAGS
from tests.kernel.packets import (
    ALL_LINKS,
    GRE,
    ICMP,
    ICMP6,
    MACS,
    SNAP,
    TCP,
    UDP,
    ether,
    ipv4,
    ipv6,
    look,
    radiotap,
    tcp,
    udp,
    wifi,
    wrapped,
)
from tests.proofs import proves

# Link types that come without a header of another protocol, so that the oracles need no more than IP.
PLAIN_LINKS = [link for link in ALL_LINKS if link not in {9, 10, 50, 51, 104, 192, 239}]
OPTIONS_4 = b"\x01" * 8
HOP = (0, b"\0" + b"\x01\x04\0\0\0\0")
DESTINATION = (60, b"\x01" + b"\x01\x0c" + bytes(12))
ROUTING = (43, b"\0" + bytes(6))
FRAGMENT_FIRST, FRAGMENT_ONLY, FRAGMENT_LATER = (
    (44, b"\0\0\x01\0\0\0\x07"),
    (44, b"\0\0\0\0\0\0\x07"),
    (44, b"\0\0\x09\0\0\0\x07"),
)
AH = (51, b"\x04\0\0" + bytes(20))


@pytest.mark.parametrize("link", ALL_LINKS)
@pytest.mark.parametrize(
    "version",
    [
        pytest.param(4, marks=proves("IPv4", "frames made by hand, on every link type")),
        pytest.param(6, marks=proves("IPv6", "frames made by hand, on every link type")),
    ],
)
@pytest.mark.parametrize(
    ("proto", "body", "kind"), [(TCP, tcp(b"abc"), "classified_tcp"), (UDP, udp(b"abc"), "classified_udp")]
)
def test_every_link_type(link, version, proto, body, kind):
    seen = look(wrapped(ipv4(body, proto) if version == 4 else ipv6(body, proto), link), link)
    assert seen.kind == kind
    assert seen.payload == b"abc"
    assert seen.ports == (51000, 52000)
    assert (seen.src, seen.dst) == (
        ("10.0.0.1", "198.51.100.7") if version == 4 else ("2001:db8::1", "fe80" + ":ffff" * 7)
    )
    assert seen.h[fields.H_MISSING] == 0
    assert seen.h[fields.H_TTL] == 63
    assert seen.h[fields.H_VLAN] == -1
    if proto == TCP:
        assert (seen.h[fields.H_SEQUENCE], seen.h[fields.H_TCP_FLAGS]) == (0xFEDCBA98, 0x18)


def arp() -> bytes:
    return b"\0\x01\x08\0\x06\x04\0\x01" + bytes(20)


WHOLE = ipv4(tcp(b"abc"))
REASONS = [
    ("classified_tcp", ether(WHOLE), 1),
    ("classified_tcp", ether(ipv4(tcp(options=OPTIONS_4), options=OPTIONS_4)), 1),
    ("classified_udp", ether(ipv4(udp(), UDP)), 1),
    ("classified_icmp", ether(ipv4(b"\x08\0\0\0", ICMP)), 1),
    ("classified_icmp", ether(ipv6(b"\x80\0\0\0", ICMP6)), 1),
    ("classified_icmp", ether(ipv4(b"", ICMP)), 1),
    ("classified_other", ether(ipv4(b"\0\0\x08\0", GRE)), 1),
    ("classified_other", ether(ipv6(b"", 59)), 1),  # no next header
    ("classified_other", ether(ipv4(bytes(30), 51)), 1),  # AH is followed in IPv6 only
    ("classified_other", ether(ipv6(bytes(30), 50)), 1),
    ("classified_tcp", ether(WHOLE, tags=((0x8100, 5),)), 1),
    ("classified_tcp", ether(WHOLE, tags=((0x88A8, 7), (0x8100, 5))), 1),
    ("classified_tcp", ether(WHOLE, tags=((0x9100, 7), (0x9200, 6), (0x8100, 5))), 1),
    ("classified_tcp", ether(WHOLE, tags=((0x8100, 5),) * MAX_VLAN_TAGS), 1),
    ("classified_tcp", ether(SNAP + b"\x08\0" + WHOLE, 100), 1),
    ("classified_tcp", ether(WHOLE, 0x86DD), 1),  # the version in the packet counts
    ("classified_tcp", struct.pack(">I", 30) + ipv6(tcp()), 0),  # macOS, captured on a big-endian machine
    ("classified_tcp", wifi(SNAP + b"\x08\0" + WHOLE, qos=False), 105),
    ("classified_tcp", wifi(SNAP + b"\x08\0" + WHOLE, order=True), 105),
    ("classified_tcp", wifi(SNAP + b"\x08\0" + WHOLE, to_ds=1, from_ds=1), 105),
    ("classified_tcp", wifi(SNAP + b"\x08\0" + WHOLE, to_ds=0, from_ds=1), 105),
    ("classified_tcp", wifi(SNAP + b"\x08\0" + WHOLE, to_ds=0), 105),
    ("classified_tcp", b"\0\0\x0c\0\0\0\0\0\0\0\0\0" + wifi(SNAP + b"\x08\0" + WHOLE), 127),
    ("ignored_link_type", WHOLE, 147),
    ("ignored_link_type", b"", 147),
    ("ignored_not_ip", ether(bytes(40), 0x88CC), 1),
    ("ignored_not_ip", ether(bytes(40), 0x8864), 1),  # PPPoE
    ("ignored_not_ip", ether(SNAP + b"\x80\x9b" + bytes(20), 28), 1),
    ("ignored_not_ip", struct.pack("<I", 7) + WHOLE, 0),
    ("ignored_arp", ether(arp(), 0x0806), 1),
    ("ignored_arp", ether(arp(), 0x0806, tags=((0x8100, 5),)), 1),
    ("ignored_arp", ether(SNAP + b"\x08\x06" + arp(), 40), 1),
    ("ignored_llc", ether(b"\x42\x42\x03" + bytes(40), 43), 1),  # spanning tree
    ("ignored_llc", ether(b"\xaa\xaa\x03\0\0\x0c\x20\0" + bytes(40), 43), 1),  # CDP
    ("ignored_llc", ether(SNAP, 6), 1),
    ("ignored_wifi_not_data", bytes([0x80, 0]) + bytes(40), 105),  # beacon
    ("ignored_wifi_not_data", bytes([0xD4, 0]) + bytes(8), 105),  # acknowledgement
    ("ignored_wifi_not_data", wifi(b"", kind=0x48), 105),  # null
    ("ignored_wifi_not_data", radiotap(bytes([0x80, 0]) + bytes(40)), 127),
    ("ignored_wifi_encrypted", wifi(bytes(40), more=0x40), 105),
    ("ignored_later_fragment", ether(ipv4(bytes(30), TCP, fragment=0x2001)), 1),
    ("ignored_later_fragment", ether(ipv4(bytes(30), UDP, fragment=185)), 1),
    ("ignored_later_fragment", ether(ipv6(bytes(30), UDP, headers=(FRAGMENT_LATER,))), 1),
    ("dropped_truncated", b"", 1),
    ("dropped_truncated", MACS + b"\x08", 1),
    ("dropped_truncated", ether(WHOLE, tags=((0x8100, 5),))[:17], 1),
    ("dropped_truncated", ether(WHOLE)[:14], 1),
    ("dropped_truncated", ether(WHOLE)[: 14 + 19], 1),
    ("dropped_truncated", ether(ipv4(tcp(), options=OPTIONS_4))[: 14 + 24], 1),
    ("dropped_truncated", ether(ipv6(tcp()))[: 14 + 39], 1),
    ("dropped_truncated", ether(WHOLE)[: 14 + 20 + 3], 1),
    ("dropped_truncated", ether(ipv4(udp(), UDP))[: 14 + 20 + 3], 1),
    ("dropped_truncated", ether(ipv6(tcp(), headers=(HOP,)))[: 14 + 40 + 7], 1),
    ("dropped_truncated", ether(ipv6(tcp(), headers=(DESTINATION,)))[: 14 + 40 + 15], 1),
    ("dropped_truncated", ether(ipv6(tcp(), headers=(AH,)))[: 14 + 40 + 23], 1),
    ("dropped_truncated", ether(ipv6(tcp(), headers=(AH,)))[: 14 + 40 + 5], 1),
    ("dropped_truncated", ether(ipv6(tcp(), headers=(FRAGMENT_FIRST,)))[: 14 + 40 + 7], 1),
    ("dropped_truncated", bytes(15), 113),
    ("dropped_truncated", bytes(19), 276),
    ("dropped_truncated", bytes(3), 0),
    ("dropped_truncated", b"\0\0\x08", 127),
    ("dropped_truncated", b"\0\0\xff\0" + bytes(60), 127),
    ("dropped_truncated", wifi(b"")[:23], 105),
    ("dropped_truncated", wifi(b"", to_ds=1, from_ds=1)[:29], 105),
    ("dropped_malformed", ether(ipv4(tcp(), first=0x44)), 1),
    ("dropped_malformed", ether(ipv4(tcp(), total=19)), 1),
    ("dropped_malformed", ether(ipv4(tcp(), total=23, options=OPTIONS_4)), 1),
    ("dropped_malformed", ether(ipv4(tcp(), first=0x55)), 1),
    ("dropped_malformed", ether(ipv4(tcp(offset=4))), 1),
    ("dropped_malformed", ether(ipv6(tcp(offset=0))), 1),
    ("dropped_malformed", ether(WHOLE, tags=((0x8100, 5),) * (MAX_VLAN_TAGS + 1)), 1),
    ("dropped_malformed", ether(ipv6(tcp(), headers=(HOP,) * MAX_IPV6_EXTENSIONS)), 1),
    ("dropped_malformed", b"\0\0\x07\0" + bytes(60), 127),
    ("dropped_malformed", b"\0" + bytes(60), 101),
]


@pytest.mark.parametrize(("kind", "data", "link"), REASONS)
def test_each_reason(kind, data, link):
    assert look(data, link).kind == kind


def test_every_reason_has_a_frame():
    """All but those that depend on other frames: the full table, copies, and fragments that wait."""
    others = {"dropped_table_full", "dropped_duplicate", "ignored_fragment_waiting"}
    assert {kind for kind, _, _ in REASONS} == set(layout.COUNTERS) - others


@proves("VLAN", "frames made by hand")
@proves("QinQ", "frames made by hand")
def test_vlans():
    assert look(ether(WHOLE)).notices == {}
    one = look(ether(WHOLE, tags=((0x8100, 0xE005),)))
    assert (one.h[fields.H_VLAN], one.notices) == (5, {"vlan_tagged": 1})
    two = look(ether(WHOLE, tags=((0x88A8, 7), (0x8100, 5))))
    assert (two.h[fields.H_VLAN], two.notices) == (5, {"vlan_tagged": 1, "vlan_stacked": 1})
    cooked = b"\0\0\0\x01\0\x06" + MACS[6:] + b"\0\0\x81\0\0\x09\x08\0" + WHOLE
    assert look(cooked, 113).h[fields.H_VLAN] == 9


def test_macs():
    seen = look(ether(WHOLE))
    assert (seen.h[fields.H_DST_MAC], seen.h[fields.H_SRC_MAC]) == (0x020000000001, 0x020000000002)
    a, b, c = (
        0x02000000000A,
        0x02000000000B,
        0x02000000000C,
    )  # of the frame's three addresses (IEEE 802.11-2020, 9.3.2.1)
    for to_ds, from_ds, dst, src in ((0, 0, a, b), (1, 0, c, b), (0, 1, a, c), (1, 1, -1, -1)):
        seen = look(wifi(SNAP + b"\x08\0" + WHOLE, to_ds=to_ds, from_ds=from_ds), 105)
        assert (seen.h[fields.H_DST_MAC], seen.h[fields.H_SRC_MAC]) == (dst, src)
    assert look(WHOLE, 101).h[fields.H_SRC_MAC] == -1


def test_padding_behind_the_packet_is_no_payload():
    """Ethernet frames have 46 bytes of contents at least."""
    for padding in (b"", bytes(6), b"\xff" * 40):
        assert look(ether(ipv4(tcp()) + padding)).payload == b""
        assert look(ether(ipv4(udp(b"ab"), UDP) + padding)).payload == b"ab"
        assert look(ether(ipv6(udp(b"ab"), UDP) + padding)).payload == b"ab"


def test_a_length_of_zero_means_the_whole_frame():
    """What segmentation offload leaves; and jumbograms (RFC 2675)."""
    seen = look(ether(ipv4(tcp(b"x" * 3000), total=0)))
    assert (seen.kind, len(seen.payload), seen.h[fields.H_MISSING]) == ("classified_tcp", 3000, 0)
    seen = look(ether(ipv6(tcp(b"x" * 3000), length=0)))
    assert (seen.kind, len(seen.payload), seen.h[fields.H_MISSING]) == ("classified_tcp", 3000, 0)
    seen = look(ether(ipv4(tcp(b"x" * 30), total=0)), wire_bytes=5000)
    assert (len(seen.payload), seen.h[fields.H_MISSING]) == (30, 5000 - 14 - 40 - 30)


@pytest.mark.parametrize(
    "packet", [ipv4(tcp(b"x" * 50)), ipv6(tcp(b"x" * 50)), ipv4(udp(b"x" * 50), UDP), ipv6(udp(b"x" * 50), UDP)]
)
def test_cut_captures(packet):
    """Every snap length: what is left of the payload and what is missing are the whole payload; ports are read if they are there."""
    data = ether(packet)
    head = 14 + (20 if packet[0] >> 4 == 4 else 40)
    minimum = 20 if packet[9 if packet[0] >> 4 == 4 else 6] == TCP else 8
    for length in range(len(data) + 1):
        seen = look(data[:length], wire_bytes=len(data))
        if length < head + 4:
            assert seen.kind == "dropped_truncated"
            assert seen.notices == ({"ports_unread": 1} if length >= head else {})
        elif length < head + minimum:
            assert seen.kind.startswith("classified_")
            assert (seen.ports, seen.payload) == ((51000, 52000), b"")
        else:
            assert len(seen.payload) + seen.h[fields.H_MISSING] == 50
            assert seen.payload == b"x" * (length - head - minimum)


def test_udp_lengths():
    """A length smaller than what is there ends the payload; one that cannot be right does not."""
    whole = b"abcdef"
    for length, cut, payload, missing in ((8, 0, b"", 0), (10, 0, b"ab", 0), (14, 0, whole, 0), (0, 0, whole, 0), (7, 0, whole, 0),
                                          (900, 0, whole, 0), (10, 100, b"ab", 0), (0, 100, whole, 100), (20, 100, whole, 6),
                                          (114, 100, whole, 100), (900, 100, whole, 100)):  # fmt: skip
        packet = ipv4(udp(whole, length=length), UDP, total=20 + 14 + cut)
        seen = look(ether(packet), wire_bytes=14 + len(packet) + cut)
        assert (seen.payload, seen.h[fields.H_MISSING]) == (payload, missing)


def test_tcp_options_behind_the_end():
    seen = look(ether(ipv4(tcp(b"abc", offset=15))))
    assert (seen.kind, seen.payload, seen.ports) == ("classified_tcp", b"", (51000, 52000))


def test_first_fragments():
    seen = look(ether(ipv4(udp(b"abc", length=3000), UDP, fragment=0x2000)))
    assert (seen.kind, seen.payload, seen.h[fields.H_FRAGMENT]) == ("classified_udp", b"abc", 1)
    assert seen.notices == {"first_fragments": 1}
    seen = look(ether(ipv6(udp(b"abc", length=3000), UDP, headers=(FRAGMENT_FIRST,))))
    assert (seen.kind, seen.payload, seen.h[fields.H_FRAGMENT]) == ("classified_udp", b"abc", 1)
    assert seen.notices == {"first_fragments": 1}
    seen = look(ether(ipv6(udp(b"abc"), UDP, headers=(FRAGMENT_ONLY,))))  # an atomic fragment (RFC 6946)
    assert (seen.kind, seen.payload, seen.h[fields.H_FRAGMENT], seen.notices) == ("classified_udp", b"abc", 0, {})
    assert look(ether(ipv4(tcp(), fragment=0x4000))).h[fields.H_FRAGMENT] == 0  # don't fragment


@pytest.mark.parametrize("count", range(MAX_IPV6_EXTENSIONS + 3))
def test_extension_headers(count):
    chain = (
        HOP,
        DESTINATION,
        ROUTING,
        AH,
        FRAGMENT_ONLY,
        (135, b"\0" + bytes(6)),
        (139, b"\0" + bytes(6)),
        (140, b"\0" + bytes(6)),
    )
    headers = tuple(chain[i % len(chain)] for i in range(count))
    seen = look(ether(ipv6(tcp(b"abc"), headers=headers)))
    if count < MAX_IPV6_EXTENSIONS:
        assert (seen.kind, seen.payload) == ("classified_tcp", b"abc")
    else:
        assert seen.kind == "dropped_malformed"


def test_an_extension_header_longer_than_the_packet():
    for length, kind in ((1, "dropped_truncated"), (8, "dropped_truncated"), (8 + 20 + 3, "classified_tcp")):
        assert look(ether(ipv6(tcp(b"abc"), headers=(HOP,), length=length))).kind == kind
    assert look(ether(ipv6(tcp(b"abc"), headers=((0, b"\xff" + bytes(6)),)))).kind == "dropped_truncated"
