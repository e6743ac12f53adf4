"""From a captured frame to its five-tuple and payload: link layers, IPv4 and IPv6, TCP and UDP.

`locate` leaves its findings in an int64 scratch array (`layout.H_*`) and returns a counter index: a classified one when
there is a flow, else why not. Every offset is checked against the frame's end before it is read.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sensor.kernel.layout import (
    CLASSIFIED_ICMP,
    CLASSIFIED_OTHER,
    CLASSIFIED_TCP,
    CLASSIFIED_UDP,
    DROPPED_MALFORMED,
    DROPPED_TRUNCATED,
    FIRST_FRAGMENTS,
    H_DST_HIGH,
    H_DST_LOW,
    H_DST_MAC,
    H_DST_PORT,
    H_END,
    H_FRAGMENT,
    H_MISSING,
    H_PAYLOAD,
    H_PROTO,
    H_SEQUENCE,
    H_SRC_HIGH,
    H_SRC_LOW,
    H_SRC_MAC,
    H_SRC_PORT,
    H_TCP_FLAGS,
    H_TTL,
    H_VLAN,
    IGNORED_ARP,
    IGNORED_LATER_FRAGMENT,
    IGNORED_LINK_TYPE,
    IGNORED_LLC,
    IGNORED_NOT_IP,
    IGNORED_WIFI_ENCRYPTED,
    IGNORED_WIFI_NOT_DATA,
    PORTS_UNREAD,
    VLAN_STACKED,
    VLAN_TAGGED,
)
from sensor.kernel.wire import i64, little16, u8, u16, u32, u48

# Ether types (IEEE 802 numbers).
ETHER_IPV4, ETHER_ARP, ETHER_IPV6 = 0x0800, 0x0806, 0x86DD
ETHER_VLAN, ETHER_QINQ, ETHER_QINQ_OLD, ETHER_QINQ_9200 = 0x8100, 0x88A8, 0x9100, 0x9200
ETHER_LENGTH_LIMIT = 0x0600  # below: an IEEE 802.3 length, LLC follows
MAX_VLAN_TAGS = 8

# IP protocol numbers (IANA).
IP_HOP_BY_HOP, IP_ICMP, IP_TCP, IP_UDP, IP_ROUTING, IP_FRAGMENT = 0, 1, 6, 17, 43, 44
IP_AH, IP_ICMP6, IP_NO_NEXT, IP_DESTINATION, IP_MOBILITY, IP_HIP, IP_SHIM6 = 51, 58, 59, 60, 135, 139, 140
MAX_IPV6_EXTENSIONS = 16

V4_MAPPED = np.int64(0xFFFF) << np.int64(32)


@njit(cache=True, nogil=True, forceinline=True)
def locate(buf, start, end, wire_end, link, h, notices):
    """Reads one frame at buf[start:end]; `wire_end` is where it ended before the capture cut it."""
    h[H_VLAN] = -1
    h[H_SRC_MAC] = -1
    h[H_DST_MAC] = -1
    h[H_FRAGMENT] = 0
    if link == 1:
        return ethernet(buf, start, end, wire_end, h, notices)
    if link in (101, 12, 14, 228, 229):
        return ip(buf, start, end, wire_end, h, notices)
    if link in (0, 108):
        return loopback(buf, start, end, wire_end, h, notices)
    if link == 113:
        # Linux cooked v1 (LINKTYPE_LINUX_SLL): 16 bytes, protocol last.
        if end - start < 16:
            return DROPPED_TRUNCATED
        return by_ether_type(buf, start + 16, end, wire_end, u16(buf, start + 14), h, notices)
    if link == 276:
        # Linux cooked v2 (LINKTYPE_LINUX_SLL2): 20 bytes, protocol first.
        if end - start < 20:
            return DROPPED_TRUNCATED
        return by_ether_type(buf, start + 20, end, wire_end, u16(buf, start), h, notices)
    if link == 127:
        # Radiotap: version, pad, little-endian length of the whole header.
        if end - start < 4:
            return DROPPED_TRUNCATED
        length = little16(buf, start + 2)
        if length < 8:
            return DROPPED_MALFORMED
        if start + length > end:
            return DROPPED_TRUNCATED
        return wifi(buf, start + length, end, wire_end, h, notices)
    if link == 105:
        return wifi(buf, start, end, wire_end, h, notices)
    return IGNORED_LINK_TYPE


@njit(cache=True, nogil=True, forceinline=True)
def ethernet(buf, start, end, wire_end, h, notices):
    if end - start < 14:
        return DROPPED_TRUNCATED
    h[H_DST_MAC] = u48(buf, start)
    h[H_SRC_MAC] = u48(buf, start + 6)
    return by_ether_type(buf, start + 14, end, wire_end, u16(buf, start + 12), h, notices)


@njit(cache=True, nogil=True, forceinline=True)
def by_ether_type(buf, at, end, wire_end, kind, h, notices):
    """What follows an ether type: VLAN tags (IEEE 802.1Q, 802.1ad), then IP."""
    tags = 0
    while kind in (ETHER_VLAN, ETHER_QINQ, ETHER_QINQ_OLD, ETHER_QINQ_9200):
        if at + 4 > end:
            return DROPPED_TRUNCATED
        tags += 1
        if tags > MAX_VLAN_TAGS:
            return DROPPED_MALFORMED
        h[H_VLAN] = u16(buf, at) & 0x0FFF  # the innermost tag names the clinic's network
        kind = u16(buf, at + 2)
        at += 4
    if tags > 0:
        notices[VLAN_TAGGED] += 1
    if tags > 1:
        notices[VLAN_STACKED] += 1
    if kind in (ETHER_IPV4, ETHER_IPV6):
        return ip(buf, at, end, wire_end, h, notices)
    if kind == ETHER_ARP:
        return IGNORED_ARP
    if kind < ETHER_LENGTH_LIMIT:
        return snap(buf, at, end, wire_end, h, notices)
    return IGNORED_NOT_IP


@njit(cache=True, nogil=True)
def snap(buf, at, end, wire_end, h, notices):
    """IEEE 802.2 LLC; with the SNAP header of RFC 1042 an ether type follows."""
    if at + 8 <= end and u8(buf, at) == 0xAA and u8(buf, at + 1) == 0xAA and u8(buf, at + 2) == 3:
        if u16(buf, at + 3) != 0 or u8(buf, at + 5) != 0:
            return IGNORED_LLC
        kind = u16(buf, at + 6)
        if kind in (ETHER_IPV4, ETHER_IPV6):
            return ip(buf, at + 8, end, wire_end, h, notices)
        if kind == ETHER_ARP:
            return IGNORED_ARP
        return IGNORED_NOT_IP
    return IGNORED_LLC


@njit(cache=True, nogil=True)
def loopback(buf, start, end, wire_end, h, notices):
    """BSD null/loop: four bytes of address family in either byte order, then IP."""
    if end - start < 4:
        return DROPPED_TRUNCATED
    family = u32(buf, start)
    if family > 0xFFFF:
        family = little16(buf, start)
    if family in (2, 10, 23, 24, 28, 30):  # AF_INET and the AF_INET6 of Linux, Windows, the BSDs and macOS
        return ip(buf, start + 4, end, wire_end, h, notices)
    return IGNORED_NOT_IP


@njit(cache=True, nogil=True)
def wifi(buf, start, end, wire_end, h, notices):
    """IEEE 802.11 data frames without encryption (IEEE 802.11-2020, 9.2.4)."""
    if end - start < 24:
        # Acknowledgements and the like are shorter than a data header.
        return IGNORED_WIFI_NOT_DATA if end - start >= 2 and (u8(buf, start) & 0x0C) != 8 else DROPPED_TRUNCATED
    control = u8(buf, start)
    flags = u8(buf, start + 1)
    if (control & 0x0C) != 8 or (control & 0x40) != 0:  # not a data frame, or a null one
        return IGNORED_WIFI_NOT_DATA
    if flags & 0x40:
        return IGNORED_WIFI_ENCRYPTED
    at = start + 24
    direction = flags & 3
    if direction == 3:
        at += 6
    if control & 0x80:  # QoS
        at += 2
        if flags & 0x80:
            at += 4
    if at > end:
        return DROPPED_TRUNCATED
    if direction == 0:
        h[H_DST_MAC] = u48(buf, start + 4)
        h[H_SRC_MAC] = u48(buf, start + 10)
    elif direction == 1:
        h[H_DST_MAC] = u48(buf, start + 16)
        h[H_SRC_MAC] = u48(buf, start + 10)
    elif direction == 2:
        h[H_DST_MAC] = u48(buf, start + 4)
        h[H_SRC_MAC] = u48(buf, start + 16)
    return snap(buf, at, end, wire_end, h, notices)


@njit(cache=True, nogil=True, forceinline=True)
def ip(buf, at, end, wire_end, h, notices):
    if at >= end:
        return DROPPED_TRUNCATED
    version = u8(buf, at) >> 4
    if version == 4:
        return ipv4(buf, at, end, wire_end, h, notices)
    if version == 6:
        return ipv6(buf, at, end, wire_end, h, notices)
    return DROPPED_MALFORMED


@njit(cache=True, nogil=True, forceinline=True)
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
    fragment = u16(buf, at + 6)
    h[H_TTL] = u8(buf, at + 8)
    h[H_SRC_HIGH] = 0
    h[H_SRC_LOW] = V4_MAPPED | u32(buf, at + 12)
    h[H_DST_HIGH] = 0
    h[H_DST_LOW] = V4_MAPPED | u32(buf, at + 16)
    if fragment & 0x1FFF:
        return IGNORED_LATER_FRAGMENT
    if fragment & 0x2000:
        h[H_FRAGMENT] = 1
        notices[FIRST_FRAGMENTS] += 1
    payload_end = at + total
    h[H_MISSING] = max(payload_end - end, 0)
    return transport(buf, at + header, min(payload_end, end), u8(buf, at + 9), h, notices)


@njit(cache=True, nogil=True, forceinline=True)
def ipv6(buf, at, end, wire_end, h, notices):
    """RFC 8200 3 and 4: the fixed header, then extension headers in any order, bounded."""
    if at + 40 > end:
        return DROPPED_TRUNCATED
    length = u16(buf, at + 4)
    payload_end = wire_end if length == 0 else at + 40 + length  # 0: jumbogram or segmentation offload
    h[H_TTL] = u8(buf, at + 7)
    h[H_SRC_HIGH] = i64(buf, at + 8)
    h[H_SRC_LOW] = i64(buf, at + 16)
    h[H_DST_HIGH] = i64(buf, at + 24)
    h[H_DST_LOW] = i64(buf, at + 32)
    h[H_MISSING] = max(payload_end - end, 0)
    stop = min(payload_end, end)
    proto = u8(buf, at + 6)
    at += 40
    for _ in range(MAX_IPV6_EXTENSIONS):
        if proto == IP_FRAGMENT:
            if at + 8 > stop:
                return DROPPED_TRUNCATED
            fragment = u16(buf, at + 2)
            proto = u8(buf, at)
            at += 8
            if fragment & 0xFFF8:
                return IGNORED_LATER_FRAGMENT
            if fragment & 1:
                h[H_FRAGMENT] = 1
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


@njit(cache=True, nogil=True, forceinline=True)
def transport(buf, at, end, proto, h, notices):
    """TCP (RFC 9293 3.1), UDP (RFC 768); every other protocol is a flow without ports."""
    h[H_PROTO] = proto
    h[H_SRC_PORT] = 0
    h[H_DST_PORT] = 0
    h[H_TCP_FLAGS] = 0
    h[H_SEQUENCE] = 0
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
        return CLASSIFIED_UDP
    if proto in (IP_ICMP, IP_ICMP6):
        return CLASSIFIED_ICMP
    return CLASSIFIED_OTHER


@njit(cache=True, nogil=True)
def short_transport(buf, at, end, h, notices, kind):
    """A transport header that the capture or the fragment cut: its ports still tell the flow, if they are there."""
    if at + 4 > end:
        notices[PORTS_UNREAD] += 1
        return DROPPED_TRUNCATED
    h[H_SRC_PORT] = u16(buf, at)
    h[H_DST_PORT] = u16(buf, at + 2)
    h[H_PAYLOAD] = end
    return kind
