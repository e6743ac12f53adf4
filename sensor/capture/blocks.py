"""The compiled walk over a block of an AF_PACKET ring (TPACKET_V3, linux/if_packet.h): packet headers in, FRAME rows out.

The kernel takes the outer VLAN tag off a frame and tells it beside it; here it is put back where it was, by moving the two
MAC addresses four bytes to the front, into room that PACKET_RESERVE made. The block is ours until it is given back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

# Offsets in a block's header (struct tpacket_block_desc, tpacket_hdr_v1).
BLOCK_STATUS, BLOCK_PACKETS, BLOCK_FIRST = 8, 12, 16
STATUS_KERNEL, STATUS_USER = 0, 1
# Offsets in a packet's header (struct tpacket3_hdr).
_NEXT, _SEC, _NSEC, _SNAPLEN, _LEN, _STATUS, _MAC, _VLAN_TCI, _VLAN_TPID = 0, 4, 8, 12, 16, 20, 24, 32, 36
PACKET_HEADER_BYTES = 68  # with the address that follows it
_VLAN_VALID = 1 << 4
_TPID_VALID = 1 << 6
_ETHER_VLAN = 0x8100
MACS_BYTES = 12
TAG_BYTES = 4

# Slots of `noted`.
TAGS_PUT_BACK, OVERSIZED, SNAPPED, DAMAGED_BLOCKS = range(4)
NOTED = ("tags_put_back", "oversized", "snapped", "damaged_blocks")


@njit(cache=True, nogil=True)
def walk_block(
    ring: Any,
    words: Any,
    shorts: Any,
    base: int,
    block_bytes: int,
    link: int,
    ethernet: bool,
    longest: int,
    number: int,
    rows: Any,
    filled: int,
    noted: Any,
) -> int:
    """Walk one block; return how many rows are filled then. A second walk over the same block would put tags back twice.

    Args:
        ring: uint8[n], the whole ring, writable
        words: the same as uint32[n / 4], in the machine's byte order
        shorts: the same as uint16[n / 2]
        base: where the block begins
        block_bytes: how long it is
        link: LINKTYPE of the frames
        ethernet: whether tags can be put back
        longest: bytes of the longest frame that one frame of the wire can be; longer ones are counted
        number: frames before those of `rows`
        rows: FRAME[m] to fill from `filled` on, with room for all frames of the block
        filled: rows that are filled already
        noted: int64[4], see TAGS_PUT_BACK and the following
    """
    packets = np.int64(words[(base + BLOCK_PACKETS) >> 2])
    end = base + block_bytes
    at = base + np.int64(words[(base + BLOCK_FIRST) >> 2])
    for _ in range(packets):
        if at + PACKET_HEADER_BYTES > end or filled == len(rows):
            noted[DAMAGED_BLOCKS] += 1
            break
        captured = np.int64(words[(at + _SNAPLEN) >> 2])
        wire = np.int64(words[(at + _LEN) >> 2])
        start = at + np.int64(shorts[(at + _MAC) >> 1])
        if start + captured > end or start < at + PACKET_HEADER_BYTES:
            noted[DAMAGED_BLOCKS] += 1
            break
        status = np.int64(words[(at + _STATUS) >> 2])
        noted[OVERSIZED] += wire > longest
        noted[SNAPPED] += wire > captured
        room = start - TAG_BYTES >= at + PACKET_HEADER_BYTES
        if status & _VLAN_VALID and ethernet and captured >= MACS_BYTES and room:
            kind = np.int64(shorts[(at + _VLAN_TPID) >> 1]) if status & _TPID_VALID else np.int64(_ETHER_VLAN)
            tag = np.int64(words[(at + _VLAN_TCI) >> 2])
            start -= TAG_BYTES
            for i in range(MACS_BYTES):
                ring[start + i] = ring[start + TAG_BYTES + i]
            ring[start + MACS_BYTES] = kind >> 8
            ring[start + MACS_BYTES + 1] = kind & 0xFF
            ring[start + MACS_BYTES + 2] = (tag >> 8) & 0xFF
            ring[start + MACS_BYTES + 3] = tag & 0xFF
            captured += TAG_BYTES
            wire += TAG_BYTES
            noted[TAGS_PUT_BACK] += 1
        row = rows[filled]
        row["offset"] = start
        row["time_ns"] = np.int64(words[(at + _SEC) >> 2]) * 1_000_000_000 + np.int64(words[(at + _NSEC) >> 2])
        row["number"] = number + filled + 1
        row["captured_bytes"] = captured
        row["wire_bytes"] = wire
        row["link"] = link
        row["source"] = 0
        filled += 1
        at += np.int64(words[(at + _NEXT) >> 2])
    return filled
