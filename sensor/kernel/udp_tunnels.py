"""Tunnels over UDP, by port. A port proves nothing: only what carries a whole and sound packet is taken for a tunnel."""

from __future__ import annotations

from sensor.kernel.compiling import compiled
from sensor.kernel.fields import H_DST_PORT, H_END, H_MISSING, H_PAYLOAD, H_SRC_PORT
from sensor.kernel.internet import (
    UDP_AYIYA,
    UDP_CAPWAP,
    UDP_GENEVE,
    UDP_GRE,
    UDP_GTP,
    UDP_GTP_0,
    UDP_L2TP,
    UDP_LISP,
    UDP_MPLS,
    UDP_TEREDO,
    UDP_TZSP,
    UDP_VXLAN,
    UDP_VXLAN_GPE,
    UDP_VXLAN_OLD,
)
from sensor.kernel.layout import (
    TUNNEL_AYIYA,
    TUNNEL_CAPWAP,
    TUNNEL_GENEVE,
    TUNNEL_GRE,
    TUNNEL_GTP,
    TUNNEL_L2TP,
    TUNNEL_LISP,
    TUNNEL_TEREDO,
    TUNNEL_TZSP,
    TUNNEL_VXLAN,
)
from sensor.kernel.shapes import (
    ETHER_BRIDGED,
    ETHER_IPV4,
    ETHER_IPV6,
    ETHER_MPLS,
    ETHER_NSH,
    ETHERNET_SLACK,
    LINK_ETHER_TYPE,
    LINK_ETHERNET,
    LINK_PPP,
    LINK_RAW,
    LINK_WIFI,
    LINK_WIFI_SWAPPED,
    NO_TUNNEL,
    SLACK,
    into,
    is_ethernet,
    is_ip,
    is_wifi,
    sound,
)
from sensor.kernel.tunnels import PPP_IPV4, PPP_IPV6, l2tp_3, mpls
from sensor.kernel.wire import u8, u16, u24

MAX_GTP_EXTENSIONS = 8
MAX_TZSP_TAGS = 32


@compiled
def peel_datagram(buf, h, notices):
    """What a datagram carries by its ports."""
    at, end = h[H_PAYLOAD], h[H_END]
    wire = end + h[H_MISSING]
    if at + 8 > end:
        return NO_TUNNEL
    port = h[H_DST_PORT]
    if port in (UDP_VXLAN, UDP_VXLAN_OLD, UDP_VXLAN_GPE):
        return vxlan(buf, at, end, wire, port, h, notices)
    if port == UDP_GENEVE:
        return geneve(buf, at, end, wire, h, notices)
    if port in (UDP_GTP, UDP_GTP_0):
        return gtp(buf, at, end, wire, h, notices)
    if port == UDP_TZSP:
        return tzsp(buf, at, end, wire, h, notices)
    if port == UDP_LISP:
        # RFC 9300 5.1: eight bytes of flags, nonce and locators; then the packet.
        if not is_ip(buf, at + 8, end, wire, SLACK, h):
            return NO_TUNNEL
        notices[TUNNEL_LISP] += 1
        return into(h, at + 8, end, wire, 0, LINK_RAW)
    if port == UDP_GRE:  # RFC 8086
        return gre_in_udp(buf, at, end, wire, h, notices)
    if port == UDP_MPLS:  # RFC 7510
        return mpls(buf, at, end, wire, h, notices) if sound(buf, at, end, wire, 0, ETHER_MPLS, h) else NO_TUNNEL
    # Each end may send from this port and to another.
    source = h[H_SRC_PORT]
    if port == UDP_TEREDO or source == UDP_TEREDO:
        return teredo(buf, at, end, wire, h, notices)
    if port == UDP_L2TP or source == UDP_L2TP:
        return l2tp(buf, at, end, wire, h, notices)
    if port == UDP_CAPWAP or source == UDP_CAPWAP:
        return capwap(buf, at, end, wire, h, notices)
    if port == UDP_AYIYA or source == UDP_AYIYA:
        return ayiya(buf, at, end, wire, h, notices)
    return NO_TUNNEL


@compiled
def vxlan(buf, at, end, wire, port, h, notices):
    """RFC 7348 5; with group policy (draft-smith-vxlan-group-policy); GPE tells what follows (draft-ietf-nvo3-vxlan-gpe 3.1)."""
    flags = u8(buf, at)
    if not flags & 0x08:
        return NO_TUNNEL
    link, kind = LINK_ETHERNET, 0
    if port == UDP_VXLAN_GPE or flags & 0x04:
        if flags & 0xF0:
            return NO_TUNNEL
        following = u8(buf, at + 3)
        if following in (1, 2, 4, 5):
            link = LINK_ETHER_TYPE
            kind = ETHER_IPV4
            if following == 2:
                kind = ETHER_IPV6
            elif following == 4:
                kind = ETHER_NSH
            elif following == 5:
                kind = ETHER_MPLS
        elif following != 3:
            return NO_TUNNEL
    elif flags & 0x77:
        return NO_TUNNEL
    if u8(buf, at + 7) != 0 or not sound(buf, at + 8, end, wire, link, kind, h):
        return NO_TUNNEL
    notices[TUNNEL_VXLAN] += 1
    return into(h, at + 8, end, wire, kind, link)


@compiled
def geneve(buf, at, end, wire, h, notices):
    """RFC 8926 3.4: version 0, length of the options in words, an ether type."""
    first, kind = u8(buf, at), u16(buf, at + 2)
    if first >> 6 or u8(buf, at + 1) & 0x3F or u8(buf, at + 7):
        return NO_TUNNEL
    at += 8 + (first & 0x3F) * 4
    link = LINK_ETHERNET if kind == ETHER_BRIDGED else LINK_ETHER_TYPE
    if not sound(buf, at, end, wire, link, kind, h):
        return NO_TUNNEL
    notices[TUNNEL_GENEVE] += 1
    return into(h, at, end, wire, kind, link)


@compiled
def gtp(buf, at, end, wire, h, notices):
    """3GPP TS 29.281 5: version 1, a G-PDU, with extension headers or without. GSM 09.60 6: version 0 has 20 bytes."""
    flags = u8(buf, at)
    old = flags & 0xF0 == 0x10
    if not (old or flags & 0xF8 == 0x30) or u8(buf, at + 1) != 0xFF:
        return NO_TUNNEL
    start = at
    at += 20 if old else 8
    stop = at + u16(buf, start + 2)
    if stop > wire:
        return NO_TUNNEL
    end, wire = min(end, stop), stop
    if flags & 7 and not old:
        if at + 4 > end:
            return NO_TUNNEL
        following = u8(buf, at + 3) if flags & 4 else 0
        at += 4
        for _ in range(MAX_GTP_EXTENSIONS):
            if following == 0:
                break
            if at >= end:
                return NO_TUNNEL
            length = u8(buf, at) * 4
            at += length
            if length == 0 or at > end:
                return NO_TUNNEL
            following = u8(buf, at - 1)
        if following:
            return NO_TUNNEL
    if not is_ip(buf, at, end, wire, ETHERNET_SLACK, h):
        return NO_TUNNEL
    notices[TUNNEL_GTP] += 1
    return into(h, at, end, wire, 0, LINK_RAW)


@compiled
def tzsp(buf, at, end, wire, h, notices):
    """TaZmen Sniffer Protocol: version 1, a kind, what is inside, tags up to the one that ends them."""
    inside = u16(buf, at + 2)
    if u8(buf, at) != 1 or u8(buf, at + 1) > 1 or inside not in (1, 18):
        return NO_TUNNEL
    at += 4
    for _ in range(MAX_TZSP_TAGS):
        if at + 1 > end:
            return NO_TUNNEL
        tag = u8(buf, at)
        at += 1
        if tag == 1:
            if not (is_ethernet(buf, at, end, wire, h) if inside == 1 else is_wifi(buf, at, end, wire, h)):
                return NO_TUNNEL
            notices[TUNNEL_TZSP] += 1
            return into(h, at, end, wire, 0, LINK_ETHERNET if inside == 1 else LINK_WIFI)
        if tag != 0:
            if at + 1 > end:
                return NO_TUNNEL
            at += 1 + u8(buf, at)
    return NO_TUNNEL


@compiled
def gre_in_udp(buf, at, end, wire, h, notices):
    """RFC 8086 3: a header of GRE, version 0."""
    flags, kind = u16(buf, at), u16(buf, at + 2)
    if flags & 0x4FFF:
        return NO_TUNNEL
    for bit in (0x8000, 0x2000, 0x1000):
        if flags & bit:
            at += 4
    link = LINK_ETHERNET if kind == ETHER_BRIDGED else LINK_ETHER_TYPE
    if not sound(buf, at + 4, end, wire, link, kind, h):
        return NO_TUNNEL
    notices[TUNNEL_GRE] += 1
    return into(h, at + 4, end, wire, kind, link)


@compiled
def teredo(buf, at, end, wire, h, notices):
    """RFC 4380 5.1.1: an authentication and an origin indication may come before the IPv6 packet."""
    if u16(buf, at) == 1:
        if at + 4 > end:
            return NO_TUNNEL
        at += 13 + u8(buf, at + 2) + u8(buf, at + 3)
    if at + 8 <= end and u16(buf, at) == 0:
        at += 8
    if at >= end or u8(buf, at) >> 4 != 6 or not is_ip(buf, at, end, wire, SLACK, h):
        return NO_TUNNEL
    notices[TUNNEL_TEREDO] += 1
    return into(h, at, end, wire, 0, LINK_RAW)


@compiled
def l2tp(buf, at, end, wire, h, notices):
    """RFC 2661 3.1: data of version 2, PPP; RFC 3931 4.1.2: of version 3."""
    flags = u16(buf, at)
    if flags & 0x8000:  # control
        return NO_TUNNEL
    if flags == 3 and u16(buf, at + 2) == 0:
        return l2tp_3(buf, at + 4, end, wire, h, notices)
    if flags & 0x34FF != 2:
        return NO_TUNNEL
    start = at
    at += 6
    if flags & 0x4000:
        wire = min(wire, start + u16(buf, start + 2))
        end = min(end, wire)
        at += 2
    if flags & 0x0800:
        at += 4
    if flags & 0x0200:
        if at + 2 > end:
            return NO_TUNNEL
        at += 2 + u16(buf, at)
    if not is_ppp(buf, at, end, wire, h):
        return NO_TUNNEL
    notices[TUNNEL_L2TP] += 1
    return into(h, at, end, wire, 0, LINK_PPP)


@compiled
def is_ppp(buf, at, end, wire, h):
    """Whether PPP that carries IP begins here."""
    if at + 2 <= end and u16(buf, at) == 0xFF03:
        at += 2
    if at + 2 > end:
        return False
    if u8(buf, at) == 0:
        at += 1
    protocol = u8(buf, at)
    version = 4 if protocol == PPP_IPV4 else 6
    if protocol not in (PPP_IPV4, PPP_IPV6) or not is_ip(buf, at + 1, end, wire, SLACK, h):
        return False
    return u8(buf, at + 1) >> 4 == version


@compiled
def capwap(buf, at, end, wire, h, notices):
    """RFC 5415 4.3: a frame of IEEE 802.3, or one of 802.11, some of whose senders swap the two bytes of its frame control.

    What is encrypted (a preamble of type 1) and what only keeps the session alive stay what they are, and fragments as well.
    """
    bits = u24(buf, at + 1)
    native, fragment, alive = bits & 0x100, bits & 0x080, bits & 0x008
    length = (bits >> 19) * 4
    if u8(buf, at) != 0 or length < 8 or fragment or alive:
        return NO_TUNNEL
    at += length
    if not native:
        if not is_ethernet(buf, at, end, wire, h):
            return NO_TUNNEL
        notices[TUNNEL_CAPWAP] += 1
        return into(h, at, end, wire, 0, LINK_ETHERNET)
    if (bits >> 9) & 0x1F != 1 or not is_wifi(buf, at, end, wire, h):
        return NO_TUNNEL
    swapped = u8(buf, at) & 0x0F != 8  # no data frame
    notices[TUNNEL_CAPWAP] += 1
    return into(h, at, end, wire, 0, LINK_WIFI_SWAPPED if swapped else LINK_WIFI)


@compiled
def ayiya(buf, at, end, wire, h, notices):
    """draft-massar-v6ops-ayiya-02 3: lengths of identity and signature, what to do (1: forward), next header."""
    identity, signature = u8(buf, at) >> 4, (u8(buf, at + 1) >> 4) * 4
    following = u8(buf, at + 3)
    if u8(buf, at + 2) & 15 != 1 or following not in (4, 41):
        return NO_TUNNEL
    at += 8 + (1 << identity) + signature
    if not is_ip(buf, at, end, wire, SLACK, h):
        return NO_TUNNEL
    notices[TUNNEL_AYIYA] += 1
    return into(h, at, end, wire, 0, LINK_RAW)
