"""Reads the headers of a block of frames ahead of the flow table."""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.copies import is_copy, is_copy_of_part
from sensor.kernel.fields import (
    FRAGMENT_FIRST,
    FRAGMENT_FIRST_WITHIN,
    FRAGMENT_WHOLE,
    H_BUCKET,
    H_DST_HIGH,
    H_DST_LOW,
    H_DST_PORT,
    H_FRAGMENT,
    H_NEXT_AT,
    H_NEXT_END,
    H_PROTO,
    H_SIDE,
    H_SRC_HIGH,
    H_SRC_LOW,
    H_SRC_PORT,
    H_WAITED_BYTES,
    H_WARMED,
)
from sensor.kernel.fragments import JOINED, MAX_NESTED, begin_whole, take
from sensor.kernel.headers import outermost, under
from sensor.kernel.internet import ip_apart
from sensor.kernel.layout import BYTES_ON_WIRE, CLASSIFIED_OTHER, DROPPED_DUPLICATE, SNAPPED, STEP_PROTO
from sensor.kernel.table import hash_key

BLOCK = 32  # frames whose headers are read before their flows are looked up
BIAS = np.int64(-0x8000000000000000)  # flips the sign bit, so that halves of addresses compare as unsigned


@inlined
def before(x_high, x_low, x_port, y_high, y_low, y_port):
    """Whether endpoint x sorts before y; any fixed order will do, all it has to be is total."""
    if x_high != y_high:
        return (x_high ^ BIAS) < (y_high ^ BIAS)
    if x_low != y_low:
        return (x_low ^ BIAS) < (y_low ^ BIAS)
    return x_port < y_port


@compiled
def locate_block(buf, frames, first, last, headers, kinds, flows, heads, notices, pool, copies, seed):
    """Headers of some frames, and the place of each one's flow.

    Going ahead of the flow table by a block lets the reads of its rows, scattered over memory, wait for each other's
    memory together: what is read here is in the cache when its turn comes.
    """
    dropping = copies[0].shape[0] > 0
    warmed = np.int64(0)
    for i in range(first, last):
        frame = frames[i]
        at = frame["offset"]
        end = at + frame["captured_bytes"]
        wire_end = at + frame["wire_bytes"]
        notices[BYTES_ON_WIRE] += frame["wire_bytes"]
        if wire_end > end:
            notices[SNAPPED] += 1
        h = headers[i - first]
        kind = outermost(buf, at, end, wire_end, frame["link"], h, notices)
        if kind >= STEP_PROTO:
            kind = under(buf, kind, h, notices)
        if h[H_FRAGMENT]:
            if dropping and is_copy_of_part(buf, h, frame["time_ns"], copies, seed):
                kind = np.int64(DROPPED_DUPLICATE)
            else:
                kind = joined(buf, h, kind, frame["time_ns"], frame["wire_bytes"], pool, notices, seed)
        if kind <= CLASSIFIED_OTHER:
            hashed = place(h, heads, seed)
            if dropping and not h[H_FRAGMENT] and is_copy(buf, h, hashed, frame["time_ns"], copies):
                kind = np.int64(DROPPED_DUPLICATE)
            else:
                warmed += heads[h[H_BUCKET]]
        kinds[i - first] = kind
    for i in range(first, last):
        if kinds[i - first] <= CLASSIFIED_OTHER:
            slot = heads[headers[i - first, H_BUCKET]]
            if slot >= 0:
                warmed += flows[slot]["last_ns"] + flows[slot]["bytes_0"]
    headers[0, H_WARMED] = warmed  # kept, so that the reads are not optimised away


@compiled
def joined(buf, h, kind, time_ns, wire_bytes, pool, notices, seed):
    """Takes in a fragment, and reads the datagram that it completes. Returns the counter of its frame."""
    h[H_WAITED_BYTES] = 0
    kind = take(buf, h, kind, time_ns, wire_bytes, pool, notices, seed)
    if h[H_FRAGMENT] == FRAGMENT_WHOLE:
        kind = read_whole(h, time_ns, wire_bytes, pool, notices, seed)
    return kind


@compiled
def read_whole(h, time_ns, wire_bytes, pool, notices, seed):
    """Headers of a datagram that was put together; it may be a fragment itself. Offsets are in the pool's JOINED then."""
    kind = np.int64(0)
    for _ in range(MAX_NESTED):
        begin_whole(h)
        kind = ip_apart(pool[JOINED], h[H_NEXT_AT], h[H_NEXT_END], h[H_NEXT_END], h, notices)
        if kind >= STEP_PROTO:
            kind = under(pool[JOINED], kind, h, notices)
        if h[H_FRAGMENT] == 0:
            h[H_FRAGMENT] = FRAGMENT_WHOLE
            break
        kind = take(pool[JOINED], h, kind, time_ns, wire_bytes, pool, notices, seed)
        if h[H_FRAGMENT] != FRAGMENT_WHOLE:
            if h[H_FRAGMENT] == FRAGMENT_FIRST:
                h[H_FRAGMENT] = FRAGMENT_FIRST_WITHIN
            break
    return kind


@inlined
def place(h, heads, seed):
    """Which side sent the packet (`h[H_SIDE]`), and the hash bucket of its flow (`h[H_BUCKET]`). Returns the flow's hash."""
    sport, dport = h[H_SRC_PORT], h[H_DST_PORT]
    if before(h[H_DST_HIGH], h[H_DST_LOW], dport, h[H_SRC_HIGH], h[H_SRC_LOW], sport):
        h[H_SIDE] = 1
        ports_proto = (dport << 24) | (sport << 8) | h[H_PROTO]
        hashed = hash_key(h[H_DST_HIGH], h[H_DST_LOW], h[H_SRC_HIGH], h[H_SRC_LOW], ports_proto, seed)
    else:
        h[H_SIDE] = 0
        ports_proto = (sport << 24) | (dport << 8) | h[H_PROTO]
        hashed = hash_key(h[H_SRC_HIGH], h[H_SRC_LOW], h[H_DST_HIGH], h[H_DST_LOW], ports_proto, seed)
    h[H_BUCKET] = np.int64(hashed & np.uint64(heads.shape[0] - 1))
    return hashed
