"""The loop over frames: header, flow row, counters, clue."""

from __future__ import annotations

import numpy as np

from sensor.kernel.ahead import BLOCK, locate_block
from sensor.kernel.compiling import compiled
from sensor.kernel.fields import (
    FRAGMENT_WHOLE,
    H_DST_HIGH,
    H_DST_LOW,
    H_DST_MAC,
    H_DST_PORT,
    H_END,
    H_FRAGMENT,
    H_PAYLOAD,
    H_SIZE,
    H_SRC_HIGH,
    H_SRC_LOW,
    H_SRC_MAC,
    H_SRC_PORT,
    H_TTL,
)
from sensor.kernel.fragments import (
    FILLED,
    JOINED,
    WHOLE_BYTES,
    point_elsewhere,
)
from sensor.kernel.layout import (
    CLASSIFIED_OTHER,
    DROPPED_TABLE_FULL,
    DROPPED_TRUNCATED,
    F_BEGIN,
    F_ECH_CONFIG,
    F_FLAGS,
    F_NAME,
    F_NAME_BYTES,
    F_NEW_FLOW,
    F_READ,
    F_SIDE,
    F_SIZE,
    HOUR_NS,
    KIND_NEW_FLOW,
    READ_PENDING,
)
from sensor.kernel.media import write_tick
from sensor.kernel.payload import said, said_in_fragment
from sensor.kernel.rows import count, flow_of
from sensor.kernel.table import (
    C_CLOCK_NS,
    C_TOUCHED,
    advance_clock,
    end_flow,
)


@compiled
def write_clue(clue, kind, side, row, slot, frame, h, relative, found):
    clue["kind"] = kind
    clue["side"] = side
    clue["read"] = found[F_READ]
    clue["proto"] = row["proto"]
    clue["slot"] = slot
    clue["flow_id"] = row["flow_id"]
    clue["time_ns"] = frame["time_ns"]
    clue["number"] = frame["number"]
    clue["source"] = frame["source"]
    clue["offset"] = h[H_PAYLOAD]
    clue["length"] = max(h[H_END] - h[H_PAYLOAD], 0)
    clue["sequence"] = relative
    clue["name_offset"] = found[F_NAME]
    clue["name_length"] = found[F_NAME_BYTES]
    clue["name_id"] = 0
    clue["src_high"] = h[H_SRC_HIGH]
    clue["src_low"] = h[H_SRC_LOW]
    clue["dst_high"] = h[H_DST_HIGH]
    clue["dst_low"] = h[H_DST_LOW]
    clue["src_port"] = h[H_SRC_PORT]
    clue["dst_port"] = h[H_DST_PORT]
    clue["vlan"] = row["vlan"]
    clue["opener"] = row["opener"]
    clue["ttl"] = h[H_TTL]
    clue["first_ns"] = row["first_ns"]
    clue["src_mac"] = h[H_SRC_MAC]
    clue["dst_mac"] = h[H_DST_MAC]
    clue["flags"] = found[F_FLAGS]
    clue["ech_config"] = found[F_ECH_CONFIG]


def scratch_memory():
    """What `scan` works in: headers and kinds of a block of frames, and what its parts tell each other of one."""
    return np.zeros((BLOCK, H_SIZE), np.int64), np.zeros(BLOCK, np.int64), np.zeros(F_SIZE, np.int64)


@compiled
def scan(buf, frames, start, flows, heads, wheel, free, ended, control, counters, notices, clues, ticks, rules, hours,
         scratch, pool, copies, seed):  # fmt: skip
    """Reads frames from index `start` on. Returns (frames read up to, clues written, ticks written).

    Stops early where the clues or ticks might not all fit: call it again with what it returned. `counters` and `notices`
    follow `layout.COUNTERS` and `layout.NOTICES`; `rules` is a `first.sieve`; `hours` are layout.HOUR rows; `scratch` is of
    `scratch_memory`, `pool` of `fragments.new_pool`, `copies` of `copies.new_memory`.
    """
    headers, kinds, found = scratch
    joined = pool[JOINED]
    filled = pool[FILLED]
    filled[0] = 0
    written = 0
    ticked = 0
    hour = np.int64(0)
    hour_from = np.int64(0)
    hour_until = np.int64(0)
    limit = clues.shape[0] - 2 * BLOCK  # a frame writes two at most: a new flow, and what it says
    ticks_limit = ticks.shape[0] - BLOCK
    for first in range(start, frames.shape[0], BLOCK):
        if written > limit or ticked > ticks_limit or filled[0] > joined.shape[0] - BLOCK * WHOLE_BYTES:
            return first, written, ticked
        last = min(first + BLOCK, frames.shape[0])
        locate_block(buf, frames, first, last, headers, kinds, flows, heads, notices, pool, copies, seed)
        for i in range(first, last):
            frame = frames[i]
            advance_clock(flows, heads, wheel, free, ended, control, notices, frame["time_ns"])
            kind = kinds[i - first]
            if not hour_from <= frame["time_ns"] < hour_until:
                hour_from = frame["time_ns"] // HOUR_NS * HOUR_NS
                hour_until = hour_from + HOUR_NS
                hour = row_of_hour(hours, hour_from)
            hours[hour]["frames"] += 1
            if kind > CLASSIFIED_OTHER:
                counters[kind] += 1
                if kind == DROPPED_TRUNCATED:
                    hours[hour]["lost"] += 1
                continue
            h = headers[i - first]
            slot = flow_of(flows, heads, wheel, free, ended, control, notices, h, frame, found)
            if slot < 0:
                counters[DROPPED_TABLE_FULL] += 1
                hours[hour]["lost"] += 1
                continue
            counters[kind] += 1
            row = flows[slot]
            side = found[F_SIDE]
            if frame["time_ns"] >= row["tick_ns"]:
                write_tick(ticks[ticked], row, frame["time_ns"])
                ticked += 1
            count(row, side, frame, h)
            if found[F_NEW_FLOW]:
                found[F_NAME] = 0
                found[F_NAME_BYTES] = 0
                found[F_READ] = READ_PENDING
                write_clue(clues[written], KIND_NEW_FLOW, side, row, slot, frame, h, 0, found)
                written += 1
            found[:] = 0
            if h[H_FRAGMENT]:
                clue, relative = said_in_fragment(
                    buf, joined, kind, h, row, side, frame["time_ns"], found, notices, rules
                )
            else:
                clue, relative = said(buf, kind, h, row, side, frame["time_ns"], found, notices, rules)
            if clue:
                write_clue(clues[written], clue, side, row, slot, frame, h, relative - found[F_BEGIN], found)
                if h[H_FRAGMENT] >= FRAGMENT_WHOLE:
                    point_elsewhere(clues[written])
                written += 1
    return frames.shape[0], written, ticked


@compiled
def row_of_hour(hours, begin):
    """The row of the hour that begins at `begin`, made where it is new: the first that counts nothing yet."""
    for i in range(hours.shape[0]):
        if hours[i]["frames"] == 0:
            hours[i]["hour"] = begin
        if hours[i]["hour"] == begin:
            return np.int64(i)
    return np.int64(hours.shape[0] - 1)


@compiled
def end_all(flows, heads, ended, control):
    """Ends every flow that is still alive, at the end of a source."""
    for slot in range(control[C_TOUCHED]):
        # Rows in the free list have no flow; those that ended already say so.
        if flows[slot]["ended"] == 0 and flows[slot]["flow_id"] >= 0:
            end_flow(flows, heads, ended, control, slot)
    return control[C_CLOCK_NS]
