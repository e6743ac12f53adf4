"""What is known of MAC addresses: which are routers', by the packets that they send."""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.hits import J_STATIONS, J_STATIONS_FULL
from sensor.kernel.table import mix

# What is known of a MAC address.
STATION = np.dtype([("mac", "<i8"), ("ipv4", "<i8", 3), ("count", "<i4"), ("router", "<i4")])


@inlined
def is_private(high, low):
    """RFC 1918, 6598, 3927, 1122 loopback; RFC 4193 and link-local for IPv6."""
    if high == 0 and (low >> 32) == 0xFFFF:
        a = (low >> 24) & 0xFF
        b = (low >> 16) & 0xFF
        return (
            a == 10
            or (a == 172 and 16 <= b < 32)
            or (a == 192 and b == 168)
            or (a == 100 and 64 <= b < 128)
            or (a == 169 and b == 254)
            or a == 127
        )
    top = (high >> 56) & 0xFF
    return top in (0xFC, 0xFD) or (top == 0xFE and ((high >> 48) & 0xC0) == 0x80)


@inlined
def is_link_local(high, low):
    """RFC 3927; RFC 4291 2.5.6."""
    if high == 0 and (low >> 32) == 0xFFFF:
        return (low >> 16) & 0xFFFF == 0xA9FE
    return (high >> 48) & 0xFFC0 == 0xFE80


@compiled
def station_of(stations, mac, control, seed):
    """The row of a MAC address; -1 where the table is full or there is no unicast MAC."""
    if mac <= 0 or (mac >> 40) & 1:
        return np.int64(-1)
    mask = np.uint64(stations.shape[0] - 1)
    place = mix(np.uint64(mac) ^ seed) & mask
    for _ in range(stations.shape[0]):
        known = stations[place]["mac"]
        if known == mac:
            return np.int64(place)
        if known == 0:
            if control[J_STATIONS] * 4 >= stations.shape[0] * 3:
                control[J_STATIONS_FULL] += 1
                return np.int64(-1)
            control[J_STATIONS] += 1
            stations[place]["mac"] = mac
            return np.int64(place)
        place = (place + np.uint64(1)) & mask
    return np.int64(-1)


@compiled
def observe_station(stations, clue, control, seed):
    """Learns from a packet's sender whether its MAC is a router's.

    It is, if it carries an address from outside beside one from inside, packets that were routed (their hop limit is not
    one that systems start with), or three IPv4 addresses or more.
    """
    place = station_of(stations, clue["src_mac"], control, seed)
    if place < 0:
        return
    row = stations[place]
    if row["router"]:
        return
    high, low = clue["src_high"], clue["src_low"]
    ttl = clue["ttl"]
    inside = is_private(high, low)
    # What goes to a link-local address was not routed (RFC 4291 2.5.6): hosts announce their global ones to the router there.
    on_link = is_link_local(clue["dst_high"], clue["dst_low"])
    if not inside and not on_link and is_private(clue["dst_high"], clue["dst_low"]):
        row["router"] = 1
        return
    multicast = (clue["dst_mac"] >> 40) & 1
    if not multicast and ttl not in (32, 64, 128, 255) and ttl > 1:
        row["router"] = 1
        return
    if high == 0 and low & 0xFFFFFFFF and (low >> 16) & 0xFFFF != 0xA9FE:
        for i in range(row["count"]):
            if row["ipv4"][i] == low:
                return
        if row["count"] >= 2:
            row["router"] = 1
            return
        row["ipv4"][row["count"]] = low
        row["count"] += 1
