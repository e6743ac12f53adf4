"""Fragments of IPv4 (RFC 791 3.2) and IPv6 (RFC 8200 4.5) put together, in a pool of fixed size.

A datagram waits for its fragments for 30 s of packet time at most; where the pool is full, the oldest makes room. What came
first is kept where fragments overlap, as in `sensor.decode.stream`. The whole is read again, as a packet of the frame that
completed it, in a buffer of its own.

The first fragment has the ports: it counts for its flow at once, and so does every fragment after it. What comes before it
waits, and its bytes count for the flow with the packet that tells it.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled
from sensor.kernel.fields import (
    FRAGMENT_FIRST,
    FRAGMENT_LATER,
    FRAGMENT_WHOLE,
    H_DST_MAC,
    H_END,
    H_FRAGMENT,
    H_KEPT,
    H_NEXT_AT,
    H_NEXT_END,
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
    H_SRC_MAC,
    H_TCP_FLAGS,
    H_VLAN,
    H_WAITED_BYTES,
)
from sensor.kernel.layout import (
    CLASSIFIED_OTHER,
    FRAGMENTS_GIVEN_UP,
    FRAGMENTS_JOINED,
    FRAGMENTS_OVERLAPPING,
    IGNORED_FRAGMENT_WAITING,
    KIND_DTLS,
    KIND_QUIC,
    KIND_STUN,
    NS,
)
from sensor.kernel.table import hash_key
from sensor.kernel.wire import copy_bytes, i64, u8, u32

SETS, SET_WAYS = 64, 8
DATAGRAMS = SETS * SET_WAYS
DATA_BYTES = 65536  # of one datagram, without its header
UNIT_BYTES = 8  # fragments begin at multiples of it
WHOLE_BYTES = DATA_BYTES + 40
JOINED_BYTES = 64 * WHOLE_BYTES
EXPIRY_NS = 30 * NS  # as Linux; RFC 791 asks for 15 s, RFC 8200 for 60 s
DONE_NS = NS  # fragments of a datagram that is whole repeat it for so long; later ones begin another of the same number
MAX_NESTED = 3  # fragments of datagrams that are fragments themselves

FREE, COLLECTING, DONE = 0, 1, 2

# A datagram of which something came.
DATAGRAM = np.dtype(
    [
        ("src_high", "<i8"),
        ("src_low", "<i8"),
        ("dst_high", "<i8"),
        ("dst_low", "<i8"),
        ("time_ns", "<i8"),  # when its first fragment came; once it is done, when the last did
        ("waiting_bytes", "<i8"),  # on the wire, of fragments that no flow has counted yet
        ("ident", "<i8"),  # identification, protocol and VLAN
        ("total", "<i4"),  # bytes of data, -1 while the last fragment has not come
        ("held", "<i4"),  # units that have come
        ("state", "u1"),
        ("flow_known", "u1"),
        ("proto", "u1"),  # as the first fragment has it, once that has come
        ("pad", "u1"),
        ("reach", "<i4"),  # units up to here may be marked as seen
    ],
    align=False,
)
ROWS, DATA, SEEN, FLOWS, JOINED, FILLED = range(6)  # of a pool


def new_pool():
    """Datagrams, their data, which units have come, their flows (`H_KEPT` header fields, counter); wholes, and bytes of them.

    Some 40 MB of address space; memory is taken as it is touched.
    """
    return (
        np.zeros(DATAGRAMS, DATAGRAM),
        np.zeros((DATAGRAMS, DATA_BYTES), np.uint8),
        np.zeros((DATAGRAMS, DATA_BYTES // UNIT_BYTES), np.uint8),
        np.zeros((DATAGRAMS, H_KEPT + 1), np.int64),
        np.zeros(JOINED_BYTES, np.uint8),
        np.zeros(1, np.int64),
    )


@compiled
def begin_whole(h):
    """What a datagram that was put together has of the frame that completed it."""
    h[H_SRC_MAC] = h[H_PART_SRC_MAC]
    h[H_DST_MAC] = h[H_PART_DST_MAC]
    h[H_VLAN] = h[H_PART_VLAN]
    h[H_FRAGMENT] = 0


@compiled
def take(buf, h, kind, time_ns, wire_bytes, pool, notices, seed):
    """Takes in the fragment that `headers.locate` met, which gave `kind`. Returns the counter of its frame.

    Where it completes its datagram, `h[H_FRAGMENT]` is FRAGMENT_WHOLE, and the whole is to be read: it lies in the pool's JOINED
    from `h[H_NEXT_AT]` to `h[H_NEXT_END]`.
    """
    slot = place_of(buf, h, time_ns, pool[ROWS], pool[SEEN], notices, seed)
    row = pool[ROWS][slot]
    if row["state"] == DONE and not repeats(buf, h, row, pool[DATA][slot]):
        begin(row, pool[SEEN][slot], time_ns)  # the same number again, for another datagram
    held = row["state"] == DONE or add(buf, h, row, pool[DATA][slot], pool[SEEN][slot], notices)
    waited = row["waiting_bytes"]
    if row["state"] == COLLECTING and is_whole(row, pool[SEEN][slot]):
        row["state"] = DONE
        row["time_ns"] = time_ns
        if not build(buf, h, row, pool[DATA][slot], pool[JOINED], pool[FILLED]):
            notices[FRAGMENTS_GIVEN_UP] += 1  # wholes within wholes filled the room
        else:
            notices[FRAGMENTS_JOINED] += 1
            h[H_WAITED_BYTES] += waited
            row["waiting_bytes"] = 0
            note_flow(h, kind, row, pool[FLOWS][slot])
            h[H_FRAGMENT] = FRAGMENT_WHOLE
            return kind
    if h[H_FRAGMENT] == FRAGMENT_FIRST and note_flow(h, kind, row, pool[FLOWS][slot]):
        h[H_WAITED_BYTES] += waited
        row["waiting_bytes"] = 0
        return kind
    if row["flow_known"]:
        for i in range(H_KEPT):
            h[i] = pool[FLOWS][slot][i]
        h[H_FRAGMENT] = FRAGMENT_LATER
        h[H_PAYLOAD] = h[H_END]  # the whole will tell what is in it
        h[H_TCP_FLAGS] = 0
        return pool[FLOWS][slot][H_KEPT]
    if not held:
        return kind
    row["waiting_bytes"] += wire_bytes + h[H_WAITED_BYTES]
    h[H_WAITED_BYTES] = 0
    return IGNORED_FRAGMENT_WAITING


@compiled
def note_flow(h, kind, row, flow):
    """Keeps the flow of a first fragment, whose ports hold for the others; whether it has one."""
    if h[H_FRAGMENT] != FRAGMENT_FIRST or kind > CLASSIFIED_OTHER:
        return False
    for i in range(H_KEPT):
        flow[i] = h[i]
    flow[H_KEPT] = kind
    row["flow_known"] = 1
    return True


@compiled
def place_of(buf, h, time_ns, rows, seen, notices, seed):
    """The row of the fragment's datagram, made where there is none."""
    at = h[H_PART_AT]
    if u8(buf, at) >> 4 == 4:
        src_high, dst_high = np.int64(0), np.int64(0)
        src_low, dst_low = u32(buf, at + 12), u32(buf, at + 16)
    else:
        src_high, src_low, dst_high, dst_low = i64(buf, at + 8), i64(buf, at + 16), i64(buf, at + 24), i64(buf, at + 32)
    # Of IPv6 the header that follows is told by the first fragment alone, and is no part of what tells a datagram.
    proto = h[H_PART_PROTO] if u8(buf, at) >> 4 == 4 else 0
    ident = (h[H_PART_IDENT] << 24) | (proto << 16) | (h[H_PART_VLAN] & 0xFFFF)
    first = np.int64(hash_key(src_high, src_low, dst_high, dst_low, ident, seed) & np.uint64(SETS - 1)) * SET_WAYS
    oldest = first
    for slot in range(first, first + SET_WAYS):
        row = rows[slot]
        if row["state"] != FREE and abs(time_ns - row["time_ns"]) > (DONE_NS if row["state"] == DONE else EXPIRY_NS):
            if row["state"] == COLLECTING:
                notices[FRAGMENTS_GIVEN_UP] += 1
            row["state"] = FREE
        if (
            row["state"] != FREE
            and row["ident"] == ident
            and row["src_low"] == src_low
            and row["dst_low"] == dst_low
            and row["src_high"] == src_high
            and row["dst_high"] == dst_high
        ):
            return slot
        if sooner(row, rows[oldest]):
            oldest = slot
    row = rows[oldest]
    if row["state"] == COLLECTING:
        notices[FRAGMENTS_GIVEN_UP] += 1
    row["src_high"], row["src_low"], row["dst_high"], row["dst_low"] = src_high, src_low, dst_high, dst_low
    row["ident"] = ident
    begin(row, seen[oldest], time_ns)
    return oldest


@compiled
def begin(row, seen, time_ns):
    """A datagram of which nothing has come."""
    row["time_ns"] = time_ns
    row["waiting_bytes"] = 0
    row["total"] = -1
    row["held"] = 0
    row["state"] = COLLECTING
    row["flow_known"] = 0
    for unit in range(np.int64(row["reach"])):
        seen[unit] = 0
    row["reach"] = 0


@compiled
def repeats(buf, h, row, data):
    """Whether a fragment brings what a whole datagram has in its place."""
    at, stop, offset = h[H_PART_DATA], h[H_PART_STOP], h[H_PART_OFFSET]
    if offset + stop - at > row["total"]:
        return False
    return equal(data, offset, buf, at, stop - at)


@compiled
def equal(data, offset, buf, at, length):
    """Whether bytes of two arrays are the same."""
    for i in range(length):
        if data[np.uintp(offset + i)] != buf[np.uintp(at + i)]:
            return False
    return True


@compiled
def sooner(row, other):
    """Whether a row is to make room before another: what is free, then what is done, then what has waited longest."""
    rank = 2 if row["state"] == COLLECTING else np.int64(row["state"]) // 2
    other_rank = 2 if other["state"] == COLLECTING else np.int64(other["state"]) // 2
    return rank < other_rank or (rank == other_rank and row["time_ns"] < other["time_ns"])


@compiled
def add(buf, h, row, data, seen, notices):
    """Keeps what a fragment brings; whether it could be kept."""
    at, stop, offset = h[H_PART_DATA], h[H_PART_STOP], h[H_PART_OFFSET]
    length = stop - at
    if length <= 0 or h[H_PART_MISSING] > 0 or offset + length >= DATA_BYTES:
        return False
    if offset == 0 and not seen[0]:
        row["proto"] = h[H_PART_PROTO]
    if h[H_PART_MORE] and length % UNIT_BYTES:  # nothing could follow it
        return False
    total = np.int64(row["total"])
    if not h[H_PART_MORE] and total < 0:
        row["total"] = offset + length
    elif total >= 0 and (offset + length > total or (not h[H_PART_MORE] and offset + length != total)):
        notices[FRAGMENTS_OVERLAPPING] += 1
        return True
    first = offset // UNIT_BYTES
    last = first + (length + UNIT_BYTES - 1) // UNIT_BYTES
    if first >= row["reach"] or not any_seen(seen, first, last):
        copy_bytes(data, offset, buf, at, length)
        for unit in range(first, last):
            seen[unit] = 1
        row["held"] += last - first
        row["reach"] = max(np.int64(row["reach"]), last)
        return True
    row["reach"] = max(np.int64(row["reach"]), last)
    fresh, same = 0, True
    for unit in range(first, last):
        begin = unit * UNIT_BYTES
        size = min(UNIT_BYTES, offset + length - begin)
        if seen[unit]:
            same = same and equal(data, begin, buf, at + begin - offset, size)
        else:
            copy_bytes(data, begin, buf, at + begin - offset, size)
            seen[unit] = 1
            fresh += 1
    row["held"] += fresh
    if fresh or not same:  # else it is a copy
        notices[FRAGMENTS_OVERLAPPING] += 1
    return True


@compiled
def any_seen(seen, first, last):
    """Whether one of some units has come."""
    for unit in range(first, last):
        if seen[unit]:
            return True
    return False


@compiled
def is_whole(row, seen):
    """Whether everything up to the end has come."""
    units = (np.int64(row["total"]) + UNIT_BYTES - 1) // UNIT_BYTES
    if row["total"] < 0 or row["held"] < units:
        return False
    if row["held"] == row["reach"]:
        return True
    for unit in range(units):
        if not seen[unit]:
            return False
    return True


@compiled
def build(buf, h, row, data, joined, filled):
    """Writes the datagram behind a plain header; its place is left in `h[H_NEXT_AT]`, `h[H_NEXT_END]`. False: no room."""
    at, start, total = h[H_PART_AT], filled[0], np.int64(row["total"])
    header = 20 if u8(buf, at) >> 4 == 4 else 40
    if start + header + total > joined.shape[0]:
        return False
    for i in range(header):
        joined[start + i] = 0
    if header == 20:
        length = header + total
        joined[start] = 0x45
        joined[start + 8] = buf[at + 8]
        joined[start + 9] = row["proto"]
        copy_bytes(joined, start + 12, buf, at + 12, 8)
        length_at = start + 2
    else:
        length = total
        joined[start] = 0x60
        joined[start + 6] = row["proto"]
        joined[start + 7] = buf[at + 7]
        copy_bytes(joined, start + 8, buf, at + 8, 32)
        length_at = start + 4
    if length <= 0xFFFF:  # else 0, which means as long as there is something
        joined[length_at] = length >> 8
        joined[length_at + 1] = length & 0xFF
    copy_bytes(joined, start + header, data, 0, total)
    h[H_NEXT_AT] = start
    h[H_NEXT_END] = start + header + total
    filled[0] = h[H_NEXT_END]
    return True


@compiled
def add_waited(row, side, wire_bytes):
    """Bytes of fragments that came before their flow was known."""
    if side == 0:
        row["bytes_0"] += wire_bytes
    else:
        row["bytes_1"] += wire_bytes


@compiled
def progress(row, side):
    """How far a side's beginning has been read, as one number."""
    if side == 0:
        return np.int64(row["phase_0"]) | np.int64(row["clues_0"]) << 8 | np.int64(row["until_0"]) << 16
    return np.int64(row["phase_1"]) | np.int64(row["clues_1"]) << 8 | np.int64(row["until_1"]) << 16


@compiled
def of_beginning(clue, row, side, before):
    """What a first fragment is worth by itself, should the rest never come: a name that is whole in it, or begins in it.

    What can be read only as a whole waits for the whole; the first fragment leaves no trace then, for it settles nothing.
    """
    if clue != 0 and clue not in (KIND_QUIC, KIND_STUN, KIND_DTLS):
        return clue
    if side == 0:
        row["phase_0"], row["clues_0"], row["until_0"] = before & 0xFF, (before >> 8) & 0xFF, before >> 16
    else:
        row["phase_1"], row["clues_1"], row["until_1"] = before & 0xFF, (before >> 8) & 0xFF, before >> 16
    return 0


@compiled
def point_elsewhere(clue):
    """Marks a clue's offsets as those in JOINED."""
    clue["offset"] = -1 - clue["offset"]
    clue["name_offset"] = -1 - clue["name_offset"]
