"""IPv4 and IPv6, TCP and UDP: from the first byte of an IP packet to its five-tuple and payload.

What is found is left in an int64 scratch array (`fields.H_*`). Returns a counter index, or layout.STEP_PROTO or STEP_UDP where
the payload may be a tunnel. Every offset is checked against the packet's end before it is read.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.fields import (
    FRAGMENT_FIRST,
    FRAGMENT_LATER,
    H_DST_HIGH,
    H_DST_LOW,
    H_DST_MAC,
    H_DST_PORT,
    H_END,
    H_FRAGMENT,
    H_IP_AT,
    H_MISSING,
    H_PART_AT,
    H_PART_DATA,
    H_PART_DST_MAC,
    H_PART_IDENT,
    H_PART_MISSING,
    H_PART_MORE,
    H_PART_OFFSET,
    H_PART_PROTO,
    H_PART_SRC_MAC,
    H_PART_STOP,
    H_PART_VLAN,
    H_PAYLOAD,
    H_PROTO,
    H_SEQUENCE,
    H_SRC_HIGH,
    H_SRC_LOW,
    H_SRC_MAC,
    H_SRC_PORT,
    H_TCP_FLAGS,
    H_TRANSPORT_AT,
    H_TTL,
    H_VLAN,
)
from sensor.kernel.layout import (
    CLASSIFIED_ICMP,
    CLASSIFIED_OTHER,
    CLASSIFIED_TCP,
    CLASSIFIED_UDP,
    DROPPED_MALFORMED,
    DROPPED_TRUNCATED,
    FIRST_FRAGMENTS,
    IGNORED_LATER_FRAGMENT,
    PORTS_UNREAD,
    STEP_PROTO,
    STEP_UDP,
)
from sensor.kernel.wire import i64, u8, u16, u32

# IP protocol numbers (IANA).
IP_HOP_BY_HOP, IP_ICMP, IP_TCP, IP_UDP, IP_ROUTING, IP_FRAGMENT = 0, 1, 6, 17, 43, 44
IP_AH, IP_ICMP6, IP_NO_NEXT, IP_DESTINATION, IP_MOBILITY, IP_HIP, IP_SHIM6 = 51, 58, 59, 60, 135, 139, 140
IP_IPV4, IP_IPV6, IP_GRE, IP_ETHERIP, IP_L2TP, IP_MPLS = 4, 41, 47, 97, 115, 137
MAX_IPV6_EXTENSIONS = 16

# UDP ports of tunnels (IANA; 8472 and 37008 by custom).
UDP_L2TP, UDP_GTP, UDP_TEREDO, UDP_LISP, UDP_GRE, UDP_VXLAN, UDP_VXLAN_GPE = 1701, 2152, 3544, 4341, 4754, 4789, 4790
UDP_AYIYA, UDP_CAPWAP, UDP_GENEVE, UDP_MPLS, UDP_VXLAN_OLD, UDP_TZSP = 5072, 5247, 6081, 6635, 8472, 37008
UDP_GTP_0 = 3386

V4_MAPPED = np.int64(0xFFFF) << np.int64(32)


@inlined
def ip(buf, at, end, wire_end, h, notices):
    if at >= end:
        return DROPPED_TRUNCATED
    version = u8(buf, at) >> 4
    if version == 4:
        return ipv4(buf, at, end, wire_end, h, notices)
    if version == 6:
        return ipv6(buf, at, end, wire_end, h, notices)
    return DROPPED_MALFORMED


@compiled
def ip_apart(buf, at, end, wire_end, h, notices):
    """As `ip`, not inlined."""
    return ip(buf, at, end, wire_end, h, notices)


@inlined
def ipv4(buf, at, end, wire_end, h, notices):
    """RFC 791 3.1. A total length of 0 is what segmentation offload leaves: the frame's own length counts then."""
    if at + 20 > end:
        return DROPPED_TRUNCATED
    header = (u8(buf, at) & 15) * 4
    total = u16(buf, at + 2)
    if total == 0:
        total = wire_end - at
    if header < 20 or total < header:
        return DROPPED_MALFORMED
    if at + header > end:
        return DROPPED_TRUNCATED
    h[H_IP_AT] = at
    h[H_TTL] = u8(buf, at + 8)
    h[H_SRC_HIGH] = 0
    h[H_SRC_LOW] = V4_MAPPED | u32(buf, at + 12)
    h[H_DST_HIGH] = 0
    h[H_DST_LOW] = V4_MAPPED | u32(buf, at + 16)
    payload_end = at + total
    h[H_MISSING] = max(payload_end - end, 0)
    fragment = u16(buf, at + 6)
    if fragment & 0x3FFF:
        part(h, at, at + header, min(payload_end, end), (fragment & 0x1FFF) * 8, fragment & 0x2000, u8(buf, at + 9),
             u16(buf, at + 4))  # fmt: skip
        if fragment & 0x1FFF:
            return IGNORED_LATER_FRAGMENT
        notices[FIRST_FRAGMENTS] += 1
    return transport(buf, at + header, min(payload_end, end), u8(buf, at + 9), h, notices)


@inlined
def ipv6(buf, at, end, wire_end, h, notices):
    """RFC 8200 3 and 4: the fixed header, then extension headers in any order, bounded."""
    if at + 40 > end:
        return DROPPED_TRUNCATED
    length = u16(buf, at + 4)
    payload_end = wire_end if length == 0 else at + 40 + length  # 0: jumbogram or segmentation offload
    h[H_IP_AT] = at
    h[H_TTL] = u8(buf, at + 7)
    h[H_SRC_HIGH] = i64(buf, at + 8)
    h[H_SRC_LOW] = i64(buf, at + 16)
    h[H_DST_HIGH] = i64(buf, at + 24)
    h[H_DST_LOW] = i64(buf, at + 32)
    h[H_MISSING] = max(payload_end - end, 0)
    stop = min(payload_end, end)
    proto = u8(buf, at + 6)
    start = at
    at += 40
    for _ in range(MAX_IPV6_EXTENSIONS):
        if proto == IP_FRAGMENT:
            if at + 8 > stop:
                return DROPPED_TRUNCATED
            fragment = u16(buf, at + 2)
            proto = u8(buf, at)
            at += 8
            if fragment & 0xFFF9:
                part(h, start, at, stop, fragment & 0xFFF8, fragment & 1, proto, u32(buf, at - 4))
                if fragment & 0xFFF8:
                    return IGNORED_LATER_FRAGMENT
                notices[FIRST_FRAGMENTS] += 1
        elif proto in (IP_HOP_BY_HOP, IP_ROUTING, IP_DESTINATION, IP_MOBILITY, IP_HIP, IP_SHIM6):
            if at + 8 > stop:
                return DROPPED_TRUNCATED
            step = (u8(buf, at + 1) + 1) * 8
            if at + step > stop:
                return DROPPED_TRUNCATED
            proto = u8(buf, at)
            at += step
        elif proto == IP_AH:
            # RFC 4302 2.2: length in 32-bit words, minus 2.
            if at + 8 > stop:
                return DROPPED_TRUNCATED
            step = (u8(buf, at + 1) + 2) * 4
            if at + step > stop:
                return DROPPED_TRUNCATED
            proto = u8(buf, at)
            at += step
        else:
            return transport(buf, at, stop, proto, h, notices)
    return DROPPED_MALFORMED


@compiled
def part(h, at, data, stop, offset, more, proto, ident):
    """Notes what `fragments` has to know of a fragment. Of fragments inside of one only that one counts."""
    if h[H_FRAGMENT]:
        return
    h[H_FRAGMENT] = FRAGMENT_LATER if offset else FRAGMENT_FIRST
    h[H_PART_AT] = at
    h[H_PART_DATA] = data
    h[H_PART_STOP] = stop
    h[H_PART_MISSING] = h[H_MISSING]
    h[H_PART_OFFSET] = offset
    h[H_PART_MORE] = 1 if more else 0
    h[H_PART_PROTO] = proto
    h[H_PART_IDENT] = ident
    h[H_PART_VLAN] = h[H_VLAN]
    h[H_PART_SRC_MAC] = h[H_SRC_MAC]
    h[H_PART_DST_MAC] = h[H_DST_MAC]


@inlined
def transport(buf, at, end, proto, h, notices):
    """TCP (RFC 9293 3.1), UDP (RFC 768); every other protocol is a flow without ports."""
    h[H_PROTO] = proto
    h[H_SRC_PORT] = 0
    h[H_DST_PORT] = 0
    h[H_TCP_FLAGS] = 0
    h[H_SEQUENCE] = 0
    h[H_TRANSPORT_AT] = at
    h[H_PAYLOAD] = at
    h[H_END] = end
    if proto == IP_TCP:
        if at + 20 > end:
            return short_transport(buf, at, end, h, notices, CLASSIFIED_TCP)
        header = (u8(buf, at + 12) >> 4) * 4
        if header < 20:
            return DROPPED_MALFORMED
        h[H_SRC_PORT] = u16(buf, at)
        h[H_DST_PORT] = u16(buf, at + 2)
        h[H_SEQUENCE] = u32(buf, at + 4)
        h[H_TCP_FLAGS] = u8(buf, at + 13)
        h[H_PAYLOAD] = min(at + header, end)
        return CLASSIFIED_TCP
    if proto == IP_UDP:
        if at + 8 > end:
            return short_transport(buf, at, end, h, notices, CLASSIFIED_UDP)
        length = u16(buf, at + 4)
        h[H_SRC_PORT] = u16(buf, at)
        h[H_DST_PORT] = u16(buf, at + 2)
        h[H_PAYLOAD] = at + 8
        stop = at + length
        if length >= 8 and stop <= end + h[H_MISSING]:  # else 0 (RFC 2675 4), or the first fragment of more
            h[H_END] = min(stop, end)
            h[H_MISSING] = max(stop - end, 0)
        elif h[H_FRAGMENT] and length >= 8:
            h[H_MISSING] = max(stop - end, 0)  # what the other fragments bring
        return STEP_UDP if is_tunnel_port(h[H_SRC_PORT], h[H_DST_PORT]) else CLASSIFIED_UDP
    if proto in (IP_ICMP, IP_ICMP6):
        return CLASSIFIED_ICMP
    if proto in (IP_IPV4, IP_IPV6, IP_GRE, IP_AH, IP_ETHERIP, IP_L2TP, IP_MPLS):
        return STEP_PROTO
    return CLASSIFIED_OTHER


@inlined
def is_tunnel_port(sport, dport):
    """Whether a UDP port is one of a tunnel's. Of those to which each end may send from a port of its own, the destination's."""
    if dport in (UDP_GTP, UDP_LISP, UDP_GRE, UDP_VXLAN, UDP_VXLAN_GPE, UDP_GENEVE, UDP_MPLS, UDP_VXLAN_OLD, UDP_TZSP,
                 UDP_L2TP, UDP_TEREDO, UDP_AYIYA, UDP_CAPWAP, UDP_GTP_0):  # fmt: skip
        return True
    return sport in (UDP_L2TP, UDP_TEREDO, UDP_AYIYA, UDP_CAPWAP)


@compiled
def short_transport(buf, at, end, h, notices, kind):
    """A transport header that the capture or the fragment cut: its ports still tell the flow, if they are there."""
    if at + 4 > end:
        notices[PORTS_UNREAD] += 1
        return DROPPED_TRUNCATED
    h[H_SRC_PORT] = u16(buf, at)
    h[H_DST_PORT] = u16(buf, at + 2)
    h[H_PAYLOAD] = end
    return kind
