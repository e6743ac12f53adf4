"""Whether bytes have the shape of an IP packet or an Ethernet frame: what a tunnel must carry before it is believed."""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.fields import (
    H_DST_MAC,
    H_FRAGMENT,
    H_NEXT_AT,
    H_NEXT_END,
    H_NEXT_TYPE,
    H_NEXT_WIRE,
    H_SRC_MAC,
    H_VLAN,
)
from sensor.kernel.wire import u8, u16, u32

# Ether types (IEEE 802 numbers).
ETHER_IPV4, ETHER_ARP, ETHER_IPV6 = 0x0800, 0x0806, 0x86DD
ETHER_VLAN, ETHER_QINQ, ETHER_QINQ_OLD, ETHER_QINQ_9200 = 0x8100, 0x88A8, 0x9100, 0x9200
ETHER_MPLS, ETHER_MPLS_MULTICAST, ETHER_PPPOE, ETHER_BRIDGED = 0x8847, 0x8848, 0x8864, 0x6558
ETHER_PBB, ETHER_DCE, ETHER_VNTAG, ETHER_ETAG, ETHER_NSH = 0x88E7, 0x8903, 0x8926, 0x893F, 0x894F
ETHER_LENGTH_LIMIT = 0x0600  # below: an IEEE 802.3 length, LLC follows
MAX_VLAN_TAGS = 8
MAX_LABELS = 16  # of an MPLS stack

# Link types of what a tunnel carries (model.LinkType), and what is none.
LINK_ETHERNET, LINK_PPP, LINK_RAW, LINK_WIFI = 1, 9, 101, 105
NO_TUNNEL, LINK_ETHER_TYPE, LINK_TRANSPORT, LINK_WIFI_SWAPPED = -1, -2, -3, -4

# Bytes that may follow an IP packet: Ethernet's padding to 46 bytes and its checksum; without Ethernet an alignment.
ETHERNET_SLACK, SLACK = 64, 8


@inlined
def carries_others(kind):
    """Whether frames of this ether type carry others, and are read here."""
    return kind in (
        ETHER_MPLS,
        ETHER_MPLS_MULTICAST,
        ETHER_PPPOE,
        ETHER_PBB,
        ETHER_DCE,
        ETHER_VNTAG,
        ETHER_ETAG,
        ETHER_NSH,
    )


@compiled
def is_ip(buf, at, end, wire, slack, h):
    """Whether an IP packet begins here: version, header length and total length fit each other and the room.

    Of the first fragment of a tunnel's packet the room is not known.
    """
    if at >= end:
        return False
    version = u8(buf, at) >> 4
    if version == 4:
        if at + 20 > end:
            return False
        header = (u8(buf, at) & 15) * 4
        total = u16(buf, at + 2)
        if header < 20 or total < header:
            return False
    elif version == 6:
        if at + 40 > end:
            return False
        total = 40 + u16(buf, at + 4)
    else:
        return False
    return h[H_FRAGMENT] != 0 or total <= wire - at <= total + slack


@compiled
def is_ethernet(buf, at, end, wire, h):
    """Whether an Ethernet frame begins here that carries IP, ARP for IPv4, or a header that carries others."""
    kind_at = at + 12
    for _ in range(MAX_VLAN_TAGS + 1):
        if kind_at + 2 > end:
            return False
        kind = u16(buf, kind_at)
        if kind in (ETHER_VLAN, ETHER_QINQ, ETHER_QINQ_OLD, ETHER_QINQ_9200):
            kind_at += 4
        elif kind == ETHER_IPV4 or kind == ETHER_IPV6:
            version = 4 if kind == ETHER_IPV4 else 6
            return is_ip(buf, kind_at + 2, end, wire, ETHERNET_SLACK, h) and u8(buf, kind_at + 2) >> 4 == version
        elif kind == ETHER_ARP:
            return kind_at + 6 <= end and u16(buf, kind_at + 2) == 1 and u16(buf, kind_at + 4) == ETHER_IPV4
        else:
            return carries_others(kind)
    return False


@compiled
def is_wifi(buf, at, end, wire, h):
    """Whether IP lies in what may be a data frame of IEEE 802.11, whose header has one of four lengths: LLC (RFC 1042) tells."""
    for length in (24, 26, 30, 32):
        llc = at + length
        if llc + 8 <= end and u32(buf, llc) == 0xAAAA0300 and u16(buf, llc + 4) == 0:
            return is_ip(buf, llc + 8, end, wire, ETHERNET_SLACK, h)
    return False


@compiled
def behind_labels(buf, at, end):
    """Where a stack of MPLS labels (RFC 3032 2.1) ends: `end` or behind it if it is cut, -1 if it is too long."""
    for _ in range(MAX_LABELS):
        if at + 4 > end:
            return end
        at += 4
        if u8(buf, at - 2) & 1:
            return at
    return np.int64(-1)


@compiled
def labelled(buf, at, end, wire, h):
    """What lies behind MPLS labels, if it is whole and sound: (link type, where it begins)."""
    nibble = u8(buf, at) >> 4
    if (nibble == 4 or nibble == 6) and is_ip(buf, at, end, wire, ETHERNET_SLACK, h):
        return LINK_RAW, at
    if nibble == 0 and is_ethernet(buf, at + 4, end, wire, h):
        return LINK_ETHERNET, at + 4
    if is_ethernet(buf, at, end, wire, h):
        return LINK_ETHERNET, at
    return NO_TUNNEL, at


@compiled
def sound(buf, at, end, wire, link, kind, h):
    """Whether a whole packet lies here: an Ethernet frame, or behind an ether type IP or MPLS that carries either."""
    if link == LINK_ETHERNET:
        return is_ethernet(buf, at, end, wire, h)
    if kind == ETHER_IPV4 or kind == ETHER_IPV6:
        return is_ip(buf, at, end, wire, SLACK, h) and u8(buf, at) >> 4 == (4 if kind == ETHER_IPV4 else 6)
    if kind == ETHER_MPLS:
        at = behind_labels(buf, at, end)
        return 0 <= at < end and labelled(buf, at, end, wire, h)[0] != NO_TUNNEL
    if kind != ETHER_NSH or at + 8 > end:
        return False
    following, at = u8(buf, at + 3), at + (u8(buf, at + 1) & 0x3F) * 4
    if following == 3:
        return is_ethernet(buf, at, end, wire, h)
    return following in (1, 2) and is_ip(buf, at, end, wire, SLACK, h)


@compiled
def onto(h, at, end, wire, kind, link):
    """Notes where what follows a header lies; MAC addresses and VLAN stay those of the frame. Returns `link`."""
    h[H_NEXT_AT] = at
    h[H_NEXT_END] = end
    h[H_NEXT_WIRE] = wire
    h[H_NEXT_TYPE] = kind
    return link


@compiled
def into(h, at, end, wire, kind, link):
    """As `onto`, where MAC addresses and VLAN so far are of the tunnel's ends: who sent what is inside they do not tell."""
    h[H_SRC_MAC] = -1
    h[H_DST_MAC] = -1
    h[H_VLAN] = -1
    return onto(h, at, end, wire, kind, link)
