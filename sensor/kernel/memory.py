"""The memory of DNS answers: what each client was told, for as long as it may use it."""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.hits import J_MEMORY_EVICTED, W_OTHER_HIGH, W_OTHER_LOW, write_hit
from sensor.kernel.layout import HIT_DNS_ANSWER, NS
from sensor.kernel.table import mix

# What DNS answered to whom. Sets of WAYS entries; the one that runs out first makes room.
MEMORY = np.dtype(
    [
        ("client_high", "<i8"),  # an address, or MAC_MARK and the client's MAC
        ("client_low", "<i8"),
        ("server_high", "<i8"),
        ("server_low", "<i8"),
        ("name_id", "<i4"),  # 0: free
        ("alias_id", "<i4"),
        ("expires_ns", "<i8"),
        ("time_ns", "<i8"),
        ("number", "<i8"),
        ("source", "<i4"),
        ("pad", "<i4"),
    ]
)
WAYS = 8
MAC_MARK = np.int64(-0x5A5A5A5A5A5A5A5A)  # no IPv6 prefix in use looks like this

# An address is used for longer than its TTL says: resolvers and browsers hold it for a minute at least, and connections
# are opened late from what an app remembers.
TTL_LEAST_NS = 60 * NS
TTL_GRACE_NS = 300 * NS


@inlined
def set_of(memory, client_high, client_low, server_high, server_low, seed):
    state = mix(np.uint64(client_low) ^ seed)
    state = mix(state ^ np.uint64(client_high))
    state = mix(state ^ np.uint64(server_low))
    state = mix(state ^ np.uint64(server_high))
    return np.int64(state & np.uint64(memory.shape[0] // WAYS - 1)) * WAYS


@compiled
def remember(memory, client_high, client_low, answer, clue, control, seed):
    """Notes that this client was told this address for this name."""
    first = set_of(memory, client_high, client_low, answer["high"], answer["low"], seed)
    ttl_ns = np.int64(answer["ttl_s"]) * NS
    expires = clue["time_ns"] + max(ttl_ns, TTL_LEAST_NS) + TTL_GRACE_NS
    oldest = first
    for i in range(first, first + WAYS):
        row = memory[i]
        same = (
            row["name_id"] == answer["name_id"]
            and row["server_low"] == answer["low"]
            and row["client_low"] == client_low
            and row["server_high"] == answer["high"]
            and row["client_high"] == client_high
        )
        if same or row["name_id"] == 0:
            oldest = i
            break
        if row["expires_ns"] < memory[oldest]["expires_ns"]:
            oldest = i
    row = memory[oldest]
    if row["name_id"] != 0 and row["expires_ns"] > clue["time_ns"] and row["name_id"] != answer["name_id"]:
        control[J_MEMORY_EVICTED] += 1
    row["client_high"] = client_high
    row["client_low"] = client_low
    row["server_high"] = answer["high"]
    row["server_low"] = answer["low"]
    row["name_id"] = answer["name_id"]
    row["alias_id"] = answer["alias_id"]
    row["expires_ns"] = expires
    row["time_ns"] = clue["time_ns"]
    row["number"] = clue["number"]
    row["source"] = clue["source"]


@inlined
def answers_to(row, client_high, client_low, server_high, server_low, time_ns):
    return (
        row["name_id"] != 0
        and row["server_low"] == server_low
        and row["client_low"] == client_low
        and row["server_high"] == server_high
        and row["client_high"] == client_high
        and row["expires_ns"] >= time_ns
    )


@inlined
def telling_name(row, name_match):
    """The name that was asked for, or the last alias on the way where only that one means something."""
    if name_match[row["name_id"]] <= 0 and row["alias_id"] > 0 and name_match[row["alias_id"]] > 0:
        return row["alias_id"]
    return row["name_id"]


@compiled
def recall(memory, client_high, client_low, clue, clue_index, who, name_match, calls, everything, hits, used, seed):
    """Hits for each name that DNS told this client for this server, where a signature knows one of them.

    Returns (hits used, whether there was any name, whether a signature knows one, whether one speaks of a call).
    """
    server_high, server_low = who[W_OTHER_HIGH], who[W_OTHER_LOW]
    first = set_of(memory, client_high, client_low, server_high, server_low, seed)
    known = False
    matched = False
    call = False
    for i in range(first, first + WAYS):
        row = memory[i]
        if answers_to(row, client_high, client_low, server_high, server_low, clue["time_ns"]):
            known = True
            match = name_match[telling_name(row, name_match)]
            matched = matched or match > 0
            call = call or (match > 0 and calls[match] != 0)
    if not known or not (matched or everything):
        return used, known, matched, call
    for i in range(first, first + WAYS):
        row = memory[i]
        if answers_to(row, client_high, client_low, server_high, server_low, clue["time_ns"]):
            name_id = telling_name(row, name_match)
            write_hit(
                hits[used], clue_index, HIT_DNS_ANSWER, name_id, abs(name_match[name_id]), row["number"],
                row["time_ns"], row["source"], who,
            )  # fmt: skip
            used += 1
    return used, known, matched, call


@compiled
def told_of(memory, client_high, client_low, server_high, server_low, time_ns, see, seed):
    """The memory's row by which DNS told this client of a name that is watched for, at this address; -1 where it did not."""
    first = set_of(memory, client_high, client_low, server_high, server_low, seed)
    for i in range(first, first + WAYS):
        row = memory[i]
        if answers_to(row, client_high, client_low, server_high, server_low, time_ns):
            if see[row["name_id"]] or see[row["alias_id"]]:
                return i
    return np.int64(-1)
