"""What a new flow's server means to the watch for hidden traffic: by what DNS told of it, by its address and port."""

from __future__ import annotations

from sensor.kernel.compiling import compiled
from sensor.kernel.hits import (
    W_HIGH,
    W_LOW,
    W_MAC,
    W_OTHER_HIGH,
    W_OTHER_LOW,
    W_OTHER_PORT,
    W_ROUTER,
    tell,
    write_hit,
)
from sensor.kernel.layout import HIT_SEEN_ADDRESS, HIT_SEEN_TOLD
from sensor.kernel.lookup import range_of
from sensor.kernel.memory import MAC_MARK, told_of

TCP, UDP, ESP = 6, 17, 50
PORT_ANYWHERE, PORT_SOMEWHERE = 1, 2  # means something at any address, at the watched ranges


@compiled
def place_of_port(proto):
    """The row of a protocol in the table of watched ports; -1 where none is watched."""
    if proto == TCP:
        return 0
    if proto == UDP:
        return 1
    return 2 if proto == ESP else -1


@compiled
def watch_new(clue, clue_index, memory, who, watched, hits, used, seed):
    """What DNS told of a new flow's server, and what its address and port mean. Returns hits used."""
    see, ports, ranges = watched
    server_high, server_low = who[W_OTHER_HIGH], who[W_OTHER_LOW]
    place = told_of(memory, who[W_HIGH], who[W_LOW], server_high, server_low, clue["time_ns"], see, seed)
    if place < 0 and not who[W_ROUTER]:
        place = told_of(memory, MAC_MARK, who[W_MAC], server_high, server_low, clue["time_ns"], see, seed)
    if place >= 0:
        row = memory[place]
        name_id = row["name_id"] if see[row["name_id"]] else row["alias_id"]
        write_hit(hits[used], clue_index, HIT_SEEN_TOLD, name_id, 0, row["number"], row["time_ns"], row["source"], who)
        used += 1
    proto = place_of_port(clue["proto"])
    if proto < 0:
        return used
    watch = ports[proto, who[W_OTHER_PORT]]
    if watch == PORT_ANYWHERE or (
        watch == PORT_SOMEWHERE and range_of(ranges[0], ranges[1], ranges[2], ranges[3], server_high, server_low) >= 0
    ):
        tell(hits[used], clue, clue_index, HIT_SEEN_ADDRESS, 0, 0, who)
        used += 1
    return used
