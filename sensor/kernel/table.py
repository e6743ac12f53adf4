"""The flow table: fixed capacity, seeded hash, chains of rows, and a wheel of seconds that ends idle flows in packet time.

`heads`: first row of each hash bucket. `wheel`: first row due in each second, modulo its size. A flow that ended keeps its
row until the next batch, so that whoever reads the clues can still read the row; `ended` lists those rows.
Nothing here depends on where batches begin: a flow ends because of the packet times alone.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.layout import (
    CLOCK_BACK_NS,
    CLOCK_JUMPS,
    FLOWS_EXPIRED,
    IDLE_OTHER_NS,
    IDLE_TCP_CLOSED_NS,
    IDLE_TCP_HALF_NS,
    IDLE_TCP_NS,
    IDLE_UDP_HALF_NS,
    IDLE_UDP_NS,
    NS,
    RECHECK_NS,
    STATE_BOTH,
    STATE_FIN_0,
    STATE_FIN_1,
    STATE_RST,
    WHEEL_SECONDS,
)

# Slots of the `control` array (int64).
C_FREE, C_ENDED, C_NEXT_FLOW_ID, C_CLOCK_NS, C_WHEEL_SECOND, C_TOUCHED, C_LIVE, C_SIZE = range(8)

# Multipliers of splitmix64 (Steele, Lea, Flood 2014).
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
S30, S27, S31 = np.uint64(30), np.uint64(27), np.uint64(31)


@inlined
def mix(value):
    """splitmix64's finaliser: every input bit reaches every output bit."""
    value = (value ^ (value >> S30)) * MIX_1
    value = (value ^ (value >> S27)) * MIX_2
    return value ^ (value >> S31)


@inlined
def hash_key(a_high, a_low, b_high, b_low, ports_proto, seed):
    value = mix(np.uint64(a_low) ^ seed)
    value = mix(value ^ np.uint64(b_low))
    value = mix(value ^ np.uint64(a_high) ^ (np.uint64(b_high) << S31) ^ (np.uint64(b_high) >> np.uint64(33)))
    return mix(value ^ np.uint64(ports_proto))


@inlined
def idle_limit_ns(row):
    proto = row["proto"]
    state = row["state"]
    if proto == 6:
        if state & STATE_RST or (state & STATE_FIN_0 and state & STATE_FIN_1):
            return IDLE_TCP_CLOSED_NS
        if state & STATE_BOTH:
            return IDLE_TCP_NS
        return IDLE_TCP_HALF_NS
    if proto == 17:
        return IDLE_UDP_NS if state & STATE_BOTH else IDLE_UDP_HALF_NS
    return IDLE_OTHER_NS


@inlined
def find(flows, heads, bucket, a_high, a_low, b_high, b_low, a_port, b_port, proto):
    """The row of this five-tuple, or -1."""
    slot = np.int64(heads[bucket])
    while slot >= 0:
        row = flows[slot]
        if (
            row["a_low"] == a_low
            and row["b_low"] == b_low
            and row["a_port"] == a_port
            and row["b_port"] == b_port
            and row["proto"] == proto
            and row["a_high"] == a_high
            and row["b_high"] == b_high
        ):
            return slot
        slot = np.int64(row["chain"])
    return np.int64(-1)


@compiled
def unlink(flows, heads, slot):
    """Takes a row out of its hash chain."""
    bucket = flows[slot]["bucket"]
    at = np.int64(heads[bucket])
    if at == slot:
        heads[bucket] = flows[slot]["chain"]
        return
    while at >= 0:
        following = np.int64(flows[at]["chain"])
        if following == slot:
            flows[at]["chain"] = flows[slot]["chain"]
            return
        at = following


@compiled
def end_flow(flows, heads, ended, control, slot):
    """Ends a flow: it can no longer be found; its row stays until the next batch. The wheel drops it when it comes by."""
    unlink(flows, heads, slot)
    flows[slot]["ended"] = 1
    flows[slot]["ended_ns"] = control[C_CLOCK_NS]
    ended[control[C_ENDED]] = slot
    control[C_ENDED] += 1
    control[C_LIVE] -= 1


@compiled
def schedule(flows, wheel, control, slot, due_ns):
    """Puts a row where the wheel will look at it once `due_ns` has passed, or for a check in between."""
    second = max(due_ns // NS + 1, control[C_WHEEL_SECOND] + 1)
    second = min(second, control[C_WHEEL_SECOND] + RECHECK_NS // NS)
    place = second % WHEEL_SECONDS
    flows[slot]["wheel"] = wheel[place]
    wheel[place] = slot


@compiled
def look_at_second(flows, heads, wheel, free, ended, control, notices, second):
    """Ends what has been idle for too long among the rows due in `second`; puts the others back."""
    place = second % WHEEL_SECONDS
    slot = np.int64(wheel[place])
    wheel[place] = -1
    while slot >= 0:
        row = flows[slot]
        following = np.int64(row["wheel"])
        if row["ended"] == 2:
            # Reported in an earlier batch: now nothing points at it any more.
            row["ended"] = 0
            row["flow_id"] = -1
            free[control[C_FREE]] = slot
            control[C_FREE] += 1
        elif row["ended"] == 1:
            schedule(flows, wheel, control, slot, control[C_CLOCK_NS])
        else:
            due_ns = row["last_ns"] + idle_limit_ns(row)
            if due_ns <= control[C_CLOCK_NS]:
                notices[FLOWS_EXPIRED] += 1
                end_flow(flows, heads, ended, control, slot)
                row["ended_ns"] = due_ns  # on a quiet network this is found out much later
                schedule(flows, wheel, control, slot, control[C_CLOCK_NS])
            else:
                schedule(flows, wheel, control, slot, due_ns)
        slot = following


@inlined
def advance_clock(flows, heads, wheel, free, ended, control, notices, time_ns):
    """Moves packet time on, at most one turn of the wheel; far backwards it is set anew."""
    clock = control[C_CLOCK_NS]
    if time_ns < clock:
        if clock - time_ns < CLOCK_BACK_NS:
            return
        notices[CLOCK_JUMPS] += 1
        control[C_CLOCK_NS] = time_ns
        control[C_WHEEL_SECOND] = time_ns // NS - 1
        return
    control[C_CLOCK_NS] = time_ns
    now = time_ns // NS
    second = control[C_WHEEL_SECOND]
    if now - second > WHEEL_SECONDS:
        second = now - WHEEL_SECONDS
    while second < now:
        second += 1
        control[C_WHEEL_SECOND] = second
        look_at_second(flows, heads, wheel, free, ended, control, notices, second)


def release(flows, ended, control):
    """Called at the start of a batch: rows reported as ended may be used again once the wheel has dropped them."""
    flows["ended"][ended[: control[C_ENDED]]] = 2
    control[C_ENDED] = 0
