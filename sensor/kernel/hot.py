"""Sockets in a call, and the peers that relays were told of: what goes to or from them belongs to it."""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.hits import W_HIGH, W_LOW, W_OTHER_HIGH, W_OTHER_LOW, W_OTHER_PORT, W_PORT
from sensor.kernel.layout import NS
from sensor.kernel.table import mix

# Sockets in a call, and peers that were named to a relay: an address and a port. Sets of HOT_WAYS entries.
HOT = np.dtype([("high", "<i8"), ("low", "<i8"), ("port", "<i4"), ("kind", "<i4"), ("expires_ns", "<i8")])
HOT_WAYS = 4
HOT_SOCKET, HOT_PEER = 1, 2
HOT_NS = 120 * NS  # relays are asked before a call's media and now and then during it
PEER = np.int32(-1)  # in `answers.name_id`: not an address of a name but of a peer, `alias_id` its port


@inlined
def hot_set(hot, high, low, port, seed):
    state = mix(np.uint64(low) ^ seed)
    state = mix(state ^ np.uint64(high) ^ np.uint64(port))
    return np.int64(state & np.uint64(hot.shape[0] // HOT_WAYS - 1)) * HOT_WAYS


@compiled
def heat(hot, high, low, port, kind, time_ns, seed):
    """Notes that this address and port are part of a call."""
    first = hot_set(hot, high, low, port, seed)
    oldest = first
    for i in range(first, first + HOT_WAYS):
        row = hot[i]
        if row["low"] == low and row["port"] == port and row["high"] == high and row["kind"] == kind:
            oldest = i
            break
        if row["expires_ns"] < hot[oldest]["expires_ns"]:
            oldest = i
    row = hot[oldest]
    row["high"] = high
    row["low"] = low
    row["port"] = port
    row["kind"] = kind
    row["expires_ns"] = time_ns + HOT_NS


@compiled
def is_hot(hot, high, low, port, kind, time_ns, seed):
    first = hot_set(hot, high, low, port, seed)
    for i in range(first, first + HOT_WAYS):
        row = hot[i]
        if row["low"] == low and row["port"] == port and row["high"] == high and row["kind"] == kind:
            return row["expires_ns"] >= time_ns
    return False


@inlined
def heat_socket(hot, clue, who, seed):
    """The device's socket is in a call."""
    heat(hot, who[W_HIGH], who[W_LOW], who[W_PORT], HOT_SOCKET, clue["time_ns"], seed)


@compiled
def tied(hot, clue, who, seed):
    """Whether a datagram's flow belongs to a call by its socket, or by the peer; then the socket is in it as well."""
    time_ns = clue["time_ns"]
    if not is_hot(hot, who[W_HIGH], who[W_LOW], who[W_PORT], HOT_SOCKET, time_ns, seed) and not is_hot(
        hot, who[W_OTHER_HIGH], who[W_OTHER_LOW], who[W_OTHER_PORT], HOT_PEER, time_ns, seed
    ):
        return False
    heat_socket(hot, clue, who, seed)
    return True
