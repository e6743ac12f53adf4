"""What the joiner's parts share: the ends of the flow at hand, and the rows in which hits are told."""

from __future__ import annotations

from sensor.kernel.compiling import inlined

# Slots of the joiner's `control` array (int64).
J_MEMORY_EVICTED, J_STATIONS, J_STATIONS_FULL, J_ANSWERS, J_FLOWS_DNS, J_SIZE = range(6)

# Slots of the scratch array `who` (int64), as seen from a clue's packet.
(
    W_SIDE,  # which end is the device: 0 the packet's source, 1 its destination
    W_ROUTER,  # 1: the device's MAC is a router's, or not visible
    W_MAC,
    W_HIGH,  # the device's address and port
    W_LOW,
    W_PORT,
    W_OTHER_HIGH,  # those of the other end
    W_OTHER_LOW,
    W_OTHER_PORT,
    W_SIZE,
) = range(10)


@inlined
def write_hit(hit, clue_index, kind, name_id, match, number, time_ns, source, who):
    hit["clue"] = clue_index
    hit["kind"] = kind
    hit["name_id"] = name_id
    hit["match"] = match
    hit["number"] = number
    hit["time_ns"] = time_ns
    hit["source"] = source
    hit["device_side"] = who[W_SIDE]
    hit["router"] = who[W_ROUTER]


@inlined
def tell(hit, clue, clue_index, kind, name_id, match, who):
    """A hit that this clue's packet proves."""
    write_hit(hit, clue_index, kind, name_id, match, clue["number"], clue["time_ns"], clue["source"], who)
