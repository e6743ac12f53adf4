"""The row of a packet's flow: found, or made; and what it counts."""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.fields import (
    H_BUCKET,
    H_DST_HIGH,
    H_DST_LOW,
    H_DST_MAC,
    H_DST_PORT,
    H_PROTO,
    H_SEQUENCE,
    H_SIDE,
    H_SRC_HIGH,
    H_SRC_LOW,
    H_SRC_MAC,
    H_SRC_PORT,
    H_TCP_FLAGS,
    H_TTL,
    H_VLAN,
)
from sensor.kernel.layout import (
    F_NEW_FLOW,
    F_SIDE,
    FLOWS_EXPIRED,
    FLOWS_OPENED,
    FLOWS_REOPENED,
    STATE_BASE_0,
    STATE_BASE_1,
    STATE_BOTH,
    STATE_FIN_0,
    STATE_FIN_1,
    STATE_RST,
    STATE_SYN,
    TCP_ACK,
    TCP_SYN,
)
from sensor.kernel.media import begin_windows
from sensor.kernel.table import (
    C_FREE,
    C_LIVE,
    C_NEXT_FLOW_ID,
    C_TOUCHED,
    end_flow,
    find,
    idle_limit_ns,
    schedule,
)


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
    row["pool_0"] = 0
    row["pool_1"] = 0
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
