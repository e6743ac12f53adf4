"""Headers that carry packets, taken off one at a time: by ether type, link type and IP protocol; UDP in `udp_tunnels`.

Each function gets a header at buf[at:end], which ended at `wire` before the capture cut it. It returns the link type of what
is inside and leaves its place in the scratch array (`shapes.into`), or NO_TUNNEL where this is no such header.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled
from sensor.kernel.fields import H_END, H_MISSING, H_NEXT_TYPE, H_PAYLOAD, H_PROTO, H_SRC_HIGH, H_SRC_LOW, H_VLAN, H_WHY
from sensor.kernel.internet import IP_AH, IP_ETHERIP, IP_GRE, IP_IPV4, IP_IPV6, IP_L2TP, IP_MPLS
from sensor.kernel.layout import (
    DROPPED_MALFORMED,
    DROPPED_TRUNCATED,
    IGNORED_NOT_IP,
    STEP_LINK,
    TUNNEL_6IN4,
    TUNNEL_AH,
    TUNNEL_ERSPAN,
    TUNNEL_ETHERIP,
    TUNNEL_GRE,
    TUNNEL_IP_IN_IP,
    TUNNEL_L2TP,
    TUNNEL_MPLS,
    TUNNEL_NSH,
    TUNNEL_NVGRE,
    TUNNEL_PBB,
    TUNNEL_PPP,
    TUNNEL_PPPOE,
    TUNNEL_PPTP,
    TUNNEL_VNTAG,
)
from sensor.kernel.shapes import (
    ETHER_BRIDGED,
    ETHER_DCE,
    ETHER_IPV4,
    ETHER_IPV6,
    ETHER_LENGTH_LIMIT,
    ETHER_MPLS,
    ETHER_MPLS_MULTICAST,
    ETHER_NSH,
    ETHER_PBB,
    ETHER_PPPOE,
    ETHER_VNTAG,
    LINK_ETHER_TYPE,
    LINK_ETHERNET,
    LINK_PPP,
    LINK_RAW,
    LINK_TRANSPORT,
    LINK_WIFI,
    NO_TUNNEL,
    behind_labels,
    into,
    is_ethernet,
    labelled,
    onto,
)
from sensor.kernel.wire import little16, u8, u16, u32

MAX_NFLOG_FIELDS = 32

# GRE protocol types that are no ether types of their own.
GRE_WCCP, GRE_PPP, GRE_ERSPAN, GRE_ERSPAN_3 = 0x883E, 0x880B, 0x88BE, 0x22EB
GRE_ARUBA_FIRST, GRE_ARUBA_LAST = 0x8200, 0x83FF  # access points of Aruba: IEEE 802.11 frames

# PPP protocol numbers (IANA).
PPP_IPV4, PPP_BRIDGED, PPP_IPV6, PPP_MPLS, PPP_MPLS_MULTICAST = 0x0021, 0x0031, 0x0057, 0x0281, 0x0283


@compiled
def cut(h):
    """The header is longer than what was captured."""
    h[H_WHY] = DROPPED_TRUNCATED
    return NO_TUNNEL


@compiled
def peel_frame(buf, step, h, notices):
    """What a frame carries by its ether type (`H_NEXT_TYPE`) or, with STEP_LINK, its link type."""
    at, end = h[H_PAYLOAD], h[H_END]
    wire = end + h[H_MISSING]
    kind = h[H_NEXT_TYPE]
    h[H_WHY] = IGNORED_NOT_IP
    if step == STEP_LINK:
        return by_link_type(buf, at, end, wire, kind, h, notices)
    if kind in (ETHER_MPLS, ETHER_MPLS_MULTICAST):
        return mpls(buf, at, end, wire, h, notices)
    if kind == ETHER_PPPOE:
        return pppoe(buf, at, end, wire, h, notices)
    if kind == ETHER_PBB or kind == ETHER_DCE:
        # IEEE 802.1ah: four bytes with the service's number; Cisco's FabricPath: two with a tree and a TTL; then a frame.
        notices[TUNNEL_PBB] += 1
        return into(h, at + (4 if kind == ETHER_PBB else 2), end, wire, 0, LINK_ETHERNET)
    if kind == ETHER_NSH:
        return nsh(buf, at, end, wire, h, notices)
    # A VN-Tag has four bytes (Cisco), an E-Tag six (IEEE 802.1BR); then an ether type.
    length = 4 if kind == ETHER_VNTAG else 6
    if at + length + 2 > end:
        return cut(h)
    notices[TUNNEL_VNTAG] += 1
    return onto(h, at + length + 2, end, wire, u16(buf, at + length), LINK_ETHER_TYPE)


@compiled
def by_link_type(buf, at, end, wire, link, h, notices):
    """Link types with a header of their own (tcpdump.org/linktypes.html)."""
    if link == 9 or link == 50:
        if at + 4 <= end and u16(buf, at) in (0x0F00, 0x8F00):  # Cisco HDLC; no protocol of PPP has these numbers
            return onto(h, at + 4, end, wire, u16(buf, at + 2), LINK_ETHER_TYPE)
        return ppp(buf, at, end, wire, h, notices)
    if link == 51:
        return pppoe(buf, at, end, wire, h, notices)
    if link == 104:
        # Cisco HDLC: address, control, ether type.
        if at + 4 > end:
            return cut(h)
        return onto(h, at + 4, end, wire, u16(buf, at + 2), LINK_ETHER_TYPE)
    if link == 10:
        # FDDI: frame control and two addresses; then LLC, as behind a length of IEEE 802.3.
        if at + 13 > end:
            return cut(h)
        return onto(h, at + 13, end, wire, 0, LINK_ETHER_TYPE)
    if link == 192:
        # PPI: version, flags, little-endian length of all headers, and the link type of what follows.
        if at + 8 > end:
            return cut(h)
        length = little16(buf, at + 2)
        if length < 8 or little16(buf, at + 6) != 0:
            h[H_WHY] = DROPPED_MALFORMED
            return NO_TUNNEL
        return onto(h, at + length, end, wire, 0, little16(buf, at + 4))
    return nflog(buf, at, end, wire, h)


@compiled
def nflog(buf, at, end, wire, h):
    """LINKTYPE_NFLOG: family, version, resource; then fields of (length, type) in the byte order of the host."""
    at += 4
    for _ in range(MAX_NFLOG_FIELDS):
        if at + 4 > end:
            return cut(h)
        length = little16(buf, at)
        if length < 4:
            h[H_WHY] = DROPPED_MALFORMED
            return NO_TUNNEL
        if little16(buf, at + 2) == 9:  # the packet
            return onto(h, at + 4, end, min(wire, at + length), 0, LINK_RAW)
        at += (length + 3) & ~3
    return NO_TUNNEL


@compiled
def mpls(buf, at, end, wire, h, notices):
    """RFC 3032 2.1: labels; behind the last one IP, or an Ethernet frame with a control word (RFC 4448 4.6) or without."""
    at = behind_labels(buf, at, end)
    if at < 0:
        h[H_WHY] = DROPPED_MALFORMED
        return NO_TUNNEL
    if at >= end:
        return cut(h)
    link, at = labelled(buf, at, end, wire, h)
    if link == NO_TUNNEL:
        if u8(buf, at) >> 4 not in (4, 6):
            return NO_TUNNEL
        link = LINK_RAW  # cut or broken: let that be said of it
    notices[TUNNEL_MPLS] += 1
    return into(h, at, end, wire, 0, link)


@compiled
def pppoe(buf, at, end, wire, h, notices):
    """RFC 2516 4 and 6: a session's data. The MAC addresses are those of the two who speak PPP."""
    if at + 6 > end:
        return cut(h)
    if u16(buf, at) != 0x1100:
        return NO_TUNNEL
    stop = min(wire, at + 6 + u16(buf, at + 4))
    notices[TUNNEL_PPPOE] += 1
    return ppp(buf, at + 6, min(end, stop), stop, h, notices)


@compiled
def ppp(buf, at, end, wire, h, notices):
    """RFC 1661 2, RFC 1662 3.1: address and control may be left out, and so may the first byte of a protocol below 256."""
    if at + 2 <= end and u16(buf, at) == 0xFF03:
        at += 2
    if at + 2 > end:
        return cut(h)
    protocol = u8(buf, at)
    at += 1
    if not protocol & 1:
        protocol = (protocol << 8) | u8(buf, at)
        at += 1
    notices[TUNNEL_PPP] += 1
    if protocol == PPP_IPV4:
        return onto(h, at, end, wire, ETHER_IPV4, LINK_ETHER_TYPE)
    if protocol == PPP_IPV6:
        return onto(h, at, end, wire, ETHER_IPV6, LINK_ETHER_TYPE)
    if protocol in (PPP_MPLS, PPP_MPLS_MULTICAST):
        return onto(h, at, end, wire, ETHER_MPLS, LINK_ETHER_TYPE)
    if protocol == PPP_BRIDGED and at + 2 <= end and u8(buf, at + 1) == 1:
        # RFC 3518 4.2: flags, and the type of MAC; 1 is Ethernet.
        return into(h, at + 2, end, wire, 0, LINK_ETHERNET)
    return NO_TUNNEL


@compiled
def nsh(buf, at, end, wire, h, notices):
    """RFC 8300 2.2: a base header with its length in words and the kind of what follows."""
    if at + 8 > end:
        return cut(h)
    length = (u8(buf, at + 1) & 0x3F) * 4
    following = u8(buf, at + 3)
    if u8(buf, at) >> 6 != 0 or length < 8:
        return NO_TUNNEL
    at += length
    if following in (1, 2):
        notices[TUNNEL_NSH] += 1
        return into(h, at, end, wire, 0, LINK_RAW)
    if following == 3:
        notices[TUNNEL_NSH] += 1
        return into(h, at, end, wire, 0, LINK_ETHERNET)
    if following == 5:
        notices[TUNNEL_NSH] += 1
        return into(h, at, end, wire, ETHER_MPLS, LINK_ETHER_TYPE)
    return NO_TUNNEL


@compiled
def peel_protocol(buf, h, notices):
    """What an IP packet carries by its protocol."""
    at, end, proto = h[H_PAYLOAD], h[H_END], h[H_PROTO]
    wire = end + h[H_MISSING]
    if proto == IP_GRE:
        return gre(buf, at, end, wire, h, notices)
    if proto == IP_IPV4 or proto == IP_IPV6:
        version = 4 if proto == IP_IPV4 else 6
        if at >= end or u8(buf, at) >> 4 != version:
            return NO_TUNNEL
        outside_4 = h[H_SRC_HIGH] == 0 and h[H_SRC_LOW] >> 32 == 0xFFFF
        notices[TUNNEL_6IN4 if proto == IP_IPV6 and outside_4 else TUNNEL_IP_IN_IP] += 1
        return into(h, at, end, wire, 0, LINK_RAW)
    if proto == IP_AH:
        # RFC 4302 2.2: next header, length in 32-bit words minus 2. It covers the packet, and hides nothing.
        length = (u8(buf, at + 1) + 2) * 4 if at + 2 <= end else 0
        if length < 12 or at + length > end:
            return NO_TUNNEL
        notices[TUNNEL_AH] += 1
        return onto(h, at + length, end, wire, u8(buf, at), LINK_TRANSPORT)
    if proto == IP_ETHERIP:
        # RFC 3378 3: version 3 and twelve bits of zero.
        if at + 2 > end or u16(buf, at) != 0x3000:
            return NO_TUNNEL
        notices[TUNNEL_ETHERIP] += 1
        return into(h, at + 2, end, wire, 0, LINK_ETHERNET)
    if proto == IP_L2TP:
        return l2tp_3(buf, at, end, wire, h, notices)
    if proto == IP_MPLS:  # RFC 4023
        return mpls(buf, at, end, wire, h, notices)
    return NO_TUNNEL


@compiled
def gre(buf, at, end, wire, h, notices):
    """RFC 2784 and 2890 (version 0), RFC 2637 4.1 (version 1, PPTP)."""
    if at + 4 > end:
        return NO_TUNNEL
    flags = u16(buf, at)
    protocol = u16(buf, at + 2)
    checksum, routing, key, sequence = flags & 0x8000, flags & 0x4000, flags & 0x2000, flags & 0x1000
    if flags & 7 == 1:
        if protocol != GRE_PPP or not key or not sequence or at + 8 > end:
            return NO_TUNNEL  # without a sequence number there is an acknowledgement only
        length = u16(buf, at + 4)
        at += 12 + (4 if flags & 0x0080 else 0)
        notices[TUNNEL_PPTP] += 1
        return into(h, at, min(end, at + length), min(wire, at + length), 0, LINK_PPP)
    if flags & 7 or routing:  # source routes of RFC 1701 went out of use
        return NO_TUNNEL
    at += 4 + (4 if checksum else 0) + (4 if key else 0) + (4 if sequence else 0)
    if protocol == GRE_ERSPAN or protocol == GRE_ERSPAN_3:
        return erspan(buf, at, end, wire, protocol, sequence, h, notices)
    if protocol == ETHER_BRIDGED:
        # RFC 7637 3.2: NVGRE has a key, and neither checksum nor sequence number.
        notices[TUNNEL_NVGRE if key and not checksum and not sequence else TUNNEL_GRE] += 1
        return into(h, at, end, wire, 0, LINK_ETHERNET)
    notices[TUNNEL_GRE] += 1
    if protocol == GRE_PPP:
        return into(h, at, end, wire, 0, LINK_PPP)
    if protocol == GRE_WCCP:
        # WCCP 2 puts four bytes before the packet, version 1 does not: these do not begin as IPv4 does.
        if at < end and u8(buf, at) >> 4 != 4:
            at += 4
        return into(h, at, end, wire, ETHER_IPV4, LINK_ETHER_TYPE)
    if GRE_ARUBA_FIRST <= protocol <= GRE_ARUBA_LAST:
        return into(h, at, end, wire, 0, LINK_WIFI)
    if protocol < ETHER_LENGTH_LIMIT:
        return NO_TUNNEL
    return into(h, at, end, wire, protocol, LINK_ETHER_TYPE)


@compiled
def erspan(buf, at, end, wire, protocol, sequence, h, notices):
    """draft-foschiano-erspan-03 4: type I has no header, II one of 8 bytes, III of 12, and 8 more where it says so."""
    vlan = np.int64(0)
    if protocol == GRE_ERSPAN and not sequence:
        length = 0
    else:
        if at + 12 > end:
            return NO_TUNNEL
        version = u8(buf, at) >> 4
        if version != (1 if protocol == GRE_ERSPAN else 2):
            return NO_TUNNEL
        vlan = u16(buf, at) & 0x0FFF
        length = 8
        if version == 2:
            length = 20 if u8(buf, at + 11) & 1 else 12
    bare = protocol == GRE_ERSPAN_3 and (u8(buf, at + 10) & 0x7C) >> 2 == 2  # the frame type: an IP packet
    notices[TUNNEL_ERSPAN] += 1
    link = into(h, at + length, end, wire, 0, LINK_RAW if bare else LINK_ETHERNET)
    if vlan:
        h[H_VLAN] = vlan  # of the port that is mirrored; a tag inside tells better
    return link


@compiled
def l2tp_3(buf, at, end, wire, h, notices):
    """RFC 3931 4.1.1.1: a session, a cookie of 0, 4 or 8 bytes and a sublayer of 0 or 4, whose lengths only its ends know.

    So what looks like a frame of Ethernet that carries IP tells where it begins.
    """
    if at + 4 > end or u32(buf, at) == 0:  # session 0: control
        return NO_TUNNEL
    for length in range(4, 20, 4):
        if is_ethernet(buf, at + length, end, wire, h):
            notices[TUNNEL_L2TP] += 1
            return into(h, at + length, end, wire, 0, LINK_ETHERNET)
    return NO_TUNNEL
