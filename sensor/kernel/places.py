"""Where a STUN message came from or went to, as far as signatures ask: one bit for each group of ranges and ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sensor.kernel.compiling import compiled
from sensor.kernel.lookup import range_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PLACES = 60  # bits of an int64 that are used

# (low_high, low_low, high_high, high_low, bits): sorted disjoint ranges, and the places that each is part of;
# int64[n, 3]: place, first port, last port.
Places = tuple[tuple["NDArray[np.int64]", ...], "NDArray[np.int64]"]
NOWHERE: Places = (tuple(np.zeros(0, np.int64) for _ in range(5)), np.zeros((0, 3), np.int64))


@compiled
def places_of(clue, places):
    """The bits of all places in which one end of the packet lies, by address and port."""
    ranges, ports = places
    if ports.shape[0] == 0:
        return np.int64(0)
    return place_of(clue["src_high"], clue["src_low"], clue["src_port"], ranges, ports) | place_of(
        clue["dst_high"], clue["dst_low"], clue["dst_port"], ranges, ports
    )


@compiled
def place_of(high, low, port, ranges, ports):
    bits = np.int64(0)
    at = range_of(ranges[0], ranges[1], ranges[2], ranges[3], high, low)
    if at < 0:
        return bits
    for k in range(ports.shape[0]):
        if (ranges[4][at] >> ports[k, 0]) & 1 and ports[k, 1] <= port <= ports[k, 2]:
            bits |= np.int64(1) << ports[k, 0]
    return bits
