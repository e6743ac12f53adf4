"""Copies of a packet that the mirror made: a port mirrored in both directions, a trunk beside an access port, both sides of a router.

What tells a packet from all others is remembered for a moment, in a table of fixed size: five-tuple, length, IP's identification
and fragment word, the beginning of its transport header. Beside it stand the MAC addresses, the VLAN and the hop limit:

- the same addresses and hop limit: the mirror showed the packet twice, on whatever VLAN;
- other addresses and another hop limit: the packet before and behind a router;
- other addresses and the same hop limit, or the reverse: no copy.

A packet that is sent again has another identification. Where there is none (IPv6; IPv4 that may not be split, RFC 6864), it may be as
the first to the last bit. So these must come within a millisecond and be equal in their checksums and their ends; and on the same VLAN
they are copies only while the mirror shows packets twice that have an identification, and in pairs.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.fields import (
    H_DST_MAC,
    H_END,
    H_IP_AT,
    H_MISSING,
    H_PART_AT,
    H_PART_DATA,
    H_PART_DST_MAC,
    H_PART_IDENT,
    H_PART_MORE,
    H_PART_OFFSET,
    H_PART_PROTO,
    H_PART_SRC_MAC,
    H_PART_STOP,
    H_PART_VLAN,
    H_SIDE,
    H_SRC_MAC,
    H_TRANSPORT_AT,
    H_TTL,
    H_VLAN,
)
from sensor.kernel.layout import NS
from sensor.kernel.table import MIX_1, MIX_2, hash_key
from sensor.kernel.wire import i64, u8, u16, u32

SET_BITS, WAYS = 13, 2
SET_SHIFT = np.uint64(64 - SET_BITS)
COPY = np.dtype(
    [
        ("digest", "<u8"),
        ("time_ns", "<i8"),
        ("macs", "<i8"),
        ("vlan", "<i2"),
        ("ttl", "<i2"),
        ("paired", "<i4"),  # a copy of it that could not be told for certain has come
    ],
    align=False,
)
# Of each set one number is read for every packet: half a digest of the newer in its upper half, of the older in its lower; the lowest
# bit of each is its row's place. So the rows, which the cache does not hold, are only written.
TAG_MASK, ONE = np.uint64(0xFFFFFFFE), np.uint64(1)

WINDOW_NS = NS // 100
WINDOW_NO_IDENT_NS = NS // 1000

TOLD, DOUBLED, PROOF_SIZE = range(3)  # packets with an identification, and those of them that came twice on one VLAN
PROOF_PACKETS = 1024  # both are halved when there are so many, so that what is long ago fades
PROOF_LEAST = 8
PROOF_SHARE = 4  # every so manieth packet is such a copy: where all come twice, it is every second

VERSION_TO_IDENT = np.int64(-0xFF000000000001)  # of the first eight bytes of IPv4 all but the type of service
FLOW_LABEL_ON = np.int64(0x000FFFFFFFFFFF00)  # of IPv6 all but the traffic class and the hop limit
SHIFT = np.uint64(32)
IDENT_MASK = np.int64(0xFFFF0000)
ODD_1, ODD_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)  # multipliers; any odd ones do
NO_MACS = np.int64(0xFFFF)  # what `macs_of` makes of -1 and -1
PROOF = 2  # of `new_memory`


def new_memory(*, used):
    """What is remembered of packets: tags, rows, proof. Where it is not to be used it has no rows."""
    sets = 1 << SET_BITS if used else 0
    return np.zeros(sets, np.uint64), np.zeros(sets * WAYS, COPY), np.zeros(PROOF_SIZE, np.int64)


@inlined
def settled(value):
    """Lets the upper bits of a digest reach its lower ones, and these the upper."""
    value ^= value >> SHIFT
    value *= MIX_1
    return value ^ (value >> SHIFT)


@compiled
def short_word(buf, at, end):
    """As `wire.i64`, of what there is before `end`."""
    value = np.int64(0)
    for i in range(8):
        value = (value << 8) | (u8(buf, at + i) if at + i < end else np.int64(0))
    return value


@inlined
def word(buf, at, end):
    return i64(buf, at) if at + 8 <= end else short_word(buf, at, end)


@inlined
def is_copy(buf, h, hashed, time_ns, memory):
    """Whether a packet is a copy of one that came; if not, it is remembered. `hashed`: of its flow (`ahead.place`)."""
    at, begin, end = h[H_IP_AT], h[H_TRANSPORT_AT], h[H_END]
    head = i64(buf, at)
    if u8(buf, at) >> 4 == 4:
        head &= VERSION_TO_IDENT
        told = head & IDENT_MASK != 0
    else:
        head &= FLOW_LABEL_ON
        told = False
    digest = hashed + np.uint64(head + h[H_SIDE]) * MIX_2 + first_words(buf, begin, end)
    proof = memory[PROOF]
    if told:
        proof[TOLD] += 1
    else:
        digest += np.uint64(word(buf, begin + 16, end)) * ODD_2
        if h[H_MISSING] == 0:  # else the capture cut it, and where depends on its tags
            digest = settled(digest) + np.uint64(word(buf, max(end - 8, begin), end))
    macs = macs_of(h[H_SRC_MAC], h[H_DST_MAC])
    return known(settled(digest), time_ns, macs, h[H_VLAN], h[H_TTL], told, memory)


@inlined
def first_words(buf, begin, end):
    """What begins the transport header: ports; sequence numbers and flags, or checksum and payload."""
    return np.uint64(word(buf, begin, end)) * ODD_1 + np.uint64(word(buf, begin + 8, end)) * MIX_1


@compiled
def is_copy_of_part(buf, h, time_ns, memory, seed):
    """As `is_copy`, of a fragment. Its identification tells it, in IPv6 as well."""
    at, begin, end = h[H_PART_AT], h[H_PART_DATA], h[H_PART_STOP]
    place = (h[H_PART_OFFSET] << 33) | (h[H_PART_MORE] << 32) | h[H_PART_IDENT]
    if u8(buf, at) >> 4 == 4:
        digest = hash_key(0, u32(buf, at + 12), 0, u32(buf, at + 16), (u16(buf, at + 2) << 8) | h[H_PART_PROTO], seed)
        ttl = u8(buf, at + 8)
    else:
        # The header that follows the fragment's is not part of what tells it: RFC 8200 4.5.
        digest = hash_key(
            i64(buf, at + 8), i64(buf, at + 16), i64(buf, at + 24), i64(buf, at + 32), u16(buf, at + 4), seed
        )
        ttl = u8(buf, at + 7)
    digest += np.uint64(place) * MIX_2 + first_words(buf, begin, end)
    memory[PROOF][TOLD] += 1
    macs = macs_of(h[H_PART_SRC_MAC], h[H_PART_DST_MAC])
    return known(settled(digest), time_ns, macs, h[H_PART_VLAN], ttl, True, memory)


@inlined
def macs_of(src, dst):
    """Both addresses in one number; NO_MACS where they are not known."""
    return (src << 16) ^ dst


@inlined
def known(digest, time_ns, macs, vlan, ttl, told, memory):
    """Whether a packet of this digest came a moment ago and this is its copy. If not, it takes the place of the older."""
    tags, rows, proof = memory
    place = np.uintp(digest >> SET_SHIFT)
    tag = digest & TAG_MASK
    pair = tags[place]
    newer = pair >> SHIFT
    if (newer & TAG_MASK) == tag or (pair & TAG_MASK) == tag:
        for way in range(WAYS):
            row = rows[place * np.uintp(WAYS) + np.uintp(way)]
            if row["digest"] == digest and copied(row, time_ns, macs, vlan, ttl, told, proof):
                return True
    way = ONE - (newer & ONE)
    tags[place] = (tag | way) << SHIFT | newer
    row = rows[place * np.uintp(WAYS) + np.uintp(way)]
    row["digest"] = digest
    row["time_ns"] = time_ns
    row["macs"] = macs
    row["vlan"] = vlan
    row["ttl"] = ttl
    row["paired"] = 0
    return False


@compiled
def copied(row, time_ns, macs, vlan, ttl, told, proof):
    """Whether a packet of the same digest is a copy of the one that a row remembers."""
    if abs(time_ns - row["time_ns"]) > (WINDOW_NS if told else WINDOW_NO_IDENT_NS):
        return False
    if row["ttl"] != ttl:
        return row["macs"] != macs or macs == NO_MACS  # the two sides of a router
    if row["macs"] != macs:
        return False
    if row["vlan"] != vlan:
        return True
    while proof[TOLD] >= PROOF_PACKETS:
        proof[TOLD] >>= 1
        proof[DOUBLED] >>= 1
    if told:
        proof[DOUBLED] += 1
        return True
    if row["paired"] or proof[DOUBLED] < PROOF_LEAST or proof[DOUBLED] * PROOF_SHARE < proof[TOLD]:
        return False
    row["paired"] = 1
    return True
