"""Which range holds each of many addresses."""

from __future__ import annotations

import numpy as np
from numba import njit

from sensor.kernel.join import range_of


@njit(cache=True, nogil=True)
def numbers_of(highs, lows, ranges):
    """For each address the number of the range that holds it, -1 where none does. `ranges`: as for `join`."""
    found = np.full(highs.shape[0], -1, np.int64)
    for i in range(highs.shape[0]):
        place = range_of(ranges[0], ranges[1], ranges[2], ranges[3], highs[i], lows[i])
        if place >= 0:
            found[i] = ranges[4][place]
    return found
