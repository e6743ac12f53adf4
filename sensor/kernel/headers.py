"""From a captured frame to its innermost five-tuple and payload: link layers, and down through what tunnels carry.

`locate` leaves its findings in an int64 scratch array (`fields.H_*`) and returns a counter index: a classified one when
there is a flow, else why not. Every offset is checked against the frame's end before it is read.
"""

from __future__ import annotations

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.fields import (
    H_DST_MAC,
    H_END,
    H_FRAGMENT,
    H_KEPT,
    H_MISSING,
    H_NEXT_AT,
    H_NEXT_END,
    H_NEXT_TYPE,
    H_NEXT_WIRE,
    H_PAYLOAD,
    H_SAVED,
    H_SRC_MAC,
    H_VLAN,
    H_WHY,
)
from sensor.kernel.internet import ip, ip_apart, transport
from sensor.kernel.layout import (
    CLASSIFIED_OTHER,
    CLASSIFIED_UDP,
    DROPPED_MALFORMED,
    DROPPED_TRUNCATED,
    IGNORED_ARP,
    IGNORED_LINK_TYPE,
    IGNORED_LLC,
    IGNORED_NOT_IP,
    IGNORED_WIFI_ENCRYPTED,
    IGNORED_WIFI_NOT_DATA,
    STEP_ETHER,
    STEP_LINK,
    STEP_PROTO,
    STEP_UDP,
    TUNNEL_TOO_DEEP,
    TUNNEL_UNREAD,
    VLAN_STACKED,
    VLAN_TAGGED,
)
from sensor.kernel.shapes import (
    ETHER_ARP,
    ETHER_IPV4,
    ETHER_IPV6,
    ETHER_LENGTH_LIMIT,
    ETHER_QINQ,
    ETHER_QINQ_9200,
    ETHER_QINQ_OLD,
    ETHER_VLAN,
    LINK_ETHER_TYPE,
    LINK_ETHERNET,
    LINK_TRANSPORT,
    LINK_WIFI_SWAPPED,
    MAX_VLAN_TAGS,
    NO_TUNNEL,
    carries_others,
)
from sensor.kernel.tunnels import peel_frame, peel_protocol
from sensor.kernel.udp_tunnels import peel_datagram
from sensor.kernel.wire import little16, u8, u16, u32, u48

MAX_TUNNELS = 8  # headers of tunnels that are taken off, one inside the other


@compiled
def locate(buf, start, end, wire_end, link, h, notices):
    """Reads one frame at buf[start:end]; `wire_end` is where it ended before the capture cut it.

    The loop does the same in two steps: compiling a step costs whatever it calls, over and over.
    """
    kind = outermost(buf, start, end, wire_end, link, h, notices)
    if kind >= STEP_PROTO:
        kind = under(buf, kind, h, notices)
    return kind


@inlined
def outermost(buf, start, end, wire_end, link, h, notices):
    """A frame down to its outermost flow; or layout.STEP_* where it may carry others: then `under` goes on."""
    h[H_VLAN] = -1
    h[H_SRC_MAC] = -1
    h[H_DST_MAC] = -1
    h[H_FRAGMENT] = 0
    if link == LINK_ETHERNET:
        return ethernet(buf, start, end, wire_end, h, notices)
    return surface(buf, start, end, wire_end, link, h, notices)


@compiled
def under(buf, step, h, notices):
    """Takes off one tunnel after the other, down to the innermost flow that can be read. Returns its counter.

    Where what a tunnel carries is no IP, is cut, or is not what its port let expect, the packet counts for the tunnel's flow.
    """
    flow = -1
    for _ in range(MAX_TUNNELS):
        if step == STEP_PROTO or step == STEP_UDP:
            flow = CLASSIFIED_UDP if step == STEP_UDP else CLASSIFIED_OTHER
            for i in range(H_KEPT):
                h[H_SAVED + i] = h[i]
            link = peel_datagram(buf, h, notices) if step == STEP_UDP else peel_protocol(buf, h, notices)
            if link == NO_TUNNEL:
                return flow
        else:
            link = peel_frame(buf, step, h, notices)
        kind = h[H_WHY] if link == NO_TUNNEL else inside(buf, link, h, notices)
        if kind >= STEP_PROTO:
            step = kind
        elif kind <= CLASSIFIED_OTHER or flow < 0 or h[H_FRAGMENT] != h[H_SAVED + H_FRAGMENT]:
            return kind  # a flow; nothing to go back to; or a fragment, which waits for the rest of its datagram
        else:
            notices[TUNNEL_UNREAD] += 1
            return saved(flow, h)
    notices[TUNNEL_TOO_DEEP] += 1
    if step == STEP_PROTO or step == STEP_UDP:
        return CLASSIFIED_UDP if step == STEP_UDP else CLASSIFIED_OTHER
    return IGNORED_NOT_IP if flow < 0 else saved(flow, h)


@compiled
def saved(flow, h):
    """Goes back to the flow of the tunnel."""
    for i in range(H_KEPT):
        h[i] = h[H_SAVED + i]
    return flow


@compiled
def inside(buf, link, h, notices):
    """What was found inside a tunnel."""
    at, end, wire_end = h[H_NEXT_AT], h[H_NEXT_END], h[H_NEXT_WIRE]
    if link == LINK_ETHER_TYPE:
        return by_ether_type_apart(buf, at, end, wire_end, h[H_NEXT_TYPE], h, notices)
    if link == LINK_TRANSPORT:
        return transport(buf, at, end, h[H_NEXT_TYPE], h, notices)
    if link == LINK_WIFI_SWAPPED:
        return wifi(buf, at, end, wire_end, True, h, notices)
    return surface(buf, at, end, wire_end, link, h, notices)


@compiled
def surface(buf, start, end, wire_end, link, h, notices):
    """As `outermost`, of every link type, and of what is inside a tunnel."""
    if link == LINK_ETHERNET:
        if end - start < 14:
            return DROPPED_TRUNCATED
        h[H_DST_MAC] = u48(buf, start)
        h[H_SRC_MAC] = u48(buf, start + 6)
        return by_ether_type_apart(buf, start + 14, end, wire_end, u16(buf, start + 12), h, notices)
    if link in (101, 12, 14, 228, 229):
        return ip_apart(buf, start, end, wire_end, h, notices)
    if link in (0, 108):
        return loopback(buf, start, end, wire_end, h, notices)
    if link == 113:
        # Linux cooked v1 (LINKTYPE_LINUX_SLL): 16 bytes, protocol last.
        if end - start < 16:
            return DROPPED_TRUNCATED
        return by_ether_type_apart(buf, start + 16, end, wire_end, u16(buf, start + 14), h, notices)
    if link == 276:
        # Linux cooked v2 (LINKTYPE_LINUX_SLL2): 20 bytes, protocol first.
        if end - start < 20:
            return DROPPED_TRUNCATED
        return by_ether_type_apart(buf, start + 20, end, wire_end, u16(buf, start), h, notices)
    if link == 127:
        # Radiotap: version, pad, little-endian length of the whole header.
        if end - start < 4:
            return DROPPED_TRUNCATED
        length = little16(buf, start + 2)
        if length < 8:
            return DROPPED_MALFORMED
        if start + length > end:
            return DROPPED_TRUNCATED
        return wifi(buf, start + length, end, wire_end, False, h, notices)
    if link == 105:
        return wifi(buf, start, end, wire_end, False, h, notices)
    if link in (9, 10, 50, 51, 104, 192, 239):
        return carried(start, end, wire_end, link, STEP_LINK, h)
    return IGNORED_LINK_TYPE


@inlined
def ethernet(buf, start, end, wire_end, h, notices):
    """What nearly every frame is."""
    if end - start < 14:
        return DROPPED_TRUNCATED
    h[H_DST_MAC] = u48(buf, start)
    h[H_SRC_MAC] = u48(buf, start + 6)
    return by_ether_type(buf, start + 14, end, wire_end, u16(buf, start + 12), h, notices)


@inlined
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
    if carries_others(kind):
        return carried(at, end, wire_end, kind, STEP_ETHER, h)
    return IGNORED_NOT_IP


@compiled
def by_ether_type_apart(buf, at, end, wire_end, kind, h, notices):
    """As `by_ether_type`, not inlined: a copy of all that follows at each place that is rarely come to would be long to compile."""
    return by_ether_type(buf, at, end, wire_end, kind, h, notices)


@compiled
def carried(at, end, wire_end, kind, step, h):
    """Leaves it to `under` to look into what an ether type or a link type carries."""
    h[H_PAYLOAD] = at
    h[H_END] = end
    h[H_MISSING] = max(wire_end - end, 0)
    h[H_NEXT_TYPE] = kind
    return step


@compiled
def snap(buf, at, end, wire_end, h, notices):
    """IEEE 802.2 LLC; with the SNAP header of RFC 1042 an ether type follows."""
    if at + 8 <= end and u8(buf, at) == 0xAA and u8(buf, at + 1) == 0xAA and u8(buf, at + 2) == 3:
        if u16(buf, at + 3) != 0 or u8(buf, at + 5) != 0:
            return IGNORED_LLC
        kind = u16(buf, at + 6)
        if kind in (ETHER_IPV4, ETHER_IPV6):
            return ip_apart(buf, at + 8, end, wire_end, h, notices)
        if kind == ETHER_ARP:
            return IGNORED_ARP
        return IGNORED_NOT_IP
    return IGNORED_LLC


@compiled
def loopback(buf, start, end, wire_end, h, notices):
    """BSD null/loop: four bytes of address family in either byte order, then IP; some write Cisco HDLC under this type."""
    if end - start < 4:
        return DROPPED_TRUNCATED
    family = u32(buf, start)
    if family >> 16 in (0x0F00, 0x8F00):
        return by_ether_type_apart(buf, start + 4, end, wire_end, family & 0xFFFF, h, notices)
    if family > 0xFFFF:
        family = little16(buf, start)
    if family in (2, 10, 23, 24, 28, 30):  # AF_INET and the AF_INET6 of Linux, Windows, the BSDs and macOS
        return ip_apart(buf, start + 4, end, wire_end, h, notices)
    return IGNORED_NOT_IP


@compiled
def wifi(buf, start, end, wire_end, swapped, h, notices):
    """IEEE 802.11 data frames without encryption (IEEE 802.11-2020, 9.2.4).

    `swapped`: the two bytes of the frame control have changed places. Of an aggregate of frames (A-MSDU, 9.3.2.2) the first.
    """
    if end - start < 24:
        # Acknowledgements and the like are shorter than a data header.
        return IGNORED_WIFI_NOT_DATA if end - start >= 2 and (u8(buf, start) & 0x0C) != 8 else DROPPED_TRUNCATED
    control = u8(buf, start + 1 if swapped else start)
    flags = u8(buf, start if swapped else start + 1)
    if (control & 0x0C) != 8 or (control & 0x40) != 0:  # not a data frame, or a null one
        return IGNORED_WIFI_NOT_DATA
    if flags & 0x40:
        return IGNORED_WIFI_ENCRYPTED
    at = start + 24
    direction = flags & 3
    if direction == 3:
        at += 6
    aggregate = False
    if control & 0x80:  # QoS
        aggregate = at < end and (u8(buf, at) & 0x80) != 0
        at += 2
        if flags & 0x80:
            at += 4
    if aggregate:
        at += 14  # the first subframe's addresses and length
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
