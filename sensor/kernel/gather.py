"""Copies out of a batch what is read after the batch has gone; puts beginnings of streams together on the way."""

from __future__ import annotations

import numpy as np

from sensor.kernel.assemble import WAIT, add_segment
from sensor.kernel.compiling import compiled
from sensor.kernel.layout import (
    KIND_DTLS,
    KIND_HTTP,
    KIND_MEDIA,
    KIND_NEW_FLOW,
    KIND_QUIC,
    KIND_SEGMENT,
    KIND_TLS,
    PORT_DNS,
    READ_HAND_OVER,
)


@compiled
def gather(buf, joined, scanned, clues, kept, flows, streams, notices, rules, found):
    """Copies the clues that say something, and what is wanted of their payloads to where they then point.

    From `scanned` into `clues`, and from `buf`, `joined` (the datagrams put together: a clue's offset of -1 is its first
    byte) or the streams put together into `kept`; returns (clues, bytes used).
    Of a Host in plain sight only the name; of a new flow nothing. `kept` has room for all payloads and all that `streams`
    hold; they, `rules` and `found` are as for `assemble.add_segment`.
    """
    used = 0
    written = 0
    memory = streams[1]
    for i in range(scanned.shape[0]):
        clues[written] = scanned[i]
        clue = clues[written]
        elsewhere = clue["offset"] < 0
        if elsewhere:
            clue["offset"] = -1 - clue["offset"]
            clue["name_offset"] = -1 - clue["name_offset"]
        pooled = False
        if clue["kind"] == KIND_SEGMENT and clue["src_port"] != PORT_DNS and clue["dst_port"] != PORT_DNS:
            if elsewhere:
                what, pooled = add_segment(joined, clue, flows, streams, notices, rules, found)
            else:
                what, pooled = add_segment(buf, clue, flows, streams, notices, rules, found)
            if what == WAIT:
                continue
        kind = clue["kind"]
        if kind in (KIND_NEW_FLOW, KIND_MEDIA):
            start, length = np.int64(0), np.int64(0)
        elif kind == KIND_HTTP:
            start, length = np.int64(clue["name_offset"]), np.int64(clue["name_length"])
        else:
            start, length = np.int64(clue["offset"]), np.int64(clue["length"])
        if pooled:
            for k in range(length):
                kept[used + k] = memory[start + k]
        elif elsewhere:
            for k in range(length):
                kept[used + k] = joined[start + k]
        else:
            for k in range(length):
                kept[used + k] = buf[start + k]
        within = kind == KIND_TLS and clue["name_length"] > 0
        clue["name_offset"] = used + clue["name_offset"] - start if within else used
        clue["offset"] = used
        clue["length"] = length
        used += length
        written += 1
    return written, used


@compiled
def beginnings_of(clues, indexes):
    """Leaves the places of those clues in `indexes` that hand over how a flow begins; returns how many there are."""
    count = 0
    for i in range(clues.shape[0]):
        clue = clues[i]
        if clue["read"] != READ_HAND_OVER:
            continue
        kind = clue["kind"]
        stream = kind == KIND_SEGMENT and clue["src_port"] != PORT_DNS and clue["dst_port"] != PORT_DNS
        if stream or kind in (KIND_QUIC, KIND_DTLS):
            indexes[count] = i
            count += 1
    return count
