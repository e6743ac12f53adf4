"""The loop over frames: header, flow row, counters, clue."""

from __future__ import annotations

import numpy as np

from sensor.kernel.clues import datagram_clue, stream_clue
from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.headers import locate
from sensor.kernel.layout import (
    BYTES_ON_WIRE,
    CLASSIFIED_OTHER,
    CLASSIFIED_TCP,
    CLASSIFIED_UDP,
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
    FLOWS_EXPIRED,
    FLOWS_OPENED,
    FLOWS_REOPENED,
    H_BUCKET,
    H_DST_HIGH,
    H_DST_LOW,
    H_DST_MAC,
    H_DST_PORT,
    H_END,
    H_MISSING,
    H_PAYLOAD,
    H_PROTO,
    H_SEQUENCE,
    H_SIDE,
    H_SIZE,
    H_SRC_HIGH,
    H_SRC_LOW,
    H_SRC_MAC,
    H_SRC_PORT,
    H_TCP_FLAGS,
    H_TTL,
    H_VLAN,
    H_WARMED,
    HOUR_NS,
    KIND_MEDIA,
    KIND_NEW_FLOW,
    PORT_DNS,
    READ_DONE,
    READ_PENDING,
    SNAPPED,
    STATE_BASE_0,
    STATE_BASE_1,
    STATE_BOTH,
    STATE_FIN_0,
    STATE_FIN_1,
    STATE_RST,
    STATE_SYN,
    TCP_ACK,
    TCP_FIN,
    TCP_RST,
    TCP_SYN,
)
from sensor.kernel.media import begin_windows, media_run, write_tick
from sensor.kernel.table import (
    C_CLOCK_NS,
    C_FREE,
    C_LIVE,
    C_NEXT_FLOW_ID,
    C_TOUCHED,
    advance_clock,
    end_flow,
    find,
    hash_key,
    idle_limit_ns,
    schedule,
)

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


@inlined
def opener_of(h, sport, dport):
    """Whether the sender opened the flow, by the first packet seen: flags first, then ports, then that it spoke first."""
    flags = h[H_TCP_FLAGS]
    if flags & TCP_SYN:
        return (flags & TCP_ACK) == 0
    if sport < 1024 <= dport:
        return False
    if dport < 1024 <= sport:
        return True
    # Servers of messengers and relays above the well-known ports.
    if sport in (3478, 5222, 5223, 5228, 8801) and dport not in (3478, 5222, 5223, 5228, 8801):
        return False
    return True


@compiled
def new_row(flows, heads, wheel, free, control, notices, bucket, h, frame, swapped, sport, dport):
    """Takes a free row for the flow of this packet; -1 where the table is full."""
    if control[C_FREE] > 0:
        control[C_FREE] -= 1
        slot = np.int64(free[control[C_FREE]])
    elif control[C_TOUCHED] < flows.shape[0]:
        slot = control[C_TOUCHED]
        control[C_TOUCHED] += 1
    else:
        return np.int64(-1)
    row = flows[slot]
    if swapped:
        row["a_high"], row["a_low"], row["a_port"] = h[H_DST_HIGH], h[H_DST_LOW], dport
        row["b_high"], row["b_low"], row["b_port"] = h[H_SRC_HIGH], h[H_SRC_LOW], sport
        row["mac_0"], row["mac_1"] = h[H_DST_MAC], h[H_SRC_MAC]
    else:
        row["a_high"], row["a_low"], row["a_port"] = h[H_SRC_HIGH], h[H_SRC_LOW], sport
        row["b_high"], row["b_low"], row["b_port"] = h[H_DST_HIGH], h[H_DST_LOW], dport
        row["mac_0"], row["mac_1"] = h[H_SRC_MAC], h[H_DST_MAC]
    row["proto"] = h[H_PROTO]
    row["opener"] = 1 if opener_of(h, sport, dport) == swapped else 0
    row["state"] = 0
    row["chain"] = heads[bucket]
    heads[bucket] = slot
    row["bucket"] = bucket
    row["packets_0"] = 0
    row["packets_1"] = 0
    row["bytes_0"] = 0
    row["bytes_1"] = 0
    row["flow_id"] = control[C_NEXT_FLOW_ID]
    control[C_NEXT_FLOW_ID] += 1
    control[C_LIVE] += 1
    row["first_ns"] = frame["time_ns"]
    row["last_ns"] = frame["time_ns"]
    row["first_number"] = frame["number"]
    row["source"] = frame["source"]
    row["phase_0"] = 0
    row["phase_1"] = 0
    row["clues_0"] = 0
    row["clues_1"] = 0
    row["ttl_0"] = 0
    row["ttl_1"] = 0
    row["vlan"] = h[H_VLAN] if h[H_VLAN] >= 0 else 0xFFFF
    row["until_0"] = 0
    row["until_1"] = 0
    row["ended"] = 0
    begin_windows(row, frame["time_ns"])
    schedule(flows, wheel, control, slot, frame["time_ns"] + idle_limit_ns(row))
    notices[FLOWS_OPENED] += 1
    return slot


@inlined
def flow_of(flows, heads, wheel, free, ended, control, notices, h, frame, found):
    """The row of this packet's flow, made if it is new (`found[F_NEW_FLOW]` is 1 then); -1 where the table is full.

    `found[F_SIDE]` is the side that sent the packet.
    """
    sport, dport = h[H_SRC_PORT], h[H_DST_PORT]
    side = h[H_SIDE]
    swapped = side == 1
    if swapped:
        a_high, a_low, a_port = h[H_DST_HIGH], h[H_DST_LOW], dport
        b_high, b_low, b_port = h[H_SRC_HIGH], h[H_SRC_LOW], sport
    else:
        a_high, a_low, a_port = h[H_SRC_HIGH], h[H_SRC_LOW], sport
        b_high, b_low, b_port = h[H_DST_HIGH], h[H_DST_LOW], dport
    bucket = h[H_BUCKET]
    found[F_NEW_FLOW] = 0
    found[F_SIDE] = side
    slot = find(flows, heads, bucket, a_high, a_low, b_high, b_low, a_port, b_port, h[H_PROTO])
    if slot >= 0:
        row = flows[slot]
        if frame["time_ns"] - row["last_ns"] > idle_limit_ns(row):
            notices[FLOWS_EXPIRED] += 1
            end_flow(flows, heads, ended, control, slot)
            slot = np.int64(-1)
        elif h[H_TCP_FLAGS] & (TCP_SYN | TCP_ACK) == TCP_SYN and reopened(row, side, h[H_SEQUENCE]):
            notices[FLOWS_REOPENED] += 1
            end_flow(flows, heads, ended, control, slot)
            slot = np.int64(-1)
    if slot < 0:
        slot = new_row(flows, heads, wheel, free, control, notices, bucket, h, frame, swapped, sport, dport)
        found[F_NEW_FLOW] = 1
    return slot


@inlined
def reopened(row, side, sequence):
    """A SYN on a known five-tuple: a new connection unless it repeats the SYN that opened this one."""
    state = np.int64(row["state"])
    if not state & (STATE_BASE_0 if side == 0 else STATE_BASE_1):
        return False
    base = np.int64(row["base_0"] if side == 0 else row["base_1"])
    if state & STATE_SYN and base == ((sequence + 1) & 0xFFFFFFFF):
        return False
    return (state & (STATE_SYN | STATE_RST | STATE_FIN_0 | STATE_FIN_1)) != 0


@inlined
def count(row, side, frame, h):
    """Counters, first and last time, what a side's packets look like."""
    row["last_ns"] = max(row["last_ns"], frame["time_ns"])
    if side == 0:
        row["packets_0"] += 1
        row["bytes_0"] += frame["wire_bytes"]
        if row["packets_0"] == 1:
            row["ttl_0"] = h[H_TTL]
            if h[H_SRC_MAC] >= 0:
                row["mac_0"] = h[H_SRC_MAC]
    else:
        row["packets_1"] += 1
        row["bytes_1"] += frame["wire_bytes"]
        if row["packets_1"] == 1:
            row["ttl_1"] = h[H_TTL]
            if h[H_SRC_MAC] >= 0:
                row["mac_1"] = h[H_SRC_MAC]
    if row["packets_0"] > 0 and row["packets_1"] > 0:
        row["state"] |= STATE_BOTH


@inlined
def follow_tcp(row, side, h):
    """TCP's state, and where this packet's payload lies in its stream. Returns (offset, whether the start was seen)."""
    flags = h[H_TCP_FLAGS]
    sequence = h[H_SEQUENCE]
    if flags & TCP_RST:
        row["state"] |= STATE_RST
    if flags & TCP_FIN:
        row["state"] |= STATE_FIN_0 if side == 0 else STATE_FIN_1
    if flags & TCP_SYN:
        if not flags & TCP_ACK:
            row["state"] |= STATE_SYN
        set_base(row, side, (sequence + 1) & 0xFFFFFFFF)  # data in a SYN (RFC 7413) begins after it
        return np.int64(0), True
    if not row["state"] & (STATE_BASE_0 if side == 0 else STATE_BASE_1):
        if h[H_PAYLOAD] < h[H_END]:
            set_base(row, side, sequence)
        return np.int64(0), False
    relative = (sequence - np.int64(row["base_0"] if side == 0 else row["base_1"])) & 0xFFFFFFFF
    if relative >= 0x80000000:
        relative -= 0x100000000
    return relative, True


@inlined
def set_base(row, side, base):
    if side == 0:
        row["base_0"] = base
        row["state"] |= STATE_BASE_0
    else:
        row["base_1"] = base
        row["state"] |= STATE_BASE_1


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
def scan(
    buf, frames, start, flows, heads, wheel, free, ended, control, counters, notices, clues, ticks, rules, hours, scratch,
    seed,
):  # fmt: skip
    """Reads frames from index `start` on. Returns (frames read up to, clues written, ticks written).

    Stops early where the clues or ticks might not all fit: call it again with what it returned. `counters` and `notices`
    follow `layout.COUNTERS` and `layout.NOTICES`; `rules` is a `first.sieve`; `hours` are layout.HOUR rows; `scratch` is of
    `scratch_memory`.
    """
    headers, kinds, found = scratch
    written = 0
    ticked = 0
    hour = np.int64(0)
    hour_from = np.int64(0)
    hour_until = np.int64(0)
    limit = clues.shape[0] - 2 * BLOCK  # a frame writes two at most: a new flow, and what it says
    ticks_limit = ticks.shape[0] - BLOCK
    for first in range(start, frames.shape[0], BLOCK):
        if written > limit or ticked > ticks_limit:
            return first, written, ticked
        last = min(first + BLOCK, frames.shape[0])
        locate_block(buf, frames, first, last, headers, kinds, flows, heads, notices, seed)
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
            clue = 0
            relative = np.int64(0)
            if kind == CLASSIFIED_TCP:
                relative, known = follow_tcp(row, side, h)
                if h[H_PAYLOAD] < h[H_END]:
                    dns = h[H_SRC_PORT] == PORT_DNS or h[H_DST_PORT] == PORT_DNS
                    clue = stream_clue(
                        buf, h[H_PAYLOAD], h[H_END], relative, known, row, side, dns, found, notices, rules
                    )
            elif kind == CLASSIFIED_UDP:
                clue = datagram_clue(
                    buf, h[H_PAYLOAD], h[H_END], h[H_MISSING], row, side, h[H_SRC_PORT], h[H_DST_PORT], found, rules
                )
                if clue == 0 and media_run(buf, h[H_PAYLOAD], h[H_END], row, side, frame["time_ns"]):
                    clue = KIND_MEDIA
                    found[F_READ] = READ_DONE
            if clue:
                write_clue(clues[written], clue, side, row, slot, frame, h, relative - found[F_BEGIN], found)
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
def locate_block(buf, frames, first, last, headers, kinds, flows, heads, notices, seed):
    """Headers of some frames, and the place of each one's flow.

    Going ahead of the flow table by a block lets the reads of its rows, scattered over memory, wait for each other's
    memory together: what is read here is in the cache when its turn comes.
    """
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
        kind = locate(buf, at, end, wire_end, frame["link"], h, notices)
        kinds[i - first] = kind
        if kind <= CLASSIFIED_OTHER:
            place(h, heads, seed)
            warmed += heads[h[H_BUCKET]]
    for i in range(first, last):
        if kinds[i - first] <= CLASSIFIED_OTHER:
            slot = heads[headers[i - first, H_BUCKET]]
            if slot >= 0:
                warmed += flows[slot]["last_ns"] + flows[slot]["bytes_0"]
    headers[0, H_WARMED] = warmed  # kept, so that the reads are not optimised away


@inlined
def place(h, heads, seed):
    """Which side sent the packet (`h[H_SIDE]`), and the hash bucket of its flow (`h[H_BUCKET]`)."""
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


@compiled
def end_all(flows, heads, ended, control):
    """Ends every flow that is still alive, at the end of a source."""
    for slot in range(control[C_TOUCHED]):
        # Rows in the free list have no flow; those that ended already say so.
        if flows[slot]["ended"] == 0 and flows[slot]["flow_id"] >= 0:
            end_flow(flows, heads, ended, control, slot)
    return control[C_CLOCK_NS]
